"""Small networks of real `nunet` nodes on one machine, for the functional tests and the demonstration.

A Cluster is a folder and a set of Machines. Each machine has a home of its own (configuration, keys, state) and, if the
cluster was made with namespaces, a network namespace of its own; otherwise all share the loopback with ports of their own.
With namespaces the machines are connected to a bridge in a further namespace, so the host's own network is never touched.

Leaving the `with` block ends every daemon by its pid, removes the namespaces and the folder, and does so after a failure
too. Cluster.leftovers() lists what a run has left behind. Nothing here sleeps a fixed time: wait_for() polls a condition
with a deadline. Standard library only.
"""

import contextlib
import hashlib
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

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
NUNET = os.environ.get("NUNET", str(ROOT / "build/nunet"))
PASSPHRASE = "correct horse battery staple"
ANSI = re.compile(r"\x1b\[[0-9;]*m")


class ClusterError(Exception):
    """A condition was not reached; the text names it and what was observed."""


class Hopeless(ClusterError):
    """The condition cannot be reached any more."""


def wait_for(condition, what, timeout=30.0, interval=0.05):
    """Polls until `condition()` is truthy and returns that; ClusterError after `timeout` seconds."""
    end = time.monotonic() + timeout
    seen = None
    while time.monotonic() < end:
        try:
            value = condition()
            if value:
                return value
            seen = value
        except Hopeless:
            raise
        except (ClusterError, OSError, ValueError) as error:
            seen = error
        time.sleep(interval)
    raise ClusterError(f"{what}: not within {timeout:.0f} s (last seen: {seen!r})")


def free_ports(count):
    """Ports without a listener. They are below those that the system gives to outgoing connections, and are drawn at random,
    so that concurrent clusters do not take each other's before a daemon binds them."""
    ports = random.sample(range(10_000, 32_000), 200)
    return [port for port in ports if port_is_free(port)][:count]


def namespaces_obstacle():
    """Why network namespaces cannot be used here; empty if they can. Tries every kind of command that a Cluster uses, because
    in a chroot or a container a namespace may be made and not entered."""
    if os.geteuid() != 0:
        return "no root"
    for program in ("ip", "nsenter"):
        if not shutil.which(program):
            return f"{program} is not installed"
    names = [f"nunet-probe-{os.getpid()}-{side}" for side in "ab"]
    commands = [["ip", "netns", "add", name] for name in names] + [
        ["ip", "-n", names[0], "link", "add", "br0", "type", "bridge"],
        ["ip", "-n", names[1], "link", "add", "eth0", "type", "veth", "peer", "name", "port1", "netns", names[0]],
        ["ip", "-n", names[0], "link", "set", "port1", "master", "br0", "up"],
        ["ip", "-n", names[1], "addr", "add", "10.99.0.1/24", "dev", "eth0"],
        ["ip", "-n", names[1], "link", "set", "lo", "up"],
        ["nsenter", f"--net=/run/netns/{names[1]}", "true"]]
    try:
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                output = (done.stderr or done.stdout).strip()
                return f"`{' '.join(command)}` fails: {output.splitlines()[0] if output else done.returncode}"
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
    return ""


