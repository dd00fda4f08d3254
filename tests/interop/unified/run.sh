#!/bin/sh
# unified_peer, for libp2p's unified interoperability tests, against itself, both roles, both suites, and in the suite `transport`
# against the peers that UNIFIED_PEERS names ("go=PROGRAM rust=PROGRAM"; README.md). Needs unified_peer built. Prints PASS or
# FAIL lines and ends 'N passed, N failed, N skipped'. DMS_BUILD names the build folder.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$("$here/../build_folder.sh" bin/unified_peer)
# shellcheck disable=SC2086  # words
exec python3 "$here/drive.py" "$build/bin/unified_peer" ${UNIFIED_PEERS:-}
