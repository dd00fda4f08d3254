"""Work that goes on whatever happens to daemons, disks, clocks and connections."""

import contextlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import threading
import time

from behave import given, step, then, when

import feature_work
import stored_records
from engine_gate import EngineGate
from feature_world import in_parallel
from nunet_cluster import DOCKER_SOCKET, ClusterError, wait_for

ASKED, ANSWERED = "/tmp/asked", "/tmp/answered"

# What talks to the socket of the work's actor; no single quote, as the shell gets it in these.
TALKS = """
import json, os, socket, time
def connect():
    while True:
        try:
            s = socket.socket(socket.AF_UNIX)
            s.connect(os.environ["NUNET_ACTOR_SOCKET"])
            return s.makefile("rw")
        except OSError:
            time.sleep(0.2)
def say(file, **message):
    file.write(json.dumps(message) + chr(10))
    file.flush()
def ask(**message):
    while True:
        file = connect()
        try:
            say(file, **message)
            return json.loads(file.readline())
        except (OSError, ValueError):
            time.sleep(0.2)
"""
# Goes on when its daemon does.
ADDS = TALKS + """
def add_for_others():
    while True:
        try:
            file = connect()
            say(file, op="register", behaviour="/work/add")
            for line in file:
                message = json.loads(line)
                if message.get("ok"):
                    print("ready to add", flush=True)
                if "call" in message:
                    print("added", *message["payload"], "for", message["from"], flush=True)
                    say(file, op="reply", call=message["call"], payload=sum(message["payload"]))
        except OSError:
            pass
"""
# The test writes each line to be said to the socket into a file of its own.
TOLD = ADDS + f"""
import itertools, threading
threading.Thread(target=add_for_others, daemon=True).start()
for number in itertools.count(1):
    while not os.path.exists(f"{ASKED}{{number}}"):
        if os.path.exists("{feature_work.GATE}"):
            raise SystemExit
        time.sleep(0.05)
    with open(f"{ASKED}{{number}}") as file:
        answer = ask(**json.load(file))
    with open(f"{ANSWERED}.part", "w") as file:
        json.dump(answer, file)
    os.rename(f"{ANSWERED}.part", f"{ANSWERED}{{number}}")
"""
CALLS = TALKS + f"""
def add():
    while True:
        answer = ask(op="invoke", to="adder", behaviour="/work/add", payload=[1, 2], timeout=3000)
        if answer["ok"]:
            return answer["payload"]
        time.sleep(0.2)
print(add(), flush=True)
while not os.path.exists("{feature_work.GATE}"):
    time.sleep(0.05)
print("again", add(), flush=True)
"""
# Of each kind a connection on which it sends as fast as it can, and reads nothing.
FLOODS = TALKS + f"""
import threading
def flood(text):
    while True:
        try:
            file = connect()
            while True:
                file.write(text)
        except OSError:
            pass
for text in (json.dumps(dict(op="whoami")) + chr(10), chr(10) * 65536, "x" * 1000000):
    threading.Thread(target=flood, args=(text,), daemon=True).start()
print("floods", flush=True)
while not os.path.exists("{feature_work.GATE}"):
    time.sleep(0.05)
os._exit(0)
"""
# Finds out by itself whether a sibling answers: three calls in a row that are not answered are its failure.
ASKS = TALKS + """
told = missed = 0
while missed < 3:
    answer = ask(op="invoke", to="adder", behaviour="/work/add", payload=[1, 2], timeout=1000)
    missed = 0 if answer["ok"] else missed + told
    if answer["ok"] and not told:
        told = 1
        print(answer["payload"], flush=True)
    time.sleep(0.2)
raise SystemExit(7)
"""


def python(script):
    """The shell stays: the processes of work are found by it."""
    return f"python3 -c '{script}'; exit $?"


SCRIPTS = {"adds for others": python(ADDS + "add_for_others()"), "adds for others, and calls whom it is told to": python(TOLD),
           "floods its socket": python(FLOODS), "has the adder add, and once more": python(CALLS),
           "has the adder add as long as that answers": python(ASKS),
           "counts": feature_work.COUNT, "counts on a while after SIGTERM": feature_work.STUBBORN,
           # for a check that its gate fails
           "counts whatever its gate": "trap 'exit 0' TERM; " + feature_work.COUNT.replace(f"[ ! -e {feature_work.GATE} ]", ":"),
           "counts, then exits with 7": feature_work.COUNT + "; exit 7",
           "tells its times": feature_work.TIMES, "tells its times, then exits with 7": feature_work.TIMES + "; exit 7",
           # a file without a name, which the provider does not count as the work's disk
           "fills the disk": f"exec 3>/work/fill; rm /work/fill; cat /dev/zero >&3 2>/dev/null; while [ ! -e {feature_work.GATE} ]; do sleep 0.05; done",
           "writes 40 MiB, and counts": "head -c 40M /dev/zero >/work/large; " + feature_work.COUNT,
           'digests "large"': "sha256sum <large >digest; " + feature_work.COUNT,
           'leaves "large"': "head -c 128M /dev/urandom >large; sha256sum <large >digest; " + feature_work.COUNT,
           'leaves "word", and counts': f"echo whole >word; {feature_work.COUNT}",
           'leaves "word", counts, then exits with 7': f"echo whole >word; {feature_work.COUNT}; exit 7",
           "leaves files that only root reads, and counts": f"umask 077; cd /work; mkdir kept; id -u >kept/who; echo own >mine; {feature_work.COUNT}",
           "says bye on SIGTERM": "trap 'echo bye; exit 0' TERM; " + feature_work.COUNT}


