"""The hosts of a network: namespaces of this machine, or homes on its loopback; ssh_host.py has machines reached by ssh.

Each is a nunet_cluster.Machine, so that everything a functional test does with a machine can be done with a host. What differs is
how a command gets there (inside()), how the host is booted and ended, and how its processes are found.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import time
import zlib

import nunet_cluster
from nunet_cluster import NUNET, ClusterError, Finished, Hopeless, Machine, processes_of, wait_for

DAEMON_TIMEOUT = 60
STOP_GRACE = 20
LARGEST_ARTIFACT = 32 << 20
ARTIFACTS = ("daemon.log", "nunet/logs/*", ".nunet/dms_config.json", "nunet/jobs/**/*.log")  # of the home; no key, no token
MARK = "NUNET_TESTNET"  # in the environment of each process of a network: its folder
START_SCRIPT = 'cd "$1" && shift && { setsid "$@" >>daemon.log 2>&1 </dev/null & echo $!; }'


def start_time(pid):
    """When a process began, in ticks after boot; None if there is no such process, or it has ended."""
    with contextlib.suppress(OSError):
        fields = nunet_cluster.stat_of(f"/proc/{pid}")
        return None if fields[0] in "ZX" else int(fields[19])
    return None


class Process:
    """A process that was started by another command, known again by its id and when it began."""

    def __init__(self, pid, began):
        self.pid, self.began = pid, began

    @classmethod
    def of(cls, pid):
        return cls(pid, start_time(pid))

    @property
    def alive(self):
        return self.began is not None and start_time(self.pid) == self.began

    def kill(self, sent=signal.SIGKILL):
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sent)

    def wait_end(self, what, timeout=10.0):
        wait_for(lambda: not self.alive, what, timeout, 0.01)


class Host(Machine):
    """What the kinds have in common. `network` is where it belongs, `plan` its part of the description."""

    def __init__(self, network, plan, rest_port=9999, p2p_port=9000):
        self.cluster, self.plan, self.name, self.address = network, plan, plan.name, plan.address
        self.rest_port, self.p2p_port, self.namespace, self.user = rest_port, p2p_port, None, None
        self.home = network.folder / "hosts" / plan.name
        self.user_dir, self.work_dir = self.home / ".nunet", self.home / "nunet"
        self.config, self.log = self.user_dir / "dms_config.json", self.home / "daemon.log"
        self.was_killed, self.peer = False, None
        self.clock = self.home / "clock" if plan.clock is not None else None
        self.listener, self.listening, self.keys = None, [], {}
        self.on = True          # False: killed
        self.daemon = None      # a Process

    @property
    def has_daemon(self):
        return self.plan.role != "none"

    @property
    def process(self):
        return self.daemon if self.daemon and self.daemon.alive else None

    def prepare(self):
        """The files of a new host."""
        for folder in (self.user_dir, self.work_dir, self.home / "bin"):
            folder.mkdir(mode=0o700, parents=True)
        (self.home / "bin/nunet").symlink_to(pathlib.Path(NUNET).resolve())
        if self.plan.clock is not None:
            self.set_clock(self.plan.clock)

    def configure(self, bootstrap):
        # There is no Docker engine: its containers would not be on this host.
        self.write_config(p2p={"listen_address": [f"/ip4/{self.address}/tcp/{self.p2p_port}"], "bootstrap_peers": bootstrap},
                          executor={"docker_socket": str(self.home / "no-docker.sock")}, **self.plan.settings())

    def environment(self, **more):
        path = f"{self.home / 'bin'}:{os.environ.get('PATH', '/usr/bin:/bin')}"
        return super().environment(**{"PATH": path, MARK: str(self.cluster.folder), **more})

    def locally(self, *command):
        """Runs a command on the files of this host, wherever it is."""
        environment = {**Host.environment(self), **self.fake_clock()}
        process = subprocess.run([str(word) for word in command], cwd=self.home, env=environment, stdin=subprocess.DEVNULL,
                                 capture_output=True, text=True, timeout=60)
        return Finished([str(word) for word in command], process)

    def exec(self, *command, **options):
        """Runs a command on this host to its end; its output and status."""
        self.check_on()
        return self.run(*command, **options)

    def attach(self, command):
        """Runs a command in the host's home, with this terminal; its exit status."""
        self.check_on()
        try:
            return subprocess.call(self.inside(command), cwd=self.home, env=self.environment())
        except KeyboardInterrupt:
            return 130

    def check_on(self):
        if not self.on:
            raise ClusterError(f"{self.name} has been killed; `testnet start {self.name}` brings it back")

    # --- the daemon

    def check_daemon(self):
        if not self.has_daemon:
            raise ClusterError(f"{self.name} has no daemon: it has `role: none`")

    def start(self, timeout=DAEMON_TIMEOUT):
        """Starts the daemon and waits until it answers."""
        self.launch()
        self.wait_healthy(timeout)

    def launch(self):
        self.daemon = self.launch_daemon([NUNET, "run", "--config", str(self.config)])

    def launch_daemon(self, command):
        raise NotImplementedError

    def wait_healthy(self, timeout=DAEMON_TIMEOUT):
        wait_for(self.healthy, f"{self.name}: the daemon answers", timeout, 0.1)

    def healthy(self):
        if not self.daemon or not self.daemon.alive:
            raise Hopeless(f"{self.name}: the daemon has ended{self.log_tail()}")
        return self.rest("/health").get("status") == "ok"

    def stop(self, grace=STOP_GRACE):
        if self.daemon and self.daemon.alive:
            self.daemon.kill(signal.SIGTERM)
            self.daemon.wait_end(f"{self.name}: the daemon ends after SIGTERM", grace)

    def kill(self):
        """A crash of the daemon; Network.kill() is the death of the host."""
        if self.daemon:
            self.daemon.kill()
            self.daemon.wait_end(f"{self.name}: the daemon ends after SIGKILL")

    def suspend(self):
        self.daemon.kill(signal.SIGSTOP)

    def resume(self):
        self.daemon.kill(signal.SIGCONT)

    def peers(self):
        return self.cmd("/dms/node/peers/list", timeout=20).get("Peers") or []

    def onboard(self):
        share = self.plan.onboard
        self.cmd("/dms/node/onboarding/onboard", "--cpu", str(share.cpu), "--ram", share.ram, "--disk", share.disk)

    def daemon_state(self):
        return "none" if not self.has_daemon else "running" if self.daemon and self.daemon.alive else "ended"

    # --- the host

    def boot(self):
        """After prepare(), and after die()."""

    def die(self):
        """Every process of the host ends at once."""
        raise NotImplementedError

    def processes(self):
        """(pid, command line) of what runs on it."""
        return [(pid, line) for pid, line in processes_of(self.home)]

    def state(self):
        daemon = [self.daemon.pid, self.daemon.began] if self.daemon else None
        return {"on": self.on, "daemon": daemon, "rest_port": self.rest_port, "p2p_port": self.p2p_port, "peer": self.peer}

    def restore(self, state):
        self.on, self.peer = state["on"], state["peer"]
        self.rest_port, self.p2p_port = state["rest_port"], state["p2p_port"]
        self.daemon = Process(*state["daemon"]) if state["daemon"] else None

    # --- what it leaves

    def artifacts(self, folder):
        """Copies logs, settings and the outputs of work into a folder; what could not be had, a line each."""
        mistakes = []
        for pattern in ARTIFACTS:
            for source in sorted(self.home.glob(pattern)):
                target = folder / source.relative_to(self.home)
                with reporting(mistakes, source):
                    if source.is_file() and not source.is_symlink():
                        target.parent.mkdir(parents=True, exist_ok=True)
                        copy_end(source, target)
        with reporting(mistakes, "the list of processes"):
            (folder / "processes.txt").write_text("".join(f"{pid} {line}\n" for pid, line in self.processes()))
        return mistakes

    def follow(self, out, follow):
        """Writes daemon.log to `out`; with `follow` until Ctrl-C."""
        self.check_daemon()
        with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
            with open(self.log, "rb") as log:
                while True:
                    shutil.copyfileobj(log, out)
                    out.flush()
                    if not follow or not self.log.exists():
                        break
                    time.sleep(0.2)


