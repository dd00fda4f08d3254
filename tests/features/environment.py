"""What every scenario stands on: a cluster of its own, gone when the scenario ends."""

import os
import pathlib
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/lib"))

import feature_world  # noqa: E402  (the path to it is only known now)
import nunet_cluster  # noqa: E402


def before_all(context):
    if not os.access(nunet_cluster.NUNET, os.X_OK):
        raise FileNotFoundError(f"{nunet_cluster.NUNET} is not there: `make` builds it")


def after_all(context):
    feature_world.forget()


def before_scenario(context, scenario):
    missing = [tag for tag in ("bwrap", "docker") if tag in scenario.effective_tags and not shutil.which(tag)]
    if missing:
        why = f"skipped: {missing[0]} is not installed"
        print(f"{scenario.name}\n{why}")
        scenario.skip(why)
        return
    context.cluster = nunet_cluster.Cluster(light_keys=True)
    context.answer = None
    context.deployments = {}


def after_scenario(context, scenario):
    cluster = getattr(context, "cluster", None)
    if cluster is None:
        return
    if scenario.status == "failed":
        for machine in cluster.machines.values():
            print(machine.log_tail(60))
    cluster.close()
    left = cluster.leftovers()
    assert not left, "left behind: " + ", ".join(left)
