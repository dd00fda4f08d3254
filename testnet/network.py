"""A network: made from its file, found again by its name, changed, and removed without a rest.

    with Network("network.yaml") as network:          # up(); down() at the end, whatever happens
        network.hosts["alice"].exec("nunet", "deploy", "-f", "job.yaml")
        network.cut("provider1", "eu")

State is below a folder of the network, `STATE/NAME`: state.json says what has been made, so that every later command, also one
after a crash, finds it. An operation that changes the network holds the lock of that folder.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import shutil
import subprocess

import probes
from nunet_cluster import ClusterError, free_ports, wait_for

from testnet import description, identities
from testnet.hosts import MARK, LoopbackHost, NamespaceHost, Process, reporting
from testnet.link_client import Link
from testnet.removal import in_parallel, namespaces_of, remove
from testnet.ssh_host import SshHost

DEVICE = "tun0"
CONNECT_SOON = 3.0
VERSION = 1
LIMITS = {"loopback": "the hosts share this machine's loopback, with ports of their own: no delay, loss, bandwidth, NAT, cuts, clock "
                      "skew, limited disks, and processes of hosts see each other",
          "ssh": "the network between the hosts is theirs: no cuts"}


def default_state():
    """The folder that networks are below, unless another one is named."""
    if os.environ.get("TESTNET_STATE"):
        return pathlib.Path(os.environ["TESTNET_STATE"])
    if os.geteuid() == 0:
        return pathlib.Path("/run/nunet-testnet")
    return pathlib.Path(os.environ.get("XDG_RUNTIME_DIR") or own_folder(f"/tmp/nunet-testnet-{os.geteuid()}")) / "nunet-testnet"


def own_folder(path):
    """A folder that no other user has made."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    if os.lstat(path).st_uid != os.geteuid():
        raise ClusterError(f"{path} is not yours: name another folder with --state")
    return path


def networks(state=None):
    """The names of the networks that are there."""
    state = pathlib.Path(state or default_state())
    return sorted(entry.name for entry in state.iterdir() if entry.is_dir()) if state.is_dir() else []


