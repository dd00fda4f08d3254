"""Keys and capability contexts in NuNet's file formats, whose passphrase costs nothing to check; with `nunet key new` and for each use
of what it makes it costs a second of one core, by design.
"""

import hashlib
import json
import os
import re
import subprocess

PASSPHRASE = "correct horse battery staple"
SCRYPT = {"n": 2, "r": 8, "p": 1, "dklen": 64}
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def base58(data):
    number, out = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        out = BASE58[digit] + out
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + out


def openssl(*arguments, data=b""):
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True).stdout


def derive(params):
    return hashlib.scrypt(PASSPHRASE.encode(), salt=bytes.fromhex(params["salt"]), maxmem=1 << 30,
                          **{name: params[name] for name in SCRYPT})


def encrypt(derived, iv, data):
    """AES in counter mode: encrypting and decrypting are one."""
    return openssl("enc", "-aes-256-ctr", "-K", derived[:32].hex(), "-iv", iv, data=data)


def seal(file, name, secret):
    """Writes a key file."""
    params, iv = {**SCRYPT, "salt": os.urandom(64).hex()}, os.urandom(16).hex()
    derived = derive(params)
    ciphertext = encrypt(derived, iv, secret)
    crypto = {"cipher": "aes-256-ctr", "ciphertext": ciphertext.hex(), "cipherparams": {"iv": iv}, "kdf": "scrypt", "kdfparams": params,
              "mac": hashlib.sha3_256(derived[32:] + ciphertext).hexdigest()}
    write(file, {"id": name, "crypto": crypto, "version": 3})


def lighten(file):
    """Encrypts a key file of the program anew."""
    key = json.loads(file.read_text())
    crypto = key["crypto"]
    secret = encrypt(derive(crypto["kdfparams"]), crypto["cipherparams"]["iv"], bytes.fromhex(crypto["ciphertext"]))
    seal(file, key["id"], secret)


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
        """As the key `name` of a user."""
        seal(user_dir / "key" / f"{name}.json", name, b"\x08\x01\x12\x40" + self.secret + self.public)

    def save_context(self, user_dir, name, roots=(), tokens=()):
        """The capability context `name` of a user. Anchors: DIDs that are trusted in everything, and tokens that are required of others."""
        write(user_dir / "cap" / f"{name}.cap", {
            "did": {"uri": self.did}, "roots": [{"uri": did} for did in roots],
            "require": {"tok": tokens} if tokens else {}, "provide": {}, "revoke": {}})


def write(file, content):
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(json.dumps(content, separators=(",", ":")) + "\n")
