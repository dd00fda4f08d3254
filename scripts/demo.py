#!/usr/bin/python3
"""Deployments on one machine, from end to end: a user describes a task, two providers bid, one is chosen, the output returns.
Then a service runs, its provider's daemon is killed and started again, and nothing of the service or its output is lost.

Where network namespaces can be used, each of the three hosts has its own; elsewhere they share the loopback and have different
ports. Every line that begins with `name$` is a command as that host's user would type it, and is executed.
"""

import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time

SCRIPT = pathlib.Path(__file__).resolve()
sys.path.insert(0, str(SCRIPT.parent.parent / "tests/lib"))

from nunet_cluster import Cluster, ClusterError, wait_for  # noqa: E402  (its folder is only known now)
from probes import namespaces_obstacle, sandbox_obstacle  # noqa: E402

TEXT = "/usr/share/common-licenses/GPL-3"
COUNT_WORDS = (f"tr -cs '[:alpha:]' '\\n' < {TEXT} | tr '[:upper:]' '[:lower:]' | sort | uniq -c | sort -rn | head -n 8; "
               f"echo \"$(wc -w < {TEXT}) words in all\"")
ENSEMBLE = f"""\
version: V1
allocations:
  wordcount:
    executor: sandbox
    type: task
    resources:
      cpu: {{cores: 0.5}}
      ram: {{size: 512MiB}}
      disk: {{size: 64MiB}}
    execution:
      type: sandbox
      cmd:
        - /bin/sh
        - -c
        - |
          {COUNT_WORDS.replace("; ", chr(10) + "          ")}
nodes:
  somewhere:
    allocations: [wordcount]
"""

SERVICE = """\
version: V1
allocations:
  clock:
    executor: sandbox
    type: service
    resources: {cpu: {cores: 0.1}, ram: {size: 64MiB}, disk: {size: 16MiB}}
    execution: {type: sandbox, cmd: [/bin/sh, -c, "i=0; while sleep 0.1; do i=$((i+1)); echo tick $i; done"]}
nodes:
  somewhere: {allocations: [clock]}
"""

COLOUR = sys.stdout.isatty()


def paint(code, text):
    return f"\x1b[{code}m{text}\x1b[0m" if COLOUR else text


def heading(text):
    print("\n" + paint("1", f"── {text} " + "─" * max(0, 96 - len(text))), flush=True)


def say(text):
    print(text, flush=True)


class Host:
    """A host whose user's commands are printed."""

    def __init__(self, machine):
        self.machine = machine

    def type(self, line, show=True, shown=None):
        """Runs `nunet ...` as typed; prints the command and its output."""
        print(paint("36", f"{self.machine.name:>6}$ ") + (shown or line), flush=True)
        finished = self.machine.must(*shlex.split(line)[1:])
        text = (finished.out + finished.err).strip()
        if show and text:
            print("\n".join("        " + row for row in text.splitlines()), flush=True)
        return finished


def identities(hosts):
    heading("Each host: a user, a daemon, and the daemon trusts its user")
    for host in hosts:
        host.type("nunet cap new user", show=False)
        host.type("nunet cap new dms", show=False)
        user = host.type("nunet key did user").out.strip()
        host.type(f"nunet cap anchor -c dms --root {user}")


def trust(user, providers):
    heading("Grants: the providers permit the user's daemon to request bids and to deploy, for one day")
    grant = "nunet cap grant --context user --cap /dms/deployment --cap /public --cap /broadcast --topic /nunet --duration 24h"
    pairs = [(provider, user) for provider in providers] + [(user, provider) for provider in providers]
    for giver, receiver in pairs:
        did = receiver.machine.did("dms")
        token = giver.type(f"{grant} {did}", show=False).out.strip()
        giver.type(f"nunet cap anchor -c dms --require '{token}'", shown=f"nunet cap anchor -c dms --require '{token[:48]}…'")


