#!/bin/sh
# Compares src/supervision with OTP's own supervisor on random trees: ../README.md.
# Prints PASS or FAIL lines and 'N passed, N failed, N skipped'.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

if ! command -v erl >/dev/null || ! command -v erlc >/dev/null; then
  echo "skipped: erl is not installed (Debian: erlang-base)"
  exit 77
fi
build=$("$here/../build_folder.sh" bin/supervision_test)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

seed=${OTP_SEED:-$(date +%s)}
erlc -o "$work" "$here/otp_vectors.erl"
(cd "$work" && erl +S 1:1 -noshell -s otp_vectors main "$seed" "${OTP_CASES:-500}" >otp.txt)
if DMS_OTP_VECTORS="$work/otp.txt" "$build/bin/supervision_test" --gtest_filter='OtpTest.*'; then
  echo "PASS supervision as OTP, seed $seed"
  echo "1 passed, 0 failed, 0 skipped"
else
  echo "FAIL supervision differs from OTP, seed $seed"
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
fi