class Network:
    def __init__(self, file=None, name=None, state=None, mode=None, daemons=True):
        """Of a file; or, without one, the network `name` that is there. `mode`: namespaces or loopback; by default what can be had."""
        self.state_folder = pathlib.Path(state or default_state()).absolute()
        self.settings, self.users, self.light_keys, self.children, self.machines = {}, {}, True, [], {}
        self.daemons = daemons
        if file is not None:
            self.source = pathlib.Path(file)
            self.plan = description.load(self.source)
            if name is not None:
                self.plan = dataclasses.replace(self.plan, name=description.name("--name", name))
            self.mode, self.missing = choose_mode(self.plan, mode)
            self.link_process = None
        self.folder = self.state_folder / (self.plan.name if file is not None else name)
        self.link = Link(self.folder)
        if file is not None:
            self.make_hosts()
        else:
            self.restore()

    @classmethod
    def open(cls, name=None, state=None):
        """The network of this name, or the only one that is there."""
        found = networks(state)
        if name is None:
            if len(found) != 1:
                raise ClusterError(f"there are several: {', '.join(found)}; name one with --name" if found
                                   else "there is no network; `testnet up FILE` makes one")
            name = found[0]
        if name not in found:
            raise ClusterError(f"there is no network '{name}'" + (f"; there are {', '.join(found)}" if found else ""))
        return cls(name=name, state=state)

    @property
    def name(self):
        return self.folder.name

    @property
    def hosts(self):
        return self.machines

    def host(self, name):
        if name not in self.machines:
            raise ClusterError(f"'{name}' is no host of network {self.name}{description.suggestion(name, self.machines)}")
        return self.machines[name]

    def __enter__(self):
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *exception):
        self.down()

    def make_hosts(self):
        if self.mode == "namespaces" and not probes.fake_time_library():
            for plan in self.plan.hosts.values():
                if plan.clock is not None:
                    raise ClusterError(f"hosts.{plan.group}.clock: clocks cannot be set here: libfaketime is not installed")
        kind = {"namespaces": NamespaceHost, "loopback": LoopbackHost, "ssh": SshHost}[self.mode]
        for plan in self.plan.hosts.values():
            if self.mode == "loopback":
                plan = dataclasses.replace(plan, address="127.0.0.1", nat=None, clock=None, disk=None)
            self.machines[plan.name] = kind(self, plan)
            if not self.daemons:
                self.machines[plan.name].plan = dataclasses.replace(plan, role="none", onboard=None)

    # --- state

    @contextlib.contextmanager
    def locked(self):
        """One operation at a time. The lock is beside the folder, which may be removed meanwhile."""
        self.state_folder.mkdir(parents=True, exist_ok=True)
        with open(self.state_folder / f".{self.name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                yield
            finally:
                if not self.folder.exists():
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(lock.name)

    def save(self):
        state = {"version": VERSION, "mode": self.mode, "missing": self.missing, "daemons": self.daemons,
                 "link": [self.link_process.pid, self.link_process.began] if self.link_process else None,
                 "hosts": {host.name: host.state() for host in self.machines.values()}}
        new = self.folder / "state.json.new"
        new.write_text(json.dumps(state, indent=1) + "\n")
        new.replace(self.folder / "state.json")

    def restore(self):
        try:
            self.plan = dataclasses.replace(description.load(self.folder / "network.yaml"), name=self.folder.name)
            state = json.loads((self.folder / "state.json").read_text())
            self.mode, self.missing, self.daemons = state["mode"], state["missing"], state["daemons"]
            self.link_process = Process(*state["link"]) if state["link"] else None
            self.make_hosts()
            for name, host in self.machines.items():
                host.restore(state["hosts"][name])
        except (OSError, ValueError, KeyError, TypeError, description.DescriptionError) as error:
            raise ClusterError(f"the state of network {self.name} in {self.folder} cannot be read ({error}); `testnet down --name "
                               f"{self.name}` removes what is left of it") from error

    # --- up

    def up(self):
        """Everything is made and answers at the end. After a failure what is there stays, to be collected and taken down."""
        with self.locked():
            if self.folder.exists():
                raise ClusterError(f"network {self.name} is up already, or its remains are; `testnet down --name {self.name}`, or "
                                   "another name with --name")
            self.folder.mkdir(mode=0o700)
            (self.folder / "network.yaml").write_text(self.source.read_text())
            self.save()
            hosts = list(self.machines.values())
            self.assign_ports(hosts)
            in_parallel(lambda host: host.prepare(), hosts)
            if self.mode == "namespaces":
                self.make_link(hosts)
            with_daemon = [host for host in hosts if host.has_daemon]
            self.make_identities(with_daemon)
            in_parallel(lambda host: host.boot(), hosts)
            self.save()
            self.start_daemons(with_daemon)
            self.save()

    def assign_ports(self, hosts):
        if self.mode == "loopback":
            ports = iter(free_ports(2 * len(hosts)))
            for host in hosts:
                host.rest_port, host.p2p_port = next(ports), next(ports)

    def make_link(self, hosts):
        ip_batch([], [f"netns add {host.namespace}" for host in hosts])
        environment = {"PATH": os.environ.get("PATH", ""), MARK: str(self.folder)}
        self.link_process = Process.of(self.link.start(self.plan.seed, environment))
        self.save()
        commands = [{"command": "nat", "name": nat.name, "kind": nat.kind, "address": nat.address, "region": nat.region}
                    | ({"udp_timeout_us": nat.udp_timeout_us} if nat.udp_timeout_us else {}) for nat in self.plan.nats.values()]
        commands += [{"command": "quality", "from": a, "to": b, **dataclasses.asdict(quality)}
                     for (a, b), quality in self.plan.qualities.items()]
        commands += [{"command": "host", "name": host.name, "address": host.address, "region": host.plan.region,
                      "nat": host.plan.nat or "", "namespace": f"/run/netns/{host.namespace}", "device": DEVICE} for host in hosts]
        self.link.tell(*commands)
        in_parallel(lambda host: ip_batch(["-n", host.namespace], [
            "link set lo up", f"addr add {host.address}/32 dev {DEVICE}", f"link set {DEVICE} addrgenmode none",
            f"link set {DEVICE} mtu 1500 up", f"route add default dev {DEVICE}"]), hosts)

    def make_identities(self, hosts):
        users, providers = (self.of_role(hosts, role) for role in ("user", "provider"))
        pairs = [pair for user in users for provider in providers for pair in ((user, provider), (provider, user))]
        identities.make(hosts, pairs)
        for host in hosts:
            host.configure([other.multiaddress() for other in self.contacts(host, users, providers)])

    @staticmethod
    def of_role(hosts, role):
        return [host for host in hosts if host.plan.role == role]

    @staticmethod
    def contacts(host, users, providers):
        """Those that its daemon connects to: each user's that can be reached (of two users the later one does), and from behind a NAT
        box each provider's that can be reached."""
        reachable = [other for other in users if not other.plan.nat]
        if host in providers:
            return reachable
        if host.plan.nat:
            return reachable + [other for other in providers if not other.plan.nat]
        return reachable[:reachable.index(host)]

    def start_daemons(self, hosts):
        """Those that others connect to are the first: users, providers, users behind NAT boxes."""
        users, providers = (self.of_role(hosts, role) for role in ("user", "provider"))
        hidden = [user for user in users if user.plan.nat]
        for group in ([user for user in users if user not in hidden], providers, hidden):
            in_parallel(lambda host: host.launch(), group)
            self.save()
            in_parallel(lambda host: host.wait_healthy(), group)
        in_parallel(lambda host: host.onboard(), providers)
        pairs = [(host, other) for host in hosts for other in self.contacts(host, users, providers)]
        self.connect(pairs, users)

    @staticmethod
    def connect(pairs, users):
        """Waits until each is connected to the other; those that are not soon are told to."""
        def missing():
            known = dict(zip(users, in_parallel(lambda user: set(user.peers()), users)))
            return [(host, other) for host, other in pairs
                    if (other.peer_id() not in known[host] if host in known else host.peer_id() not in known[other])]
        with contextlib.suppress(ClusterError):
            wait_for(lambda: not missing(), "every daemon is connected", CONNECT_SOON, 0.2)
        in_parallel(lambda pair: pair[0].connect(pair[1]), missing())

    # --- down

    def down(self):
        remove(self.folder, self.machines.values() if self.mode == "ssh" else ())
        for child in self.children:
            child.wait(10)

    # --- changes

    def need_link(self, what):
        if self.mode != "namespaces":
            raise ClusterError(f"{what} needs hosts in network namespaces: {'; '.join(self.missing)}")

    def cut(self, a, b, one_way=False):
        """Nothing that A sends reaches B, and the other way round unless `one_way`. A and B are hosts, groups, regions, or several."""
        self.need_link("a cut")
        with self.locked():
            self.link.tell(*self.directions("cut", a, b, one_way))

    def heal(self, a=None, b=None, one_way=False):
        """Takes back the cuts between A and B; all without them."""
        self.need_link("a cut")
        with self.locked():
            self.link.tell(*(self.directions("heal", a, b, one_way) if a else [{"command": "heal_all"}]))

    def directions(self, command, a, b, one_way):
        first, second = self.plan.members(a), self.plan.members(b)
        if first == second:
            raise ClusterError(f"{a} and {b} are the same hosts")
        return [{"command": command, "from": x, "to": y} for x, y in [(first, second)] + ([] if one_way else [(second, first)])]

    def kill(self, *names):
        """The death of machines: every process of them ends at once with SIGKILL, and what was under way to and from them is lost."""
        hosts = [self.host(name) for name in names]
        with self.locked():
            if self.mode == "namespaces" and self.link_process.alive:
                self.link.tell(*({"command": "power", "host": host.name, "on": False} for host in hosts))
            for host in hosts:
                host.die()
            self.save()

    def start(self, *names):
        """Brings killed hosts back, with their disks. Of a host that runs it starts the daemon that has ended."""
        hosts = [self.host(name) for name in names]
        killed = [host for host in hosts if self.state_of(host) != "up"]
        for host in hosts:
            if host not in killed and host.daemon_state() != "ended":
                raise ClusterError(f"{host.name} has not been killed" + (", and its daemon runs" if host.has_daemon else ""))
        with self.locked():
            if self.mode == "namespaces" and killed:
                self.link.tell(*({"command": "power", "host": host.name, "on": True} for host in killed))
            in_parallel(lambda host: host.boot(), killed)
            for host in killed:
                host.on = True
            self.save()
            with_daemon = [host for host in hosts if host.has_daemon]
            in_parallel(lambda host: host.launch(), with_daemon)
            self.save()
            in_parallel(lambda host: host.wait_healthy(), with_daemon)

    # --- what there is

    def status(self):
        hosts = list(self.machines.values())
        daemons = in_parallel(lambda host: host.daemon_state(), hosts)
        out = {"name": self.name, "mode": self.mode, "folder": str(self.folder), "missing": self.missing, "link": "none", "cuts": [],
               "hosts": [{"name": host.name, "role": host.plan.role, "region": host.plan.region, "nat": host.plan.nat,
                          "address": host.address, "ssh": host.plan.ssh, "state": self.state_of(host),
                          "daemon": daemon, "peer": host.peer} for host, daemon in zip(hosts, daemons)]}
        if self.mode == "namespaces":
            out["link"] = "running" if self.link_process and self.link_process.alive else "ended"
            if out["link"] == "running":
                link = self.link.ask({"command": "status"})
                out["cuts"], out["packets"] = link["cuts"], link["packets"]
        return out

    @staticmethod
    def state_of(host):
        if not host.on:
            return "killed"
        if isinstance(host, NamespaceHost):
            return "up" if host.init and host.init.alive else "ended"
        return "up"

    def collect(self, folder):
        """Copies the artifacts of every host, and of the network, into a folder; what could not be had, a line each."""
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        mistakes = []
        for name in ("network.yaml", "state.json", "link.log"):
            if (self.folder / name).exists():
                with reporting(mistakes, name):
                    shutil.copy(self.folder / name, folder / name)
        with reporting(mistakes, "status"):
            (folder / "status.json").write_text(json.dumps(self.status(), indent=1) + "\n")

        def collect_host(host):
            with reporting(mistakes, host.name):
                (folder / host.name).mkdir(exist_ok=True)
                mistakes.extend(f"{host.name}: {mistake}" for mistake in host.artifacts(folder / host.name))
        in_parallel(collect_host, list(self.machines.values()))
        if mistakes:
            (folder / "missing.txt").write_text("".join(mistake + "\n" for mistake in mistakes))
        return mistakes


def choose_mode(plan, mode):
    """(mode, what is missing in it)"""
    if plan.ssh:
        return "ssh", [LIMITS["ssh"]]
    obstacle = "asked for by --loopback" if mode == "loopback" else probes.namespaces_obstacle() or probes.tun_obstacle()
    if not obstacle:
        return "namespaces", []
    if mode == "namespaces":
        raise ClusterError(f"network namespaces cannot be used here: {obstacle}")
    return "loopback", [f"network namespaces are not used ({obstacle}): {LIMITS['loopback']}"]


def ip_batch(options, lines):
    done = subprocess.run(["ip", *options, "-batch", "-"], input="\n".join(lines) + "\n", capture_output=True, text=True)
    if done.returncode != 0:
        raise ClusterError(f"ip {' '.join(options)}: {done.stderr.strip()}")


def take_down(name=None, state=None, force=False):
    """Removes the network of this name, or the only one, in whatever state it is; its name, None if there is none. `force`: forgets
    machines that ssh does not reach."""
    state = pathlib.Path(state or default_state()).absolute()
    found = networks(state)
    if name is None and len(found) > 1:
        raise ClusterError(f"there are several: {', '.join(found)}; name one with --name")
    name = description.name("--name", name) if name is not None else found[0] if found else None
    if name is None:
        return None
    there = name in found or bool(namespaces_of(state / name))
    hosts = ()
    if (state / name).exists():
        with contextlib.suppress(ClusterError):
            network = Network(name=name, state=state)
            hosts = network.machines.values() if network.mode == "ssh" else ()
    remove(state / name, hosts, force)
    return name if there else None
