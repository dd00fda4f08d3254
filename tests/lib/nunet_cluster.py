"""Small networks of real `nunet` nodes on one machine, for the functional tests and the demonstration.

A Cluster is a folder and a set of Machines. Each machine has a home of its own (configuration, keys, state) and, if the
cluster was made with namespaces, a network namespace of its own; otherwise all share the loopback with ports of their own.
With namespaces the machines are joined by the link of a test network (testnet/link), so the host's own network is never touched.

Leaving the `with` block ends every daemon by its pid, removes the namespaces and the folder, and does so after a failure
too. Cluster.leftovers() lists what a run has left behind. Nothing here sleeps a fixed time: wait_for() polls a condition
with a deadline. Standard library only.
"""

import contextlib
import ctypes
import itertools
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import probes
from light_keys import PASSPHRASE, Key

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
NUNET = os.environ.get("NUNET", str(ROOT / "build/nunet"))
ANSI = re.compile(r"\x1b\[[0-9;]*m")


class ClusterError(Exception):
    """A condition was not reached; the text names it and what was observed."""


class Hopeless(ClusterError):
    """The condition cannot be reached any more."""


def wait_for(condition, what, timeout=30.0, interval=0.05):
    """Polls until `condition()` is truthy and returns that; ClusterError after `timeout` seconds. What takes long is asked less often."""
    begin, waited, seen = time.monotonic(), 0, None
    while waited < timeout:
        try:
            value = condition()
            if value:
                return value
            seen = value
        except Hopeless:
            raise
        except (ClusterError, OSError, ValueError) as error:
            seen = error
        time.sleep(max(interval, min(waited / 20, 0.25)))
        waited = time.monotonic() - begin
    raise ClusterError(f"{what}: not within {timeout:.0f} s (last seen: {seen!r})")


DOCKER_HOST = os.environ.get("DOCKER_HOST", "")
DOCKER_SOCKET = DOCKER_HOST.removeprefix("unix://") if DOCKER_HOST.startswith("unix://") else None


def free_ports(count):
    """Ports without a listener. They are below those that the system gives to outgoing connections, and are drawn at random,
    so that concurrent clusters do not take each other's before a daemon binds them."""
    ports = random.sample(range(10_000, 32_000), 200)
    return [port for port in ports if port_is_free(port)][:count]


class Finished:
    """The output and exit status of a command."""

    def __init__(self, command, process):
        self.command = command
        self.status = process.returncode
        self.out = ANSI.sub("", process.stdout)
        self.err = ANSI.sub("", process.stderr)

    @property
    def json(self):
        return json.loads(self.out)

    def __str__(self):
        return f"`{' '.join(self.command)}` ended with {self.status}\n{self.out}{self.err}"


