#!/bin/sh
# Compares the command line with NuNet's Go code, in both directions: ../README.md.
# NUNET_GO_REFERENCE names the program built from this folder. Prints PASS or FAIL lines and 'N passed, N failed, N skipped'.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

if [ -z "${NUNET_GO_REFERENCE:-}" ]; then
  echo "skipped: NUNET_GO_REFERENCE is not set; NuNet's Go module is not available from the module proxy (tests/interop/README.md)"
  exit 77
fi
# The tests of ucan, crypto, did and actor check what the Go code has written.
build=$("$here/../build_folder.sh" nunet bin/ucan_test)
exec python3 "$here/drive.py" "$NUNET_GO_REFERENCE" "$build"
