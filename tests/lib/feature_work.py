"""The work that scenarios deploy, and what it may leave.

An Ensemble is a description in NuNet's job description format. Each allocation runs a script whose command line carries a mark of
its own, so that its processes are found on this machine whatever supervises them. Most work counts: it prints `begin`, then
1, 2, 3, ... until its gate is opened, then `end`. So its output says whether it ran once, without a pause, and whether anything
of it is missing. A gate is a file in the work's own /tmp, made from outside: a scenario holds work in a state as long as it needs.
"""

import contextlib
import itertools
import json
import pathlib
import re
import subprocess

import nunet_cluster
from feature_world import amounts
from nunet_cluster import ClusterError, wait_for

GATE = "/tmp/gate"
COUNT = f"i=0; echo begin; while [ ! -e {GATE} ]; do i=$((i+1)); echo $i; sleep 0.05; done; echo end"
STUBBORN = f"trap 'while [ ! -e {GATE} ]; do sleep 0.05; done; echo end; exit 0' TERM; " + COUNT.replace("echo end", "true")
# Its output says when it was started, and when it was stopped, in seconds since this machine was.
TIMES = (f"trap 'read t r </proc/uptime; echo stop $t; exit 0' TERM; read t r </proc/uptime; echo start $t; "
         f"while [ ! -e {GATE} ]; do sleep 0.05; done")
NUMBERS = itertools.count(1)


def allocation(script, mark, type="task", executor="sandbox", cores=0.05, memory=32, disk=16, image=None, **more):
    execution = {"type": executor, "cmd": ["/bin/sh", "-c", f": {mark}; {script}"]} | ({"image": image} if image else {})
    resources = {"cpu": {"cores": cores}, "ram": {"size": f"{memory}MiB"}, "disk": {"size": f"{disk}MiB"}}
    return {"executor": executor, "type": type, "resources": resources, "execution": execution, **more}


