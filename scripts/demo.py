#!/usr/bin/python3
"""A small network on this machine, from nothing to results: a user and four providers in three regions.

A text is counted by two machines and the counts are joined by a third. Then a service with a health check runs; the machine that
serves dies, and another one serves. Every line that begins with `name$` is a command as the user of that host would type it, and is
executed. Where network namespaces can be used, the hosts have networks of their own, with the delays of scripts/demo.yaml between
them; elsewhere they share the loopback and have different ports. Work runs in containers where a Docker engine answers
(demo_docker.py), else in the sandbox of the provider.
"""

import concurrent.futures
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests/lib")]

import demo_docker  # noqa: E402  (its folder is only known now)
import testnet  # noqa: E402
from nunet_cluster import PASSPHRASE, ClusterError, port_is_free, processes_of, wait_for  # noqa: E402
from probes import sandbox_obstacle  # noqa: E402
from testnet.removal import namespaces_of  # noqa: E402
from testnet.signals import end_as_by_ctrl_c  # noqa: E402

USER = "alice"
SHARES = {"berlin": (0.5, "512MiB"), "paris": (1, "1GiB"), "austin": (1, "1GiB"), "osaka": (0.5, "512MiB")}
LICENCES = pathlib.Path("/usr/share/common-licenses")

MAP = """\
version: V1
allocations:
  west:
    executor: sandbox
    type: task
    resources: &small {cpu: {cores: 0.25}, ram: {size: 128MiB}, disk: {size: 32MiB}}
    inputs: [{file: west.txt, to: text}]
    results: [counts]
    execution: &count
      type: sandbox
      cmd:
        - sh
        - -c
        - tr -cs A-Za-z '\\n' < text | tr A-Z a-z | sort | uniq -c > counts
  east:
    executor: sandbox
    type: task
    resources: *small
    inputs: [{file: east.txt, to: text}]
    results: [counts]
    execution: *count
nodes:
  first: {allocations: [west]}
  second: {allocations: [east]}
"""

REDUCE = """\
version: V1
exclude_peers: [%s]    # the machines that have counted
allocations:
  join:
    executor: sandbox
    type: task
    resources: {cpu: {cores: 0.25}, ram: {size: 128MiB}, disk: {size: 32MiB}}
    inputs: [{file: west/counts, to: west}, {file: east/counts, to: east}]
    results: [words]
    execution:
      type: sandbox
      cmd:
        - sh
        - -c
        - awk '{n[$2] += $1} END {for (w in n) print n[w], w}' west east | sort -rn > words; head -n 6 words
nodes:
  third: {allocations: [join]}
"""

SERVICE = """\
version: V1
allocations:
  clock:
    executor: sandbox
    type: service
    resources: {cpu: {cores: 0.25}, ram: {size: 64MiB}, disk: {size: 16MiB}}
    healthcheck: {type: command, exec: [test, -s, beat], interval: 1s}
    execution:
      type: sandbox
      cmd: [sh, -c, "while sleep 0.2; do date +%T | tee beat; done"]
nodes:
  anywhere: {allocations: [clock], on_loss: fast, lease: 10s}
"""

COLOUR = sys.stdout.isatty()


def paint(code, text):
    return f"\x1b[{code}m{text}\x1b[0m" if COLOUR else text


def heading(text):
    print("\n" + paint("1", f"── {text} " + "─" * max(0, 96 - len(text))), flush=True)


def say(text):
    print("         " + text.replace("\n", "\n         "), flush=True)


def prompt(host, line):
    print(paint("36", f"{host.name:>7}$ ") + line, flush=True)


def run(host, line):
    """Executes a command line of `nunet` on a host."""
    return host.must(*shlex.split(line)[1:])


def type_(host, line, names=None, show=True, shown=None):
    """Executes a command line as its user would; prints it and what it prints."""
    prompt(host, shown or line)
    finished = run(host, line)
    text = (finished.out + finished.err).strip()
    if show and text:
        say(named(text, names or {}))
    return finished


