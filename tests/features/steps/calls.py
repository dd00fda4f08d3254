"""Calls between actors, which are nodes and the work of allocations."""

import itertools
import json
import pathlib
import threading

from behave import then, when

import feature_work
from feature_world import in_parallel
from nunet_cluster import ClusterError, wait_for
from scenario_work import work_of
from work_scripts import ANSWERED, ASKED, TALKS, python

NUMBERS = itertools.count(1)


class Node:
    """The key of its daemon signs, the command line sends."""

    def __init__(self, context, name):
        self.machine = context.cluster.machines[name]
        self.did = self.machine.did("dms")
        self.name = self.handle = self.did  # whom others call

    def call(self, callee, method, payload, timeout):
        """Whether there is a reply, and what it is or why not."""
        message = self.machine.must("actor", "msg", "--context", "dms", "--invoke", "--timeout", f"{timeout}s", "--dest", callee.handle,
                                    callee.on_network(method), json.dumps(payload)).out
        answer = self.machine.nunet("actor", "invoke", "-", input=message)
        return answer.status == 0, answer.out if answer.status == 0 else answer.err

    def on_network(self, method):
        return method

    def has_written(self, line):
        return False


class Work:
    """Of an allocation that adds for others, and calls whom it is told to."""

    def __init__(self, context, name):
        self.lock, self.name, self.ensemble = threading.Lock(), name, work_of(context, name)
        wait_for(self.is_ready, f"{name} is ready to add", 60)
        peer = self.ensemble.status()["Allocations"][name]["peer"]
        self.machine = next(machine for machine in context.cluster.machines.values() if machine.peer_id() == peer)
        self.root = pathlib.Path(f"/proc/{self.ensemble.running(name)[0]}/root")
        identity = self.say(op="whoami")["payload"]
        self.did, self.handle, self.ensemble_path = identity["did"], identity["handle"], identity["namespace"].removesuffix("/work")

    def is_ready(self):
        output = self.ensemble.output(self.name)
        if "ready to add" in output.splitlines():
            return True
        raise ClusterError(f"it has written {output!r}")

    def say(self, **line):
        """A line to its socket, by the work itself; what is answered."""
        with self.lock:
            return self.say_next(line)

    def say_next(self, line):
        number = next(number for number in itertools.count(1) if not self.path(ASKED, number).exists())
        part = self.root / f"{ASKED}.part".lstrip("/")
        part.write_text(json.dumps(line))
        part.rename(self.path(ASKED, number))
        wait_for(self.path(ANSWERED, number).exists, f"{self.name} has an answer to {line}")
        return json.loads(self.path(ANSWERED, number).read_text())

    def path(self, file, number):
        return self.root / f"{file}{number}".lstrip("/")

    def call(self, callee, method, payload, timeout):
        answer = self.say(op="invoke", to=callee.name, behaviour=method, payload=payload, timeout=timeout * 1000)
        return answer["ok"], json.dumps(answer["payload"] if answer["ok"] else answer["error"])

    def on_network(self, method):
        return self.ensemble_path + method

    def has_written(self, line):
        return line in self.ensemble.output(self.name).splitlines()


def actor(context, words):
    """`node of NAME`, or the name of an allocation."""
    kind, _, name = words.rpartition(" of ")
    return Node(context, name) if kind == "node" else Work(context, words)


def distance(caller, callee):
    one, other = caller.machine.plan, callee.machine.plan
    return "same host" if one is other else "other host" if (one.region, one.nat) == (other.region, other.nat) else "other subnet"


def check_call(entry):
    number, row, caller, callee = entry
    assert distance(caller, callee) == row["to"], (row, distance(caller, callee))
    ok, answer = caller.call(callee, row["method"], [number, 1000], 20)
    assert ok and (callee.did in answer if row["method"] == "/public/hello" else json.loads(answer) == number + 1000), (row, answer)
    if row["method"] == "/work/add":
        line = f"added {number} 1000 for {caller.did}"
        wait_for(lambda: callee.has_written(line), f"{row['callee']} has {line}")


def check_refused(entry):
    number, row, caller, callee = entry
    assert distance(caller, callee) == row["to"], (row, distance(caller, callee))
    method, _, why = row["refused"].partition(": ")
    ok, answer = caller.call(callee, method, [number, 2000], 2)
    assert not ok and why in answer, (row, answer)
    assert method != "/work/add" or not callee.has_written(f"added {number} 2000 for {caller.did}"), row


@then("each of these calls runs its method at its callee, and what is refused runs nothing")
def calls_run(context):
    """`/public/hello` answers with the callee's DID; `/work/add` with a sum, and the callee writes what it has added for whom.
    `refused` is a method and why: an actor gives no reply to a caller without the capability."""
    names = list(dict.fromkeys(words for row in context.table for words in (row["caller"], row["callee"])))
    actors = dict(zip(names, in_parallel(lambda words: actor(context, words), names)))
    rows = [(number, row, actors[row["caller"]], actors[row["callee"]]) for number, row in enumerate(context.table, 1)]
    in_parallel(check_call, [entry for entry in rows if entry[1]["method"]])
    in_parallel(check_refused, [entry for entry in rows if entry[1]["refused"]])


@then('"{name}" has "{other}" add')
def has_add(context, name, other):
    """By one call, of which the callee writes what it has added."""
    caller, number = Work(context, name), next(NUMBERS)
    answer = caller.say(op="invoke", to=other, behaviour="/work/add", payload=[number, 3000], timeout=20000)
    assert answer.get("payload") == number + 3000, answer
    line = f"added {number} 3000 for {caller.did}"
    wait_for(lambda: line in caller.ensemble.output(other).splitlines(), f"{other} has {line}")


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
