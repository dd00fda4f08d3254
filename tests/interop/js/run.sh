#!/bin/sh
# interop_peer against js-libp2p (npm), each dialing the other. Needs node and npm, and interop_peer built.
# Prints PASS or FAIL lines and ends 'N passed, N failed, N skipped'. DMS_BUILD names the build folder.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$("$here/../build_folder.sh" bin/interop_peer)
exec python3 "$here/drive.py" "$build"