def daemons(hosts):
    heading("The daemons start and find each other")
    for host in hosts:
        print(paint("36", f"{host.machine.name:>6}$ ") + "nunet run &", flush=True)
        host.machine.start()
    user, *providers = hosts
    for provider in providers:
        user.type("nunet actor cmd --context user /dms/node/peers/connect --address " + provider.machine.multiaddress(), show=False)
    wait_for(lambda: len(user.machine.peers()) >= len(providers), "the user's daemon knows both providers")


def onboard(provider, cpu, ram, disk):
    provider.type(f"nunet actor cmd --context user /dms/node/onboarding/onboard --cpu {cpu} --ram {ram} --disk {disk}", show=False)


def free(host):
    return host.machine.cmd("/dms/node/resources/free")["Resources"]


def show_file(user, name, text):
    (user.machine.home / name).write_text(text)
    print(paint("36", f"{user.machine.name:>6}$ ") + f"cat {name}")
    print(text)


def deploy(user, names):
    heading("The task: count the words of a licence, on any provider with half a core and 512 MiB free")
    show_file(user, "ensemble.yaml", ENSEMBLE)
    begin = time.monotonic()
    deployment = user.type("nunet deploy -f ensemble.yaml").out.split()[0]
    user.machine.wait_deployment(deployment, ("Completed",), 60)
    seconds = time.monotonic() - begin

    heading("Bids, and the provider that was chosen")
    for bidder in bidders(user, names):
        say(f"        {bidder} bids")
    status = user.type(f"nunet deployment status {deployment}", show=False)
    print("\n".join("        " + named(row, names) for row in status.out.strip().splitlines()))
    return deployment, seconds


def bidders(user, names):
    """The hosts whose bids the user's daemon has noted in its log."""
    log = user.machine.log.read_text(errors="replace")
    log += "".join(p.read_text(errors="replace") for p in user.machine.work_dir.glob("logs/*.jsonl"))
    found = {peer for peer in re.findall(r"(\w+) bids for node", log) if peer in names}
    return sorted(names[peer] for peer in found)


def named(text, names):
    for peer, name in names.items():
        text = text.replace(peer, f"{name} ({peer[:8]}…{peer[-4:]})")
    return text


def written(provider):
    """Bytes of output that the provider's work has written, whether its daemon runs or not."""
    return sum(log.stat().st_size for log in provider.work_dir.glob("jobs/**/stdout.log"))


def survive(user, providers):
    heading("A service outlives its provider's daemon")
    show_file(user, "service.yaml", SERVICE)
    deployment = user.type("nunet deploy -f service.yaml --wait").out.split()[0]
    before = user.machine.deployment(deployment)["Allocations"]["clock"]
    host = next(host for host in providers if host.machine.peer_id() == before["peer"])
    provider = host.machine
    wait_for(lambda: written(provider), f"the service at {provider.name} writes output")

    print(paint("36", f"{provider.name:>6}$ ") + "kill -9 %1", flush=True)
    provider.kill()
    size = written(provider)
    wait_for(lambda: written(provider) > size + 40, "the service goes on without a daemon")
    say(f"        No daemon runs; the service goes on: {written(provider) - size} bytes more of output.")
    print(paint("36", f"{provider.name:>6}$ ") + "nunet run &", flush=True)
    provider.start()
    wait_for(lambda: user.machine.deployment(deployment)["Allocations"]["clock"]["status"] == "running", "the service is known to run")
    after = user.machine.deployment(deployment)["Allocations"]["clock"]
    if after["incarnation"] != before["incarnation"]:
        raise ClusterError(f"it is not the same run: {before}, {after}")
    user.type(f"nunet deployment status {deployment}")

    user.type(f"nunet deployment shutdown {deployment}")
    user.machine.wait_deployment(deployment, ("Completed",), 30)
    lines = user.type(f"nunet deployment logs {deployment}", show=False).out.splitlines()
    if not lines or lines != [f"tick {i + 1}" for i in range(len(lines))]:
        raise ClusterError(f"the output of the service is not whole: {lines[:3]} ... {lines[-3:]}")
    say(f"        {lines[0]}, {lines[1]}, ... {lines[-1]}: all {len(lines)} lines, none missing, none twice, one run.")


