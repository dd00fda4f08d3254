"""Networks on demand: made by the command, or through the module that it is made of."""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import time

from behave import given, then, when

import probes
from nunet_cluster import NUNET, ROOT, Finished, control_group, wait_for
from testnet import Network, networks
from testnet.removal import mounts_below, namespaces_of, processes_of_network

PROBE = ROOT / "testnet/probe.py"
SHORT = {"PROBE_WAIT": "0.4"}
PORT = 7
QUIET = 0.4  # seconds in which what does not arrive would have: a network without a delay


def state(context, user=None):
    """Where the networks of a scenario keep their state; environment.py takes them down."""
    folder = context.cluster.folder / (user or "networks")
    if folder not in context.states:
        if user:
            folder.mkdir()
            shutil.chown(folder, user)
            context.cluster.folder.chmod(0o711)
        context.states.append(folder)
    return folder


def spawn(context, daemons):
    file = context.cluster.folder / f"net{len(context.networks)}.yaml"
    file.write_text(context.text)
    network = Network(file, state=state(context), daemons=daemons)
    context.networks[network.name] = context.network = network
    context.probes = {}
    network.up()


@given("a network")
def a_network(context):
    spawn(context, daemons=True)


@given('a network with daemons named "{name}"')
def a_named_network(context, name):
    context.text = f"name: {name}\n{context.text}"
    spawn(context, daemons=True)


@given("a network of machines")
def a_network_of_machines(context):
    """What other steps do with machines can be done with its hosts."""
    spawn(context, daemons=True)
    context.cluster.machines.update(context.network.hosts)


@given('a network file "{name}"')
def a_network_file(context, name):
    (context.cluster.folder / f"{name}.yaml").write_text(context.text.replace("PROGRAM", str(pathlib.Path(NUNET).resolve())))


# --- the command

def arguments(line):
    return [str(ROOT / "testnet/testnet"), *shlex.split(line)]


def run_testnet(context, line, user=None):
    before = probes.as_user(user) if user else []
    environment = {**os.environ, "TESTNET_STATE": str(state(context, user)), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(before + arguments(line), cwd=context.cluster.folder, env=environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)
    context.answer = Finished(["testnet", line], done)


@when("`testnet {line}` is run")
def testnet_is_run(context, line):
    run_testnet(context, line)


@when("as {user:w} `testnet {line}` is run")
def testnet_is_run_as(context, user, line):
    for file in context.cluster.folder.glob("*.yaml"):
        file.chmod(0o644)
    run_testnet(context, line, user)


@when("at {name:w} `testnet {line}` is run")
def testnet_is_run_at(context, name, line):
    host = context.network.host(name)
    options = f"-i {context.key} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    environment = {"TESTNET_STATE": str(context.cluster.folder / "far"), "TESTNET_SSH_OPTIONS": options, "PYTHONDONTWRITEBYTECODE": "1",
                   "NUNET": os.environ.get("NUNET", str(ROOT / "build/nunet"))}
    script = f"cd {shlex.quote(str(context.cluster.folder))} && {shlex.join(arguments(line))}"
    context.answer = host.run("sh", "-c", script, environment=environment)


@then('it prints "{text}"')
def it_prints(context, text):
    assert context.answer.status == 0 and text in context.answer.out, context.answer


@then('it warns "{text}"')
def it_warns(context, text):
    assert context.answer.status == 0 and text in context.answer.err, context.answer


@then('its status is {status:d} and it prints "{text}"')
def status_and_output(context, status, text):
    assert (context.answer.status, " ".join(context.answer.out.split())) == (status, text), context.answer


@then('it fails with "{text}"')
def it_fails(context, text):
    assert context.answer.status == 1 and text in context.answer.err, context.answer


@then('nothing of network "{name}" is left')
def nothing_left(context, name):
    for folder in context.states:
        folder = folder / name
        left = [*namespaces_of(folder), *processes_of_network(folder), *mounts_below(folder)] + ([folder] if folder.exists() else [])
        assert not left, left