def sandbox_obstacle():
    """Why the sandbox executor cannot work here; empty if it can. The same command as Sandbox::probe()."""
    if not shutil.which("bwrap"):
        return "bwrap is not installed"
    command = ["bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--ro-bind", "/", "/", "--proc", "/proc"]
    command += ([] if os.geteuid() == 0 else ["--unshare-user"]) + ["--", "/usr/bin/env", "true"]
    done = subprocess.run(command, capture_output=True, text=True)
    return "" if done.returncode == 0 else f"bubblewrap cannot make namespaces: {done.stderr.strip() or done.returncode}"


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
        self.process, self.was_killed = None, False
        self.listener, self.listening = None, []
        self.user_dir.mkdir(parents=True)
        self.write_config()

    def write_config(self, **changes):
        """The configuration that a user would write: where to listen, and no bootstrap peers on a closed network."""
        settings = {
            "general": {"user_dir": str(self.user_dir), "work_dir": str(self.work_dir), "data_dir": str(self.work_dir / "data")},
            "rest": {"addr": "127.0.0.1", "port": self.rest_port},
            "p2p": {"listen_address": [f"/ip4/{self.address}/tcp/{self.p2p_port}"], "bootstrap_peers": []},
            "profiler": {"enabled": False},
        }
        docker = os.environ.get("DOCKER_HOST", "")
        if docker.startswith("unix://"):
            settings["executor"] = {"docker_socket": docker.removeprefix("unix://")}
        for key, value in changes.items():
            settings.setdefault(key, {}).update(value)
        self.config.write_text(json.dumps(settings, indent=2) + "\n")

    def environment(self, **more):
        keep = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "TMPDIR", "DOCKER_HOST") or k.endswith("SAN_OPTIONS")}
        return {**keep, "HOME": str(self.home), "DMS_PASSPHRASE": PASSPHRASE, **more}

    def inside(self, command):
        """The command as it runs on this machine."""
        return (["nsenter", f"--net=/run/netns/{self.namespace}"] if self.namespace else []) + [str(c) for c in command]

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

    def make_identities(self):
        """A user and a daemon that trusts its user."""
        for name in ("user", "dms"):
            self.must("cap", "new", name)
            if self.cluster.light_keys:
                lighten(self.user_dir / "key" / f"{name}.json")
        self.must("cap", "anchor", "-c", "dms", "--root", self.did("user"))

    def accept(self, other, *capabilities, duration="24h"):
        """Grants the capabilities to `other`'s daemon on this machine."""
        flags = [word for capability in capabilities or ("/dms/deployment", "/public", "/broadcast") for word in ("--cap", capability)]
        token = self.must("cap", "grant", "--context", "user", *flags, "--topic", "/nunet", "--duration", duration,
                          other.did("dms")).out.strip()
        self.must("cap", "anchor", "-c", "dms", "--require", token)

    # --- the daemon

    def start(self, timeout=30):
        """Starts the daemon and waits until it answers."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.inside([NUNET, "run", "--config", self.config]), cwd=self.home,
                                            env=self.environment(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, start_new_session=True)
        self.cluster.children.append(self.process)
        self.was_killed = False
        wait_for(self.healthy, f"{self.name}: the daemon answers", timeout)

    def start_unread(self, timeout=30):
        """Starts the daemon at log level debug, and closes its output after the first line."""
        self.process = subprocess.Popen(self.inside([NUNET, "run", "--debug", "--config", self.config]), cwd=self.home,
                                        env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, start_new_session=True)
        self.cluster.children.append(self.process)
        self.was_killed = False
        self.process.stdout.readline()
        self.process.stdout.close()
        wait_for(self.healthy, f"{self.name}: the daemon answers", timeout)

    def healthy(self):
        if self.process is not None and self.process.poll() is not None:
            raise Hopeless(f"{self.name}: the daemon ended with {self.process.returncode}{self.log_tail()}")
        return self.rest("/health").get("status") == "ok"

    def rest(self, path, body=None, method=None, host="127.0.0.1", timeout=10):
        """Calls the daemon's REST API from this machine; the answer as JSON."""
        finished = self.run("/usr/bin/python3", "-I", "-c", REST_CLIENT, f"http://{host}:{self.rest_port}{path}",
                            method or ("GET" if body is None else "POST"), input=json.dumps(body) if body is not None else "",
                            timeout=timeout + 5)
        if finished.status != 0:
            raise ClusterError(f"{self.name}: {path}: {finished.err.strip() or finished.out.strip()}")
        return finished.json

    def peer_id(self):
        return self.rest("/api/v1/actor/handle")["addr"]["host"]

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

    def kill(self):
        """SIGKILL: as a power failure."""
        process, self.process, self.was_killed = self.process, None, True
        process.kill()
        process.wait(10)

    def log_tail(self, lines=25):
        if not self.log.exists():
            return ""
        return f"\n--- {self.name}: end of daemon.log\n" + "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def control_groups(self):
        """What the daemon's sandbox has made of control groups and not removed."""
        name = 0xCBF29CE484222325
        for byte in str(self.work_dir / "sandbox").encode():
            name = (name ^ byte) * 0x100000001B3 % (1 << 64)
        name = f"nunet-{name:016x}"
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
            return None
        return wait_for(reached, f"{self.name}: deployment {deployment} is {' or '.join(states)}", timeout, 0.1)


REST_CLIENT = """
import sys, urllib.error, urllib.request
body = sys.stdin.read().encode() or None
request = urllib.request.Request(sys.argv[1], body, {"Content-Type": "application/json"}, method=sys.argv[2])
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    print(opener.open(request, timeout=10).read().decode())
except urllib.error.HTTPError as error:
    sys.exit(f"HTTP {error.code}: {error.read().decode()}")
except OSError as error:
    sys.exit(f"no answer: {error}")
"""