def named(context, names):
    return [context.cluster.machines[name] for name in names.replace(",", " and").split(" and ")]


def work_of(context, name):
    """The ensemble that has, or had, an allocation of that name."""
    return next(ensemble for ensemble in context.ensembles.values() if name in ensemble.marks)


# --- deploying

OF_NODE = {"lease": "lease", "on loss": "on_loss", "node recovery": "failure_recovery"}
NOT_OF_ALLOCATION = ("deployment", "allocation", "copies", "node", "at", "needs", "redundancy", "escalation", "timeout", *OF_NODE)


def columns(row):
    """What a row of the table says beside the names: only what is there."""
    what = {key: row[key] for key in row.headings if key not in NOT_OF_ALLOCATION and row[key]}
    what |= {key: type(what[key]) for key, type in (("cores", float), ("memory", int), ("disk", int)) if key in what}
    if "script" in what:
        what["script"] = SCRIPTS.get(what["script"], what["script"])
    if file := what.pop("input", None):
        what["inputs"] = [{"to": file, "file": file}]
    if results := what.pop("results", None):
        what["results"] = results.split()
    if check := what.pop("check", None):
        what["healthcheck"] = {"type": "command", "exec": ["/bin/sh", "-c", check], "interval": "1s", "grace": "10m"}
    if needs := row.get("needs"):
        needed, condition = needs.split()
        what["depends_on"] = {needed: condition}
    return what


def copies(name, count):
    return [f"{name}{number}" for number in range(1, int(count) + 1)] if count else [name]


@given('the supervisor of "{deployment}" is')
def supervisor_is(context, deployment):
    """Of the deployment that comes after it."""
    context.supervisors = {deployment: json.loads(context.text)}


def ensembles_of(context):
    """From a table with a row for each allocation, or for `copies` of it, which are numbered from 1."""
    made = {}
    for row in context.table:
        ensemble = made.setdefault(row["deployment"], feature_work.Ensemble(context.cluster))
        node = {"name": row.get("node") or row["at"] or "place"} | {key: row[name] for name, key in OF_NODE.items() if row.get(name)}
        if row.get("redundancy"):
            node["redundancy"] = int(row["redundancy"])
        ensemble.timeout = row.get("timeout") or ensemble.timeout
        if row.get("escalation"):
            ensemble.members["escalation_strategy"] = row["escalation"]
        for name in copies(row["allocation"], row.get("copies")):
            ensemble.add(name, node=dict(node), peer=context.cluster.machines.get(row["at"]), **columns(row))
    for name in made.keys() & getattr(context, "supervisors", {}).keys():
        made[name].members["supervisor"] = context.supervisors[name]
    return made


@when('{name:w} deploys "{caller}" at {provider:w}, which calls "{behaviour}" of the node of {other:w}')
def deploys_caller(context, name, caller, provider, behaviour, other):
    """It prints `yes`, or why not."""
    machines = context.cluster.machines
    script = TALKS + f"""
answer = ask(op="invoke", to="{machines[other].did("dms")}", behaviour="{behaviour}", timeout=20000)
print("yes" if answer["ok"] else answer["error"], flush=True)
"""
    ensemble = feature_work.Ensemble(context.cluster).add(caller, python(script), peer=machines[provider], memory=256)
    context.ensembles = {**getattr(context, "ensembles", {}), caller: ensemble}
    ensemble.deploy(machines[name])


@then('"{name}" has written "{line}"')
def has_written(context, name, line):
    wait_for(lambda: line in work_of(context, name).output(name).splitlines(), f"{name} has written {line}", 60)


@then('the output of "{name}" mentions "{text}"')
def output_of_work_mentions(context, name, text):
    output = work_of(context, name).output(name)
    assert text in output, output


@when("{name:w} deploys")
def deploys(context, name):
    """`at` names a machine, or is empty: any that bids."""
    deployer, made = context.cluster.machines[name], ensembles_of(context)
    context.ensembles = {**getattr(context, "ensembles", {}), **made}
    in_parallel(lambda ensemble: ensemble.deploy(deployer), made.values())


def update_command(context, deployment):
    """What the user types, with the changed ensemble in a file."""
    old, new = context.ensembles[deployment], ensembles_of(context)[deployment]
    new.id, new.deployer, new.seen = old.id, old.deployer, old.seen
    for known, allocation in old.allocations.items():  # what is not changed keeps its mark
        if known in new.allocations:
            new.allocations[known]["execution"], new.marks[known] = allocation["execution"], old.marks[known]
    new.marks = old.marks | new.marks
    file = new.deployer.home / "update.yaml"
    file.write_text(new.text())
    context.ensembles[deployment] = new
    return ["actor", "cmd", "--context", "user", "/dms/node/deployment/update", "--id", new.id, "--spec-file", file, "--timeout", "120s"]


@when('{name:w} updates "{deployment}" to')
def updates(context, name, deployment):
    context.machine = context.cluster.machines[name]
    context.answer = context.machine.nunet(*update_command(context, deployment))


