"""Lines typed into a shell, with `nunet` in PATH, in the home folder."""

import json

from behave import given, then, when

import nunet_cluster
from feature_world import path_of


def type_lines(context, name, lines):
    machine = context.cluster.machines[name]
    context.machine, context.before = machine, context.answer
    context.answer = machine.run("bash", "-e", "-u", "-o", "pipefail", "-c", lines, timeout=120,
                                 environment={"PATH": path_of(machine)})


@when("{name:w} types")
def types(context, name):
    type_lines(context, name, context.text)


@given("{name:w} has typed")
def has_typed(context, name):
    type_lines(context, name, context.text)
    assert context.answer.status == 0, context.answer


@then('the output is "{text}"')
def output_is(context, text):
    assert context.answer.out.strip() == text, context.answer


@then('the output has the line "{text}"')
def output_has_line(context, text):
    assert text in context.answer.out.splitlines(), context.answer


@then('the output mentions "{text}"')
def output_mentions(context, text):
    assert text in context.answer.out, context.answer


@then('the output does not mention "{text}"')
def output_does_not_mention(context, text):
    assert context.answer.status == 0 and text not in context.answer.out, context.answer


@then('the context "{key}" has {count:d} {kind:w} anchors')
@then('the context "{key}" has {count:d} {kind:w} anchor')
def has_anchors(context, key, count, kind):
    anchors = context.machine.must("cap", "list", "-c", key, "--json").json
    found = anchors["roots"] if kind == "root" else anchors[kind].get("tok", [])
    assert len(found) == count, json.dumps(anchors, indent=1)


@then('a {kind:w} anchor of "{key}" is by "{issuer}", for "{subject}", with "{capabilities}"')
def anchor_is(context, kind, key, issuer, subject, capabilities):
    """`capabilities` are separated by spaces; a key may be given by its DID."""
    did = lambda key: key if key.startswith("did:") else context.machine.did(key)
    tokens = context.machine.must("cap", "list", "-c", key, "--json").json[kind]["tok"]
    found = [(t["dms"]["iss"]["uri"], t["dms"]["sub"]["uri"], " ".join(t["dms"]["cap"])) for t in tokens]
    assert (did(issuer), did(subject), capabilities) in found, found


@then('the file "{path}" lists {count:d} tokens')
def lists_tokens(context, path, count):
    tokens = json.loads((context.machine.home / path).read_text())["tok"]
    assert len(tokens) == count, tokens


@then("{name:w}'s keys are \"{names}\"")
def keys_are(context, name, names):
    keys = context.cluster.machines[name].must("key", "list", "--json").json
    assert list(keys) == names.split(), keys


LEDGER = """#!/usr/bin/python3 -B
import json, sys
sys.path.insert(0, {vectors!r})
import ethereum_wallet
verb, file, account, data = sys.argv[1], sys.argv[3], int(sys.argv[5]), sys.argv[6:]
assert sys.argv[2] == "-o" and sys.argv[4] == "-a", sys.argv
wallet = ethereum_wallet.Wallet(0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318 + account)
print("look at your Ledger")
if verb == "key":
    answer = {{"key": wallet.public.hex(), "address": "0x0"}}
else:
    r, s = wallet.rs(bytes.fromhex(data[0]))
    answer = {{"ecdsa": {{"v": 27, "r": f"{{r:064x}}", "s": f"{{s:064x}}"}}}}
with open(file, "w") as out:
    json.dump(answer, out)
"""


@given("{name:w} has a Ledger wallet")
def has_a_ledger(context, name):
    """A program that answers as NuNet's `ledger-cli` does, with keys of its own instead of a device."""
    machine = context.cluster.machines[name]
    path_of(machine)
    program = machine.home / "bin/ledger-cli"
    program.write_text(LEDGER.format(vectors=str(nunet_cluster.ROOT / "tests/vectors")))
    program.chmod(0o755)
