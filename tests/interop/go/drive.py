#!/usr/bin/env python3
"""Checks what the command line writes with the reference, and fresh vectors of the reference with the unit tests; prints PASS or FAIL
lines.

Usage: drive.py REFERENCE BUILD (the program built from this folder, and the build folder of nunet)
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

REFERENCE, BUILD = sys.argv[1], pathlib.Path(sys.argv[2])
PASSPHRASE = "open <sesame> & co"
TIMEOUT = 120  # seconds until a program counts as stuck
results = []


def check(name, good, why=""):
    results.append(good)
    print(f"{'PASS' if good else 'FAIL'} {name}" + ("" if good else f": {why}"), flush=True)


class User:
    """A user's folder, made by the command line."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def run(self, *arguments, passphrase=PASSPHRASE):
        return subprocess.run([BUILD / "nunet", "--user-dir", self.folder, *arguments], check=True, text=True, timeout=TIMEOUT,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                              env=dict(os.environ, DMS_PASSPHRASE=passphrase)).stdout.strip()

    def token(self, *arguments, **options):
        """The one token that a command prints, in a list or alone, as the text that stands there."""
        text = self.run(*arguments, **options)
        return text.removeprefix('{"tok":[').removesuffix("]}") if text.startswith('{"tok":') else text

    def file(self, path):
        return (self.folder / path).read_text()


def evaluate(cases):
    answer = subprocess.run([REFERENCE, "evaluate"], input=json.dumps({"cases": cases}), check=True, text=True, timeout=TIMEOUT,
                            stdout=subprocess.PIPE).stdout
    return json.loads(answer)["cases"]


def altered(text, old, new):
    assert old in text, old
    return text.replace(old, new, 1)


def token_cases(name, text):
    """The token, which the reference must accept and write back unchanged, and altered ones, which it must refuse."""
    claims = json.loads(text)["dms"]
    signature = claims["sig"]
    broken = ("B" if signature[0] == "A" else "A") + signature[1:]
    at = text.rindex(signature)
    bad = {"signature altered": text[:at] + broken + text[at + len(signature):],
           "capability widened": altered(text, '"cap":["', '"cap":["/","'),
           "expiry altered": altered(text, str(claims["exp"]), str(claims["exp"] + 1)),
           "subject altered": altered(text, claims["sub"]["uri"], claims["iss"]["uri"])}
    yield {"name": name, "kind": "token", "text": text}, "accepted"
    for how, changed in bad.items():
        yield {"name": f"{name}, {how}", "kind": "token", "text": changed}, "refused"


def written_cases(user):
    """Cases written by the command line, each with the expected result."""
    dids = {name: user.run("key", "new", name) for name in ("dms", "user", "org")}
    for name in dids:
        user.run("cap", "new", name)
        key = user.file(f"key/{name}.json")
        case = {"kind": "keystore", "text": key, "passphrase": PASSPHRASE}
        yield dict(case, name=f"key file {name}", expect_did=dids[name]), "accepted"
        yield dict(case, name=f"key file {name}, another passphrase", passphrase="x"), "refused"
        yield dict(case, name=f"key file {name}, altered", text=altered(key, '"mac": "', '"mac": "00')), "refused"
    one_day = ("--duration", "24h")
    root = user.token("cap", "grant", "-c", "org", "--cap", "/dms", "--cap", "/a<b>&c", "--topic", "/nunet", *one_day, dids["user"])
    limited = user.token("cap", "grant", "-c", "org", "--cap", "/x", "--depth", "2", "--audience", dids["dms"], *one_day, dids["user"])
    user.run("cap", "anchor", "-c", "user", "--provide", '{"tok":[%s]}' % root)
    link = user.token("cap", "delegate", "-c", "user", "--cap", "/dms/node", "--topic", "/nunet/x", "--duration", "1h", dids["dms"])
    user.run("cap", "anchor", "-c", "dms", "--provide", '{"tok":[%s]}' % link)
    third = user.token("cap", "delegate", "-c", "dms", "--cap", "/dms/node/peers", "--auto-expire", dids["org"])
    gone = user.token("cap", "revoke", "-c", "org", '{"tok":[%s]}' % limited)
    for name, text in {"grant": root, "grant with audience and depth": limited, "delegation": link, "delegation of three links": third,
                       "revocation": gone}.items():
        yield from token_cases(name, text)
    user.run("cap", "anchor", "-c", "org", "--revoke", '{"tok":[%s]}' % gone)
    accept = user.token("cap", "grant", "-c", "dms", "--cap", "/dms", *one_day, dids["org"])
    user.run("cap", "anchor", "-c", "dms", "--root", dids["user"])
    user.run("cap", "anchor", "-c", "dms", "--require", '{"tok":[%s]}' % accept)
    for name in dids:
        yield {"name": f"context {name}", "kind": "context", "text": user.file(f"cap/{name}.cap"), "owner": name}, "accepted"