@when('{name:w} begins to update "{deployment}" to')
def begin_to_update(context, name, deployment):
    """Whether the command is answered does not matter: its daemon may be killed meanwhile."""
    in_background(context, context.cluster.machines[name], update_command(context, deployment))


@when('{name:w} shuts "{deployment}" down')
def shut_down(context, name, deployment):
    context.cluster.machines[name].must("deployment", "shutdown", context.ensembles[deployment].id)


@when('{name:w} begins to shut "{deployment}" down')
def begin_to_shut_down(context, name, deployment):
    """Whether the command is answered does not matter: its daemon may be killed meanwhile."""
    in_background(context, context.cluster.machines[name], ["deployment", "shutdown", context.ensembles[deployment].id])


def in_background(context, machine, arguments):
    command = threading.Thread(target=lambda: machine.nunet(*arguments, timeout=120), daemon=True)
    command.start()
    context.add_cleanup(lambda: command.join(120))


@given("further users, to whom bob grants these capabilities")
def further_users(context):
    """Each has a daemon of its own, connected to bob, and is the same person as the first user."""
    bob = context.cluster.machines["bob"]

    def join(row):
        machine = context.cluster.machine(row["user"])
        machine.make_identities(user_of=context.user)
        if row["accepts bids"] == "yes":
            machine.accept(bob)
        return machine
    machines = in_parallel(join, list(context.table))
    for row, machine in zip(context.table, machines):
        capabilities = [f"/dms/deployment/{name}" for name in row["of /dms/deployment"].split()]
        bob.accept(machine, "/public", "/broadcast", *capabilities)
    in_parallel(lambda machine: machine.start(), machines)
    for machine in machines:
        machine.connect(bob)


@step("{provider:w} grants {user:w} these of /dms/deployment: {names}")
def grants_more(context, provider, user, names):
    """To a further user, whose daemon accepts the bids of the provider from now on."""
    machines = context.cluster.machines
    machines[provider].accept(machines[user], "/public", "/broadcast", *(f"/dms/deployment/{name}" for name in names.split()))
    if machines[provider].peer_id() not in str(machines[user].peers()):
        machines[user].accept(machines[provider])
        machines[user].connect(machines[provider])


@when("{provider:w} revokes what it has granted {user:w}")
def revokes(context, provider, user):
    """A further user; last. Its daemon knows the revocation then."""
    machine = context.cluster.machines[provider]
    machine.must("cap", "revoke", "-c", "user", "--broadcast", machine.granted[user])


@given('{name:w} grants "{capability}" on its daemon to "{key}"')
def grants_on_daemon(context, name, capability, key):
    """The daemon knows the context from now on: what it refuses it, it explains."""
    machine = context.cluster.machines[name]
    token = machine.must("cap", "grant", "--context", "user", "--cap", capability, "--duration", "1h", machine.did(key)).out
    machine.must("cap", "anchor", "-c", "dms", "--require", token.strip())


@then('"{key}" of {name:w} is refused each of these by the name of the capability, and permitted it once that is granted')
def refused_until_granted(context, key, name):
    machine = context.cluster.machines[name]

    def kept(line):
        """Which deployments there are, with the status and the files of the one that the line names; and uploads."""
        listed = machine.must("deployment", "list", "--json").json
        folders = ["blobs", *(f"deployments/{id}" for id in listed if id in line)]
        files = {str(path) for folder in folders for path in (machine.work_dir / folder).rglob("*")}
        return {id: entry["status"] if id in line else "" for id, entry in listed.items()}, files
    for row in context.table:
        line = re.sub(r"<id of (\w+)>", lambda match: context.ensembles[match.group(1)].id, row["command"])
        command, before = [*shlex.split(line), "--context", key], kept(line)
        refused = machine.nunet(*command)
        assert refused.status == 3 and "not permitted" in refused.err and row["capability"] in refused.err, refused
        assert kept(line) == before, (before, kept(line))
        grants_on_daemon(context, name, row["capability"], key)

        def permitted():
            answer = machine.nunet(*command)
            if answer.status:
                raise ClusterError(answer)
            return True
        wait_for(permitted, f"{line} is permitted", 10)


@then("each of these has failed with its reason")
def each_failed(context):
    for row in context.table:
        status = context.ensembles[row["deployment"]].wait("Failed", timeout=150)
        assert row["reason"] in status["Error"], status


@given('{name:w} has the file "{file}"')
def has_file(context, name, file):
    """`<peer of NAME>` becomes the peer id of that machine."""
    path = context.cluster.machines[name].home / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(re.sub("<peer of (\\w+)>", lambda match: context.cluster.machines[match[1]].peer_id(), context.text) + "\n")


@when('{name:w} deploys the file "{file}" as "{deployment}"')
def deploys_file(context, name, file, deployment):
    """The work of its allocation X carries the mark `mark-of-X`."""
    ensemble = feature_work.Ensemble(context.cluster)
    ensemble.deployer = context.cluster.machines[name]
    ensemble.id = ensemble.deployer.must("deploy", "-f", ensemble.deployer.home / file).out.strip()
    text = (ensemble.deployer.home / file).read_text()
    ensemble.allocations = dict.fromkeys(re.findall(r"^  ([\w-]+):\n    executor:", text, re.M))
    ensemble.marks = {name: f"mark-of-{name}" for name in ensemble.allocations}
    context.ensembles = {**getattr(context, "ensembles", {}), deployment: ensemble}