# --- what reaches whom

def ping(host, address, count=1, environment=None):
    finished = host.exec(PROBE, "ping", address, count, environment=environment)
    assert finished.status == 0, finished
    return finished.out.split()


def start_probe(context, host, *words):
    """A program that runs until the host ends; the file that it writes."""
    out = context.network.folder / f"{host.name}-{words[0]}"
    with open(out, "w") as file:
        context.probes[host.name, words[0]] = subprocess.Popen(
            host.inside([PROBE, *words]), env=host.environment(PROBE_WAIT="60"), stdin=subprocess.DEVNULL, stdout=file,
            stderr=subprocess.STDOUT, start_new_session=True)
    wait_for(out.read_text, f"{host.name}: {words[0]} begins", 20, 0.02)
    return out


def serve(context, host):
    """Where what arrives at a UDP port of the host is written."""
    running = context.probes.get((host.name, "serve"))
    if running and running.poll() is None:
        return context.network.folder / f"{host.name}-serve"
    return start_probe(context, host, "serve", PORT)


def send(context, sender, receiver):
    """Sends a datagram; where it is written if it arrives, and how many were before."""
    host, other = context.network.host(sender), context.network.host(receiver)
    out = serve(context, other)
    before = lines(out)
    finished = host.exec(PROBE, "send", 9, other.address, PORT)
    assert finished.status == 0, finished
    return out, before


def lines(file):
    return file.read_text().count("\n")


@then("a ping from {name:w} to {other:w} takes {least:d} to {most:d} ms")
def ping_takes(context, name, other, least, most):
    found = [float(answer) for answer in ping(context.network.host(name), context.network.host(other).address, 3)]
    assert all(least <= value for value in found) and min(found) <= most, found


@then('in network "{network}" a ping from {name:w} to {other:w} takes {least:d} to {most:d} ms')
def ping_takes_in(context, network, name, other, least, most):
    context.network = context.networks[network]
    ping_takes(context, name, other, least, most)


@then('in network "{network}" no ping from {name:w} to "{address}" is answered')
def no_ping(context, network, name, address):
    assert ping(context.networks[network].host(name), address, 2, SHORT) == ["lost"] * 2


@then("of {count:d} datagrams from {name:w} to {other:w} and back {least:d}% to {most:d}% arrive")
def datagrams_arrive(context, count, name, other, least, most):
    server = context.network.host(other)
    serve(context, server)
    finished = context.network.host(name).exec(PROBE, "count", server.address, PORT, count, environment={"PROBE_WAIT": "1"})
    share = 100 * int(finished.out) / count
    assert least <= share <= most, f"{share}%"


@then("{size:d} bytes from {name:w} arrive at {other:w} in at least {least:d} ms")
def upload(context, size, name, other, least):
    sink = context.network.host(other)
    start_probe(context, sink, "sink", PORT)
    finished = context.network.host(name).exec(PROBE, "upload", sink.address, PORT, size, environment={"PROBE_WAIT": "30"})
    assert finished.status == 0 and float(finished.out) >= least, finished


@then("the link has dropped packets of full queues")
def queues_overflowed(context):
    assert context.network.status()["packets"]["overflowed"] > 0, context.network.status()


@then("a datagram from {name:w} arrives at {other:w}")
def arrives(context, name, other):
    out, before = send(context, name, other)
    wait_for(lambda: lines(out) > before, "the datagram arrives", 10, 0.02)


@then("no datagram from {name:w} arrives at {other:w}")
def does_not_arrive(context, name, other):
    out, before = send(context, name, other)
    time.sleep(QUIET)
    assert lines(out) == before, out.read_text()


@then("no datagram from {name:w} arrives at the address of {other:w}")
def reaches_nobody(context, name, other):
    assert ping(context.network.host(name), context.network.host(other).address, 2, SHORT) == ["lost"] * 2


