"""Supervision: what is supervised by whom, restarts and their order, standbys."""

import json
import time

from behave import given, then

from nunet_cluster import ClusterError, wait_for
from scenario_work import copies, shows, work_of


@given('the supervisor of "{deployment}" is')
def supervisor_is(context, deployment):
    """Of the deployment that comes after it."""
    context.supervisors = {deployment: json.loads(context.text)}


def actors_of(context, name, deployment):
    """By their inboxes, as that machine shows them."""
    return context.cluster.machines[name].must("actor", "tree", "--deployment", context.ensembles[deployment].id, "--json").json


@then('the actor of "{deployment}" at {name:w} supervises at {provider:w}')
def supervises(context, deployment, name, provider):
    """From a table, in its order."""
    id, peer = context.ensembles[deployment].id, context.cluster.machines[provider].peer_id()

    def look():
        supervision = actors_of(context, name, deployment)[id]["deployment"]["supervision"]
        pairs = [(supervisor, child) for supervisor in supervision["children"] for child in supervisor["children"]]
        return [(supervisor["name"], child["name"], child.get("allocation", {}).get("peer"), child.get("phase"), child.get("restarts", 0))
                for supervisor, child in pairs]
    shows(look, [(row["supervisor"], row["allocation"], peer, row["phase"], int(row["restarts"])) for row in context.table],
          f"{name} shows what {deployment} supervises")


def below(supervised):
    """(name, what the actor tree says of it), of all that the supervisor and those below it supervise."""
    for child in supervised.get("children") or []:
        yield child["name"], child
        yield from below(child)


@then("exactly these were started again")
def started_again(context):
    """Says the status of their deployment, and the actor tree. A row may be of copies."""
    rows = {name: (row["status"], int(row["restarts"])) for row in context.table for name in copies(row["allocation"], row.get("copies"))}
    ensembles = {id(ensemble): ensemble for ensemble in (work_of(context, name) for name in rows)}.values()

    def look():
        found = {}
        for ensemble in ensembles:
            tree = ensemble.deployer.must("actor", "tree", "--deployment", ensemble.id, "--json").json
            by_tree = dict(below(tree[ensemble.id]["deployment"]["supervision"]))
            for name, state in ensemble.status()["Allocations"].items():
                restarts = state.get("restarts", 0), by_tree[name].get("restarts", 0)
                found[name] = state["status"], restarts[0] if restarts[0] == restarts[1] else restarts
        return found
    shows(look, rows, "all were started again as often as they should")


@then('the supervisors of "{deployment}" were started again')
def supervisors_started_again(context, deployment):
    ensemble = context.ensembles[deployment]

    def look():
        tree = ensemble.deployer.must("actor", "tree", "--deployment", ensemble.id, "--json").json
        found = below(tree[ensemble.id]["deployment"]["supervision"])
        return {name: child.get("restarts", 0) for name, child in found if name not in ensemble.marks}
    shows(look, {row["supervisor"]: int(row["restarts"]) for row in context.table}, f"the supervisors of {deployment} were started again")


@then("by what they have written themselves, {stopped} stopped and {started} started, in this order")
def stopped_and_started(context, stopped, started):
    """Those that have stopped say so in the output of the run before."""
    def told(name, word, *more):
        ensemble = work_of(context, name)
        lines = ensemble.deployer.must("deployment", "logs", ensemble.id, "-a", name, *more).out.splitlines()
        times = [line.split()[1] for line in lines if line.startswith(word)]
        assert len(times) == 1, (name, lines)
        return float(times[0]), f"{name} {word}"

    def look():
        again = started.split(", ")
        stops = [told(name, "stop", *(["--previous"] if name in again else [])) for name in stopped.split(", ")]
        times = stops + [told(name, "start") for name in again]
        if times == sorted(times) and len({time for time, _ in times}) == len(times):
            return True
        raise ClusterError(times)
    wait_for(look, "they stopped and started in this order", 20)


@then('the allocations {names} of "{deployment}" are actors at {provider:w}, supervised from {name:w}')
def are_supervised(context, names, deployment, provider, name):
    id, orchestrator = context.ensembles[deployment].id, context.cluster.machines[name]
    whose, by = orchestrator.did("dms"), {"host": orchestrator.peer_id(), "inbox": id}

    def look():
        actors = actors_of(context, provider, deployment)
        held = [actor for inbox, actor in actors.items() if inbox != "root"]
        return sorted((actor["allocation"]["id"], actor["allocation"]["status"], actor["allocation"]["orchestrator"], actor["parent"],
                       str(actor["supervisor"]["addr"])) for actor in held)
    shows(look, [(f"{id}_{allocation}", "running", whose, "root", str(by)) for allocation in names.replace(",", " and").split(" and ")],
          f"{provider} shows the allocations of {deployment}")


@then('"{name}" is restarted')
def is_restarted(context, name):
    ensemble = work_of(context, name)
    wait_for(lambda: ensemble.status()["Allocations"][name].get("restarts"), f"{name} is restarted", 60)


@then('"{name}" has been restarted once')
def has_been_restarted_once(context, name):
    restarts = work_of(context, name).status()["Allocations"][name].get("restarts")
    assert restarts == 1, restarts


@then('a machine stands by for "{name}"')
def stands_by(context, name):
    ensemble = work_of(context, name)
    context.standby = wait_for(lambda: ensemble.status()["Allocations"][name].get("standbys"), f"{name} has a standby", 60)[0]


@then('the same machine stands by for "{name}"')
def still_stands_by(context, name):
    assert work_of(context, name).status()["Allocations"][name].get("standbys") == [context.standby], context.standby


@then('"{name}" runs on the machine that stood by')
def runs_on_standby(context, name):
    ensemble = work_of(context, name)

    def is_there():
        state = ensemble.status()["Allocations"][name]
        return state["peer"] == context.standby and state["status"] == "running"

    wait_for(is_there, f"{name} runs on {context.standby}")
