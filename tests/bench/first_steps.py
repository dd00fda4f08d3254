#!/usr/bin/python3
"""Measures what a newcomer waits for on a machine of their own, with keys of the standard cost.

  first_steps.init         `nunet init`
  first_steps.ready        from typing `nunet run --dev` until it prints `ready`
  first_steps.first_result from typing `nunet run --dev` until the work that is deployed as soon as it is ready has printed its line;
                           the goal is 3 s
  first_steps.deploy       the part of it from typing `nunet deploy --wait` until that line

Each round has a home folder of its own. Medians.
"""

import json
import shutil
import subprocess
import sys
import time

import bench_lib
from bench_lib import median_of
from nunet_cluster import NUNET, Cluster, ClusterError
from probes import sandbox_obstacle

ROUNDS = 5
LINE = "first result"
ENSEMBLE = f"""\
version: V1
allocations:
  hello:
    executor: sandbox
    type: task
    resources: {{cpu: {{cores: 0.1}}, ram: {{size: 128MiB}}, disk: {{size: 64MiB}}}}
    execution: {{type: sandbox, cmd: [sh, -c, "echo {LINE}"]}}
nodes:
  anywhere: {{allocations: [hello]}}
"""


def wait_for_line(process, line):
    """What it printed before is discarded."""
    if not any(text == line + "\n" for text in process.stdout):
        raise ClusterError(f"`{' '.join(process.args)}` ended with {process.wait()} before it printed {line!r}")


def launch(machine, *command):
    process = subprocess.Popen([NUNET, *command], cwd=machine.home, env=machine.environment(), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True, text=True)
    machine.cluster.children.append(process)
    return process


def one_round(machine):
    shutil.rmtree(machine.user_dir)
    (machine.home / "ensemble.yaml").write_text(ENSEMBLE)
    begun = time.monotonic()
    machine.must("init", "--cpu", "1", "--ram", "1GiB", "--disk", "1GiB")
    seconds = {"init": time.monotonic() - begun}
    settings = json.loads(machine.config.read_text())
    settings.setdefault("rest", {})["port"] = machine.rest_port  # the standard one may be in use
    machine.config.write_text(json.dumps(settings))

    begun = time.monotonic()
    machine.process = launch(machine, "run", "--dev")
    wait_for_line(machine.process, "ready")
    typed = time.monotonic()
    deploy = launch(machine, "deploy", "-f", "ensemble.yaml", "--wait")
    wait_for_line(deploy, LINE)
    ended = time.monotonic()
    deploy.communicate(timeout=60)
    machine.process.stdout.close()
    machine.stop()
    return seconds | {"ready": typed - begun, "deploy": ended - typed, "first_result": ended - begun}


def measure():
    with Cluster() as cluster:
        rounds = [one_round(cluster.machine(f"newcomer{number}")) for number in range(ROUNDS)]
        for name in rounds[0]:
            median_of(f"first_steps.{name}", [seconds[name] for seconds in rounds])
        bench_lib.finish(cluster)


if __name__ == "__main__":
    if obstacle := sandbox_obstacle():
        print(f"skipped: first_steps: {obstacle}")
        sys.exit(77)
    sys.exit(bench_lib.run(measure))
