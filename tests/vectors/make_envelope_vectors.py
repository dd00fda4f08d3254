#!/usr/bin/env python3
"""Writes actor/envelopes.json: envelopes as NuNet's Go nodes would sign them, and broken ones.

Independent of the C++ sources: canonical JSON, ids and signatures are written here from the wire description alone
(field order, Go's string escapes, base32 ids, "dms:msg:" prefix), with Python's `cryptography` for the keys.

    tests/vectors/make_envelope_vectors.py > tests/vectors/actor/envelopes.json

Keys come from fixed seeds and Ed25519 is deterministic, so the output never changes unless this script does.
"""
import base64
import copy
import hashlib
import json
import sys

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

B58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
NOW = 1_760_000_000_000_000_000


def base58(data):
    number = int.from_bytes(data, "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = B58[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def go_string(text):
    """A JSON string as Go's encoding/json writes it, HTML escaping on."""
    out = ['"']
    for char in text:
        code = ord(char)
        if char in '"\\':
            out.append("\\" + char)
        elif char == "\n":
            out.append("\\n")
        elif char == "\r":
            out.append("\\r")
        elif char == "\t":
            out.append("\\t")
        elif char == "\b":
            out.append("\\b")
        elif char == "\f":
            out.append("\\f")
        elif code < 0x20 or char in "<>&\u2028\u2029":
            out.append("\\u%04x" % code)
        else:
            out.append(char)
    out.append('"')
    return "".join(out)


def go_object(members):
    return "{" + ",".join(go_string(key) + ":" + value for key, value in members) + "}"


def go_bytes(data):
    return '"' + base64.b64encode(data).decode() + '"'


def handle_json(handle):
    did = [("uri", go_string(handle["did"]))] if handle["did"] else []
    addr = [(key, go_string(handle[key])) for key in ("host", "inbox") if handle[key]]
    pub = base64.b32encode(handle["id"]).decode()
    return go_object([("id", go_object([("pub", go_string(pub))])), ("did", go_object(did)), ("addr", go_object(addr))])


def envelope_json(e, signature=None):
    options = [("exp", str(e["exp"]))]
    if e["cont"]:
        options.append(("cont", go_string(e["cont"])))
    if e["topic"]:
        options.append(("topic", go_string(e["topic"])))
    members = [
        ("to", handle_json(e["to"])),
        ("be", go_string(e["be"])),
        ("from", handle_json(e["from"])),
        ("nonce", str(e["nonce"])),
        ("opt", go_object(options)),
        ("msg", go_bytes(e["msg"])),
    ]
    if e["cap"]:
        members.append(("cap", go_bytes(e["cap"])))
    if signature:
        members.append(("sig", go_bytes(signature)))
    return go_object(members)


class Party:
    def __init__(self, name, inbox="root"):
        self.key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
        raw = self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        marshalled = b"\x08\x01\x12\x20" + raw
        self.handle = {
            "id": marshalled,
            "did": "did:key:z" + base58(b"\xed\x01" + raw),
            "host": base58(b"\x00\x24" + marshalled),
            "inbox": inbox,
        }

    def signed_bytes(self, e):
        return b"dms:msg:" + envelope_json(e).encode()

    def sign(self, e):
        return self.key.sign(self.signed_bytes(e))


EMPTY_HANDLE = {"id": b"", "did": "", "host": "", "inbox": ""}
ALICE, BOB = Party("alice"), Party("bob")
CHILD = Party("child", "3f2a_node.alloc")
CHILD.handle["did"] = BOB.handle["did"]
CHILD.handle["host"] = BOB.handle["host"]


def envelope(sender=ALICE, to=BOB.handle, **changes):
    e = {
        "to": to,
        "be": "/dms/node/peers/list",
        "from": sender.handle,
        "nonce": NOW + 1,
        "exp": NOW + 30_000_000_000,
        "cont": "",
        "topic": "",
        "msg": b"{}",
        "cap": b"",
    }
    e.update(changes)
    return e


def vector(name, e, signer=ALICE, verdict="ok", wire=None, signature=None, now=NOW):
    signature = signer.sign(e) if signature is None else signature
    canonical = envelope_json(e, signature)
    return {
        "name": name,
        "now": now,
        "verdict": verdict,
        "wire": canonical if wire is None else wire,
        "canonical": canonical,
        "signed": base64.b64encode(signer.signed_bytes(e)).decode(),
    }


def good_vectors():
    yield vector("simple", envelope())
    yield vector("empty payload", envelope(msg=b""))
    yield vector("invoke with reply path", envelope(cont="/dms/actor/replyto/%d" % NOW, msg=b'{"Host":"x"}'))
    yield vector("broadcast", envelope(to=EMPTY_HANDLE, be="/broadcast/hello", topic="/nunet/hello"))
    yield vector("to a child actor", envelope(to=CHILD.handle, be="/dms/allocation/start"))
    yield vector("from a child actor", envelope(sender=CHILD, to=ALICE.handle), signer=CHILD)
    yield vector("with tokens", envelope(cap=b'{"tok":[]}'))
    yield vector("binary payload", envelope(msg=bytes(range(256))))
    yield vector("characters that Go escapes", envelope(be="/a<b>&c\"\\\b\f\n\r\t\x00\x1f\x7f\u2028\u2029"))
    yield vector("other alphabets", envelope(be="/grüße/日本語/\U0001f600"))
    yield vector("largest numbers", envelope(nonce=2**64 - 1, exp=2**64 - 1))
    yield vector("number zero", envelope(nonce=0))
    yield vector("the last instant", envelope(), now=NOW + 30_000_000_000)
    yield from same_meaning()


def same_meaning():
    """Other texts of the same envelope: a receiver writes it anew before it verifies."""
    e = envelope(cont="/r")
    document = json.loads(envelope_json(e, ALICE.sign(e)))
    yield vector("members in another order", e, wire=json.dumps(dict(reversed(list(document.items())))))
    yield vector("unknown members", e, wire=json.dumps({**document, "extra": [1, {"x": None}]}))
    yield vector("white space", e, wire=json.dumps(document, indent=2))
    yield vector("keys in capitals", e, wire=json.dumps({key.upper(): value for key, value in document.items()}))
    yield vector("escapes where none are needed", e, wire=json.dumps(document).replace("/", "\\/"))


def changed(e, **changes):
    other = copy.deepcopy(e)
    other.update(changes)
    return other


def bad_vectors():
    e = envelope(cont="/r", cap=b'{"tok":[]}')
    signature = ALICE.sign(e)
    forgeries = {
        "receiver": {"to": CHILD.handle},
        "behaviour": {"be": "/dms/node/peers/self"},
        "sender's did": {"from": {**ALICE.handle, "did": BOB.handle["did"]}},
        "sender's host": {"from": {**ALICE.handle, "host": BOB.handle["host"]}},
        "sender's id": {"from": {**ALICE.handle, "id": BOB.handle["id"]}},
        "nonce": {"nonce": e["nonce"] + 1},
        "expiry": {"exp": e["exp"] + 1},
        "reply path": {"cont": "/s"},
        "topic": {"topic": "/nunet/hello"},
        "payload": {"msg": b"{} "},
        "tokens": {"cap": b'{"tok": []}'},
    }
    for what, change in forgeries.items():
        yield vector("changed " + what, changed(e, **change), signature=signature, verdict="bad signature")
    yield vector("signed by another key", e, signature=BOB.sign(e), verdict="bad signature")
    yield vector("without a signature", e, signature=b"", verdict="bad signature")
    without_prefix = ALICE.key.sign(envelope_json(e).encode())
    yield vector("signed without the prefix", e, signature=without_prefix, verdict="bad signature")
    with_sig_member = ALICE.key.sign(b"dms:msg:" + envelope_json(e)[:-1].encode() + b',"sig":""}')
    yield vector("signed with an empty sig member", e, signature=with_sig_member, verdict="bad signature")
    yield vector("sender without a key", envelope(**{"from": EMPTY_HANDLE}), verdict="bad signature")
    yield vector("one nanosecond too late", envelope(), now=NOW + 30_000_000_001, verdict="expired")


def malformed_vectors():
    good = envelope_json(envelope(), ALICE.sign(envelope()))
    texts = {
        "not JSON": good[:-1],
        "a list": "[]",
        "text behind": good + "x",
        "a negative nonce": good.replace('"nonce":', '"nonce":-'),
        "a nonce that is a string": good.replace('"nonce":%d' % (NOW + 1), '"nonce":"1"'),
        "an expiry of 65 bits": good.replace(str(NOW + 30_000_000_000), str(2**64)),
        "a payload that is no base64": good.replace('"msg":"e30="', '"msg":"e30"'),
        "an id that is no base32": good.replace('"pub":"BAARE', '"pub":"baare'),
        "a did of two parts": good.replace("did:key:", "did:"),
        "a member twice": good.replace('"be":', '"be":"/x","be":'),
    }
    for name, text in texts.items():
        assert text != good, name
        yield {"name": name, "now": NOW, "verdict": "malformed", "wire": text}


def main():
    handles = [
        {
            "pub": base64.b32encode(party.handle["id"]).decode(),
            "did": party.handle["did"],
            "host": party.handle["host"],
            "inbox": party.handle["inbox"],
            "json": handle_json(party.handle),
        }
        for party in (ALICE, BOB)
    ]
    vectors = [*good_vectors(), *bad_vectors(), *malformed_vectors()]
    document = {"comment": "made by tests/vectors/make_envelope_vectors.py", "handles": handles, "envelopes": vectors}
    json.dump(document, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