class Machine:
    """One host: a home, an address, and at most one daemon."""

    def __init__(self, cluster, name, address, rest_port, p2p_port, namespace=None):
        self.cluster, self.name, self.address = cluster, name, address
        self.rest_port, self.p2p_port, self.namespace = rest_port, p2p_port, namespace
        self.home = cluster.folder / name
        self.user_dir, self.work_dir = self.home / ".nunet", self.home / "nunet"
        self.config = self.user_dir / "dms_config.json"
        self.log = self.home / "daemon.log"
        self.process, self.was_killed, self.clock, self.peer = None, False, None, None
        self.granted = {}  # name of a machine -> the token that it was granted last
        self.user = cluster.users.get(name)
        self.listener, self.listening = None, []
        self.user_dir.mkdir(parents=True)
        self.write_config()
        if self.user:
            cluster.folder.chmod(0o711)
            self.own(self.home, self.user_dir)

    def write_config(self, **changes):
        """The configuration that a user would write: where to listen, and no bootstrap peers on a closed network."""
        settings = {
            "general": {"user_dir": str(self.user_dir), "work_dir": str(self.work_dir), "data_dir": str(self.work_dir / "data")},
            "rest": {"addr": "127.0.0.1", "port": self.rest_port},
            "p2p": {"listen_address": [f"/ip4/{self.address}/tcp/{self.p2p_port}"], "bootstrap_peers": []},
            "profiler": {"enabled": False},
        }
        if DOCKER_SOCKET:
            self.reach_docker()
            settings["executor"] = {"docker_socket": str(self.docker_socket)}
        for key, value in [*self.cluster.settings.items(), *changes.items()]:
            settings.setdefault(key, {}).update(value)
        self.config.write_text(json.dumps(settings, indent=2) + "\n")

    def own(self, *entries):
        for entry in entries:
            shutil.chown(entry, self.user, probes.group_of(self.user))

    @property
    def docker_socket(self):
        return self.home / "docker.sock"

    def reach_docker(self, reach=True):
        """This machine's socket of the engine; without one, the engine does not answer."""
        self.docker_socket.unlink(missing_ok=True)
        if reach:
            self.docker_socket.symlink_to(DOCKER_SOCKET)

    def environment(self, **more):
        keep = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "TMPDIR", "DOCKER_HOST") or k.endswith("SAN_OPTIONS")}
        return {**keep, "HOME": str(self.home), "DMS_PASSPHRASE": PASSPHRASE, **more}

    def inside(self, command):
        """The command as it runs on this machine."""
        network = ["nsenter", f"--net=/run/netns/{self.namespace}"] if self.namespace else []
        return network + (probes.as_user(self.user, DOCKER_SOCKET) if self.user else []) + [str(c) for c in command]

    def run(self, *command, input=None, timeout=60, environment=None):
        try:
            process = subprocess.run(self.inside(command), cwd=self.home, env={**self.environment(), **(environment or {})},
                                     input=input, stdin=None if input is not None else subprocess.DEVNULL,
                                     start_new_session=True,  # no terminal: a request for a passphrase fails
                                     capture_output=True, text=True, errors="replace", timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise ClusterError(f"{self.name}: `{' '.join(map(str, command))}` did not end within {timeout} s") from error
        return Finished([str(c) for c in command], process)

    def nunet(self, *arguments, **options):
        """Runs `nunet ARGUMENTS` as this machine's user; any exit status."""
        return self.run(NUNET, *arguments, **options)

    def must(self, *arguments, **options):
        """Runs `nunet ARGUMENTS`; an error if it fails."""
        finished = self.nunet(*arguments, **options)
        if finished.status != 0:
            raise ClusterError(f"{self.name}: {finished}{self.log_tail()}")
        return finished

    def cmd(self, behaviour, *flags, context="user", **options):
        """The answer of this machine's daemon to a behaviour, as JSON."""
        return self.must("actor", "cmd", "--context", context, behaviour, *flags, **options).json

    # --- identity and trust

    def did(self, name):
        return self.must("key", "did", name).out.strip()

    def make_identities(self, user_of=None):
        """A user, who may be that of another machine, and a daemon that trusts its user."""
        if user_of:
            for part in ("key/user.json", "cap/user.cap"):
                (self.user_dir / part).parent.mkdir(mode=0o700, exist_ok=True)
                shutil.copy(user_of.user_dir / part, self.user_dir / part)
        for name in ("dms",) if user_of else ("user", "dms"):
            self.new_context(name)
        self.must("cap", "anchor", "-c", "dms", "--root", self.did("user"))

    def new_context(self, name):
        """A key, and its capability context without anchors."""
        if not self.cluster.light_keys:
            self.must("cap", "new", name)
            return
        key = Key()
        key.save(self.user_dir, name)
        key.save_context(self.user_dir, name)
        if self.user:
            self.own(*self.user_dir.rglob("*"))

    def accept(self, other, *capabilities, duration="24h"):
        """Grants the capabilities to `other`'s daemon on this machine."""
        flags = [word for capability in capabilities or ("/dms/deployment", "/public", "/broadcast") for word in ("--cap", capability)]
        token = self.must("cap", "grant", "--context", "user", *flags, "--topic", "/nunet", "--duration", duration,
                          other.did("dms")).out.strip()
        self.must("cap", "anchor", "-c", "dms", "--require", token)
        self.granted[other.name] = token

    # --- the daemon

    def start(self, timeout=30):
        """Starts the daemon and waits until it answers."""
        if self.user:  # keys and contexts may have been put there by the test
            self.own(*self.user_dir.rglob("*"))
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.inside([NUNET, "run", "--config", self.config]), cwd=self.home,
                                            env=self.environment(**self.fake_clock()), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, start_new_session=True)
        self.cluster.children.append(self.process)
        self.was_killed = False
        self.wait_healthy(timeout)

    def start_unread(self, timeout=30):
        """Starts the daemon at log level debug, and closes its output after the first line."""
        self.process = subprocess.Popen(self.inside([NUNET, "run", "--debug", "--config", self.config]), cwd=self.home,
                                        env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, start_new_session=True)
        self.cluster.children.append(self.process)
        self.was_killed = False
        self.process.stdout.readline()
        self.process.stdout.close()
        self.wait_healthy(timeout)

    def wait_healthy(self, timeout=30):
        wait_for(self.healthy, f"{self.name}: the daemon answers", timeout, 0.01)

    def healthy(self):
        if self.process is not None and self.process.poll() is not None:
            raise Hopeless(f"{self.name}: the daemon ended with {self.process.returncode}{self.log_tail()}")
        return self.rest("/health").get("status") == "ok"

    def rest(self, path, body=None, timeout=10):
        """Calls the daemon's REST API from this machine, with a body if there is one: text, or what becomes JSON. The answer as JSON.
        Without a process, since a daemon is asked many times until it answers."""
        content = (body if isinstance(body, str) else json.dumps(body)).encode() if body is not None else b""
        head = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" \
               f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
        try:
            with socket_in(self.namespace) as connection:
                connection.settimeout(timeout)
                connection.connect(("127.0.0.1", self.rest_port))
                connection.sendall(head.encode() + content)
                answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        except OSError as error:
            raise ClusterError(f"{self.name}: {path}: no answer: {error}") from error
        head, _, content = answer.partition(b"\r\n\r\n")
        status = head.split(b" ", 2)[1:2]
        if status != [b"200"]:
            raise ClusterError(f"{self.name}: {path}: HTTP {status[0].decode() if status else 'without a status'}: {content.decode()}")
        return json.loads(content)

    def peer_id(self):
        """Its daemon has answered once."""
        self.peer = self.peer or self.rest("/api/v1/actor/handle")["addr"]["host"]
        return self.peer

    def multiaddress(self):
        return f"/ip4/{self.address}/tcp/{self.p2p_port}/p2p/{self.peer_id()}"

    def connect(self, other):
        self.cmd("/dms/node/peers/connect", "--address", other.multiaddress())

    def peers(self):
        return self.cmd("/dms/node/peers/list").get("Peers") or []

    def stop(self, grace=20):
        """Stops the daemon with SIGTERM; an error if it does not end with status 0."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(grace)
        except subprocess.TimeoutExpired:
            kill_group(process)
            raise ClusterError(f"{self.name}: the daemon did not end within {grace} s of SIGTERM{self.log_tail()}") from None
        if status != 0:
            raise ClusterError(f"{self.name}: the daemon ended with {status}{self.log_tail()}")

    def set_clock(self, seconds):
        """Moves the daemon's time of day, not its monotonic time, from the real one; at once. Before the first start: makes the
        clock one that can be set."""
        self.clock = self.home / "clock"
        self.clock.write_text(f"{seconds:+d}\n")

    def fake_clock(self):
        if self.clock is None:
            return {}
        return {"LD_PRELOAD": probes.fake_time_library(), "FAKETIME_TIMESTAMP_FILE": str(self.clock), "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_RESET": "1", "NO_FAKE_STAT": "1"}

    def suspend(self):
        """SIGSTOP: the daemon does nothing, its work goes on."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def goes_on(self):
        """Whether its daemon runs and is not suspended."""
        return self.process and stat_of(f"/proc/{self.process.pid}")[0] != "T"

    def suspend_all(self):
        """The daemon and all of its work do nothing: as a virtual machine that is paused."""
        self.process.send_signal(signal.SIGSTOP)  # first: it begins no more work
        self.suspended, found = [], {self.process.pid, *(pid for pid, _ in processes_of(self.home))}
        while new := found - set(self.suspended):
            for pid in new:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            self.suspended += new
            found = children_of(found) | found

    def resume_all(self):
        for pid in self.suspended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def kill(self):
        """SIGKILL: as a crash of the daemon."""
        process, self.process, self.was_killed = self.process, None, True
        process.kill()
        process.wait(10)

    def kill_all(self):
        """SIGKILL of the daemon and of all of its work: as a machine that ends for good."""
        self.kill()  # first: it begins no more work
        found = {pid for pid, _ in processes_of(self.home)}
        while more := children_of(found) - found:
            found |= more
        for pid in found:
            kill(pid)

    def log_tail(self, lines=25):
        if not self.log.exists():
            return ""
        return f"\n--- {self.name}: end of daemon.log\n" + "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def control_groups(self):
        """What the daemon's sandbox has made of control groups and not removed."""
        name = control_group(self.work_dir)
        # os.walk passes over folders that others remove meanwhile.
        return sorted(pathlib.Path(folder) / name for folder, inner, _ in os.walk("/sys/fs/cgroup") if name in inner)

    # --- a peer without a daemon

    def listen(self, *flags, timeout=20):
        """Keeps `nunet net listen` running; its full address is then the last of `listening`."""
        out = self.home / "listener.out"
        with open(out, "wb") as stdout, open(self.log, "ab") as log:
            self.listener = subprocess.Popen(self.inside([NUNET, "net", "listen", "-a", f"/ip4/{self.address}/tcp/0", *flags]),
                                             cwd=self.home, env=self.environment(), stdin=subprocess.DEVNULL, stdout=stdout,
                                             stderr=log, start_new_session=True)
        self.cluster.children.append(self.listener)

        def address():
            if self.listener.poll() is not None:
                raise Hopeless(f"{self.name}: the listener ended with {self.listener.returncode}{self.log_tail()}")
            return re.match(r"(/ip4/\S+/tcp/\d+/p2p/\S+)\n", out.read_text())
        self.listening.append(wait_for(address, f"{self.name}: the listener prints its address", timeout).group(1))

    def stop_listening(self, grace=20):
        """Ctrl-C; an error if it does not end with status 0."""
        self.listener.send_signal(signal.SIGINT)
        if status := self.listener.wait(grace):
            raise ClusterError(f"{self.name}: the listener ended with {status}{self.log_tail()}")

    # --- deployments

    def deploy(self, ensemble, timeout="60s"):
        """Starts a deployment; the id under which it can be asked for."""
        with tempfile.NamedTemporaryFile("w", dir=self.home, suffix=".yaml") as file:
            file.write(ensemble)
            file.flush()
            return self.cmd("/dms/node/deployment/new", "--spec-file", file.name, "--timeout", timeout)["EnsembleID"]

    def deployment(self, deployment):
        return self.must("deployment", "status", "--json", deployment).json

    def wait_deployment(self, deployment, states=("Completed",), timeout=60):
        def reached():
            answer = self.deployment(deployment)
            if answer.get("Status") in states:
                return answer
            if answer.get("Status") in ("Failed", "Completed"):
                raise Hopeless(f"{self.name}: deployment {deployment} is {answer}{self.log_tail()}")
            raise ClusterError(f"it is {answer}{self.log_tail()}")
        return wait_for(reached, f"{self.name}: deployment {deployment} is {' or '.join(states)}", timeout, 0.1)


CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def enter_network(file):
    """Of this thread alone."""
    if LIBC.setns(file, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def socket_in(namespace):
    """A TCP socket of a network namespace, or without one of this process's."""
    if not namespace:
        return socket.socket()
    with open("/proc/thread-self/ns/net", "rb") as own, open(f"/run/netns/{namespace}", "rb") as other:
        enter_network(other.fileno())
        try:
            return socket.socket()
        finally:
            enter_network(own.fileno())


def kill_group(process):
    """Kills a daemon and the processes of its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


class Cluster:
    """Machines that can reach each other, and no others."""

    def __init__(self, namespaces=False, light_keys=False):
        """With `light_keys` the keys that make_identities() makes open at once instead of in a second."""
        self.namespaces, self.light_keys = namespaces, light_keys
        # Of the machines that are added from now on: settings beside those of Machine.write_config(), sizes of disks that hold
        # the work folder, which have a clock that can be set, and whose commands and daemon are those of another user.
        self.settings, self.disks, self.clocks, self.users = {}, {}, set(), {}
        self.machines, self.children, self.made, self.mounts, self.survivors = {}, [], [], [], []
        self.numbers = itertools.count(1)  # machines may be added by several threads
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nunet-cluster-"))
        self.mark = self.folder.name.removeprefix("nunet-cluster-").replace("_", "")
        if namespaces:
            from testnet.link_client import Link  # which needs this module
            self.link = Link(self.folder)
            try:
                self.link.start(1, {"PATH": os.environ.get("PATH", "")})
            except BaseException:
                self.close()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def machine(self, name):
        """A new host, connected to all others of the cluster."""
        if self.namespaces:
            address, rest, p2p, namespace = f"10.99.0.{next(self.numbers)}", 9999, 9000, f"nunet-{self.mark}-{name}"
            self.ip("netns add " + namespace)
            self.made.append(namespace)
            self.link.tell({"command": "host", "name": name, "address": address, "region": "home", "nat": "",
                            "namespace": f"/run/netns/{namespace}", "device": "eth0"})
            self.ip("link set lo up", f"addr add {address}/32 dev eth0", "link set eth0 addrgenmode none", "link set eth0 mtu 1500 up",
                    "route add default dev eth0", namespace=namespace)
        else:
            rest, p2p = free_ports(2)
            address, namespace = "127.0.0.1", None
        machine = self.machines[name] = Machine(self, name, address, rest, p2p, namespace)
        if name in self.disks:
            machine.work_dir.mkdir()
            command = ["mount", "-t", "tmpfs", "-o", f"size={self.disks[name]},mode=0700", "tmpfs", machine.work_dir]
            subprocess.run(command, check=True, capture_output=True)
            self.mounts.append(machine.work_dir)
        if name in self.clocks:
            machine.set_clock(0)
        return machine

    def cut_off(self, name):
        """The link loses what a machine sends and what is sent to it, and neither side is told. Needs namespaces."""
        self.link.tell({"command": "power", "host": name, "on": False})

    def reach_again(self, name):
        self.link.tell({"command": "power", "host": name, "on": True})

    def ip(self, *lines, namespace=None):
        command = ["ip", *(("-n", namespace) if namespace else ()), "-batch", "-"]
        done = subprocess.run(command, input="".join(line + "\n" for line in lines), capture_output=True, text=True)
        if done.returncode != 0:
            raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()}")

    def stop(self):
        """Stops every daemon as a user would; the first that fails to stop is the error."""
        for machine in self.machines.values():
            machine.stop()

    def close(self):
        """Removes everything, in whatever state it is."""
        for process in self.children:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.children:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                kill_group(process)
        self.children.clear()
        if self.namespaces:
            self.link.end()
        self.survivors = [line for pid, line in processes_of(self.folder) if kill(pid)]
        for machine in self.machines.values():
            if machine.was_killed or self.survivors:  # the daemon cannot
                for group in machine.control_groups():
                    for inner in [*sorted(group.glob("*/"), reverse=True), group]:
                        with contextlib.suppress(OSError):
                            inner.rmdir()
        for name in reversed(self.made):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        self.made.clear()
        for mount in self.mounts:
            subprocess.run(["umount", "--lazy", mount], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def leftovers(self):
        """What remains although every daemon has been stopped: empty if nothing does."""
        found = [f"work that outlived its daemon: {line}" for line in self.survivors]
        found += [f"process {pid}: {line}" for pid, line in processes_of(self.folder)]
        for machine in self.machines.values():
            found += [f"control group {group}" for group in machine.control_groups() if not machine.was_killed]
            if machine.namespace is None and not port_is_free(machine.p2p_port):
                found.append(f"port {machine.p2p_port} of {machine.name}")
        if self.namespaces and not self.made:
            listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
            found += [f"network namespace {line.split()[0]}" for line in listed.splitlines() if f"nunet-{self.mark}-" in line]
        if not self.children and not self.made and self.folder.exists():
            found.append(f"folder {self.folder}")
        return found


def kill(pid):
    """Whether there was such a process; waits until there is none."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    wait_for(lambda: not pathlib.Path(f"/proc/{pid}").exists() or " Z " in pathlib.Path(f"/proc/{pid}/stat").read_text(),
             f"process {pid} ends")
    return True


