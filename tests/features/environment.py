"""Gives every scenario a cluster of its own and removes it when the scenario ends."""

import os
import pathlib
import re
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests/lib"), str(ROOT)]

import feature_world  # noqa: E402  (the path to it is only known now)
import nunet_cluster  # noqa: E402
import probes  # noqa: E402
import testnet  # noqa: E402
from testnet import link_client  # noqa: E402


def before_all(context):
    if not os.access(nunet_cluster.NUNET, os.X_OK):
        raise FileNotFoundError(f"{nunet_cluster.NUNET} is not there: `make` builds it")


def after_all(context):
    feature_world.forget()


def missing(tags):
    """What a scenario with these tags needs and is not there; empty if nothing."""
    if "nightly" in tags and not os.environ.get("NUNET_EVERY_SCENARIO"):
        return "a scenario of the nightly run; NUNET_EVERY_SCENARIO=1 runs it, too"
    if "docker" in tags and not shutil.which("docker"):
        return "docker is not installed"
    if "bwrap" in tags and (obstacle := probes.sandbox_obstacle()):
        return obstacle
    if "unprivileged" in tags:
        socket = nunet_cluster.DOCKER_SOCKET if "docker" in tags else None
        if obstacle := probes.user_obstacle("nobody", nunet_cluster.NUNET, socket):
            return f"a daemon that does not run as root: {obstacle}"
    if "tmpfs" in tags and (obstacle := probes.mounts_obstacle()):
        return f"a disk of a small size: {obstacle}"
    if {"namespaces", "testnet"}.intersection(tags) and (obstacle := probes.testnet_obstacle(link_client.program())):
        return f"networks on demand: {obstacle}"
    if "sshd" in tags and not probes.sshd():
        return "sshd is not installed"
    if "faketime" in tags and not probes.fake_time_library():
        return "clocks cannot be set: libfaketime is not installed"
    return ""


def on_a_network(tags):
    """Whether the machines are hosts of a network that is spawned for the scenario; otherwise they share the loopback."""
    if "namespaces" in tags:
        return True
    asked_for = os.environ.get("FEATURE_NETWORK") != "loopback" and not {"loopback", "testnet"}.intersection(tags)
    return asked_for and not probes.testnet_obstacle(link_client.program())


def before_scenario(context, scenario):
    if lacking := missing(scenario.effective_tags):
        why = f"skipped: {lacking}"
        print(f"{scenario.name}\n{why}")
        scenario.skip(why)
        return
    context.cluster = nunet_cluster.Cluster(namespaces=on_a_network(scenario.effective_tags), light_keys=True)
    context.answer = None
    context.deployments = {}
    context.networks, context.states = {}, []


def collect(network, scenario):
    """What a failed scenario's hosts have written, for people."""
    build = pathlib.Path(os.environ.get("DMS_BUILD", ROOT / "build"))
    folder = build / "artifacts" / re.sub(r"\W+", "-", scenario.name) / network.name
    print(f"artifacts of network {network.name}: {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    for mistake in network.collect(folder):
        print(f"missing: {mistake}")


def remove_networks(state, scenario):
    for name in testnet.networks(state):
        if scenario.status == "failed":
            try:
                collect(testnet.Network.open(name, state), scenario)
            except nunet_cluster.ClusterError as error:
                print(f"artifacts of network {name}: {error}")
        testnet.take_down(name, state)


def after_scenario(context, scenario):
    cluster = getattr(context, "cluster", None)
    if cluster is None:
        return
    if scenario.status == "failed":
        for machine in cluster.machines.values():
            print(machine.log_tail(60))
    for state in context.states:
        remove_networks(state, scenario)
    cluster.close()
    left = cluster.leftovers()
    assert not left, "left behind: " + ", ".join(left)
