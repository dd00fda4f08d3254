"""Revocations, and the status of a node."""

import re
import socket

from behave import given, then, when

from feature_world import identities, in_parallel
from nunet_cluster import ClusterError, wait_for


@given('machines "{first:w}", "{second:w}" and "{third:w}" that trust the organisation "{org:w}" of {owner:w}')
def trust_organisation(context, first, second, third, org, owner):
    machines = [context.cluster.machine(name) for name in (first, second, third)]
    home = context.cluster.machines[owner]

    def make():
        in_parallel(lambda machine: machine.make_identities(), machines)
        home.new_context(org)
        for machine in machines:
            machine.must("cap", "anchor", "-c", "dms", "--root", home.did(org))

    identities("organisation", machines, make)


@when("the daemons of {first:w}, {second:w} and {third:w} are started and connected")
def start_and_connect(context, first, second, third):
    machines = [context.cluster.machines[name] for name in (first, second, third)]
    in_parallel(lambda machine: machine.start(), machines)
    for machine in machines[1:]:
        machines[0].connect(machine)


def answers(context, key, name, other):
    machine = context.cluster.machines[name]
    finished = machine.nunet("actor", "cmd", "--context", key, "--timeout", "3s", "--dest",
                             context.cluster.machines[other].peer_id(), "/dms/node/peers/self")
    return finished.status == 0, finished


@then('"{key}" of {name:w} is answered by {first:w} and by {second:w}')
def is_answered(context, key, name, first, second):
    for other in (first, second):
        answered, finished = answers(context, key, name, other)
        assert answered, finished


REFUSED = re.compile(r"refused /dms/node/peers/self\b.*\breason=\"?not permitted")


@then('"{key}" of {name:w} is refused by {first:w} and by {second:w}')
def is_refused(context, key, name, first, second):
    """To the caller, a refusal is no answer; who refuses logs why, and answers another caller meanwhile."""
    for other in (first, second):
        machine = context.cluster.machines[other]

        def refused(machine=machine, other=other):
            before = len(REFUSED.findall(machine.log.read_text(errors="replace")))
            answered, finished = answers(context, key, name, other)
            if answered:
                raise ClusterError(finished)
            return len(REFUSED.findall(machine.log.read_text(errors="replace"))) > before
        wait_for(refused, f"{other} refuses {key}")
        machine.cmd("/dms/node/peers/self", context="dms")


@then("{name:w} has the revocation")
def has_revocation(context, name):
    machine = context.cluster.machines[name]
    wait_for(lambda: machine.cmd("/dms/cap/list")["Revoke"].get("tok"), f"{name} has the revocation")


@then('the status of {name:w} has its host, network and settings and not "{secret}"')
def status_without_secrets(context, name, secret):
    machine = context.cluster.machines[name]
    status = context.answer.json[machine.peer_id()]
    assert status["hostname"] == socket.gethostname(), status
    assert any("127.0.0.1/8" in each["ip"] for each in status["network"]["interfaces"]), status
    assert status["config"]["rest"]["port"] == machine.rest_port, status["config"]
    assert status["errors"] == [], status
    assert secret not in context.answer.out and "apm" not in status["config"], status["config"]
