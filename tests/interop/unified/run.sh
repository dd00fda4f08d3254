#!/bin/sh
# Our peer for libp2p's unified interoperability tests against itself, both roles, both suites. Needs unified_peer built.
# Prints PASS or FAIL lines and ends 'N passed, N failed, N skipped'. DMS_BUILD names the build folder.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
for build in "${DMS_BUILD:-}" "$root/build" "$root/build/dev"; do
  peer="$build/bin/unified_peer"
  [ -n "$build" ] && [ -x "$peer" ] && break
done
if [ ! -x "$peer" ]; then
  echo "FAIL unified_peer is not built: make build"
  exit 1
fi
exec python3 "$here/drive.py" "$peer"
