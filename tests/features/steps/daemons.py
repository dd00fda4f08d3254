"""Machines, their daemons, and the REST API."""

import json
import pathlib
import socket

from behave import given, then, when

import nunet_cluster
from feature_world import amounts, free, identities
from libp2p_wire import Tap


@given('a machine "{name:w}"')
def a_machine(context, name):
    context.machine = context.cluster.machine(name)


@given('a machine "{name:w}" with identities')
def a_machine_with_identities(context, name):
    machine = context.machine = context.cluster.machine(name)
    identities(f"alone-{name}", [machine], machine.make_identities)


@given("the daemon of {name:w} runs as a user in the group of the Docker engine")
def not_root(context, name):
    """Of the machine that comes after it."""
    context.cluster.users[name] = "nobody"


@given("{name:w}'s daemon is started")
@when("{name:w}'s daemon is started")
def start(context, name):
    context.cluster.machines[name].start()


@given("{name:w}'s REST port is taken by another process")
def take_port(context, name):
    taken = socket.socket()
    context.add_cleanup(taken.close)
    taken.bind(("127.0.0.1", context.cluster.machines[name].rest_port))
    taken.listen()


@when("{name:w}'s daemon is started and its socket answers")
def start_with_socket_only(context, name):
    machine = context.cluster.machines[name]
    machine.healthy = lambda: machine.nunet("actor", "cmd", "--context", "user", "/dms/node/peers/self").status == 0
    machine.start()


@when("{name:w}'s daemon is stopped")
def stop(context, name):
    context.cluster.machines[name].stop()


@when("{name:w}'s daemon is killed")
def kill(context, name):
    context.cluster.machines[name].kill()


@then("no process of {name:w} is left")
def no_process(context, name):
    left = list(nunet_cluster.processes_of(context.cluster.machines[name].home))
    assert not left, left


@then("{name:w}'s ports are free")
def ports_free(context, name):
    machine = context.cluster.machines[name]
    assert nunet_cluster.port_is_free(machine.rest_port) and nunet_cluster.port_is_free(machine.p2p_port)


@then('GET "{path}" on {name:w} answers "{member}" with "{value}"')
def get_answers(context, path, name, member, value):
    answer = context.cluster.machines[name].rest(path)
    assert answer[member] == value, answer


@then('GET "{path}" on {name:w} names {same:w}\'s daemon')
def get_handle(context, path, name, same):
    machine = context.cluster.machines[name]
    handle = machine.rest(path)
    assert handle["did"]["uri"] == machine.did("dms"), handle
    assert handle["addr"]["inbox"] == "root", handle


