"""Providers: leases, bids, reservations, what they know and tell of work, and one that lies."""

import json
import re

from behave import given, then, when

import feature_work
from nunet_cluster import wait_for
from scenario_work import work_of


@given("providers grant leases of {least} and more")
def grants_leases(context, least):
    """A setting of the machines that come after it."""
    context.cluster.settings["job"] = {"min_lease": least}


@given("providers grant leases of {least} and more, and keep what has ended for {retention}")
def grants_leases_and_keeps(context, least, retention):
    context.cluster.settings["job"] = {"min_lease": least, "retention": retention}


@then('{bidder:w} has bid for "{deployment}"')
def has_bid(context, bidder, deployment):
    ensemble, peer = context.ensembles[deployment], context.cluster.machines[bidder].peer_id()
    log = ensemble.deployer.log
    wait_for(lambda: any(ensemble.id in line and f"{peer} bids" in line for line in log.read_text(errors="replace").splitlines()),
             f"{bidder} bids for {deployment}")


@then("{name:w} has reserved something")
def has_reserved(context, name):
    wait_for(lambda: feature_work.reserved(context.cluster.machines[name]), f"{name} has reserved something", 10, 0.02)


@then('{provider:w} has reserved {memory:d} MiB for "{name}"')
def reserved_for(context, provider, memory, name):
    def sizes():
        found = feature_work.allocations_at(context.cluster.machines[provider])
        return [entry["resources"]["ram"]["size"] for entry in found if entry["id"].endswith(name)]
    wait_for(lambda: sizes() == [memory << 20], f"{provider} has reserved {memory} MiB for {name}")


@then('{provider:w} knows that "{name}" has ended')
def knows_end(context, provider, name):
    machine = context.cluster.machines[provider]

    def ended():
        states = {entry["status"] for entry in feature_work.allocations_at(machine) if name in str(entry)}
        return not states & {"pending", "running", "restarting"}  # none: its end was collected already
    wait_for(ended, f"{provider} knows that {name} has ended")


@then('{provider:w} has told the end of "{name}" {count:d} times without an answer')
def has_told(context, provider, name, count):
    log = context.cluster.machines[provider].log
    wait_for(lambda: len(re.findall(f"of the end of \\S*{name}:", log.read_text(errors="replace"))) >= count,
             f"{provider} has told the end of {name} {count} times", 90)


@when('{liar:w} tells {name:w} that "{allocation}" has failed')
def tells_a_lie(context, liar, name, allocation):
    """With the key of its daemon, which serves another node of the deployment."""
    ensemble, liar = work_of(context, allocation), context.cluster.machines[liar]
    manifest = context.cluster.machines[name].must("deployment", "manifest", ensemble.id).json["manifest"]
    known = next(entry for entry in manifest["allocations"].values() if entry["id"].endswith(allocation))
    notice = {"allocation_id": known["id"], "status": "failed", "error": {"err": "lie", "exit_code": 1, "killed": False},
              "stdout": None, "stderr": None, "incarnation": ensemble.status()["Allocations"][allocation]["incarnation"]}
    message = liar.must("actor", "msg", "--context", "dms", "--invoke", "--timeout", "5s", "--dest",
                        json.dumps(manifest["orchestrator"]), "/dms/orchestrator/task-termination", json.dumps(notice)).out
    context.machine, context.answer = liar, liar.nunet("actor", "invoke", "-", input=message)
