#!/bin/sh
# Runs a command with a Docker engine of its own: DOCKER_HOST names its socket, the images nunet-test:busybox and nunet-test:user,
# which does not run as root, are in it. The program $NUNET_TEST_ENGINE stops and starts the engine ("stop", "start"); containers
# go on meanwhile.
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
chmod 711 "$dir" # for users in the group of the socket
export DOCKER_HOST="unix://$dir/docker.sock"
group=/nunet-test-$$
export NUNET_TEST_ENGINE="$dir/engine"

api() { curl -s --max-time 30 --unix-socket "$dir/docker.sock" "$@"; }

finish() {
  status=$?
  trap - EXIT INT TERM
  # A stopped engine leaves its containers running.
  for id in $(api 'http://docker/containers/json?all=1' | grep -o '"Id":"[0-9a-f]*"' | cut -d'"' -f4); do
    api -X DELETE "http://docker/containers/$id?force=1&v=1" >/dev/null || true
  done
  [ ! -x "$NUNET_TEST_ENGINE" ] || "$NUNET_TEST_ENGINE" stop || true
  # Mounts that the engine may have left in its folder.
  awk -v d="$dir/" 'index($2, d) == 1 {print $2}' /proc/mounts | sort -r | while read -r mount; do umount -l "$mount" || true; done
  rm -rf "$dir"
  rmdir "/sys/fs/cgroup$group" /sys/fs/cgroup/*"$group" 2>/dev/null || true
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

# The engine with a storage driver.
make_engine() {
  cat >"$NUNET_TEST_ENGINE" <<END
#!/bin/sh
# "start" or "stop", each waits until that is done: fifteen seconds at most.
PATH="\$PATH:/usr/sbin:/sbin"
case "\$1" in
  start)
    dockerd --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/pid" -H "$DOCKER_HOST" --live-restore \\
      --cgroup-parent "$group" --bridge=none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false \\
      --storage-driver "$1" --log-level warn >>"$dir/log" 2>&1 </dev/null &
    echo \$! >"$dir/daemon"
    for _ in \$(seq 150); do
      [ -S "$dir/docker.sock" ] && curl -s --max-time 2 --unix-socket "$dir/docker.sock" http://docker/_ping | grep -q OK && exit 0
      kill -0 "\$(cat "$dir/daemon")" 2>/dev/null || exit 1
      sleep 0.1
    done
    exit 1
    ;;
  stop)
    daemon=\$(cat "$dir/daemon")
    kill "\$daemon" 2>/dev/null || exit 0
    for _ in \$(seq 150); do
      case "\$(cut -d' ' -f3 "/proc/\$daemon/stat" 2>/dev/null)" in "" | Z) exit 0 ;; esac
      sleep 0.1
    done
    kill -9 "\$daemon"
    ;;
esac
END
  chmod +x "$NUNET_TEST_ENGINE"
}
started=
for driver in overlay2 vfs; do
  make_engine "$driver"
  if "$NUNET_TEST_ENGINE" start; then
    started=$driver
    break
  fi
  "$NUNET_TEST_ENGINE" stop || true
done
[ -n "$started" ] || { tail -5 "$dir/log" >&2; skip "dockerd does not start"; }

# An image without a registry: busybox and the names of its programs.
mkdir -p "$dir/root/bin" "$dir/root/tmp" "$dir/root/etc"
cp "$(command -v busybox)" "$dir/root/bin/busybox"
for name in sh echo cat sleep true yes false head tail env id ls kill tr grep wc touch hostname; do ln -s busybox "$dir/root/bin/$name"; done
echo 'root:x:0:0:root:/:/bin/sh' >"$dir/root/etc/passwd"
tar -C "$dir/root" -cf "$dir/image.tar" .
import() {
  api -X POST -H 'Content-Type: application/x-tar' --data-binary "@$dir/image.tar" \
    "http://docker/images/create?fromSrc=-&repo=nunet-test&$1" | grep -q sha256 || skip "the test image cannot be imported"
}
import tag=busybox
import 'tag=user&changes=USER%204711'

"$@"