def kill_group(process):
    """Kills a daemon and the processes of its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


class Cluster:
    """Machines that can reach each other, and no others."""

    def __init__(self, namespaces=False, light_keys=False):
        """With `light_keys` the keys that make_identities() makes open in milliseconds instead of a second."""
        self.namespaces, self.light_keys = namespaces, light_keys
        self.machines, self.children, self.made = {}, [], []
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nunet-cluster-"))
        self.mark = self.folder.name.removeprefix("nunet-cluster-").replace("_", "")
        self.lan = f"nunet-{self.mark}-lan"
        if namespaces:
            self.add_namespace(self.lan)
            self.ip("-n", self.lan, "link", "add", "br0", "type", "bridge")
            self.ip("-n", self.lan, "link", "set", "br0", "up")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def machine(self, name):
        """A new host, connected to all others of the cluster."""
        number = len(self.machines) + 1
        if self.namespaces:
            address, rest, p2p, namespace = f"10.99.0.{number}", 9999, 9000, f"nunet-{self.mark}-{name}"
            self.add_namespace(namespace)
            self.ip("-n", namespace, "link", "add", "eth0", "type", "veth", "peer", "name", f"port{number}", "netns", self.lan)
            self.ip("-n", self.lan, "link", "set", f"port{number}", "master", "br0", "up")
            self.ip("-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
            self.ip("-n", namespace, "link", "set", "eth0", "up")
            self.ip("-n", namespace, "link", "set", "lo", "up")
        else:
            rest, p2p = free_ports(2)
            address, namespace = "127.0.0.1", None
        self.machines[name] = Machine(self, name, address, rest, p2p, namespace)
        return self.machines[name]

    def ip(self, *words):
        done = subprocess.run(["ip", *words], capture_output=True, text=True)
        if done.returncode != 0:
            raise ClusterError(f"ip {' '.join(words)}: {done.stderr.strip()}")

    def add_namespace(self, name):
        self.ip("netns", "add", name)
        self.made.append(name)

    def stop(self):
        """Stops every daemon as a user would; the first that fails to stop is the error."""
        for machine in self.machines.values():
            machine.stop()

    def close(self):
        """Removes everything, in whatever state it is."""
        for process in self.children:
            if process.poll() is None:
                process.terminate()
        for process in self.children:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                kill_group(process)
        self.children.clear()
        for machine in self.machines.values():
            if machine.was_killed:  # the daemon cannot
                for group in machine.control_groups():
                    for inner in [*sorted(group.glob("*/"), reverse=True), group]:
                        with contextlib.suppress(OSError):
                            inner.rmdir()
        for name in reversed(self.made):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        self.made.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def leftovers(self):
        """What remains although every daemon has been stopped: empty if nothing does."""
        found = [f"process {pid}: {line}" for pid, line in processes_of(self.folder)]
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


def port_is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def processes_of(folder):
    """(pid, command line) of each process that names the cluster's folder in its arguments or its home."""
    marks = (str(folder).encode(), f"HOME={folder}".encode())
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            line = (entry / "cmdline").read_bytes()
            if marks[0] in line or marks[1] in (entry / "environ").read_bytes():
                yield int(entry.name), line.replace(b"\0", b" ").decode(errors="replace").strip()


def lighten(file):
    """Encrypts a key file anew at a cost of milliseconds: the format is the same, but a search for the passphrase costs less."""
    key = json.loads(file.read_text())
    crypto = key["crypto"]
    params, secret = crypto["kdfparams"], PASSPHRASE.encode()

    def derive(n):
        return hashlib.scrypt(secret, salt=bytes.fromhex(params["salt"]), n=n, r=params["r"], p=params["p"], dklen=64, maxmem=1 << 30)

    def encrypt(derived, data):  # AES in counter mode: encrypting and decrypting are one
        return subprocess.run(["openssl", "enc", "-aes-256-ctr", "-K", derived[:32].hex(), "-iv", crypto["cipherparams"]["iv"]],
                              input=data, capture_output=True, check=True).stdout

    before, after = derive(params["n"]), derive(4096)
    ciphertext = encrypt(after, encrypt(before, bytes.fromhex(crypto["ciphertext"])))
    params["n"], crypto["ciphertext"] = 4096, ciphertext.hex()
    crypto["mac"] = hashlib.sha3_256(after[32:] + ciphertext).hexdigest()
    file.write_text(json.dumps(key, indent=2))