# --- NAT

@then("two servers see {mappings} of one socket of {name:w}")
def mappings(context, mappings, name):
    servers = [context.network.host(server) for server in ("s1", "s2")]
    for server in servers:
        serve(context, server)
    seen = context.network.host(name).exec(PROBE, "mapped", *(f"{server.address}:{PORT}" for server in servers)).out.split()
    box = next(iter(context.network.plan.nats.values()))
    assert len(seen) == 2 and all(endpoint.startswith(f"{box.address}:") for endpoint in seen), seen
    assert len(set(seen)) == {"one endpoint": 1, "two endpoints": 2}[mappings], seen


@then("through the mapping towards s1 {entering} gets in")
def entering(context, entering):
    inside, s1, s2 = (context.network.host(name) for name in ("inside1", "s1", "s2"))
    serve(context, s1)
    out = start_probe(context, inside, "receive", s1.address, PORT)
    address, port = out.read_text().split()[0].split(":")
    for stranger in (s1, s2):
        assert stranger.exec(PROBE, "send", 9, address, port).status == 0
    another, stranger = f"{s1.address}:9", f"{s2.address}:9"
    expected = {"another port and a stranger": {another, stranger}, "another port": {another}, "nothing": set()}[entering]
    wait_for(lambda: expected <= set(out.read_text().split()[1:]), f"{expected} gets in", 10, 0.02)
    time.sleep(QUIET)
    assert set(out.read_text().split()[1:]) == expected, out.read_text()


# --- changes

@when("{a:w} and {b:w} are cut")
def are_cut(context, a, b):
    context.network.cut(a, b)


@when("{a:w} is cut from {b:w} in one direction")
def is_cut_from(context, a, b):
    context.network.cut(a, b, one_way=True)


@when("{a:w} and {b:w} are healed")
def are_healed(context, a, b):
    context.network.heal(a, b)


@when("all cuts are healed")
def all_healed(context):
    context.network.heal()


@when("the link is killed")
def link_killed(context):
    context.network.link_process.kill()
    context.network.link_process.wait_end("the link ends")


@when("the state of the network is damaged")
def damage_state(context):
    (context.network.folder / "state.json").write_text("{")


@when("{name:w} is killed")
def host_killed(context, name):
    host = context.network.host(name)
    context.before = [(pid, line) for pid, line in host.processes()]
    context.network.kill(name)


@when("{name:w} is dead without notice")
def host_dead(context, name):
    context.network.host(name).init.kill()


@when("{name:w} loses its daemon")
def daemon_lost(context, name):
    context.network.host(name).kill()


@when("{name:w} is started again")
def host_started(context, name):
    context.network.start(name)


# --- what is on a host