@then('"{name}" is healthy')
def is_healthy(context, name):
    ensemble = work_of(context, name)
    wait_for(lambda: ensemble.status()["Allocations"][name].get("health") == "healthy", f"{name} is healthy")


@then('"{name}" is restarted')
def is_restarted(context, name):
    ensemble = work_of(context, name)
    wait_for(lambda: ensemble.status()["Allocations"][name].get("restarts"), f"{name} is restarted", 60)


@then('"{name}" has been restarted once')
def has_been_restarted_once(context, name):
    restarts = work_of(context, name).status()["Allocations"][name].get("restarts")
    assert restarts == 1, restarts


@then('the file "{file}" names the deployment "{deployment}" with the allocation "{name}"')
def file_names_deployment(context, file, deployment, name):
    """One that was deployed by typing; its work carries the mark `job-description`."""
    ensemble = feature_work.Ensemble(context.cluster)
    ensemble.deployer, ensemble.id = context.machine, (context.machine.home / file).read_text().strip()
    ensemble.allocations[name], ensemble.marks[name] = {}, "job-description"
    context.ensembles = {**getattr(context, "ensembles", {}), deployment: ensemble}


# --- states

@then("the deployments are")
def deployments_are(context):
    for row in context.table:
        context.ensembles[row["deployment"]].wait(row["status"])


@then('deployment "{deployment}" is {status:w}')
def deployment_is(context, deployment, status):
    states = {"preparing": "Preparing", "committing": "Committing", "provisioning": "Provisioning", "running": "Running",
              "completed": "Completed", "failed": "Failed", "ending": "ShuttingDown"}
    context.status = context.ensembles[deployment].wait(states[status])


@then('the reason of "{deployment}" mentions "{text}"')
def reason_mentions(context, deployment, text):
    def mentions():
        status = context.ensembles[deployment].status()
        if text.lower() in str(status).lower():
            return True
        raise ClusterError(status)
    wait_for(mentions, f"the status of {deployment} mentions {text}", 90)


@then('"{name}" runs')
@then('"{name}" runs once')
def runs(context, name):
    work_of(context, name).running(name)


@then('"{name}" runs twice')
def runs_twice(context, name):
    work_of(context, name).running(name, 2)


@then('"{name}" does not run')
def does_not_run(context, name):
    wait_for(lambda: not work_of(context, name).processes(name), f"{name} does not run")


@then('"{name}" runs at {provider:w} within {seconds:d} s')
def runs_at_within(context, name, provider, seconds):
    """Since the step before."""
    begin = time.monotonic()
    runs_at(context, name, provider)
    assert (took := time.monotonic() - begin) <= seconds, f"{name} ran at {provider} after {took:.1f} s"


@then('"{name}" runs at {provider:w}')
def runs_at(context, name, provider):
    ensemble, peer = work_of(context, name), context.cluster.machines[provider].peer_id()

    def there():
        found = ensemble.status().get("Allocations", {}).get(name, {})
        return found.get("peer") == peer and found.get("status") == "running"
    wait_for(there, f"{name} runs at {provider}", 60)
    ensemble.running(name)


@then('"{name}" counts on')
def counts_on(context, name):
    work_of(context, name).counts_on(name)


@then('"{name}" counts on for {seconds:d} s')
def counts_on_for(context, name, seconds):
    """At least: a number takes 50 ms, and is written in 5 bytes at most by then."""
    work_of(context, name).counts_on(name, seconds * 20 * 5)


@when('the gate of "{name}" is opened')
def gate_is_opened(context, name):
    work_of(context, name).open_gate(name)


@when('the gates of "{first}" to "{last}" are opened')
def gates_are_opened(context, first, last):
    """Of allocations that differ in their numbers."""
    name, number = re.fullmatch(r"(.*?)(\d+)", last).groups()
    in_parallel(lambda copy: work_of(context, copy).open_gate(copy), copies(name, number))


def actors_of(context, name, deployment):
    """By their inboxes, as that machine shows them."""
    return context.cluster.machines[name].must("actor", "tree", "--deployment", context.ensembles[deployment].id, "--json").json


def shows(look, expected, what):
    """Waits until `look()` is as expected; the error says how it is."""
    def found():
        if (seen := look()) == expected:
            return True
        raise ClusterError(f"{seen}, not {expected}")
    wait_for(found, what, 60)


@then('the actor of "{deployment}" at {name:w} supervises at {provider:w}')
def supervises(context, deployment, name, provider):
    """From a table, in its order."""
    id, peer = context.ensembles[deployment].id, context.cluster.machines[provider].peer_id()

    def look():
        supervision = actors_of(context, name, deployment)[id]["deployment"]["supervision"]
        pairs = [(supervisor, child) for supervisor in supervision["children"] for child in supervisor["children"]]
        return [(supervisor["name"], child["name"], child.get("allocation", {}).get("peer"), child.get("phase"), child.get("restarts", 0))
                for supervisor, child in pairs]
    shows(look, [(row["supervisor"], row["allocation"], peer, row["phase"], int(row["restarts"])) for row in context.table],
          f"{name} shows what {deployment} supervises")