@then("{name:w}'s daemon listens for REST on loopback only")
def listens_on_loopback(context, name):
    machine = context.cluster.machines[name]
    port = f"{machine.rest_port:04X}"
    rows = [line.split() for table in ("tcp", "tcp6") for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    listening = [row[1] for row in rows if row[3] == "0A" and row[1].endswith(":" + port)]
    assert listening == [f"0100007F:{port}"], listening


@then("{name:w}'s daemon has a socket of mode {mode:d}")
def has_socket(context, name, mode):
    socket = context.cluster.machines[name].work_dir / "nunet.sock"
    assert socket.is_socket() and f"{socket.stat().st_mode & 0o777:o}" == str(mode), socket


@then("{name:w}'s daemon has no socket")
def has_no_socket(context, name):
    assert not (context.cluster.machines[name].work_dir / "nunet.sock").exists()


@when('{name:w} asks {other:w}\'s daemon for "{behaviour}"')
def asks_another_daemon(context, name, other, behaviour):
    machine = context.machine = context.cluster.machines[name]
    context.answer = machine.nunet("actor", "cmd", "--context", "user", "--timeout", "3s", behaviour,
                                   environment={"DMS_REST_PORT": str(context.cluster.machines[other].rest_port)})


@when('{name:w}\'s context "{key}" is removed')
def remove_context(context, name, key):
    (context.cluster.machines[name].user_dir / "cap" / f"{key}.cap").unlink()


@then("the error mentions the DIDs of {name:w}'s and {other:w}'s daemons")
def mentions_dids(context, name, other):
    for machine in (name, other):
        assert context.cluster.machines[machine].did("dms") in context.answer.err, context.answer


@when("{name:w}'s daemon is started and its output is closed after a line")
def start_unread(context, name):
    context.cluster.machines[name].start_unread()


@then("{name:w}'s log file goes on")
def log_goes_on(context, name):
    text = (context.cluster.machines[name].home / "nunet/logs/nunet-dms-logs.jsonl").read_text()
    assert "/dms/node/peers/self" in text or text.count("\n") > 3, text


@then('{name:w}\'s daemon reports "{text}"')
def daemon_reports(context, name, text):
    assert text in context.cluster.machines[name].log.read_text(), context.cluster.machines[name].log_tail()


@when('"{body}" is posted to "{path}" on {name:w}')
def post_text(context, body, path, name):
    machine = context.cluster.machines[name]
    try:
        context.told = f"HTTP 200: {machine.rest(path, body)}"
    except nunet_cluster.ClusterError as error:
        context.told = str(error)


@then("the answer is HTTP {code:d}")
def answer_is_http(context, code):
    _, found, content = context.told.partition(f"HTTP {code}: ")
    assert found and "error" in json.loads(content), context.told


# --- what goes over the wire

@when("{name:w}'s daemon connects to {listener:w} through a tap")
def connects_through_tap(context, name, listener):
    _, _, host, _, port, _, peer = context.cluster.machines[listener].listening[-1].split("/")
    context.tap = Tap(host, int(port))
    context.add_cleanup(context.tap.close)
    context.cluster.machines[name].cmd("/dms/node/peers/connect", "--address",
                                       f"/ip4/127.0.0.1/tcp/{context.tap.port}/p2p/{peer}")


@then("{name:w}'s daemon has proposed \"{protocol}\" and nothing else")
def has_proposed(context, name, protocol):
    assert context.tap.proposed() == [protocol], context.tap.sent


@then("{name:w}'s daemon is connected to {listener:w}")
def is_connected(context, name, listener):
    peer = context.cluster.machines[listener].listening[-1].rpartition("/")[2]
    assert peer in str(context.cluster.machines[name].peers()), context.cluster.machines[name].peers()


# --- envelopes made by the test

def sign(machine, behaviour):
    return machine.must("actor", "msg", "--context", "user", "--invoke", "--timeout", "20s", behaviour).json


def invoke(machine, envelope):
    """The reply, or None if there is none."""
    try:
        return machine.rest("/api/v1/actor/invoke", envelope, timeout=30)
    except nunet_cluster.ClusterError:
        return None


@when('{name:w} signs an envelope for "{behaviour}" and invokes it twice')
def invoke_twice(context, name, behaviour):
    machine = context.cluster.machines[name]
    envelope = sign(machine, behaviour)
    context.replies = [invoke(machine, envelope), invoke(machine, envelope)]


@then("the first is answered and the second is not")
def first_only(context):
    assert context.replies[0] and not context.replies[1], context.replies


@when('{name:w} signs an envelope for "{behaviour}", changes it to "{other}" and invokes it')
def invoke_changed(context, name, behaviour, other):
    machine = context.cluster.machines[name]
    envelope = sign(machine, behaviour)
    assert envelope["be"] == behaviour, envelope
    context.replies = [invoke(machine, {**envelope, "be": other})]


@then("it is not answered")
def not_answered(context):
    assert context.replies == [None], context.replies


# --- onboarding

@then("{name:w} is onboarded")
def is_onboarded(context, name):
    assert context.cluster.machines[name].cmd("/dms/node/onboarding/status")["onboarded"] is True


@then("{name:w} is not onboarded")
def is_not_onboarded(context, name):
    assert context.cluster.machines[name].cmd("/dms/node/onboarding/status")["onboarded"] is False


@then("{name:w} has {memory:d} MiB of memory and {cores:g} cores free")
def has_free(context, name, memory, cores):
    found = amounts(free(context.cluster.machines[name]))
    assert found[:2] == (cores, memory << 20), found