def port_is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def of_process(pid, file):
    """A file of /proc. Without pathlib: a watch reads those of all processes again and again."""
    with open(f"/proc/{pid}/{file}", "rb", buffering=0) as opened:
        return opened.read()


def processes_of(folder):
    """(pid, command line) of each process that names the cluster's folder in its arguments or its home."""
    marks = (str(folder).encode(), f"HOME={folder}".encode())
    for pid in pids():
        with contextlib.suppress(OSError):
            line = of_process(pid, "cmdline")
            if pid != os.getpid() and (marks[0] in line or marks[1] in of_process(pid, "environ")):
                yield pid, line.replace(b"\0", b" ").decode(errors="replace").strip()


def control_group(work_dir):
    """The name of the control group that a daemon with this work folder makes for its sandboxes, and cannot remove if it is killed."""
    name = 0xCBF29CE484222325
    for byte in f"{work_dir}/sandbox".encode():
        name = (name ^ byte) * 0x100000001B3 % (1 << 64)
    return f"nunet-{name:016x}"


def stat_of(task):
    """Of a folder of /proc that is a process or a thread: its state, its parent, and what else follows the name of its program."""
    return pathlib.Path(task, "stat").read_text().rpartition(")")[2].split()


def children_of(parents):
    found = set()
    for pid in pids():
        with contextlib.suppress(OSError):
            if int(stat_of(f"/proc/{pid}")[1]) in parents:
                found.add(pid)
    return found