def below(supervised):
    """(name, what the actor tree says of it), of all that the supervisor and those below it supervise."""
    for child in supervised.get("children") or []:
        yield child["name"], child
        yield from below(child)


@then("exactly these were started again")
def started_again(context):
    """Says the status of their deployment, and the actor tree. A row may be of copies."""
    rows = {name: (row["status"], int(row["restarts"])) for row in context.table for name in copies(row["allocation"], row.get("copies"))}
    ensembles = {id(ensemble): ensemble for ensemble in (work_of(context, name) for name in rows)}.values()

    def look():
        found = {}
        for ensemble in ensembles:
            tree = ensemble.deployer.must("actor", "tree", "--deployment", ensemble.id, "--json").json
            by_tree = dict(below(tree[ensemble.id]["deployment"]["supervision"]))
            for name, state in ensemble.status()["Allocations"].items():
                restarts = state.get("restarts", 0), by_tree[name].get("restarts", 0)
                found[name] = state["status"], restarts[0] if restarts[0] == restarts[1] else restarts
        return found
    shows(look, rows, "all were started again as often as they should")


@then('the supervisors of "{deployment}" were started again')
def supervisors_started_again(context, deployment):
    ensemble = context.ensembles[deployment]

    def look():
        tree = ensemble.deployer.must("actor", "tree", "--deployment", ensemble.id, "--json").json
        found = below(tree[ensemble.id]["deployment"]["supervision"])
        return {name: child.get("restarts", 0) for name, child in found if name not in ensemble.marks}
    shows(look, {row["supervisor"]: int(row["restarts"]) for row in context.table}, f"the supervisors of {deployment} were started again")


@then("by what they have written themselves, {stopped} stopped and {started} started, in this order")
def stopped_and_started(context, stopped, started):
    """Those that have stopped say so in the output of the run before."""
    def told(name, word, *more):
        ensemble = work_of(context, name)
        lines = ensemble.deployer.must("deployment", "logs", ensemble.id, "-a", name, *more).out.splitlines()
        times = [line.split()[1] for line in lines if line.startswith(word)]
        assert len(times) == 1, (name, lines)
        return float(times[0]), f"{name} {word}"

    def look():
        again = started.split(", ")
        stops = [told(name, "stop", *(["--previous"] if name in again else [])) for name in stopped.split(", ")]
        times = stops + [told(name, "start") for name in again]
        if times == sorted(times) and len({time for time, _ in times}) == len(times):
            return True
        raise ClusterError(times)
    wait_for(look, "they stopped and started in this order", 20)


@then('the allocations {names} of "{deployment}" are actors at {provider:w}, supervised from {name:w}')
def are_supervised(context, names, deployment, provider, name):
    id, orchestrator = context.ensembles[deployment].id, context.cluster.machines[name]
    whose, by = orchestrator.did("dms"), {"host": orchestrator.peer_id(), "inbox": id}

    def look():
        actors = actors_of(context, provider, deployment)
        held = [actor for inbox, actor in actors.items() if inbox != "root"]
        return sorted((actor["allocation"]["id"], actor["allocation"]["status"], actor["allocation"]["orchestrator"], actor["parent"],
                       str(actor["supervisor"]["addr"])) for actor in held)
    shows(look, [(f"{id}_{allocation}", "running", whose, "root", str(by)) for allocation in names.replace(",", " and").split(" and ")],
          f"{provider} shows the allocations of {deployment}")


@then('{provider:w} knows that "{name}" has ended')
def knows_end(context, provider, name):
    machine = context.cluster.machines[provider]

    def ended():
        states = {entry["status"] for entry in feature_work.allocations_at(machine) if name in str(entry)}
        return not states & {"pending", "running", "restarting"}  # none: its end was collected already
    wait_for(ended, f"{provider} knows that {name} has ended")


# --- results

@then('the output of "{name}" is whole')
def output_is_whole(context, name):
    work_of(context, name).check_count(name)


@then('the output of "{name}" ends in "{line}"')
def output_ends_in(context, name, line):
    lines = work_of(context, name).output(name).splitlines()
    assert lines and lines[-1] == line, lines[-3:]


@then('the usage of "{name}" is known')
def usage_is_known(context, name):
    ensemble = work_of(context, name)
    info = ensemble.deployer.must("deployment", "info", ensemble.id, "--json").json["Allocations"][name]
    assert info.get("cpu_seconds", 0) > 0 and info.get("memory_bytes", 0) > 0, info


@then('the output of "{name}" has no gap')
def output_has_no_gap(context, name):
    work_of(context, name).check_count(name, ended=False)


@then("nothing is left at {names}")
def nothing_is_left(context, names):
    """Of the allocations there; nor, of deployments that have ended, anything at their orchestrators but what came back."""
    nothing_is_left_on_both_sides(context, named(context, names))


def nothing_is_left_on_both_sides(context, providers):
    in_parallel(feature_work.nothing_is_left, providers)
    machines = context.cluster.machines.values()
    if all(machine.goes_on() for machine in machines):  # else a provider may hold something that it cannot be asked about
        in_parallel(feature_work.only_what_came_back, [machine for machine in machines if machine not in providers])