class Ensemble:
    """Allocations and the nodes that hold them, and the deployment once there is one."""

    def __init__(self, cluster, timeout="120s"):
        """With `timeout` the deployment must be placed within that time, less 15 seconds."""
        self.cluster, self.timeout, self.id, self.deployer = cluster, timeout, None, None
        self.number = next(NUMBERS)
        self.allocations, self.nodes, self.marks = {}, {}, {}
        self.members = {}  # of the ensemble, beside these
        self.seen = {}  # the processes of an allocation when a step last looked

    def add(self, name, script=COUNT, node="place", peer=None, **what):
        """An allocation; its node is pinned to the machine `peer`. `node` may be a dictionary with more of the node's members."""
        more, node = (node, node.pop("name", "place")) if isinstance(node, dict) else ({}, node)
        self.marks[name] = f"work-{self.cluster.mark}-{self.number}-{name}/"  # no name is the beginning of another
        self.allocations[name] = allocation(script, self.marks[name], **what)
        self.nodes.setdefault(node, {"allocations": []})["allocations"].append(name)
        self.nodes[node].update(more)
        if peer:
            self.nodes[node]["peer"] = peer.peer_id()
        return self

    def text(self):
        """As a user would write it; JSON is YAML."""
        return json.dumps({"version": "V1", **self.members, "allocations": self.allocations, "nodes": self.nodes}, indent=1)

    def deploy(self, deployer):
        self.deployer = deployer
        if any("inputs" in allocation for allocation in self.allocations.values()):  # the command line sends them
            file = deployer.home / f"ensemble-{self.number}.yaml"
            file.write_text(self.text())
            self.id = deployer.must("deploy", "-f", file, "--timeout", self.timeout).out.strip()
        else:
            self.id = deployer.deploy(self.text(), self.timeout)
        return self

    # --- what is going on

    def status(self):
        return self.deployer.deployment(self.id)

    def wait(self, *states, timeout=115):
        return self.deployer.wait_deployment(self.id, states, timeout)

    def processes(self, name):
        """The shells that run the allocation's script, on whichever machine. A child that is about to become another program still
        has the command line of its parent."""
        found = {pid: parent for pid, parent, line in marked(self.marks[name]) if line[0].endswith("/sh")}
        return [pid for pid, parent in found.items() if parent not in found]

    def running(self, name, count=1):
        """Waits until so many processes run it; the error says how many there are, and what is known of the deployment."""
        def as_many():
            if len(found := self.processes(name)) == count:
                return found or True
            raise ClusterError(f"{len(found)} processes")
        try:
            self.seen[name] = wait_for(as_many, f"{count} processes run {name}")
            return self.seen[name]
        except ClusterError as error:
            raise ClusterError(f"{error}\n{self.known()}") from error

    def known(self):
        """What the orchestrator and the providers say of the deployment, for an error; or why they do not."""
        told = []
        with contextlib.suppress(ClusterError):
            told.append(str(self.deployer.nunet("deployment", "info", self.id, timeout=20)))
        for machine in self.cluster.machines.values():
            with contextlib.suppress(ClusterError, ValueError):
                if machine is not self.deployer and machine.process:
                    held = [entry for entry in allocations_at(machine) if self.id in entry["id"]]
                    told.append(f"{machine.name} holds {[(entry['id'], entry['status']) for entry in held]}")
        return "\n".join(told)

    def check_same(self, name, before, now):
        """That none of the processes of now is of another run than those of before, if a step has looked at these."""
        if before and not set(now) <= set(before):
            raise ClusterError(f"{name} ran as {before}, and runs as {now}\n{self.known()}")

    def open_gate(self, name, must=True):
        """Lets the work go on: it is inside its own mount namespace, seen through its process."""
        before = self.seen.get(name)
        found = self.running(name) if must else self.processes(name)
        self.check_same(name, before, found)
        for pid in found:
            with contextlib.nullcontext() if must else contextlib.suppress(OSError):
                (pathlib.Path(f"/proc/{pid}/root") / GATE[1:]).touch()

    def written(self, name):
        """Bytes of output that providers hold of the allocation, whether their daemons run or not."""
        folders = [machine.work_dir / "jobs" for machine in self.cluster.machines.values()]
        return sum(log.stat().st_size for folder in folders for log in folder.glob(f"*{self.id}*_{name}*/**/stdout.log"))

    def counts_on(self, name):
        """Waits until the same run has written more of its output."""
        before = self.written(name)
        wait_for(lambda: self.written(name) >= before + 20, f"{name} counts on from {before} bytes")
        seen, found = self.seen.get(name), self.processes(name)
        self.check_same(name, seen, found)
        self.seen[name] = found or seen

    def arriving(self, name, what):
        """Files of the allocation that are at their receiver in part: its `inputs` at a provider, its `results` at the orchestrator."""
        holders = [self.deployer] if what == "results" else [m for m in self.cluster.machines.values() if m is not self.deployer]
        return [part for machine in holders for part in machine.work_dir.rglob(f"{what}/*.part")
                if self.id in str(part) and name in str(part)]

    def sources(self, name, what, number):
        """Where that file is sent from: the only upload of the user, or what the provider has packed."""
        if what == "inputs":
            return list((self.deployer.work_dir / "blobs").glob("*"))
        providers = [machine for machine in self.cluster.machines.values() if machine is not self.deployer]
        return [path for machine in providers for path in machine.work_dir.glob(f"jobs/{self.id}*_{name}*/*/results/{number}")]

    # --- what comes back

    def output(self, name):
        return self.deployer.must("deployment", "logs", self.id, "-a", name).out

    def check_count(self, name, ended=True):
        """All of the output is there, once, in order; and its end, if the work came to its `end`."""
        lines = self.output(name).splitlines()
        last = len(lines) - 1 if lines and lines[-1] == "end" else len(lines)
        numbers = lines[1:last]
        wrong = next((i for i, line in enumerate(numbers) if line != str(i + 1)), None)
        around = "" if wrong is None else f"; line {wrong + 2} of {len(lines)} and what is near: {lines[max(0, wrong - 1):wrong + 4]}"
        # Work whose gate was open already has counted nothing.
        whole = lines[:1] == ["begin"] and wrong is None and (last < len(lines) or (numbers and not ended))
        assert whole, f"{name}: {len(lines)} lines, begins with {lines[:2]}, ends with {lines[-2:]}{around}"


def marked(mark):
    """(pid, parent, arguments) of the processes whose command line has the mark."""
    for pid in nunet_cluster.pids():
        with contextlib.suppress(OSError):
            line = nunet_cluster.of_process(pid, "cmdline")
            if mark.encode() in line:
                parent = int(nunet_cluster.stat_of(f"/proc/{pid}")[1])
                yield pid, parent, line.decode(errors="replace").split("\0")


# --- what is left

ENDED = ("Completed", "Failed")
# Of an allocation at its orchestrator, once it has ended: its output, that of the run before, and its results.
COLLECTED = re.compile(r"(previous/)?std(out|err)\.(log|gaps)|previous/run|results/(\d+|run|index\.json)")


def wait_empty(left, what, timeout=30):
    """Waits until `left()` is empty; the error says what it still holds."""
    held = []

    def gone():
        held[:] = left()
        return not held
    try:
        wait_for(gone, what, timeout)
    except ClusterError as error:
        raise ClusterError(f"{what}, but there is {held}") from error