def named(text, names):
    """With the names of hosts in place of their peer ids; the columns of a table stay columns."""
    for peer, name in names.items():
        text = re.sub(f"{peer}  +", f"{name:<8}  ", text).replace(peer, name)
    return re.sub("MACHINE +WHY", f"{'MACHINE':<8}  {'':<10}  WHY", text)


def everywhere(work, hosts):
    with concurrent.futures.ThreadPoolExecutor(len(hosts)) as pool:
        return list(pool.map(work, hosts))


def others(first, hosts):
    """The others do likewise, at once; their commands are not printed."""
    print(paint("2", f"         … and {', '.join(h.name for h in hosts if h is not first)} likewise"), flush=True)


# --- the network


def initialise(user, providers, engine):
    heading("Each host: keys, trust in its user, a share of the machine")
    type_(user, "nunet init --no-onboard")

    def initialise_provider(host):
        cpu, ram = SHARES[host.name]
        line = f"nunet init --cpu {cpu} --ram {ram} --disk 1GiB"
        return type_(host, line) if host is providers[0] else run(host, line)
    everywhere(initialise_provider, providers)
    others(providers[0], providers)

    def configure(host, execute):
        execute(host, f"nunet config set p2p.listen_address /ip4/{host.address}/tcp/{host.p2p_port}")
        execute(host, 'nunet config set p2p.bootstrap_peers ""')
        if host.rest_port != 9999:
            execute(host, f"nunet config set rest.port {host.rest_port}")
        if not engine.obstacle and engine.socket != demo_docker.STANDARD_SOCKET:
            execute(host, f"nunet config set executor.docker_socket {engine.socket}")
    configure(user, lambda host, line: type_(host, line, show=False))
    everywhere(lambda host: configure(host, run), providers)
    others(user, [user, *providers])


def accept(user, providers):
    heading("Grants: the user and each provider accept each other for a day")
    grant = "nunet cap grant --context user --cap /dms/deployment --cap /public --cap /broadcast --topic /nunet --duration 24h"
    dids = dict(zip([user, *providers], everywhere(lambda host: run(host, "nunet key did dms").out.strip(), [user, *providers])))
    first = providers[0]
    token = type_(first, f"{grant} {dids[user]}", show=False).out.strip()
    type_(first, f"nunet cap anchor -c dms --require '{token}'", shown=f"nunet cap anchor -c dms --require '{token[:40]}…'")
    others(first, providers)

    def give(provider):
        tokens = [] if provider is first else [(provider, run(provider, f"{grant} {dids[user]}").out.strip())]
        tokens.append((user, run(user, f"{grant} {dids[provider]}").out.strip()))
        return tokens
    tokens = [found for given in everywhere(give, providers) for found in given]
    for host in {host for host, _ in tokens}:
        for token in (token for receiver, token in tokens if receiver is host):
            run(host, f"nunet cap anchor -c dms --require '{token}'")


def join(user, providers):
    heading("The daemons start, and the user's connects to the others")

    for host in (hosts := [user, *providers]):
        prompt(host, "nunet run &")
    everywhere(lambda host: host.start(), hosts)
    for provider in providers:
        address = provider.multiaddress()
        type_(user, f"nunet actor cmd --context user /dms/node/peers/connect --address {address}", show=False,
              shown=f"nunet actor cmd --context user /dms/node/peers/connect --address {address[:-40]}…")
    wait_for(lambda: len(user.peers()) >= len(providers), "the user's daemon knows every provider")


# --- the work


def write(host, name, text, engine):
    """Of an ensemble of sandboxes; one of containers where there is an engine."""
    text = text if engine.obstacle else demo_docker.of_docker(text)
    (host.home / name).write_text(text)
    prompt(host, f"cat {name}")
    say(text.rstrip())


def deploy(user, file, names):
    finished = type_(user, f"nunet deploy -f {file} --wait", names)
    return finished.out.split()[0]


