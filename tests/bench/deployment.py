#!/usr/bin/python3
"""Measures the whole program: a user's daemon and a provider's on the loopback, commands typed as a user types them.

  deployment.*  seconds from typing `nunet deploy --wait` of a task that does nothing until the command ends, in a sandbox and
                in a container, and where that time goes, by the orchestrator's log; beside it `docker run --rm` of the same
                image on the same private engine. Rounds alternate, so that a busy moment hits all three alike.
  daemon.*      start until `ready`, memory and threads idle and after FIFTY deployments, processor time idle, program size

The keys are light (their passphrase costs milliseconds), else every `nunet` command would first measure the key derivation:
daemon.startup_standard_key shows what it adds. Figures are medians. Without a Docker engine those figures are skipped, and
say so. Standard library only; everything started here is ended by its pid, after a failure too.
"""

import datetime
import pathlib
import signal
import statistics
import subprocess
import sys
import time

import bench_lib
from bench_lib import IMAGE, connect, figure, median_of, of_status, ratio
from light_keys import lighten
from nunet_cluster import NUNET, Cluster, ClusterError

ROUNDS, STARTS, FIFTY = 9, 5, 50
IDLE_SECONDS = 20
ENSEMBLE = """\
version: V1
allocations:
  nothing:
    executor: {executor}
    type: task
    resources:
      cpu: {{cores: 0.1}}
      ram: {{size: 64MiB}}
      disk: {{size: 16MiB}}
    execution: {{type: {executor}, {image}cmd: [/bin/true]}}
nodes:
  anywhere: {{allocations: [nothing]}}
"""
# The orchestrator's log line that ends each stage; the first begins when the command is typed, the last is the command's end.
STAGES = [("to_first_bid", "bids for node"), ("bid_settle", "Preparing -> Committing"), ("commit", "Committing -> Provisioning"),
          ("provision", "Provisioning -> Running"), ("run", "Running -> Completed")]


# --- one deployment

def deploy(user, executor):
    """Deploys and waits as a user would; seconds until the command ended, and of each stage."""
    begin, ticks = time.time(), time.monotonic()
    done = user.must("deploy", "-f", f"{executor}.yaml", "--wait")
    seconds = time.monotonic() - ticks
    identity = done.out.split()[0]
    if "nothing: completed" not in done.out + done.err:
        raise ClusterError(f"the deployment did not complete: {done}")
    return {"seconds": seconds, **stages(user, identity, begin, begin + seconds)}


def stages(user, identity, begin, end):
    lines = [line for line in user.log.read_text(errors="replace").splitlines() if identity in line]
    lengths, before = {}, begin
    for name, mark in STAGES:
        line = next((line for line in lines if mark in line), None)
        if line is None:
            raise ClusterError(f"the log of {user.name} has no {mark!r} for {identity}")
        now = datetime.datetime.fromisoformat(line.split()[0].replace("Z", "+00:00")).timestamp()
        lengths[name], before = now - before, now
    return {**lengths, "status_poll": end - before}


def docker_run():
    begin = time.monotonic()
    command = ["docker", "run", "--rm", "--network", "none", IMAGE, "/bin/true"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return time.monotonic() - begin


def deployments(user, with_docker):
    """Alternating rounds; the number of deployments they took."""
    kinds = ["sandbox", "docker"] if with_docker else ["sandbox"]
    samples, docker_samples = {kind: [] for kind in kinds}, []
    for number in range(ROUNDS + 1):
        for kind in kinds:
            samples[kind].append(deploy(user, kind))
        if with_docker:
            docker_samples.append(docker_run())
        if number == 0:  # the first one warms the caches of all three
            samples, docker_samples = {kind: [] for kind in kinds}, []
    medians = {}
    for kind in kinds:
        medians[kind] = median_of(f"deployment_{kind}", [s["seconds"] for s in samples[kind]])
        for stage in [name for name, _ in STAGES] + ["status_poll"]:
            figure(f"deployment_{kind}.{stage}", statistics.median(s[stage] for s in samples[kind]), "s")
        median_of(f"deployment_{kind}.until_completed", [s["seconds"] - s["status_poll"] for s in samples[kind]])
    if with_docker:
        peer = median_of("docker_run", docker_samples)
        for kind in kinds:
            ratio(f"deployment_{kind}_vs_docker_run", medians[kind] / peer, "docker-run")
    return (ROUNDS + 1) * len(kinds)


# --- the daemon as a process

def start_until_ready(machine):
    """Starts the daemon once, and stops it; seconds until it printed `ready`."""
    begin = time.monotonic()
    machine.process = subprocess.Popen([NUNET, "run", "--config", machine.config], cwd=machine.home, env=machine.environment(),
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                       start_new_session=True, text=True)
    machine.cluster.children.append(machine.process)
    with machine.process.stdout as lines:
        if not any(line == "ready\n" for line in lines):
            raise ClusterError(f"{machine.name}: the daemon ended before it was ready")
        seconds = time.monotonic() - begin
        machine.process.send_signal(signal.SIGTERM)
        lines.read()  # until it ends
    machine.stop()
    return seconds


def startup(machine):
    median_of("daemon.startup_standard_key", [start_until_ready(machine) for _ in range(STARTS)])
    for key in (machine.user_dir / "key").glob("*.json"):
        lighten(key)
    median_of("daemon.startup", [start_until_ready(machine) for _ in range(STARTS)])


def processor_seconds(machine):
    """To the nanosecond: the clock ticks of /proc/PID/stat are too coarse for an idle process."""
    threads = pathlib.Path(f"/proc/{machine.process.pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def memory(roles, when):
    for role, machine in roles.items():
        figure(f"daemon.{role}.memory_{when}", of_status(machine, "VmRSS") / 1024, "MiB")


def idle(roles):
    """Connected and onboarded, with nothing to do."""
    before = {role: processor_seconds(machine) for role, machine in roles.items()}
    begin = time.monotonic()
    time.sleep(IDLE_SECONDS)  # what is measured is a length of time in which nothing happens
    minutes = (time.monotonic() - begin) / 60
    for role, machine in roles.items():
        figure(f"daemon.{role}.idle_processor_seconds_per_minute", (processor_seconds(machine) - before[role]) / minutes, "s/min")
        figure(f"daemon.{role}.threads", of_status(machine, "Threads"), "threads")


def program_size(folder):
    stripped = folder / "nunet-stripped"
    subprocess.run(["strip", "-o", stripped, NUNET], check=True)
    figure("daemon.program_size_stripped", stripped.stat().st_size / 2**20, "MiB")


# --- all of it

def measure(with_docker):
    cluster = Cluster()
    with cluster:
        program_size(cluster.folder)
        lonely = cluster.machine("carol")
        lonely.make_identities()
        startup(lonely)

        cluster.light_keys = True
        user, provider = cluster.machine("alice"), cluster.machine("bob")
        roles = {"orchestrator": user, "provider": provider}
        connect(user, provider)
        for executor in ("sandbox", "docker"):
            text = ENSEMBLE.format(executor=executor, image=f"image: '{IMAGE}', " if executor == "docker" else "")
            (user.home / f"{executor}.yaml").write_text(text)
        idle(roles)
        memory(roles, "idle")
        for _ in range(deployments(user, with_docker), FIFTY):
            deploy(user, "sandbox")
        memory(roles, f"after_{FIFTY}")
        bench_lib.finish(cluster)


if __name__ == "__main__":
    sys.exit(bench_lib.run_beside_docker(__file__, measure, "deployment_docker, docker_run"))
