"""Keys, capability contexts and grants for the hosts of a network, quickly.

Keys are made here and encrypted at a cost of milliseconds, in NuNet's key file format; `nunet key new` takes a second of one
core for each, by design. Tokens are signed by `nunet cap grant`.
"""

import concurrent.futures
import hashlib
import json
import os
import re
import subprocess

import nunet_cluster

SCRYPT = {"n": 4096, "r": 8, "p": 1, "dklen": 64}
CAPABILITIES = ("/dms/deployment", "/public", "/broadcast")
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def base58(data):
    number, out = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        out = BASE58[digit] + out
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + out


def openssl(*arguments, data=b""):
    done = subprocess.run(["openssl", *arguments], input=data, capture_output=True)
    if done.returncode != 0:
        raise nunet_cluster.ClusterError(f"openssl {arguments[0]}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


class Key:
    """An Ed25519 key."""

    def __init__(self):
        text = openssl("genpkey", "-algorithm", "ed25519", "-text").decode()
        found = re.search(r"priv:([0-9a-f:\s]+)pub:([0-9a-f:\s]+)", text)
        self.secret, self.public = (bytes.fromhex(re.sub(r"[:\s]", "", part)) for part in found.groups())

    @property
    def did(self):
        return "did:key:z" + base58(b"\xed\x01" + self.public)

    @property
    def peer_id(self):
        return base58(b"\x00\x24\x08\x01\x12\x20" + self.public)

    def save(self, user_dir, name):
        """As the key and the context `name` of a user."""
        salt, iv = os.urandom(64), os.urandom(16)
        derived = hashlib.scrypt(nunet_cluster.PASSPHRASE.encode(), salt=salt, maxmem=1 << 30, **SCRYPT)
        ciphertext = openssl("enc", "-aes-256-ctr", "-K", derived[:32].hex(), "-iv", iv.hex(),
                             data=b"\x08\x01\x12\x40" + self.secret + self.public)
        crypto = {"cipher": "aes-256-ctr", "ciphertext": ciphertext.hex(), "cipherparams": {"iv": iv.hex()}, "kdf": "scrypt",
                  "kdfparams": {**SCRYPT, "salt": salt.hex()}, "mac": hashlib.sha3_256(derived[32:] + ciphertext).hexdigest()}
        write(user_dir / "key" / f"{name}.json", {"id": name, "crypto": crypto, "version": 3})


def write(file, content):
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(json.dumps(content, separators=(",", ":")) + "\n")


def write_context(host, name, roots=(), tokens=()):
    """Anchors: DIDs that are trusted in everything, and tokens that are required of others."""
    write(host.user_dir / "cap" / f"{name}.cap", {
        "did": {"uri": host.keys[name].did}, "roots": [{"uri": did} for did in roots],
        "require": {"tok": tokens} if tokens else {}, "provide": {}, "revoke": {}})


def grant(giver, receiver):
    """The tokens by which the user of `giver` lets the daemon of `receiver` in."""
    flags = [word for capability in CAPABILITIES for word in ("--cap", capability)]
    finished = giver.locally(nunet_cluster.NUNET, "cap", "grant", "--context", "user", *flags, "--topic", "/nunet",
                             "--duration", "168h", receiver.keys["dms"].did)
    if finished.status != 0:
        raise nunet_cluster.ClusterError(f"{giver.name}: {finished}")
    return finished.json["tok"]


def make(hosts, pairs):
    """For each host a user and a daemon that trusts its user; for each (host, other) the daemon of `host` accepts that of `other`."""
    def make_keys(host):
        host.keys = {name: Key() for name in ("user", "dms")}
        for name, key in host.keys.items():
            key.save(host.user_dir, name)
        write_context(host, "user")
        host.peer = host.keys["dms"].peer_id

    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(make_keys, hosts))
        tokens = dict(zip(pairs, pool.map(lambda pair: grant(*pair), pairs)))
    for host in hosts:
        accepted = [token for (giver, _), found in tokens.items() if giver is host for token in found]
        write_context(host, "dms", [host.keys["user"].did], accepted)
