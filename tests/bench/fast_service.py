#!/usr/bin/python3
"""Measures how soon a service with the default `on_loss: fast` runs on another machine when its own ends for good.

  fast_service_moved   seconds from the kill of a provider's daemon and of all of its work until the user's daemon says that the
                       service runs at the other provider; the goal is 10

Median of ROUNDS, on the loopback, in sandboxes. The lease is the default: it plays no part. Keys are light, as in deployment.py.
"""

import sys
import time

import bench_lib
from bench_lib import median_of
from nunet_cluster import Cluster, wait_for

ROUNDS = 5
ENSEMBLE = """\
version: V1
allocations:
  service:
    executor: sandbox
    type: service
    resources: {cpu: {cores: 0.1}, ram: {size: 64MiB}, disk: {size: 16MiB}}
    execution: {type: sandbox, cmd: [/usr/bin/tail, -f, /dev/null]}
nodes:
  anywhere: {allocations: [service]}
"""


def move(user, providers, file, pause):
    identity = user.must("deploy", "-f", file, timeout=120).out.split()[0]
    user.wait_deployment(identity, ("Running",))

    def place():
        service = user.deployment(identity)["Allocations"]["service"]
        return service["peer"] if service["status"] == "running" else None
    here = place()
    lost, other = sorted(providers, key=lambda provider: provider.peer_id() != here)
    elsewhere = other.peer_id()
    time.sleep(pause)
    begin = time.monotonic()
    lost.kill_all()
    wait_for(lambda: place() == elsewhere, "the service runs elsewhere", 90)
    seconds = time.monotonic() - begin
    lost.start()  # else a shutdown waits for the end of its lease
    wait_for(lambda: len(user.peers()) >= len(providers), "the user's daemon knows the providers", 60)
    user.nunet("deployment", "shutdown", identity, timeout=120)
    user.wait_deployment(identity, timeout=120)
    return seconds


def measure():
    cluster = Cluster(light_keys=True)
    with cluster:
        user, *providers = (cluster.machine(name) for name in ("alice", "bob", "carol"))
        bench_lib.connect(user, *providers)
        file = user.home / "service.yaml"
        file.write_text(ENSEMBLE)
        # At different times since the last sign of life.
        median_of("fast_service_moved", [move(user, providers, file, 5 + number * 0.4) for number in range(ROUNDS)])
        bench_lib.finish(cluster)


if __name__ == "__main__":
    sys.exit(bench_lib.run(measure))
