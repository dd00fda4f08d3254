"""What is left of work at its provider and its orchestrator."""

from behave import then

import feature_work
import stored_records
from feature_world import in_parallel
from nunet_cluster import wait_for
from scenario_work import named


@then("nothing is left at {names}")
def nothing_is_left(context, names):
    """Of the allocations there; nor, of deployments that have ended, anything at their orchestrators but what came back."""
    nothing_is_left_on_both_sides(context, named(context, names))


def nothing_is_left_on_both_sides(context, providers):
    in_parallel(feature_work.nothing_is_left, providers)
    machines = context.cluster.machines.values()
    if all(machine.goes_on() for machine in machines):  # else a provider may hold something that it cannot be asked about
        in_parallel(feature_work.only_what_came_back, [machine for machine in machines if machine not in providers])


@then("nothing of the deployments is left at {names}")
def nothing_of_deployments(context, names):
    """Which were deleted: neither a row of the store, nor a file or folder, nor an actor."""
    ids = [ensemble.id for ensemble in context.ensembles.values()]
    for machine in named(context, names):
        found = stored_records.naming(machine, ids)
        assert not found, found
        feature_work.wait_empty(lambda: list(machine.work_dir.rglob("*.part")), f"{machine.name} has no part of a file")
        assert not feature_work.actors_at(machine), f"{machine.name} has {feature_work.actors_at(machine)} actors"


@then("{name:w} has no allocation")
def has_no_allocation(context, name):
    """Running or ended; something may be reserved."""
    machine = context.cluster.machines[name]
    feature_work.wait_empty(lambda: feature_work.allocations_at(machine), f"{name} has no allocation")


@then("{name:w} has swept away what it kept")
def has_swept(context, name):
    """Providers sweep once in a minute."""
    machine = context.cluster.machines[name]
    wait_for(lambda: not feature_work.allocations_at(machine), f"{name} has no allocation", 150)


@then("nothing runs at {names}")
def nothing_runs(context, names):
    in_parallel(feature_work.nothing_runs, named(context, names))


@then("no container of {name:w} is left")
def no_container(context, name):
    feature_work.no_container_is_left(context.cluster.machines[name])


@then("no watcher of {name:w} is left")
def no_watcher(context, name):
    machine = context.cluster.machines[name]
    feature_work.wait_empty(lambda: feature_work.work_at(machine), f"{name} has no process beside its daemon")