def machines_of(user, deployment):
    return {name: known["peer"] for name, known in user.deployment(deployment)["Allocations"].items()}


def count_words(user, names, engine):
    texts = sorted(path for path in LICENCES.iterdir() if path.is_file() and not path.is_symlink())
    heading(f"A data task: the words of {len(texts)} licences, counted by two machines")
    words = 0
    for name, half in (("west.txt", texts[::2]), ("east.txt", texts[1::2])):
        text = b"".join(path.read_bytes() for path in half)
        words += len(re.findall(rb"[A-Za-z]+", text))
        (user.home / name).write_bytes(text)
        prompt(user, f"cat {' '.join(path.name for path in half)} > {name}")
    write(user, "count.yaml", MAP, engine)
    begin = time.monotonic()
    counting = deploy(user, "count.yaml", names)
    type_(user, f"nunet deployment explain {counting}", names)
    for name in ("west", "east"):
        type_(user, f"nunet deployment results {counting} {name} -o {name}")

    heading("A third machine joins the counts")
    counted = sorted(set(machines_of(user, counting).values()))
    write(user, "join.yaml", REDUCE % ", ".join(counted), engine)
    joining = deploy(user, "join.yaml", names)
    type_(user, f"nunet deployment results {joining} join")
    seconds = time.monotonic() - begin
    found = sum(int(line.split()[0]) for line in (user.home / "words").read_text().splitlines() if len(line.split()) == 2)
    joined = machines_of(user, joining)["join"]
    if found != words or joined in counted or len(counted) != 2:
        raise ClusterError(f"{found} words were counted, there are {words}; by {counted}, joined by {joined}")
    say(f"{found} words, all of them: counted by {named(' and '.join(counted), names)}, joined by {names[joined]}, in {seconds:.1f} s.")
    return [counting, joining]


def serve(network, user, names, engine):
    heading("A service with a health check; then its machine dies")
    write(user, "clock.yaml", SERVICE, engine)
    type_(user, "nunet plan -f clock.yaml", names)
    deployment = deploy(user, "clock.yaml", names)
    first = machines_of(user, deployment)["clock"]

    prompt(network.hosts[names[first]], paint("31", "the power fails: every process of the machine ends, its link is silent"))
    network.kill(names[first])
    if not engine.obstacle:
        engine.kill(first)
    begin = time.monotonic()

    def moved():
        known = user.deployment(deployment)["Allocations"]["clock"]
        return known["peer"] != first and known["status"] == "running" and known.get("health") == "healthy"
    wait_for(moved, "another machine serves", 60, 0.1)
    second = machines_of(user, deployment)["clock"]
    say(f"{names[second]} serves {time.monotonic() - begin:.1f} s later.")
    type_(user, f"nunet deployment status {deployment}", names)
    type_(user, f"nunet deployment logs {deployment} clock --tail 2")
    return deployment, names[first]


def clean_up(network, user, providers, deployment, dead, ended, names):
    heading("Everything is shut down")
    prompt(network.hosts[dead], "the power is back")
    network.start(dead)
    network.hosts[dead].start()
    type_(user, f"nunet deployment shutdown {deployment}", names)
    user.wait_deployment(deployment, ("Completed",), 60)
    for provider in providers:
        wait_for(lambda: not provider.cmd("/dms/node/allocations/list").get("Allocations"), f"{provider.name} has released all", 60)
    for id in [*ended, deployment]:
        type_(user, f"nunet deployment delete {id}", show=False, shown=f"nunet deployment delete {id[:12]}…")
    everywhere(lambda host: host.stop(), [user, *providers])
    for host in [user, *providers]:
        prompt(host, "kill %1")


def leftovers(network, engine):
    found = [] if engine.obstacle else [f"container {container}" for container in engine.containers()]
    found += [f"process {pid}: {line}" for pid, line in processes_of(network.folder)]
    found += [f"network namespace {name}" for name in namespaces_of(network.folder)]
    if network.mode == "loopback":
        found += [f"port {host.p2p_port} of {host.name}" for host in network.hosts.values() if not port_is_free(host.p2p_port)]
    return found + ([f"folder {network.folder}"] if network.folder.exists() else [])