def inner_groups(provider):
    """Of a daemon that was killed, those with a process: one that it had made for a start is removed when it starts again."""
    groups = [inner for group in provider.control_groups() for inner in group.glob("*/")]
    return groups if provider.process else [inner for inner in groups if (inner / "cgroup.procs").read_text()]


def reserved(provider):
    """What of the onboarded resources is not free: committed or allocated."""
    onboarded, free = (provider.nunet("actor", "cmd", "--context", "user", f"/dms/node/resources/{which}") for which in ("onboarded", "free"))
    if onboarded.status:  # it offers nothing
        return []
    pairs = zip(("cores", "memory", "disk"), amounts(onboarded.json["Resources"]), amounts(free.json["Resources"]))
    return [f"{part} {whole - left}" for part, whole, left in pairs if whole != left]


def allocations_at(provider):
    return provider.cmd("/dms/node/allocations/list").get("allocations") or []


def work_at(provider):
    """Processes below the provider's work folder that are not its daemon."""
    daemon = provider.process.pid if provider.process else None
    return [line for pid, line in nunet_cluster.processes_of(provider.work_dir) if pid != daemon]


def folders_at(provider):
    return [entry for name in ("sandbox", "docker", "jobs") if (provider.work_dir / name).exists()
            for entry in (provider.work_dir / name).iterdir()]


def nothing_runs(provider):
    """No reservation, process or control group of work; ended allocations may still be known, with their output and its disk."""
    wait_empty(lambda: work_at(provider), f"{provider.name} has no process of work")
    wait_empty(lambda: inner_groups(provider), f"{provider.name} has no control group of work")
    wait_empty(lambda: [what for what in reserved(provider) if not what.startswith("disk")],
               f"{provider.name} has no cores and no memory reserved")


def nothing_is_left(provider):
    """Nothing runs, and no allocation, reservation, folder or actor is there any more."""
    wait_empty(lambda: allocations_at(provider), f"{provider.name} has no allocation")
    nothing_runs(provider)
    wait_empty(lambda: reserved(provider), f"{provider.name} has nothing reserved")
    wait_empty(lambda: folders_at(provider), f"{provider.name} has no folder of work")
    wait_empty(lambda: list((provider.work_dir / "actors").glob("*")), f"{provider.name} has no socket of work")
    wait_empty(lambda: stray_actors(provider), f"{provider.name} has no actor of work")


def deployments_at(orchestrator):
    """id -> status."""
    return orchestrator.cmd("/dms/node/deployment/list")["Deployments"] or {}


def actors_at(machine):
    """How many actors it has besides its node's own."""
    status, = machine.cmd("/dms/node/status").values()
    return status["actors"] - 1


def stray_actors(machine):
    """Actors of neither an allocation that it has, nor its work while it runs, nor a deployment of its user that goes on or of which a
    provider that refuses or does not answer may hold something."""
    deployments, found = deployments_at(machine), actors_at(machine)
    held = allocations_at(machine)
    known = held + [entry for entry in held if entry["status"] == "running"]
    known += [id for id, status in deployments.items() if status not in ENDED]
    if found > len(known):
        known += [id for id, status in deployments.items()
                  if status in ENDED and "may hold work or a reservation" in json.dumps(machine.deployment(id))]
    return [] if found == len(known) else [f"{found} actors of {known}"]


def uncollected(orchestrator):
    """Files of its user's deployments that are neither of one that goes on, nor what has come back of one that has ended."""
    root, known = orchestrator.work_dir / "deployments", deployments_at(orchestrator)
    for path in root.glob("*/**/*"):
        deployment, _, rest = str(path.relative_to(root)).partition("/")
        ended = known.get(deployment, "removed") in ("removed", *ENDED)
        if ended and path.is_file() and not (deployment in known and COLLECTED.fullmatch(rest.partition("/")[2])):
            yield str(path)


def only_what_came_back(orchestrator):
    """Of the deployments that have ended: no actor, and no file but their output and results."""
    longest = 90  # its providers are asked to release what has ended, each at growing pauses
    wait_empty(lambda: stray_actors(orchestrator), f"{orchestrator.name} has no actor of what has ended", longest)
    wait_empty(lambda: list(uncollected(orchestrator)), f"{orchestrator.name} has nothing but what came back", longest)


def no_container_is_left(provider):
    label = f"label=nunet-executor={provider.peer_id()}"
    listing = ["docker", "ps", "--all", "--quiet", "--filter", label]
    wait_empty(lambda: subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split(),
               f"{provider.name} has no container")