@then("nothing of the deployments is left at {names}")
def nothing_of_deployments(context, names):
    """Which were deleted: neither a row of the store, nor a file or folder, nor an actor."""
    ids = [ensemble.id for ensemble in context.ensembles.values()]
    for machine in named(context, names):
        found = stored_records.naming(machine, ids)
        assert not found, found
        feature_work.wait_empty(lambda: list(machine.work_dir.rglob("*.part")), f"{machine.name} has no part of a file")
        assert not feature_work.actors_at(machine), f"{machine.name} has {feature_work.actors_at(machine)} actors"


@then("{name:w} has no allocation")
def has_no_allocation(context, name):
    """Running or ended; something may be reserved."""
    machine = context.cluster.machines[name]
    feature_work.wait_empty(lambda: feature_work.allocations_at(machine), f"{name} has no allocation")


@then("{name:w} has swept away what it kept")
def has_swept(context, name):
    """Providers sweep once in a minute."""
    machine = context.cluster.machines[name]
    wait_for(lambda: not feature_work.allocations_at(machine), f"{name} has no allocation", 150)


@then("nothing runs at {names}")
def nothing_runs(context, names):
    in_parallel(feature_work.nothing_runs, named(context, names))


@then("no container of {name:w} is left")
def no_container(context, name):
    feature_work.no_container_is_left(context.cluster.machines[name])


@then("no watcher of {name:w} is left")
def no_watcher(context, name):
    machine = context.cluster.machines[name]
    feature_work.wait_empty(lambda: feature_work.work_at(machine), f"{name} has no process beside its daemon")


@when("the Docker engine is {where:w} reach of {name:w}")
@when("the Docker engine is {where:w} of reach of {name:w}")
def docker_in_reach(context, where, name):
    context.cluster.machines[name].reach_docker(where == "in")


@given("the Docker engine of {name:w} holds what it loads")
def docker_holds(context, name):
    machine = context.cluster.machines[name]
    machine.docker_socket.unlink()
    context.gate = EngineGate(machine.docker_socket, DOCKER_SOCKET)
    context.add_cleanup(context.gate.close)


@when("the Docker engine of {name:w} goes on")
def docker_goes_on(context, name):
    context.gate.open()


@then('the status of "{deployment}" shows "{text}"')
def status_shows(context, deployment, text):
    ensemble = context.ensembles[deployment]

    def shows():
        status = ensemble.deployer.must("deployment", "status", ensemble.id).out
        if text in status:
            return True
        raise ClusterError(status)
    wait_for(shows, f"the status of {deployment} shows {text}", 60)


@then('the status of "{deployment}" does not show "{text}"')
def status_does_not_show(context, deployment, text):
    ensemble = context.ensembles[deployment]
    status = ensemble.deployer.must("deployment", "status", ensemble.id).out
    assert text not in status, status


@then('the log of {name:w} does not say "{text}"')
def log_does_not_say(context, name, text):
    log = context.cluster.machines[name].log.read_text(errors="replace")
    assert text not in log, [line for line in log.splitlines() if text in line]


@then('the log of {name:w} says "{text}"')
def log_says(context, name, text):
    machine = context.cluster.machines[name]
    wait_for(lambda: text in machine.log.read_text(errors="replace"), f"the log of {name} says {text}", timeout=90)


# --- daemons

@when("the daemon of {names} is killed")
def kill(context, names):
    for machine in named(context, names):
        machine.kill()


@when("the daemon of {names} is started and connected")
def start_connected(context, names):
    """They connect by themselves."""
    machines = named(context, names)
    in_parallel(lambda machine: machine.start(), machines)
    user = context.user
    others = context.providers if user in machines else machines
    for machine in others:
        if machine.process:
            found(user, machine)


def found(user, machine):
    peer = machine.peer_id()
    wait_for(lambda: peer in str(user.peers()), f"the daemon of {user.name} is connected to {machine.name}", timeout=90)


@when("the daemon of {names} is started")
def start(context, names):
    in_parallel(lambda machine: machine.start(), named(context, names))


@then("{name:w} and {other:w} find each other")
def find_each_other(context, name, other):
    found(context.cluster.machines[name], context.cluster.machines[other])


@when("the daemon of {name:w} is stopped")
def stop(context, name):
    context.cluster.machines[name].stop()


@when("the daemon of {name:w} is suspended")
def suspend(context, name):
    context.cluster.machines[name].suspend()


@when("the daemon of {name:w} is resumed")
def resume(context, name):
    context.cluster.machines[name].resume()


@when("the machine {name:w} is killed")
def kill_machine(context, name):
    context.cluster.machines[name].kill_all()


@when("the machine {name:w} is suspended")
def suspend_machine(context, name):
    context.cluster.machines[name].suspend_all()


@when("the machine {name:w} is resumed")
def resume_machine(context, name):
    context.cluster.machines[name].resume_all()


@given("providers grant leases of {least} and more")
def grants_leases(context, least):
    """A setting of the machines that come after it."""
    context.cluster.settings["job"] = {"min_lease": least}


@given("providers grant leases of {least} and more, and keep what has ended for {retention}")
def grants_leases_and_keeps(context, least, retention):
    context.cluster.settings["job"] = {"min_lease": least, "retention": retention}