def namespace_prefix(folder):
    """Of the names of a network's namespaces, which are those of this machine: networks of one name may be in several states."""
    return f"tn-{zlib.crc32(str(folder.parent).encode()):08x}-{folder.name}."


@contextlib.contextmanager
def reporting(mistakes, what):
    try:
        yield
    except (OSError, ClusterError, subprocess.SubprocessError, ValueError) as error:
        mistakes.append(f"{what}: {error}")


def copy_end(source, target):
    """Copies the file; of a very large one the end."""
    with open(source, "rb") as read, open(target, "wb") as written:
        if (more := os.fstat(read.fileno()).st_size - LARGEST_ARTIFACT) > 0:
            written.write(f"... {more} bytes before ...\n".encode())
            read.seek(more)
        shutil.copyfileobj(read, written)


BOOT_SCRIPT = """mount -t tmpfs -o mode=1777 tmpfs /dev/shm
echo "$0" >/proc/sys/kernel/hostname
env "$@" sh -c 'echo "ready $FAKETIME_SHARED"; exec sleep infinity >/dev/null 2>&1' &
exec >/dev/null 2>&1
wait"""


class NamespaceHost(Host):
    """Its own network, process ids, mounts, shared memory and host name. `init` is the first process in it; all others end with it.

    Where the clock is another one, libfaketime keeps it in shared memory, which the first process that uses it makes and removes.
    That is one that lives as long as the host (`shared_clock` is where): the children of one that ends could not begin programs.
    """

    def __init__(self, network, plan):
        super().__init__(network, plan)
        self.namespace = namespace_prefix(network.folder) + plan.name
        self.init, self.shared_clock = None, ""

    def prepare(self):
        super().prepare()
        if self.plan.disk:
            command = ["mount", "-t", "tmpfs", "-o", f"size={self.plan.disk},mode=0700", "tmpfs", self.work_dir]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                raise ClusterError(f"{self.name}: a disk of {self.plan.disk} bytes: {done.stderr.strip()}")

    def boot(self):
        command = ["nsenter", f"--net=/run/netns/{self.namespace}", "unshare", "--mount", "--pid", "--uts", "--propagation", "slave",
                   "--fork", "--kill-child", "--mount-proc", "sh", "-c", BOOT_SCRIPT, self.name, *assignments(self.fake_clock())]
        holder = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  env=self.environment(), cwd="/", start_new_session=True)
        word, _, self.shared_clock = holder.stdout.readline().strip().partition(" ")
        if word != "ready":
            holder.kill()
            raise ClusterError(f"{self.name}: {' '.join(command[:3])} ...: {holder.stderr.read().strip()}")
        holder.stdout.close()
        holder.stderr.close()
        self.init = Process.of(children(holder.pid)[0])
        self.on = True

    def inside(self, command):
        if not self.init or not self.init.alive:
            raise ClusterError(f"{self.name} does not run; `testnet start {self.name}` brings it back")
        # Not in the environment of nsenter, which has another shared memory.
        clock = ["env", *assignments({**self.fake_clock(), "FAKETIME_SHARED": self.shared_clock})] if self.clock else []
        return ["nsenter", "--target", str(self.init.pid), "--net", "--mount", "--pid", "--uts", f"--wdns={self.home}", *clock,
                *(str(word) for word in command)]

    def launch_daemon(self, command):
        # The daemon becomes a child of `init`, so nothing of it is outside of the host.
        finished = self.run("sh", "-c", START_SCRIPT, "sh", self.home, *command)
        if finished.status != 0:
            raise ClusterError(f"{self.name}: {finished}")
        inner = finished.out.strip()
        found = [pid for pid in children(self.init.pid) if inner_pid(pid) == inner]
        if not found:
            raise ClusterError(f"{self.name}: the daemon has ended at once{self.log_tail()}")
        return Process.of(found[0])

    def die(self):
        if self.init:
            self.init.kill()
            self.init.wait_end(f"{self.name}: its first process ends")
        self.on = False

    def processes(self):
        if not self.init or not self.init.alive:
            return []
        namespace = os.readlink(f"/proc/{self.init.pid}/ns/pid")
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if os.readlink(entry / "ns/pid") == namespace:
                        line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                        found.append((int(entry.name), line))
        return found

    def artifacts(self, folder):
        mistakes = super().artifacts(folder)
        for name, command in (("addresses.txt", ["addr"]), ("routes.txt", ["route"])):
            done = subprocess.run(["ip", "-n", self.namespace, *command], capture_output=True, text=True)
            (folder / name).write_text(done.stdout + done.stderr)
        return mistakes

    def state(self):
        return {**super().state(), "init": [self.init.pid, self.init.began] if self.init else None, "shared_clock": self.shared_clock}

    def restore(self, state):
        super().restore(state)
        self.init = Process(*state["init"]) if state["init"] else None
        self.shared_clock = state["shared_clock"]


def assignments(variables):
    return [f"{name}={value}" for name, value in variables.items()]


def children(pid):
    with contextlib.suppress(OSError):
        return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def inner_pid(pid):
    """The id that a process has in its own namespace."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return line.split()[-1]
    return None


class LoopbackHost(Host):
    """A home and a daemon on ports of this machine, for users without root."""

    def inside(self, command):
        return [str(word) for word in command]

    def launch_daemon(self, command):
        with open(self.log, "ab") as log:
            process = subprocess.Popen(command, cwd=self.home, env=self.environment(), stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=subprocess.STDOUT, start_new_session=True)
        self.cluster.children.append(process)  # so that it is waited for while this program runs
        return Process.of(process.pid)

    def die(self):
        for _ in range(3):  # one may start another while they are ended
            for pid, _ in processes_of(self.home):
                nunet_cluster.kill(pid)
        for child in self.cluster.children:
            child.poll()
        self.on = False