@when('the shell of {name:w} runs "{script}"')
def host_runs(context, name, script):
    host = context.network.host(name)
    subprocess.run(host.inside(["sh", "-c", script]), env=host.environment(), stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


@then("no process of {name:w} is alive")
def no_process_alive(context, name):
    assert sum("sleep 1000" in line for _, line in context.before) == 2, context.before
    alive = [line for pid, line in context.before if pathlib.Path(f"/proc/{pid}").exists()
             and " Z " not in pathlib.Path(f"/proc/{pid}/stat").read_text()]
    assert not alive and not context.network.host(name).processes(), alive


@then('{name:w} prints "{text}" at "{script}"')
def host_prints(context, name, text, script):
    finished = context.network.host(name).exec("sh", "-c", script)
    assert text in finished.out, finished


@then('{name:w} fails with "{text}" at "{script}"')
def host_fails(context, name, text, script):
    finished = context.network.host(name).exec("sh", "-c", script)
    assert finished.status != 0 and text in finished.err, finished


@then("the clock of {name:w} is {seconds:d} s ahead")
def clock_ahead(context, name, seconds):
    found = int(context.network.host(name).exec("date", "+%s").out) - time.time()
    assert abs(found - seconds) < 10, found


@then("the daemon of {name:w} knows {count:d} peers")
def daemon_knows(context, name, count):
    wait_for(lambda: len(context.network.host(name).peers()) == count, f"{name} knows {count} peers", 15, 0.2)


@then("the daemon of {name:w} has ended")
def daemon_ended(context, name):
    assert context.network.host(name).daemon_state() == "ended"


@then("{name:w}'s daemon is onboarded")
def host_onboarded(context, name):
    assert context.network.host(name).cmd("/dms/node/onboarding/status")["onboarded"] is True


ENSEMBLE = """
version: V1
allocations:
  work:
    executor: sandbox
    type: task
    resources: {{cpu: {{cores: 0.1}}, ram: {{size: 32MiB}}, disk: {{size: 16MiB}}}}
    execution: {{type: sandbox, cmd: [/bin/echo, "{text}"]}}
nodes:
  somewhere: {{allocations: [work]}}
"""


@when('a task that prints "{text}" is deployed by {name:w}')
def task_deployed(context, text, name):
    host = context.network.host(name)
    (host.home / "job.yaml").write_text(ENSEMBLE.format(text=text))
    context.expected = text
    context.answer = host.exec("nunet", "deploy", "-f", "job.yaml", "--wait", timeout=40)


@then("its output arrives at {name:w}")
def output_arrives(context, name):
    assert context.answer.status == 0 and context.expected in context.answer.out, context.answer


# --- artifacts

@then('the artifacts have "{file}" with "{text}"')
def artifacts_have(context, file, text):
    path = context.cluster.folder / "artifacts" / file
    assert path.exists() and text in path.read_text(errors="replace"), f"{path} of {sorted(path.parent.glob('*'))}"


@then("the artifacts hold no key")
def no_key(context):
    names = [str(path) for path in (context.cluster.folder / "artifacts").rglob("*")]
    assert names and not [name for name in names if re.search(r"/(key|cap)(/|$)|\.cap$", name)], names


# --- machines reached by ssh

@given("a network whose hosts run sshd")
def sshd_hosts(context):
    spawn(context, daemons=True)
    folder = context.cluster.folder
    for name in ("user", "host"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    context.key = folder / "user"
    if not (confined := pathlib.Path("/run/sshd")).exists():  # sshd confines itself there
        confined.mkdir()
        context.add_cleanup(confined.rmdir)
    for host in context.network.hosts.values():
        if host.name == "console":
            continue
        # A home that is not the user's: what the shell reads there may take long.
        options = {"HostKey": folder / "host", "AuthorizedKeysFile": folder / "user.pub", "StrictModes": "no", "PidFile": "none", "UsePAM": "no",
                   "Subsystem": "sftp internal-sftp", "SetEnv": f"HOME={folder}", "PermitRootLogin": "prohibit-password", "MaxSessions": "50"}
        command = [probes.sshd(), "-f", "/dev/null", "-E", context.network.folder / f"{host.name}-sshd.log",
                   *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
        finished = host.exec(*command)
        assert finished.status == 0, finished
    context.add_cleanup(lambda: [shutil.rmtree(left) for left in pathlib.Path("/var/tmp").glob("nunet-testnet-far-*")])


@then('nothing of the machines is left in "{prefix}"')
def nothing_on_machines(context, prefix):
    path = pathlib.Path(prefix)
    left = [str(entry) for entry in path.parent.glob(f"{path.name}*")]
    left += [str(group) for name in ("alice", "bob") for group in
             pathlib.Path("/sys/fs/cgroup").glob(f"*/{control_group(f'{prefix}-{name}/nunet')}")]
    left += [line for host in context.network.hosts.values() for _, line in host.processes() if "nunet" in line.split(" ")[0]]
    assert not left and not networks(context.cluster.folder / "far"), left
