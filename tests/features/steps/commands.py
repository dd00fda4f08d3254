"""Running commands on a machine and checking their output."""

import json
import re
import shlex
import stat

from behave import given, then, when

import nunet_cluster
from libp2p_wire import UNKNOWN_PEER
from light_keys import Key

DID = re.compile(r"did:key:z[1-9A-HJ-NP-Za-km-z]{40,}")


def fill_in(machine, words):
    """`<did of NAME>` becomes the DID of that key, `<address of NAME>` where that machine's `nunet net listen` is;
    `<address of NAME with an unknown peer id>` is the same address with the peer id of another peer."""
    words = re.sub(r"<address of (\w+) with an unknown peer id>",
                   lambda match: f"{machine.cluster.machines[match.group(1)].listening[-1].rpartition('/')[0]}/{UNKNOWN_PEER}", words)
    words = re.sub(r"<address of (\w+)>", lambda match: machine.cluster.machines[match.group(1)].listening[-1], words)
    words = re.sub(r"<daemon did of (\w+)>", lambda match: machine.cluster.machines[match.group(1)].did("dms"), words)
    return re.sub(r"<did of (\w+)>", lambda match: machine.did(match.group(1)), words)


def run(context, name, line, **options):
    machine = context.cluster.machines[name]
    words = [context.token if word == "<token>" else word for word in shlex.split(fill_in(machine, line))]
    assert words[0] == "nunet", line
    context.machine, context.before, context.answer = machine, context.answer, machine.nunet(*words[1:], **options)


@when('{name:w} runs "{line}" with the passphrase "{passphrase}"')
def run_with_passphrase(context, name, line, passphrase):
    run(context, name, line, environment={"DMS_PASSPHRASE": passphrase})


@when('{name:w} runs "{line}"')
def run_line(context, name, line):
    run(context, name, line)


@when('{name:w} runs in a shell "{line}"')
def run_in_a_shell(context, name, line):
    machine = context.machine = context.cluster.machines[name]
    context.answer = machine.run("/bin/sh", "-c", fill_in(machine, line).replace("{nunet}", str(nunet_cluster.NUNET)))


@then("the error is empty")
def error_is_empty(context):
    assert context.answer.err == "", context.answer


@then("it succeeds")
def succeeds(context):
    assert context.answer.status == 0, context.answer


@then("it fails")
def fails(context):
    assert context.answer.status not in (0, 2), context.answer
    assert context.answer.status > 0, f"a crash does not count as a failure: {context.answer}"


@then("it ends with status {status:d}")
def ends_with(context, status):
    assert context.answer.status == status, context.answer


@then('the error mentions "{text}"')
def error_mentions(context, text):
    assert text.lower() in context.answer.err.lower(), context.answer


@then("the error is not empty")
def error_is_not_empty(context):
    assert context.answer.err.strip(), context.answer


@then("the output is a DID")
def output_is_a_did(context):
    assert DID.fullmatch(context.answer.out.strip()), context.answer


@then("the output is the same as before")
def output_is_the_same(context):
    assert context.answer.out == context.before.out, (str(context.before), str(context.answer))


@then('the output mentions the DID of "{key}"')
def output_mentions(context, key):
    assert context.machine.did(key) in context.answer.out, context.answer


@then('the output does not mention the DID of "{key}"')
def output_does_not_mention(context, key):
    assert context.answer.status == 0 and context.machine.did(key) not in context.answer.out, context.answer


@then('the answer has "{member}"')
def answer_has(context, member):
    assert member in context.answer.json, context.answer


@then('the {kind:w} "{path}" has mode {mode}')
def has_mode(context, kind, path, mode):
    found = (context.machine.home / path).stat().st_mode
    assert (stat.S_ISDIR if kind == "folder" else stat.S_ISREG)(found), path
    assert stat.S_IMODE(found) == int(mode, 8), f"{path} has mode {stat.S_IMODE(found):o}"


@then('the file "{path}" is JSON with "{member}" and without a private key')
def is_encrypted(context, path, member):
    text = (context.machine.home / path).read_text()
    assert member in json.loads(text), text
    assert "private" not in text.lower(), text


@then('no file lies outside "{folder}"')
def nothing_outside(context, folder):
    home = context.machine.home
    outside = [p for p in home.rglob("user.json") if home / folder not in p.parents]
    outside += list(home.parent.glob("user.json"))
    assert not outside, outside


# --- keys, contexts, tokens

@given('{name:w} has a key "{key}"')
def has_a_key(context, name, key):
    Key().save(context.cluster.machines[name].user_dir, key)


@given('{name:w} has a context "{key}"')
def has_a_context(context, name, key):
    context.cluster.machines[name].new_context(key)


@then('the output is a token of "{issuer}" for "{subject}" with "{first}" and "{second}"')
def is_a_token(context, issuer, subject, first, second):
    token = context.answer.json["tok"][0]["dms"]
    assert token["iss"]["uri"] == context.machine.did(issuer), token
    assert token["sub"]["uri"] == context.machine.did(subject), token
    assert token["cap"] == [first, second], token


@when('the token is widened to "{capability}"')
def widen(context, capability):
    tokens = context.answer.json
    tokens["tok"][0]["dms"]["cap"] = [capability]
    context.answer.out = json.dumps(tokens)


@when('{name:w} anchors that token with "{line}"')
def anchor(context, name, line):
    context.token = context.answer.out.strip()
    run(context, name, line + " -", input=context.token)


@given('{name:w} grants "{capability}" from "{issuer}" to "{subject}"')
def grants(context, name, capability, issuer, subject):
    machine = context.cluster.machines[name]
    context.token = machine.must("cap", "grant", "--context", issuer, "--cap", capability, "--duration", "1h",
                                 machine.did(subject)).out.strip()
    machine.must("cap", "anchor", "-c", subject, "--provide", context.token)


@when("{name:w} revokes that grant")
def revokes(context, name):
    machine = context.cluster.machines[name]
    revocation = machine.must("cap", "revoke", "-c", "user", context.token).out.strip()
    machine.must("cap", "anchor", "-c", "dms", "--revoke", revocation)
