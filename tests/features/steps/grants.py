"""What users and keys may do at the daemons of others, while work runs there."""

import re
import shlex

from behave import given, step, then, when

from feature_world import in_parallel
from nunet_cluster import ClusterError, wait_for


@given("further users, to whom bob grants these capabilities")
def further_users(context):
    """Each has a daemon of its own, connected to bob, and is the same person as the first user."""
    bob = context.cluster.machines["bob"]

    def join(row):
        machine = context.cluster.machine(row["user"])
        machine.make_identities(user_of=context.user)
        if row["accepts bids"] == "yes":
            machine.accept(bob)
        return machine
    machines = in_parallel(join, list(context.table))
    for row, machine in zip(context.table, machines):
        capabilities = [f"/dms/deployment/{name}" for name in row["of /dms/deployment"].split()]
        bob.accept(machine, "/public", "/broadcast", *capabilities)
    in_parallel(lambda machine: machine.start(), machines)
    for machine in machines:
        machine.connect(bob)


@step("{provider:w} grants {user:w} these of /dms/deployment: {names}")
def grants_more(context, provider, user, names):
    """To a further user, whose daemon accepts the bids of the provider from now on."""
    machines = context.cluster.machines
    machines[provider].accept(machines[user], "/public", "/broadcast", *(f"/dms/deployment/{name}" for name in names.split()))
    if machines[provider].peer_id() not in str(machines[user].peers()):
        machines[user].accept(machines[provider])
        machines[user].connect(machines[provider])


@when("{provider:w} revokes what it has granted {user:w}")
def revokes(context, provider, user):
    """A further user; last. Its daemon knows the revocation then."""
    machine = context.cluster.machines[provider]
    machine.must("cap", "revoke", "-c", "user", "--broadcast", machine.granted[user])


@given('{name:w} grants "{capability}" on its daemon to "{key}"')
def grants_on_daemon(context, name, capability, key):
    """The daemon knows the context from now on: what it refuses it, it explains."""
    machine = context.cluster.machines[name]
    token = machine.must("cap", "grant", "--context", "user", "--cap", capability, "--duration", "1h", machine.did(key)).out
    machine.must("cap", "anchor", "-c", "dms", "--require", token.strip())


@then('"{key}" of {name:w} is refused each of these by the name of the capability, and permitted it once that is granted')
def refused_until_granted(context, key, name):
    machine = context.cluster.machines[name]

    def kept(line):
        """Which deployments there are, with the status and the files of the one that the line names; and uploads."""
        listed = machine.must("deployment", "list", "--json").json
        folders = ["blobs", *(f"deployments/{id}" for id in listed if id in line)]
        files = {str(path) for folder in folders for path in (machine.work_dir / folder).rglob("*")}
        return {id: entry["status"] if id in line else "" for id, entry in listed.items()}, files
    for row in context.table:
        line = re.sub(r"<id of (\w+)>", lambda match: context.ensembles[match.group(1)].id, row["command"])
        command, before = [*shlex.split(line), "--context", key], kept(line)
        refused = machine.nunet(*command)
        assert refused.status == 3 and "not permitted" in refused.err and row["capability"] in refused.err, refused
        assert kept(line) == before, (before, kept(line))
        grants_on_daemon(context, name, row["capability"], key)

        def permitted():
            answer = machine.nunet(*command)
            if answer.status:
                raise ClusterError(answer)
            return True
        wait_for(permitted, f"{line} is permitted", 10)
