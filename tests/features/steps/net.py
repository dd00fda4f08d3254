"""Peers that `nunet net` runs."""

import shlex

from behave import step, then, when


@when('{name:w} listens with "{flags}"')
def listens_with(context, name, flags):
    context.cluster.machines[name].listen(*shlex.split(flags))


@when('{name:w} listens with ""')
def listens(context, name):
    context.cluster.machines[name].listen()


@step("{name:w}'s listener ends with status 0 on Ctrl-C")
def listener_ends(context, name):
    context.cluster.machines[name].stop_listening()


@then("the answer's \"{member}\" is {number:d}")
def member_is(context, member, number):
    assert context.answer.json[member] == number, context.answer


@then("the answer's \"{member}\" is \"{text}\"")
def member_is_text(context, member, text):
    assert context.answer.json[member] == text, context.answer


@then("the answer's \"{member}\" is in {name:w}'s address")
def member_is_in_address(context, member, name):
    assert context.answer.json[member] in context.cluster.machines[name].listening[-1], context.answer


@then("the answer's \"{way}\" moved {number:d} bytes")
def moved(context, way, number):
    figures = context.answer.json[way]
    assert figures["bytes"] == number and figures["seconds"] > 0 and figures["mbit_per_s"] > 0, context.answer


@then("{name:w} is the same peer as before")
def same_peer(context, name):
    before, now = (address.rpartition("/p2p/")[2] for address in context.cluster.machines[name].listening)
    assert before == now, (before, now)


@then("the connection of {dialer:w} to {listener:w} is between their own addresses")
def is_between_own_addresses(context, dialer, listener):
    ends = {end: context.answer.json[end].split("/")[2] for end in ("local", "address")}
    machines = context.cluster.machines
    assert ends == {"local": machines[dialer].address, "address": machines[listener].address}, context.answer
    assert ends["local"] != ends["address"], "one address is one machine"


@then("the error names the peer of {name:w}")
def error_names_peer(context, name):
    assert context.cluster.machines[name].listening[-1].rpartition("/p2p/")[2] in context.answer.err, context.answer
