"""Daemons that are killed at the instant at which they have stored something."""

import sys

from behave import then, when

import feature_work
import stored_records
from nunet_cluster import wait_for
from scenario_work import named, work_of


def advance(context, machine, name, state):
    """The orchestrator stores the states of deployments and of their allocations, providers those of allocations that they hold."""
    if machine is context.user and name in context.ensembles:
        states = lambda: stored_records.deployment_states(machine, context.ensembles[name])
    elif machine is context.user:
        states = lambda: stored_records.placement_states(machine, work_of(context, name), name)
    else:
        states = lambda: stored_records.allocation_states(machine, work_of(context, name), name)
    stored_records.advance_until(machine, states, state, f"{name} is {state}")


@when('the daemon of {holder:w} is suspended once it has stored that "{name}" is {state}')
def suspend_at(context, holder, name, state):
    """It may be suspended before; it goes on to that state, and no further."""
    advance(context, context.cluster.machines[holder], name, state)


@when('the daemon of {names} is killed once {holder:w} has stored that "{name}" is {state}')
def kill_at(context, names, holder, name, state):
    """The holder's daemon may be suspended before; it goes on to that state, and no further if it is one of those that are killed."""
    machine = context.cluster.machines[holder]
    try:
        advance(context, machine, name, state)
    except stored_records.MissedError as missed:
        machine.resume()
        for ensemble in {each.id: each for each in context.ensembles.values()}.values():
            ensemble.deployer.must("deployment", "shutdown", ensemble.id)
        print(f"{context.scenario.name}\nskipped: {missed}", file=sys.__stdout__, flush=True)  # sys.stdout is captured
        context.scenario.skip(f"skipped: {missed}")
        return
    killed = named(context, names)
    for each in killed:
        each.kill()
    if machine not in killed:
        machine.resume()


@when('the time of "{deployment}" to be deployed ends while the daemon of {name:w} is down')
def time_to_deploy_ends(context, deployment, name):
    stored_records.end_time_to_deploy(context.cluster.machines[name], context.ensembles[deployment])


@then("{name:w} has stored how it reaches {names}")
def has_stored_addresses(context, name, names):
    machine = context.cluster.machines[name]
    for other in named(context, names):
        wait_for(lambda: stored_records.knows(machine, other), f"{name} has stored how it reaches {other.name}")


@then('{provider:w} does not hold "{name}"')
def does_not_hold(context, provider, name):
    machine = context.cluster.machines[provider]
    wait_for(lambda: not [entry for entry in feature_work.allocations_at(machine) if entry["id"].endswith(f"_{name}")],
             f"{provider} has released {name}", 60)
