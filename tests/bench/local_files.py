#!/usr/bin/python3
"""Measures files between the command line and its own daemon, beside `cp` of the same file.

  local_files.upload     MB/s of an input: `nunet deploy` of a task with a large input, less the time of one with a small input
  local_files.download   MB/s of a result: `nunet deployment results` of it
  local_files.cp         MB/s of `cp` to the same disk, then `sha256sum` and `sync` of the copy: what each side does besides

The file crosses to the daemon in pages, is written, hashed and made durable. Rounds alternate. Medians. Each round has other bytes:
what the daemon has already is not sent again.
"""

import os
import subprocess
import sys
import time

from bench_lib import connect, median_of, ratio
from nunet_cluster import Cluster

SIZE = int(os.environ.get("LOCAL_FILES_BYTES", 256 << 20))
ROUNDS = 3
ENSEMBLE = """\
version: V1
allocations:
  keep:
    executor: sandbox
    type: task
    resources: {{cpu: {{cores: 0.5}}, ram: {{size: 64MiB}}, disk: {{size: 1GiB}}}}
    inputs: [{{to: file, file: {name}}}]
    results: [file]
    execution: {{type: sandbox, cmd: [/bin/true]}}
nodes:
  anywhere: {{allocations: [keep]}}
"""


def deploy(user, name):
    """Seconds until the deployment is accepted, and its id."""
    (user.home / f"{name}.yaml").write_text(ENSEMBLE.format(name=name))
    begin = time.monotonic()
    done = user.must("deploy", "-f", f"{name}.yaml", timeout=300)
    return time.monotonic() - begin, done.out.split()[0]


def results(user, identity, name):
    begin = time.monotonic()
    user.must("deployment", "results", identity, "keep", "-o", f"got-{name}", timeout=300)
    return time.monotonic() - begin


def copy(user, name):
    begin = time.monotonic()
    subprocess.run(["cp", name, "copy"], cwd=user.home, check=True)
    subprocess.run(["sha256sum", "copy"], cwd=user.home, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["sync", "copy"], cwd=user.home, check=True)
    return time.monotonic() - begin


def measure():
    with Cluster(light_keys=True) as cluster:
        user, provider = cluster.machine("user"), cluster.machine("provider")
        connect(user, provider, ram="2GiB", disk="4GiB")
        samples = {"upload": [], "download": [], "cp": []}
        for number in range(ROUNDS):
            large, small = f"large{number}", f"small{number}"
            (user.home / large).write_bytes(os.urandom(1 << 20) * (SIZE >> 20))
            (user.home / small).write_bytes(os.urandom(1000))
            base, first = deploy(user, small)
            seconds, second = deploy(user, large)
            samples["upload"].append(SIZE / 1e6 / max(seconds - base, 1e-3))
            for identity in (first, second):
                user.wait_deployment(identity, timeout=300)
            base = results(user, first, small)
            seconds = results(user, second, large)
            samples["download"].append(SIZE / 1e6 / max(seconds - base, 1e-3))
            if (user.home / f"got-{large}/file").read_bytes() != (user.home / large).read_bytes():
                raise RuntimeError("what came back is not what was sent")
            samples["cp"].append(SIZE / 1e6 / copy(user, large))
            for identity in (first, second):
                user.must("deployment", "delete", identity)
            for path in (user.home / large, user.home / f"got-{large}/file"):
                path.unlink()
    medians = {name: median_of(f"local_files.{name}", values, "MB/s") for name, values in samples.items()}
    for name in ("upload", "download"):
        ratio(f"local_files.{name}_vs_cp", medians[name] / medians["cp"], "cp-sha256sum-sync")


if __name__ == "__main__":
    sys.exit(measure())
