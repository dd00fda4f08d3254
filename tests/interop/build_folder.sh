#!/bin/sh
# build_folder.sh PROGRAM...: prints the build folder that contains all of them (paths below it): DMS_BUILD, build or build/dev, the
# first that does. Prints what is missing to standard error, and fails, if none does.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)

has_all() {
  folder=$1
  shift
  for program; do [ -x "$folder/$program" ] || return 1; done
}

for build in "${DMS_BUILD:-}" "$root/build" "$root/build/dev"; do
  if [ -n "$build" ] && has_all "$build" "$@"; then
    echo "$build"
    exit 0
  fi
done
echo "FAIL not built: $* (make build)" >&2
exit 1
