#!/bin/sh
# Runs a command with a Docker engine of its own: DOCKER_HOST names its socket, the image nunet-test:busybox is in it.
# The machine's own engine is not touched; at the end this engine, its containers and its data are removed.
#   tests/docker/with-dockerd.sh command args...
# Exit code 77: no engine can be started here, the reason is on standard error.
set -eu

skip() {
  echo "no Docker engine: $1" >&2
  exit 77
}
[ "$(id -u)" = 0 ] || skip "needs root"
for program in dockerd containerd runc busybox; do
  command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || skip "$program is not installed (apt-get install docker.io busybox-static)"
done

dir=$(mktemp -d /tmp/nunet-dockerd.XXXXXX)
export DOCKER_HOST="unix://$dir/docker.sock"
group=/nunet-test-$$
daemon=
finish() {
  status=$?
  trap - EXIT INT TERM
  if [ -n "$daemon" ]; then
    kill "$daemon" 2>/dev/null || true
    # The engine ends its containers and its containerd; ten seconds.
    for _ in $(seq 100); do kill -0 "$daemon" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$daemon" 2>/dev/null || true
    wait "$daemon" 2>/dev/null || true
  fi
  # Mounts that the engine may have left in its folder.
  awk -v d="$dir/" 'index($2, d) == 1 {print $2}' /proc/mounts | sort -r | while read -r mount; do umount -l "$mount" || true; done
  rm -rf "$dir"
  rmdir "/sys/fs/cgroup$group" /sys/fs/cgroup/*"$group" 2>/dev/null || true
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

start() {
  PATH="$PATH:/usr/sbin:/sbin" dockerd --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/pid" \
    -H "$DOCKER_HOST" --cgroup-parent "$group" --bridge=none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false \
    --storage-driver "$1" --log-level warn >"$dir/log" 2>&1 &
  daemon=$!
  for _ in $(seq 150); do  # until the engine replies, fifteen seconds at most
    [ -S "$dir/docker.sock" ] && curl -s --max-time 2 --unix-socket "$dir/docker.sock" http://docker/_ping | grep -q OK && return 0
    kill -0 "$daemon" 2>/dev/null || return 1
    sleep 0.1
  done
  return 1
}
started=
for driver in overlay2 vfs; do
  if start "$driver"; then
    started=$driver
    break
  fi
  kill "$daemon" 2>/dev/null || true
  wait "$daemon" 2>/dev/null || true
done
[ -n "$started" ] || { tail -5 "$dir/log" >&2; skip "dockerd does not start"; }

# An image without a registry: busybox and the names of its programs.
mkdir -p "$dir/root/bin" "$dir/root/tmp" "$dir/root/etc"
cp "$(command -v busybox)" "$dir/root/bin/busybox"
for name in sh echo cat sleep true yes false head tail env id ls kill tr grep wc touch hostname; do ln -s busybox "$dir/root/bin/$name"; done
echo 'root:x:0:0:root:/:/bin/sh' >"$dir/root/etc/passwd"
tar -C "$dir/root" -cf "$dir/image.tar" .
curl -s --max-time 30 --unix-socket "$dir/docker.sock" -X POST -H 'Content-Type: application/x-tar' --data-binary "@$dir/image.tar" \
  'http://docker/images/create?fromSrc=-&repo=nunet-test&tag=busybox' | grep -q sha256 || skip "the test image cannot be imported"

"$@"
