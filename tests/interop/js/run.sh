#!/bin/sh
# Our libp2p against js-libp2p (npm), each dialling the other. Needs node and npm, and interop_peer built.
# Prints PASS or FAIL lines and ends 'N passed, N failed, N skipped'. DMS_BUILD names the build folder.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  echo "skipped: node and npm are not installed (scripts/setup-debian.sh interop)"
  exit 77
fi
for build in "${DMS_BUILD:-}" "$root/build" "$root/build/dev"; do
  peer="$build/bin/interop_peer"
  [ -n "$build" ] && [ -x "$peer" ] && break
done
if [ ! -x "$peer" ]; then
  echo "FAIL interop_peer is not built: make build"
  exit 1
fi

# Installed once for each state of the lock file.
stamp="$here/node_modules/.installed"
if ! cmp -s "$here/package-lock.json" "$stamp"; then
  (cd "$here" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
  cp "$here/package-lock.json" "$stamp"
fi
exec python3 "$here/drive.py" "$peer"
