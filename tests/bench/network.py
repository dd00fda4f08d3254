#!/usr/bin/python3
"""Measures networks of 30 hosts in network namespaces (testnet/), in three regions with delays between them.

  network.hosts_30_up      seconds until 30 hosts are up that run nothing; the goal is 20 s
  network.daemons_30_up    the same of a user and 29 providers, each with keys, grants and a daemon that is onboarded and connected
  network.*_down           until nothing is left of them

Where namespaces cannot be used it is skipped, and says so.
"""

import pathlib
import sys
import tempfile
import time

import bench_lib
from bench_lib import ROOT, figure

sys.path.insert(0, str(ROOT))

from nunet_cluster import ClusterError, processes_of  # noqa: E402  (its folder is only known now)
from probes import testnet_obstacle  # noqa: E402
from testnet import Network, link_client  # noqa: E402
from testnet.removal import namespaces_of  # noqa: E402

DESCRIPTION = """\
regions:
  eu: {{delay: 2ms}}
  us: {{delay: 2ms}}
  asia: {{delay: 2ms}}
links:
  - {{between: [eu, us], delay: 40ms}}
  - {{between: [eu, asia], delay: 80ms}}
  - {{between: [us, asia], delay: 60ms}}
hosts:
  alice: {{region: eu, role: {user}}}
  berlin: {{region: eu, count: 9, role: {provider}}}
  austin: {{region: us, count: 10, role: {provider}}}
  osaka: {{region: asia, count: 10, role: {provider}}}
"""


def up_and_down(name, state, user, provider):
    file = state / f"{name}.yaml"
    file.write_text(DESCRIPTION.format(user=user, provider=provider))
    begun = time.monotonic()
    with Network(file, name=name, state=state / "networks", mode="namespaces") as network:
        figure(f"network.{name}_30_up", time.monotonic() - begun, "s")
        begun = time.monotonic()
    figure(f"network.{name}_30_down", time.monotonic() - begun, "s")
    if left := [line for _, line in processes_of(network.folder)] + namespaces_of(network.folder):
        raise ClusterError("left behind: " + ", ".join(left))


def measure():
    with tempfile.TemporaryDirectory(prefix="nunet-bench-network-") as folder:
        up_and_down("hosts", pathlib.Path(folder), "none", "none")
        up_and_down("daemons", pathlib.Path(folder), "user", "provider")


if __name__ == "__main__":
    if obstacle := testnet_obstacle(link_client.program()):
        print(f"skipped: network: {obstacle}")
        sys.exit(77)
    sys.exit(bench_lib.run(measure))
