#!/usr/bin/python3
"""Measures how long a user waits for the first output of work, from typing the command until its first line arrives.

  first_output.sandbox, .docker        `nunet deploy --wait` of a task that prints a line, on the loopback
  first_output.bwrap, .docker_run      the same program by bubblewrap alone, and by `docker run --rm` of the same image on the
                                       same private engine
  first_output.*_above_*               the difference: the goal is at most 0.25 s

Rounds alternate, so that a busy moment hits all alike. Medians. Without a Docker engine those figures are skipped, and say so.
"""

import subprocess
import sys
import time

import bench_lib
from bench_lib import IMAGE, figure, median_of, ratio
from nunet_cluster import NUNET, Cluster, ClusterError

ROUNDS = 9
LINE = "first"
ENSEMBLE = """\
version: V1
allocations:
  line:
    executor: {executor}
    type: task
    resources: {{cpu: {{cores: 0.5}}, ram: {{size: 64MiB}}, disk: {{size: 16MiB}}}}
    execution: {{type: {executor}, {image}cmd: [/bin/sh, -c, "echo first"]}}
nodes:
  anywhere: {{allocations: [line]}}
"""
BWRAP = ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib",
         "/lib", "--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "/bin/sh", "-c", f"echo {LINE}"]
DOCKER = ["docker", "run", "--rm", "--network", "none", IMAGE, "/bin/sh", "-c", f"echo {LINE}"]


def until_first(command, **options):
    """Seconds from the start of the command until the line; the command then ends by itself."""
    begin = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, **options)
    try:
        for text in process.stdout:
            if text == LINE + "\n":
                seconds = time.monotonic() - begin
                break
        else:
            raise ClusterError(f"`{' '.join(map(str, command))}` printed no {LINE!r}")
        process.stdout.read()
        if status := process.wait(60):
            raise ClusterError(f"`{' '.join(map(str, command))}` ended with {status}")
        return seconds
    finally:
        process.stdout.close()
        if process.poll() is None:
            process.kill()
            process.wait(10)


def measure(with_docker):
    cluster = Cluster(light_keys=True)
    with cluster:
        user, provider = cluster.machine("alice"), cluster.machine("bob")
        bench_lib.connect(user, provider)
        ways = {"bwrap": (BWRAP, {})} | ({"docker_run": (DOCKER, {})} if with_docker else {})
        for executor in ("sandbox", "docker") if with_docker else ("sandbox",):
            file = user.home / f"{executor}.yaml"
            file.write_text(ENSEMBLE.format(executor=executor, image=f"image: '{IMAGE}', " if executor == "docker" else ""))
            ways[executor] = ([NUNET, "deploy", "-f", file, "--wait"], {"env": user.environment(), "cwd": user.home})
        samples = {name: [] for name in ways}
        for number in range(ROUNDS + 1):
            for name, (command, options) in ways.items():
                seconds = until_first(command, **options)
                if number:  # the first round warms the caches of all
                    samples[name].append(seconds)
        medians = {name: median_of(f"first_output.{name}", values) for name, values in samples.items()}
        for name in ("sandbox", "docker"):
            for peer in ("bwrap", "docker_run"):
                if name in medians and peer in medians:
                    figure(f"first_output.{name}_above_{peer}", medians[name] - medians[peer], "s")
                    ratio(f"first_output.{name}_vs_{peer}", medians[name] / medians[peer], peer.replace("_", "-"))
        bench_lib.finish(cluster)


if __name__ == "__main__":
    sys.exit(bench_lib.run_beside_docker(__file__, measure, "first_output.docker, first_output.docker_run"))