@then('{bidder:w} has bid for "{deployment}"')
def has_bid(context, bidder, deployment):
    ensemble, peer = context.ensembles[deployment], context.cluster.machines[bidder].peer_id()
    log = ensemble.deployer.log
    wait_for(lambda: any(ensemble.id in line and f"{peer} bids" in line for line in log.read_text(errors="replace").splitlines()),
             f"{bidder} bids for {deployment}")


@then("{name:w} has reserved something")
def has_reserved(context, name):
    wait_for(lambda: feature_work.reserved(context.cluster.machines[name]), f"{name} has reserved something", 10, 0.02)


@when('the gate of "{name}" is opened, if it still runs')
def gate_is_opened_if_it_runs(context, name):
    """Its time to end may have passed meanwhile: then it was ended."""
    work_of(context, name).open_gate(name, must=False)


@when("the daemon of {name:w} is resumed, if it was not killed")
def resume_if_there(context, name):
    if context.cluster.machines[name].process:
        context.cluster.machines[name].resume()


@then('the exit code of "{name}" is {code:d}')
def exit_code_is(context, name, code):
    status = work_of(context, name).status()
    assert status["Allocations"][name]["exit_code"] == code, status


@then('{provider:w} has reserved {memory:d} MiB for "{name}"')
def reserved_for(context, provider, memory, name):
    def sizes():
        found = feature_work.allocations_at(context.cluster.machines[provider])
        return [entry["resources"]["ram"]["size"] for entry in found if entry["id"].endswith(name)]
    wait_for(lambda: sizes() == [memory << 20], f"{provider} has reserved {memory} MiB for {name}")


# --- providers that do not keep to the protocol

@given("daemons log what they do in detail")
def logs_in_detail(context):
    """A setting of the machines that come after it."""
    context.cluster.settings["general"] = {"debug": True}


@then('{provider:w} has told the end of "{name}" {count:d} times without an answer')
def has_told(context, provider, name, count):
    log = context.cluster.machines[provider].log
    wait_for(lambda: len(re.findall(f"of the end of \\S*{name}:", log.read_text(errors="replace"))) >= count,
             f"{provider} has told the end of {name} {count} times", 90)


@when('{liar:w} tells {name:w} that "{allocation}" has failed')
def tells_a_lie(context, liar, name, allocation):
    """With the key of its daemon, which serves another node of the deployment."""
    ensemble, liar = work_of(context, allocation), context.cluster.machines[liar]
    manifest = context.cluster.machines[name].must("deployment", "manifest", ensemble.id).json["manifest"]
    known = next(entry for entry in manifest["allocations"].values() if entry["id"].endswith(allocation))
    notice = {"allocation_id": known["id"], "status": "failed", "error": {"err": "lie", "exit_code": 1, "killed": False},
              "stdout": None, "stderr": None, "incarnation": ensemble.status()["Allocations"][allocation]["incarnation"]}
    message = liar.must("actor", "msg", "--context", "dms", "--invoke", "--timeout", "5s", "--dest",
                        json.dumps(manifest["orchestrator"]), "/dms/orchestrator/task-termination", json.dumps(notice)).out
    context.machine, context.answer = liar, liar.nunet("actor", "invoke", "-", input=message)


# --- more than one run

