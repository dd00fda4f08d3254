#!/bin/sh
# Formats every C++ file of the project; with --check names the files that are not formatted and fails.
set -eu
cd "$(dirname "$0")/.."
mode=-i
[ "${1:-}" != --check ] || mode="--dry-run --Werror"
# shellcheck disable=SC2086  # a list of options
git ls-files -z --cached --others --exclude-standard -- 'src/*.cpp' 'src/*.hpp' 'cmake/*.hpp' 'tests/*.cpp' 'tests/*.hpp' \
  'testnet/*.cpp' 'testnet/*.hpp' |
  xargs -0 -r -n 16 -P "$(nproc)" clang-format-16 $mode
