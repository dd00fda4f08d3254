#!/usr/bin/env python3
"""Makes tests/vectors/ucan/: tokens, a capability context, a key file and the signatures of an Ethereum wallet, written by
code that is independent of this implementation.

The JSON is written from NuNet's field order by hand, the signatures are python-cryptography's, scrypt is hashlib's. Keys
come from fixed seeds and Ed25519 is deterministic, so running it again changes nothing. Needs python3-cryptography.
"""
import base64
import hashlib
import json
import pathlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import ethereum_wallet

OUT = pathlib.Path(__file__).parent / "ucan"
NOW = 1_700_000_000_000_000_000
HOUR = 3_600_000_000_000
B58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def base58(data):
    number = int.from_bytes(data, "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = B58[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


class Party:
    def __init__(self, name, seed):
        self.name, self.seed = name, bytes([seed]) * 32
        self.key = Ed25519PrivateKey.from_private_bytes(self.seed)
        self.public = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.did = "did:key:z" + base58(b"\xed\x01" + self.public)


class WalletParty:
    def __init__(self, secret):
        self.key = ethereum_wallet.Wallet(secret)
        self.did = "did:key:z" + base58(b"\x81\xde\x03" + self.key.public)


def go_json(text):
    """What encoding/json does to the three characters that it escapes for HTML."""
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def string(text):
    return go_json(json.dumps(text, ensure_ascii=False))


def did(uri):
    return "{}" if not uri else '{"uri":%s}' % string(uri)


def strings(items):
    return "[" + ",".join(string(i) for i in items) + "]"


def body(claims, chain):
    parts = ['"act":%s' % string(claims["act"]), '"iss":' + did(claims["iss"]), '"sub":' + did(claims["sub"]),
             '"aud":' + did(claims["aud"])]
    if claims.get("topic"):
        parts.append('"topic":' + strings(claims["topic"]))
    parts.append('"cap":' + strings(claims["cap"]))
    parts.append('"nonce":"%s"' % base64.b64encode(claims["nonce"]).decode())
    parts.append('"exp":%d' % claims["exp"])
    if claims.get("depth"):
        parts.append('"depth":%d' % claims["depth"])
    if chain:
        parts.append('"chain":' + chain)
    return parts


counter = 0


def token(act, issuer, subject, audience, cap, exp=NOW + HOUR, topic=(), depth=0, chain=None, signer=None, nonce=None):
    global counter
    counter += 1
    claims = {"act": act, "iss": issuer.did, "sub": subject.did if subject else "", "aud": audience.did if audience else "",
              "topic": topic, "cap": cap, "nonce": nonce or counter.to_bytes(12, "big"), "exp": exp, "depth": depth}
    parts = body(claims, chain)
    unsigned = "{" + ",".join(parts) + "}"
    signature = (signer or issuer).key.sign(b"dms:token:" + unsigned.encode())
    parts.append('"sig":"%s"' % base64.b64encode(signature).decode())
    return '{"dms":{' + ",".join(parts) + "}}"


def key_file(party, passphrase):
    salt, iv = bytes(range(64)), bytes(range(16))
    dk = hashlib.scrypt(passphrase.encode(), salt=salt, n=1 << 18, r=8, p=1, dklen=64, maxmem=1 << 30)
    plain = bytes.fromhex("08011240") + party.seed + party.public
    cipher = Cipher(algorithms.AES(dk[:32]), modes.CTR(iv)).encryptor()
    ciphertext = cipher.update(plain) + cipher.finalize()
    mac = hashlib.sha3_256(dk[32:] + ciphertext).hexdigest()
    return json.dumps({"id": party.name,
                       "crypto": {"cipher": "aes-256-ctr", "ciphertext": ciphertext.hex(), "cipherparams": {"iv": iv.hex()},
                                  "kdf": "scrypt", "kdfparams": {"n": 1 << 18, "r": 8, "p": 1, "dklen": 64, "salt": salt.hex()},
                                  "mac": mac},
                       "version": 3}, indent=2)


def main():
    alice, bob, carol, dave = (Party(n, i + 1) for i, n in enumerate(["alice", "bob", "carol", "dave"]))
    cases = []

    def case(name, text, expect="ok"):
        cases.append({"name": name, "expect": expect, "token": text})
        return text

    root = case("root delegation", token("delegate", alice, bob, None, ["/dms/node"], topic=["/nunet"], exp=NOW + 3 * HOUR))
    mid = case("delegated onwards", token("delegate", bob, carol, None, ["/dms/node/peers", "/dms/node/vm"], topic=["/nunet/x"],
                                          exp=NOW + 2 * HOUR, depth=3, chain=root))
    case("invoke at depth three", token("invoke", carol, dave, alice, ["/dms/node/peers/list"], chain=mid))
    case("broadcast at depth three", token("broadcast", carol, dave, None, ["/dms/node/vm"], topic=["/nunet/x/y"], chain=mid))
    case("root invoke of everything", token("invoke", alice, alice, None, ["/"]))
    case("escaped characters", token("delegate", alice, bob, None, ["/a<b>&c\"d\\e'f"]))
    case("no capability at all", token("delegate", alice, bob, None, []))
    case("expires this instant", token("delegate", alice, bob, None, ["/x"], exp=NOW))
    case("largest expiry", token("delegate", alice, bob, None, ["/x"], exp=(1 << 64) - 1))
    case("revocation", token("revoke", alice, bob, None, ["/dms/node"], nonce=(1).to_bytes(12, "big"), exp=NOW + 3 * HOUR))
    once = token("delegate", alice, bob, None, ["/x"], depth=1)
    case("depth one, one link after", token("invoke", bob, carol, alice, ["/x"], chain=once))
    twice = token("delegate", bob, carol, None, ["/x"], chain=once)
    case("depth one, two links after", token("invoke", carol, dave, alice, ["/x"], chain=twice), "too_deep")
    case("expired", token("delegate", alice, bob, None, ["/x"], exp=NOW - 1), "expired")
    old = token("delegate", alice, bob, None, ["/x"], exp=NOW - 1)
    case("expired parent", token("invoke", bob, carol, alice, ["/x"], exp=NOW - 1, chain=old), "expired")
    short = token("delegate", alice, bob, None, ["/x"], exp=NOW + 1)
    case("outlives its parent", token("invoke", bob, carol, alice, ["/x"], exp=NOW + 2, chain=short), "expired")
    case("widened capability", token("delegate", bob, carol, None, ["/dms"], chain=root), "widened")
    case("sibling with the same beginning", token("delegate", bob, carol, None, ["/dms/nodes"], chain=root), "widened")
    case("widened topic", token("delegate", bob, carol, None, ["/dms/node"], topic=["/other"], chain=root), "widened")
    for_carol = token("delegate", alice, bob, carol, ["/x"])
    case("dropped audience", token("invoke", bob, dave, None, ["/x"], chain=for_carol), "widened")
    case("other audience", token("invoke", bob, dave, alice, ["/x"], chain=for_carol), "widened")
    case("kept audience", token("invoke", bob, dave, carol, ["/x"], chain=for_carol))
    case("chained to an invocation", token("invoke", bob, carol, None, ["/x"], chain=token("invoke", alice, bob, None, ["/x"])),
         "broken_chain")
    case("not the parent's subject", token("invoke", carol, dave, None, ["/dms/node"], chain=root), "broken_chain")
    case("signed by another", token("delegate", alice, bob, None, ["/x"], signer=bob), "bad_signature")
    case("root signed by another", token("invoke", bob, carol, None, ["/x"],
                                         chain=token("delegate", alice, bob, None, ["/x"], signer=bob)), "bad_signature")

    context = '{"did":%s,"roots":[%s],"require":{"tok":[%s]},"provide":{"tok":[%s]},"revoke":{}}\n' % (
        did(bob.did), did(carol.did), token("delegate", bob, dave, None, ["/dms/deployment"], topic=["/nunet"]),
        token("delegate", alice, bob, None, ["/public"], topic=["/nunet"]))
    wallet = WalletParty(0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318)
    granted = case("granted by a wallet", token("delegate", wallet, bob, None, ["/dms/deployment"], topic=["/nunet"]))
    case("used by whom a wallet trusts", token("invoke", bob, carol, alice, ["/dms/deployment"], chain=granted))
    case("passed on by a wallet", token("delegate", wallet, carol, None, ["/x"],
                                        chain=token("delegate", alice, wallet, None, ["/x"])))
    case("revoked by a wallet", token("revoke", wallet, bob, None, ["/dms/deployment"], nonce=(1).to_bytes(12, "big")))
    case("signed by another than the wallet", token("delegate", wallet, bob, None, ["/x"], signer=alice), "bad_signature")
    case("signed by another wallet", token("delegate", wallet, bob, None, ["/x"], signer=WalletParty(7)), "bad_signature")

    OUT.mkdir(exist_ok=True)
    (OUT / "tokens.json").write_text(json.dumps({"now": NOW, "cases": cases}, indent=1) + "\n")
    (OUT / "bob.cap").write_text(context)
    (OUT / "alice.json").write_text(key_file(alice, "open sesame"))
    (OUT / "wallet_signatures.json").write_text(json.dumps(wallet_signatures(wallet), indent=1) + "\n")


def wallet_signatures(wallet):
    """The first is published: https://web3js.readthedocs.io, eth.accounts.sign."""
    cases = []

    def case(name, good, message, signature):
        cases.append({"name": name, "good": good, "message": message.hex(), "signature": signature.hex()})

    published = b"Some data"
    r, s = wallet.key.rs(published)
    assert r == 0xb91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd
    assert s == 0x6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a029
    n, encode = ethereum_wallet.N, ethereum_wallet.der
    good = encode(r, s)
    case("published", True, published, good)
    case("the same with high S", True, published, encode(r, n - s))
    for size in (0, 1, 9, 10, 99, 100, 108, 109, 1000, 20000):
        message = bytes(i * 7 % 256 for i in range(size))
        case("%d bytes" % size, True, message, wallet.key.sign(message))
    case("another message", False, b"Some datb", good)
    case("r and s exchanged", False, published, encode(s, r))
    case("r is zero", False, published, encode(0, s))
    case("s is zero", False, published, encode(r, 0))
    case("r is above the order", False, published, encode(r + n, s))
    case("s is above the order", False, published, encode(r, s + n))
    assert good[2:5] == b"\x02\x21\x00"  # r begins with a one bit, which a zero byte in front keeps positive
    case("r is negative", False, published, b"\x30" + bytes([good[1] - 1]) + b"\x02\x20" + good[5:])
    case("a byte behind", False, published, good + b"\0")
    case("a byte short", False, published, good[:-1])
    case("a length in two bytes", False, published, good[:1] + b"\x81" + good[1:])
    case("64 bytes without DER", False, published, r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    case("empty", False, published, b"")
    plain = ethereum_wallet.Wallet(7).sign(published)
    case("another wallet's", False, published, plain)
    return {"did": wallet.did, "public": wallet.key.public.hex(), "cases": cases}


if __name__ == "__main__":
    main()
