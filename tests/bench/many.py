#!/usr/bin/python3
"""Measures many deployments on one orchestrator and two providers, on the loopback, in sandboxes.

  many.at_once_200        seconds from the first request of 200 deployments of a task that does nothing, sent at once, until all of
                          them have ended; many.accepted_200: until all are accepted
  many.memory.ROLE        MiB of a daemon with 1,000 deployments recorded and 100 running; the goal is under 60
  many.work_memory        MiB of one running deployment's processes that are not its program: shim and bubblewrap

Memory is what /proc says: RSS, and PSS, which counts pages that processes share in part. Keys are light, as in deployment.py.
"""

import concurrent.futures
import statistics
import sys
import time

import bench_lib
from bench_lib import figure, of_status, proportional, work_of
from nunet_cluster import Cluster, Hopeless, wait_for

AT_ONCE, RECORDED, RUNNING = 200, 1000, 100
ENSEMBLE = """\
version: V1
allocations:
  small:
    executor: sandbox
    type: {type}
    resources: {{cpu: {{cores: 0.01}}, ram: {{size: 8MiB}}, disk: {{size: 1MiB}}}}
    execution: {{type: sandbox, cmd: [{cmd}]}}
nodes:
  anywhere: {{allocations: [small]}}
"""


def deploy(user, count, type="task", cmd="/bin/true"):
    """Sends `count` deployments at once; their ids."""
    file = user.home / f"{type}.yaml"
    file.write_text(ENSEMBLE.format(type=type, cmd=cmd))
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda _: user.must("deploy", "-f", file, "-t", "5m", timeout=120).out.split()[0], range(count)))


def listed(user):
    """The status of each deployment, however many there are."""
    found, after = {}, ""
    while True:
        reply = user.must("actor", "cmd", "--context", "user", "/dms/node/deployment/list", *(("--after", after) if after else ())).json
        found |= reply.get("Deployments") or {}
        after = reply.get("Next", "")
        if not after:
            return found


def wait_status(user, ids, status, timeout):
    def reached():
        known = listed(user)
        failed = [name for name in ids if known.get(name) == "Failed"]
        if failed:
            raise Hopeless(f"{len(failed)} of {len(ids)} failed, {failed[0]}: {user.deployment(failed[0])}")
        return all(known.get(name) == status for name in ids)
    wait_for(reached, f"{len(ids)} deployments are {status}", timeout, 0.1)


def at_once(user):
    begin = time.monotonic()
    ids = deploy(user, AT_ONCE)
    figure(f"many.accepted_{AT_ONCE}", time.monotonic() - begin, "s")
    wait_status(user, ids, "Completed", 280)
    figure(f"many.at_once_{AT_ONCE}", time.monotonic() - begin, "s")
    return ids


def memory(roles):
    for role, machine in roles.items():
        figure(f"many.memory.{role}_rss", of_status(machine, "VmRSS") / 1024, "MiB")
        figure(f"many.memory.{role}_pss", proportional(machine.process.pid), "MiB")
    by_work = [proportional(pid) for role, machine in roles.items() if role != "orchestrator" for pid, _ in work_of(machine)]
    figure("many.work_memory.processes_per_deployment", len(by_work) / RUNNING, "processes")
    figure("many.work_memory.pss_per_deployment", sum(by_work) / RUNNING, "MiB")
    figure("many.work_memory.pss_of_a_process", statistics.median(by_work or [0]), "MiB")


def measure():
    cluster = Cluster(light_keys=True)
    with cluster:
        user, *providers = (cluster.machine(name) for name in ("alice", "bob", "carol"))
        roles = dict(zip(("orchestrator", "provider_1", "provider_2"), (user, *providers)))
        bench_lib.connect(user, *providers, cpu=1, ram="1GiB", disk="1GiB")
        recorded = len(at_once(user))
        while recorded < RECORDED - RUNNING:
            ids = deploy(user, min(AT_ONCE, RECORDED - RUNNING - recorded))
            wait_status(user, ids, "Completed", 280)
            recorded += len(ids)
        services = deploy(user, RUNNING, "service", "/usr/bin/tail, -f, /dev/null")
        wait_status(user, services, "Running", 120)
        figure("many.memory.deployments_recorded", len(listed(user)), "deployments")
        memory(roles)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda name: user.must("deployment", "shutdown", name, timeout=120), services))
        bench_lib.finish(cluster)


if __name__ == "__main__":
    sys.exit(bench_lib.run(measure))