def demonstrate(cluster):
    hosts = [Host(cluster.machine(name)) for name in ("alice", "bob", "carol")]
    user, bob, carol = hosts
    say("Three hosts: " + ", ".join(f"{h.machine.name} {h.machine.address}" for h in hosts)
        + (" in network namespaces of their own" if cluster.namespaces else " on ports of this machine"))
    identities(hosts)
    trust(user, [bob, carol])
    daemons(hosts)
    names = {host.machine.peer_id(): host.machine.name for host in hosts}

    heading("The providers onboard a share of their machines; carol offers more")
    onboard(bob, 0.75, "640MiB", "1GiB")
    onboard(carol, 1, "1GiB", "2GiB")
    before = [free(bob), free(carol)]

    deployment, seconds = deploy(user, names)
    heading("The output of the task")
    output = user.type(f"nunet deployment logs {deployment}").out
    if "words in all" not in output:
        raise ClusterError(f"the output is not what the task prints: {output!r}")
    survive(user, [bob, carol])

    heading("Clean up")
    wait_for(lambda: [free(bob), free(carol)] == before, "all reserved resources are free again")
    for host in reversed(hosts):
        print(paint("36", f"{host.machine.name:>6}$ ") + "kill %1", flush=True)
        host.machine.stop()
    return seconds


ENTERED = "NUNET_DEMO_ENTERED"


def enter_mounted_root(obstacle):
    """bubblewrap needs a root that is a mount point, which the root of a chroot is not. Runs this program again in a bind mount of
    the same root, and returns its exit status; None where that is not the obstacle, or does not remove it."""
    if "make / slave" not in obstacle or os.geteuid() != 0 or ENTERED in os.environ:
        return None
    # pivot_root(2) refuses a root whose parent mount is shared, so the parent is a private mount. The mounts below are made
    # private too: otherwise their end would end those that they are copies of.
    script = """mount -t tmpfs tmpfs "$0" && mount --make-private "$0" && mkdir "$0/root" && mount --rbind / "$0/root" &&
        mount --make-rprivate "$0/root" && { chroot "$0/root" "$@"; status=$?; umount --lazy "$0"; exit $status; }"""
    with tempfile.TemporaryDirectory(prefix="nunet-demo-root-") as folder:
        command = ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c", script, folder, sys.executable, str(SCRIPT)]
        say("The root of this chroot is not a mount point: the demonstration runs in a bind mount of it.")
        return subprocess.run(command, env={**os.environ, ENTERED: "1"}, check=False).returncode


def main():
    begin = time.monotonic()
    if obstacle := sandbox_obstacle():
        if (status := enter_mounted_root(obstacle)) is not None:
            return status
        print(f"The demonstration runs its task in the sandbox executor, which cannot work here: {obstacle}.\n"
              "In a chroot, make the root a mount point first: mount --bind DIR DIR && chroot DIR", file=sys.stderr)
        return 1
    obstacle = namespaces_obstacle()
    if obstacle:
        say(f"Network namespaces cannot be used here ({obstacle}): the hosts share the loopback.")
    cluster = Cluster(namespaces=not obstacle)
    try:
        with cluster:
            seconds = demonstrate(cluster)
            left = [thing for thing in cluster.leftovers() if not thing.startswith("folder")]
    except ClusterError as error:
        print(f"\n{paint('31', 'The demonstration failed')}: {error}", file=sys.stderr)
        return 1
    left += cluster.leftovers()
    if left:
        print("Left behind: " + ", ".join(left), file=sys.stderr)
        return 1
    say("        Nothing is left behind: no process, no port, no namespace, no control group, no file.")
    say(f"\nFrom `nunet deploy` to the result {seconds:.1f} s; the whole demonstration {time.monotonic() - begin:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
