#!/bin/sh
# Installs from Debian 12 what a task needs, and nothing else. Quick when all of it is there.
#   scripts/setup-debian.sh [GROUP...]     groups: build run test ssh docker bench lint fuzz interop coverage docs all
# Without a group: build run test. Needs root only when something is missing.
set -eu

# One package a line or many, in the group whose work needs it first. A word `command=package` means: the package is
# needed only if that command is not there yet (Node.js and Docker often come from elsewhere than Debian).
build="ca-certificates ccache cmake g++ git make ninja-build pkg-config python3
  libarchive-dev libboost1.81-dev libboost-json1.81-dev libfmt-dev libseccomp-dev libsecp256k1-dev libsqlite3-dev libssl-dev libyaml-cpp-dev
  libgtest-dev libgmock-dev librapidcheck-dev"
run="bubblewrap busybox-static iproute2 procps python3 python3-yaml"
test="faketime openssh-client openssl python3-behave $run"
ssh="openssh-server"  # for scenarios with hosts reached by ssh; where there is an init system, it starts a server
docker="dockerd=docker.io busybox-static curl iptables"
bench="curl libbenchmark-dev nginx=nginx-light python3"
lint="clang-format-16 clang-tidy-16 shellcheck python3"
fuzz="clang-16 libclang-rt-16-dev lld-16 llvm-16 python3"
interop="node=nodejs npm=npm redis-server=redis-tools"
coverage="lcov"
docs="default-jre-headless doxygen graphviz mkdocs mkdocs-material plantuml python3"
# shellcheck disable=SC2034  # used through eval
all="$build $run $test $ssh $docker $bench $lint $fuzz $interop $coverage $docs"

[ $# -gt 0 ] || set -- build run test
wanted=
for group in "$@"; do
  case $group in
    build | run | test | ssh | docker | bench | lint | fuzz | interop | coverage | docs | all) eval "wanted=\"\$wanted \$$group\"" ;;
    *) echo "setup-debian.sh: no group '$group'; see the head of this script" >&2; exit 2 ;;
  esac
done

if ! command -v dpkg-query >/dev/null; then
  echo "setup-debian.sh: this is not Debian. Install what Debian 12 calls:$wanted" >&2
  exit 1
fi

packages=
for word in $wanted; do
  case $word in
    *=*) command -v "${word%%=*}" >/dev/null || packages="$packages ${word#*=}" ;;
    *) packages="$packages $word" ;;
  esac
done

# dpkg-query prints nothing for packages that it does not know: those are missing too.
# shellcheck disable=SC2086  # a list of words
have=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' $packages 2>/dev/null | sed -n 's/^ii *//p' || true)
missing=
for package in $packages; do
  printf '%s\n' "$have" | grep -qx "$package" || case " $missing " in *" $package "*) ;; *) missing="$missing $package" ;; esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
  echo "setup-debian.sh: these packages are missing. Install them as root and try again:" >&2
  echo "  sudo apt-get install --no-install-recommends$missing" >&2
  exit 1
fi

echo "Installing:$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086
install() { apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 $missing >"$log" 2>&1; }
install || { # The package lists may be absent (a fresh machine) or old.
  apt-get update -qq && install
} || {
  tail -n 30 "$log" >&2
  echo "setup-debian.sh: apt-get could not install:$missing" >&2
  exit 1
}
