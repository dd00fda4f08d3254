"""Deployments of work that goes on whatever happens: deployed, updated, shut down, listed; their states and reasons."""

import re
import threading

from behave import given, then, when

import feature_work
from feature_world import in_parallel
from nunet_cluster import ClusterError, wait_for
from scenario_work import ensembles_of, work_of


@when("{name:w} deploys")
def deploys(context, name):
    """`at` names a machine, or is empty: any that bids."""
    deployer, made = context.cluster.machines[name], ensembles_of(context)
    context.ensembles = {**getattr(context, "ensembles", {}), **made}
    in_parallel(lambda ensemble: ensemble.deploy(deployer), made.values())


def update_command(context, deployment):
    """What the user types, with the changed ensemble in a file."""
    old, new = context.ensembles[deployment], ensembles_of(context)[deployment]
    new.id, new.deployer, new.seen = old.id, old.deployer, old.seen
    for known, allocation in old.allocations.items():  # what is not changed keeps its mark
        if known in new.allocations:
            new.allocations[known]["execution"], new.marks[known] = allocation["execution"], old.marks[known]
    new.marks = old.marks | new.marks
    file = new.deployer.home / "update.yaml"
    file.write_text(new.text())
    context.ensembles[deployment] = new
    return ["actor", "cmd", "--context", "user", "/dms/node/deployment/update", "--id", new.id, "--spec-file", file, "--timeout", "120s"]


@when('{name:w} updates "{deployment}" to')
def updates(context, name, deployment):
    context.machine = context.cluster.machines[name]
    context.answer = context.machine.nunet(*update_command(context, deployment))


@when('{name:w} begins to update "{deployment}" to')
def begin_to_update(context, name, deployment):
    """Whether the command is answered does not matter: its daemon may be killed meanwhile."""
    in_background(context, context.cluster.machines[name], update_command(context, deployment))


@when('{name:w} shuts "{deployment}" down')
def shut_down(context, name, deployment):
    context.cluster.machines[name].must("deployment", "shutdown", context.ensembles[deployment].id)


@when('{name:w} begins to shut "{deployment}" down')
def begin_to_shut_down(context, name, deployment):
    """Whether the command is answered does not matter: its daemon may be killed meanwhile."""
    in_background(context, context.cluster.machines[name], ["deployment", "shutdown", context.ensembles[deployment].id])


def in_background(context, machine, arguments):
    command = threading.Thread(target=lambda: machine.nunet(*arguments, timeout=120), daemon=True)
    command.start()
    context.add_cleanup(lambda: command.join(120))


@given('{name:w} has the file "{file}"')
def has_file(context, name, file):
    """`<peer of NAME>` becomes the peer id of that machine."""
    path = context.cluster.machines[name].home / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(re.sub("<peer of (\\w+)>", lambda match: context.cluster.machines[match[1]].peer_id(), context.text) + "\n")


@when('{name:w} deploys the file "{file}" as "{deployment}"')
def deploys_file(context, name, file, deployment):
    """The work of its allocation X carries the mark `mark-of-X`."""
    ensemble = feature_work.Ensemble(context.cluster)
    ensemble.deployer = context.cluster.machines[name]
    ensemble.id = ensemble.deployer.must("deploy", "-f", ensemble.deployer.home / file).out.strip()
    text = (ensemble.deployer.home / file).read_text()
    ensemble.allocations = dict.fromkeys(re.findall(r"^  ([\w-]+):\n    executor:", text, re.M))
    ensemble.marks = {name: f"mark-of-{name}" for name in ensemble.allocations}
    context.ensembles = {**getattr(context, "ensembles", {}), deployment: ensemble}


@then('the file "{file}" names the deployment "{deployment}" with the allocation "{name}"')
def file_names_deployment(context, file, deployment, name):
    """One that was deployed by typing; its work carries the mark `job-description`."""
    ensemble = feature_work.Ensemble(context.cluster)
    ensemble.deployer, ensemble.id = context.machine, (context.machine.home / file).read_text().strip()
    ensemble.allocations[name], ensemble.marks[name] = {}, "job-description"
    context.ensembles = {**getattr(context, "ensembles", {}), deployment: ensemble}


@when("{name:w} shuts all of them down at once")
def shut_all_down(context, name):
    machine = context.cluster.machines[name]
    in_parallel(lambda ensemble: machine.must("deployment", "shutdown", ensemble.id, timeout=120), context.ensembles.values())


def listed(context):
    return set(context.answer.json)


@then("the answer lists the deployments")
def lists_all(context):
    assert listed(context) == {ensemble.id for ensemble in context.ensembles.values()}, context.answer


@then("the answer lists none of the deployments")
def lists_none(context):
    assert not listed(context), context.answer


@when('{name:w} deletes "{deployment}" and prunes the rest')
def deletes_and_prunes(context, name, deployment):
    machine, ensemble = context.cluster.machines[name], context.ensembles[deployment]
    machine.cmd("/dms/node/deployment/delete", "--id", ensemble.id)
    pruned = set(machine.cmd("/dms/node/deployment/prune")["Deployments"])
    assert pruned == {other.id for other in context.ensembles.values()} - {ensemble.id}, pruned


@then("the deployments are")
def deployments_are(context):
    for row in context.table:
        context.ensembles[row["deployment"]].wait(row["status"])


@then('deployment "{deployment}" is {status:w}')
def deployment_is(context, deployment, status):
    states = {"preparing": "Preparing", "committing": "Committing", "provisioning": "Provisioning", "running": "Running",
              "completed": "Completed", "failed": "Failed", "ending": "ShuttingDown"}
    context.status = context.ensembles[deployment].wait(states[status])


@then('the reason of "{deployment}" mentions "{text}"')
def reason_mentions(context, deployment, text):
    def mentions():
        status = context.ensembles[deployment].status()
        if text.lower() in str(status).lower():
            return True
        raise ClusterError(status)
    wait_for(mentions, f"the status of {deployment} mentions {text}", 90)


@then("each of these has failed with its reason")
def each_failed(context):
    for row in context.table:
        status = context.ensembles[row["deployment"]].wait("Failed", timeout=150)
        assert row["reason"] in status["Error"], status


@then('the status of "{deployment}" shows "{text}"')
def status_shows(context, deployment, text):
    ensemble = context.ensembles[deployment]

    def shows():
        status = ensemble.deployer.must("deployment", "status", ensemble.id).out
        if text in status:
            return True
        raise ClusterError(status)
    wait_for(shows, f"the status of {deployment} shows {text}", 60)


@then('the status of "{deployment}" does not show "{text}"')
def status_does_not_show(context, deployment, text):
    ensemble = context.ensembles[deployment]
    status = ensemble.deployer.must("deployment", "status", ensemble.id).out
    assert text not in status, status


@then('the exit code of "{name}" is {code:d}')
def exit_code_is(context, name, code):
    status = work_of(context, name).status()
    assert status["Allocations"][name]["exit_code"] == code, status


@then('"{name}" is healthy')
def is_healthy(context, name):
    ensemble = work_of(context, name)
    wait_for(lambda: ensemble.status()["Allocations"][name].get("health") == "healthy", f"{name} is healthy")


@then('the orchestrator of "{name}" hears of it again')
def hears_again(context, name):
    """The machine that the allocation is on answers."""
    ensemble = work_of(context, name)
    wait_for(lambda: "unreachable_for" not in ensemble.status()["Allocations"][name], f"{name} is heard of", 60)