def demonstrate(network, engine):
    user, *providers = network.hosts.values()
    regions = ", ".join(f"{host.name} in {host.plan.region}" for host in providers)
    heading("A network of five hosts")
    say(f"{user.name} has work and is in {user.plan.region}; {regions} lend machines.")
    say(f"Work runs in {f'sandboxes: {engine.obstacle}' if engine.obstacle else f'containers of the Docker engine on {engine.socket}'}.")
    for missing in network.missing:
        say(missing)
    initialise(user, providers, engine)
    accept(user, providers)
    join(user, providers)
    names = {host.peer_id(): host.name for host in [user, *providers]}
    ended = count_words(user, names, engine)
    deployment, dead = serve(network, user, names, engine)
    clean_up(network, user, providers, deployment, dead, ended, names)


ENTERED = "NUNET_DEMO_ENTERED"


def enter_mounted_root(obstacle):
    """bubblewrap needs a root that is a mount point, which the root of a chroot is not. Runs this program again in a bind mount of
    the same root, and returns its exit status; None where that is not the obstacle, or does not remove it."""
    if "make / slave" not in obstacle or os.geteuid() != 0 or ENTERED in os.environ:
        return None
    # pivot_root(2) refuses a root whose parent mount is shared, so the parent is a private mount. The mounts below are made
    # private too: otherwise their end would end those that they are copies of.
    # Of the signals that end the demonstration, the shell waits for what the demonstration removes.
    script = """trap : INT TERM HUP
        mount -t tmpfs tmpfs "$0" && mount --make-private "$0" && mkdir "$0/root" && mount --rbind / "$0/root" &&
        mount --make-rprivate "$0/root" && { chroot "$0/root" "$@"; status=$?; umount --lazy "$0"; exit $status; }"""
    with tempfile.TemporaryDirectory(prefix="nunet-demo-root-") as folder:
        command = ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c", script, folder, sys.executable, __file__]
        say("The root of this chroot is not a mount point: the demonstration runs in a bind mount of it.")
        entered = subprocess.Popen(command, env={**os.environ, ENTERED: "1"}, start_new_session=True)
        try:
            return entered.wait()
        except KeyboardInterrupt:
            os.killpg(entered.pid, signal.SIGTERM)
            return entered.wait()


def main():
    begin = time.monotonic()
    os.environ["DMS_PASSPHRASE"] = PASSPHRASE
    end_as_by_ctrl_c()
    try:
        with tempfile.TemporaryDirectory(prefix="nunet-demo-") as state, demo_docker.Engine() as engine:
            engine.check_folder(pathlib.Path(state))
            if engine.obstacle and (obstacle := sandbox_obstacle()):
                if (status := enter_mounted_root(obstacle)) is not None:
                    return status
                print("The demonstration runs its work in containers or in sandboxes, which both cannot work here:\n"
                      f"{engine.obstacle}; {obstacle}.\n"
                      "In a chroot, make the root a mount point first: mount --bind DIR DIR && chroot DIR", file=sys.stderr)
                return 1
            network = testnet.Network(ROOT / "scripts/demo.yaml", state=state, daemons=False)
            with network:
                demonstrate(network, engine)
            left = leftovers(network, engine)
    except (ClusterError, demo_docker.EngineError, testnet.DescriptionError) as error:
        print(f"\n{paint('31', 'The demonstration failed')}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nThe demonstration was interrupted; what it made is removed.", file=sys.stderr)
        return 130
    if left:
        print("Left behind: " + ", ".join(left), file=sys.stderr)
        return 1
    say("Nothing is left behind: no process, no container, no port, no namespace, no file.")
    print(f"\nThe whole demonstration took {time.monotonic() - begin:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