@when('{owner:w} halts what runs of "{name}", and says nothing')
def halts_work(context, owner, name):
    """The owner of a machine: its daemon is not told, and has the processes as before."""
    group = work_of(context, name).processes(name)
    for pid in group:  # grows
        group += [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        os.kill(pid, signal.SIGSTOP)


@when('"{name}" is watched')
def is_watched(context, name):
    """Looks at its processes, again and again, until the scenario ends or asks."""
    ensemble = work_of(context, name)
    watch = context.watch = {"most": 0, "looks": 0, "runs": set(ensemble.processes(name)), "ended": threading.Event()}

    def look():
        while not watch["ended"].wait(0.05):
            found = ensemble.processes(name)
            watch["most"], watch["looks"] = max(watch["most"], len(found)), watch["looks"] + 1
            watch["runs"].update(found)
    watch["thread"] = threading.Thread(target=look, daemon=True)
    watch["thread"].start()
    context.add_cleanup(watch["ended"].set)


def end_watch(context):
    context.watch["ended"].set()
    context.watch["thread"].join(10)
    assert context.watch["looks"], context.watch


@then('"{name}" never ran twice at once')
def never_twice(context, name):
    end_watch(context)
    assert context.watch["most"] == 1, context.watch


@then('"{name}" ran only once')
def only_once(context, name):
    """Since it is watched: no other process has run it, neither beside the first nor after it."""
    end_watch(context)
    assert len(context.watch["runs"]) == 1, context.watch


@then('"{name}" runs at {provider:w}, beside the run at {other:w}')
def runs_beside(context, name, provider, other):
    ensemble, peer = work_of(context, name), context.cluster.machines[provider].peer_id()
    wait_for(lambda: ensemble.status().get("Allocations", {}).get(name, {}).get("peer") == peer, f"{name} is at {provider}", 60)
    ensemble.running(name, 2)


# --- connections

@when("{name:w} is cut off")
def is_cut_off(context, name):
    context.cluster.cut_off(name)


@when("{name:w} is reachable again")
def is_reachable(context, name):
    context.cluster.reach_again(name)


@then('the orchestrator of "{name}" hears of it again')
def hears_again(context, name):
    """The machine that the allocation is on answers."""
    ensemble = work_of(context, name)
    wait_for(lambda: "unreachable_for" not in ensemble.status()["Allocations"][name], f"{name} is heard of", 60)


# --- cancelling, changing, listing

@when("{name:w} shuts all of them down at once")
def shut_all_down(context, name):
    machine = context.cluster.machines[name]
    in_parallel(lambda ensemble: machine.must("deployment", "shutdown", ensemble.id, timeout=120), context.ensembles.values())


def listed(context):
    return set(context.answer.json)


@then("the answer lists the deployments")
def lists_all(context):
    assert listed(context) == {ensemble.id for ensemble in context.ensembles.values()}, context.answer


@then("the answer lists none of the deployments")
def lists_none(context):
    assert not listed(context), context.answer


@when('{name:w} deletes "{deployment}" and prunes the rest')
def deletes_and_prunes(context, name, deployment):
    machine, ensemble = context.cluster.machines[name], context.ensembles[deployment]
    machine.cmd("/dms/node/deployment/delete", "--id", ensemble.id)
    pruned = set(machine.cmd("/dms/node/deployment/prune")["Deployments"])
    assert pruned == {other.id for other in context.ensembles.values()} - {ensemble.id}, pruned


@then('a machine stands by for "{name}"')
def stands_by(context, name):
    ensemble = work_of(context, name)
    context.standby = wait_for(lambda: ensemble.status()["Allocations"][name].get("standbys"), f"{name} has a standby", 60)[0]


@then('the same machine stands by for "{name}"')
def still_stands_by(context, name):
    assert work_of(context, name).status()["Allocations"][name].get("standbys") == [context.standby], context.standby


@then('"{name}" runs on the machine that stood by')
def runs_on_standby(context, name):
    ensemble = work_of(context, name)

    def is_there():
        state = ensemble.status()["Allocations"][name]
        return state["peer"] == context.standby and state["status"] == "running"

    wait_for(is_there, f"{name} runs on {context.standby}")


@then('"{name}" has the same process as before')
def same_process(context, name):
    """As when a step last looked; whatever its output."""
    ensemble = work_of(context, name)
    before = ensemble.seen.get(name)
    assert before, f"no step has looked at the processes of {name} before"
    now = ensemble.running(name)
    assert now == before, f"{name} ran as {before}, and runs as {now}"


@then('"{name}" has the same run as before')
def same_run(context, name):
    """As when a step last looked. It counts from 1 without a gap, and is the only one."""
    same_process(context, name)
    work_of(context, name).check_count(name, ended=False)


# --- disks

@given("the work folder of {name:w} is a disk of {size:d} MiB")
def small_disk(context, name, size):
    """Of the machine that comes after it."""
    context.cluster.disks[name] = f"{size}m"


def free_bytes(context, name):
    return shutil.disk_usage(context.cluster.machines[name].work_dir).free


@when("the disk of {name:w} is full")
def fill_disk(context, name):
    """To the last byte."""
    with open(context.cluster.machines[name].work_dir / "ballast", "wb", buffering=0) as ballast:
        for size in (1 << 16, 1):
            with contextlib.suppress(OSError):
                while ballast.write(b"." * size):
                    pass


@then("the disk of {name:w} is full of work")
def filled_disk(context, name):
    wait_for(lambda: free_bytes(context, name) == 0, f"the disk of {name} is full")


@then("the disk of {name:w} has room")
def disk_has_room(context, name):
    wait_for(lambda: free_bytes(context, name) > 16 << 20, f"the disk of {name} has room")


@when("the disk of {name:w} has room again")
def empty_disk(context, name):
    (context.cluster.machines[name].work_dir / "ballast").unlink()


@then("{name:w} answers")
def answers(context, name):
    context.cluster.machines[name].cmd("/dms/node/peers/self")


@then('the output of "{name}" is told where it is incomplete')
def output_is_told(context, name):
    """Nothing is there twice or out of order; what could not be stored is mentioned."""
    ensemble = work_of(context, name)
    logs = ensemble.deployer.must("deployment", "logs", ensemble.id, "-a", name)
    lines = logs.out.splitlines()
    numbers = [int(line) for line in lines if line.isdigit()]
    assert lines[0] == "begin" and numbers == sorted(set(numbers)), logs
    whole = lines[-1] == "end" and numbers == list(range(1, len(numbers) + 1))
    assert whole or any(word in logs.err for word in ("bytes", "dropped", "missing")), logs


# --- clocks

@given("the clock of {name:w} can be set")
def settable_clock(context, name):
    """Of the machine that comes after it: its daemon's time of day, not its monotonic time."""
    context.cluster.clocks.add(name)


@when("the clock of {name:w} is set to {offset}")
def set_clock(context, name, offset):
    context.cluster.machines[name].set_clock(int(offset))


@then("{provider:w}'s work \"{name}\" has ended")
def work_has_ended(context, provider, name):
    """Seen by its processes: the provider's clock may not allow to ask its daemon."""
    wait_for(lambda: not work_of(context, name).processes(name), f"{name} has ended")