def with_key(case, keys):
    """Adds the private key of a context's owner, which the reference has read from the key file."""
    owner = case.pop("owner", None)
    return dict(case, key=keys[owner]) if owner else case


def check_written(user):
    work = list(written_cases(user))
    opened = evaluate([case for case, _ in work if case["kind"] == "keystore"])
    keys = {c["name"].removeprefix("key file "): c.get("canonical") for c in opened}
    expected = [result for _, result in work]
    dids = [case.pop("expect_did", None) for case, _ in work]
    for answer, result, did in zip(evaluate([with_key(case, keys) for case, _ in work]), expected, dids):
        same_bytes = answer["kind"] == "keystore" or result == "refused" or "canonical" not in answer
        good = answer["verdict"] == result and same_bytes and (did is None or answer.get("did") == did)
        check(f"command line, {answer['name']}: {result}", good, answer)


def check_fresh_vectors(user, vectors):
    environment = dict(os.environ, DMS_REFERENCE_VECTORS=str(vectors))
    for module in ("crypto", "did", "ucan", "actor"):
        run = subprocess.run([BUILD / f"bin/{module}_test", "--gtest_filter=Reference.*"], env=environment, text=True, timeout=TIMEOUT,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        check(f"fresh vectors, {module}_test", run.returncode == 0 and "PASSED" in run.stdout, run.stdout[-2000:])
    # A key file and a context of the reference in a user's folder, and a token signed with them.
    key = json.loads((vectors / "crypto/go_keystores.json").read_text())["cases"][0]
    context = next(c for c in json.loads((vectors / "ucan/go_decisions.json").read_text())["cases"] if '"roots":[{' in c["context"])
    (user.folder / "key/reference.json").write_text(key["text"])
    (user.folder / "cap/reference.cap").write_text(context["context"])
    check("the key file of the reference", user.run("key", "did", "reference", passphrase=key["passphrase"]) == key["did"])
    listed = json.loads(user.run("cap", "list", "-c", "reference", "--json", passphrase=key["passphrase"]))
    check("the context of the reference", listed["roots"] == json.loads(context["context"])["roots"], listed)
    token = user.token("cap", "grant", "-c", "reference", "--cap", "/x", "--duration", "1h", key["did"], passphrase=key["passphrase"])
    (answer,) = evaluate([{"name": "t", "kind": "token", "text": token}])
    check("a token signed with the key of the reference", answer["verdict"] == "accepted" and "canonical" not in answer, answer)


def main():
    with tempfile.TemporaryDirectory(prefix="nunet-go-") as folder:
        user, vectors = User(pathlib.Path(folder) / "user"), pathlib.Path(folder) / "vectors"
        subprocess.run([REFERENCE, "vectors", vectors], check=True, timeout=TIMEOUT)
        check_written(user)
        check_fresh_vectors(user, vectors)
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed, 0 skipped")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
