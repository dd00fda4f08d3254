"""Deployments and their results."""

import json
import pathlib
import re
import subprocess

from behave import given, step, then, when

import feature_work
import oci_layout
from feature_world import amounts, free, identities, in_parallel
from leftovers import nothing_is_left_on_both_sides
from nunet_cluster import wait_for

ENSEMBLE = """\
version: V1
allocations:
  work:
    executor: {executor}
    type: {type}
    resources:
      cpu: {{cores: {cores}}}
      ram: {{size: {memory}MiB}}
      disk: {{size: 64MiB}}
    execution:
      type: {executor}
{image}      cmd: {cmd}
nodes:
  place:
    allocations: [work]
{pin}"""


def ensemble(script, type="task", executor="sandbox", cores=0.1, memory=64, peer=None, image=None):
    return ENSEMBLE.format(executor=executor, type=type, cores=cores, memory=memory, cmd=json.dumps(["/bin/sh", "-c", script]),
                           image=f"      image: {image}\n" if image else "", pin=f"    peer: {peer}\n" if peer else "")


@given('a user\'s machine "{user:w}" and providers "{first:w}" and "{second:w}" that accept each other')
def a_network(context, user, first, second):
    machines = [context.cluster.machine(name) for name in (user, first, second)]
    orchestrator, providers = machines[0], machines[1:]

    def make():
        in_parallel(lambda machine: machine.make_identities(), machines)
        in_parallel(lambda provider: provider.accept(orchestrator), providers)
        for provider in providers:
            orchestrator.accept(provider)
    # A provider removes containers of its own that it does not know: on one engine, scenarios that run at the same time need
    # identities of their own.
    own = "-" + pathlib.Path(context.feature.filename).stem if "docker" in context.tags else ""
    identities(f"network{own}", machines, make)
    in_parallel(lambda machine: machine.start(), machines)
    for provider in providers:
        orchestrator.connect(provider)
    context.user, context.providers = orchestrator, providers


@step("{name:w} offers {cores:g} cores, {memory:d} MiB of memory and {disk:g} GiB of disk")
def offers(context, name, cores, memory, disk):
    machine = context.cluster.machines[name]
    machine.cmd("/dms/node/onboarding/onboard", "--cpu", cores, "--ram", f"{memory}MiB", "--disk", f"{round(disk * 1024)}MiB")
    context.deployments.setdefault("offered", {})[name] = (cores, memory << 20, round(disk * 1024) << 20)


@given("{name:w} is connected to {other:w}")
def connected(context, name, other):
    context.cluster.machines[name].connect(context.cluster.machines[other])


@when("{name:w} is connected to {first:w} and {second:w}")
def connected_to_both(context, name, first, second):
    for other in (first, second):
        context.cluster.machines[name].connect(context.cluster.machines[other])


@given('the image "{image}" is known to Docker')
def image_is_known(context, image):
    known = subprocess.run(["docker", "image", "inspect", image], capture_output=True)
    if known.returncode != 0:
        why = f"skipped: no Docker daemon with the image {image}"
        print(f"{context.scenario.name}\n{why}")
        context.scenario.skip(why)


@given('{name:w} has the image "{image}" as the OCI layout "{layout}", {platforms} platform')
@given('{name:w} has the image "{image}" as the OCI layout "{layout}", {platforms} platforms')
def has_oci_layout(context, name, image, layout, platforms):
    """A new image, whose WHO is the name of the file; the engine has it no more."""
    home, own = context.cluster.machines[name].home, f"{context.cluster.mark.lower()}:{layout}"
    docker = lambda *words: subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout.strip()
    model = docker("create", image, "true")
    context.image = docker("commit", "--change", f"ENV WHO={layout}", model, own)
    docker("save", own, "--output", home / "saved.tar")
    docker("rm", model)
    docker("image", "rm", own)
    oci_layout.convert(home / "saved.tar", home / layout, platforms={"for its": False, "for several": True}[platforms])


@then("Docker has the image no more")
def image_is_gone(context):
    known = lambda: subprocess.run(["docker", "image", "inspect", context.image], capture_output=True).returncode == 0
    wait_for(lambda: not known(), "the image is removed")


# --- deploying

def deploy(context, name, **what):
    context.deployer = context.cluster.machines[name]
    context.deployment = context.deployer.deploy(ensemble(**what))


@when('{name:w} deploys a task that runs "{script}"')
def deploy_task(context, name, script):
    deploy(context, name, script=script)


@when('{name:w} deploys a service that runs "{script}"')
def deploy_service(context, name, script):
    deploy(context, name, script=script, type="service")


@when('{name:w} deploys a task with {cores:g} cores and {memory:d} MiB that runs "{script}"')
def deploy_sized(context, name, cores, memory, script):
    deploy(context, name, script=script, cores=cores, memory=memory)


@when('{name:w} deploys a task pinned to {provider:w} that runs "{script}"')
def deploy_pinned(context, name, provider, script):
    deploy(context, name, script=script, peer=context.cluster.machines[provider].peer_id())


@when('{name:w} deploys a container of "{image}" that runs "{script}"')
def deploy_container(context, name, image, script):
    deploy(context, name, script=script, executor="docker", image=image)


@when("{name:w} shuts the deployment down")
def shut_down(context, name):
    context.cluster.machines[name].must("deployment", "shutdown", context.deployment)


# --- many of them

def small(**what):
    return ensemble("true", cores=0.05, memory=32, **what)


@when("{name:w} deploys {count:d} tasks one after another")
def deploy_in_turn(context, name, count):
    context.deployer = context.cluster.machines[name]
    file = context.deployer.home / "small.yaml"
    file.write_text(small())
    context.many = [context.deployer.must("deploy", "-f", file, "--wait").out.split()[0] for _ in range(count)]


def deploy_at_once(context, name, count, work):
    """They wait for each other's resources: that takes long on a machine with a high load."""
    context.deployer = context.cluster.machines[name]
    context.many = in_parallel(lambda _: context.deployer.deploy(work, timeout="180s"), range(count))


@when("{name:w} deploys {count:d} tasks at once")
def deploy_tasks_at_once(context, name, count):
    deploy_at_once(context, name, count, small())


@when('{name:w} deploys {count:d} containers of "{image}" at once')
def deploy_containers_at_once(context, name, count, image):
    deploy_at_once(context, name, count, small(executor="docker", image=image))


@then("each of them is completed")
def each_completed(context):
    assert len(set(context.many)) == len(context.many), context.many
    for deployment in context.many:
        context.deployer.wait_deployment(deployment, ["Completed"], 195)


@then("nothing of them is left")
def nothing_left(context):
    nothing_is_left_on_both_sides(context, context.providers)
    if "docker" in context.scenario.effective_tags:
        in_parallel(feature_work.no_container_is_left, context.providers)


# --- results

def reach(context, *states):
    """Waits for one of `states`; another end is an error."""
    context.status = context.deployer.wait_deployment(context.deployment, states, 75)
    return context.status


def allocation(context):
    return next(iter(context.deployer.deployment(context.deployment)["Allocations"].values()))


@then("the deployment is completed")
def completed(context):
    reach(context, "Completed")


@then("the deployment is running")
def running(context):
    reach(context, "Running")


@then("the deployment has failed")
def failed(context):
    reach(context, "Failed")


@then("its exit code is {code:d}")
def exit_code(context, code):
    assert allocation(context)["exit_code"] == code, context.status


@then("the reason is not empty")
def has_reason(context):
    assert context.status["Error"], context.status


@then("it ran at {name:w}")
def ran_at(context, name):
    assert allocation(context)["peer"] == context.cluster.machines[name].peer_id(), context.status


def output(context):
    return context.deployer.must("deployment", "logs", context.deployment, "-a", "work").out


@then('its output is "{text}"')
def output_is(context, text):
    assert output(context).strip() == text, output(context)


@then('its output does not mention "{text}"')
def output_does_not_mention(context, text):
    assert text not in output(context), output(context)


@then("all that {first:w} and {second:w} offer is free again")
def all_free(context, first, second):
    for name in (first, second):
        machine, offered = context.cluster.machines[name], context.deployments["offered"][name]
        wait_for(lambda: amounts(free(machine)) == offered, f"{name}'s resources are free again")


@then("no work of the deployment is left")
def no_work(context):
    nothing_is_left_on_both_sides(context, context.providers)


# --- choosing

@when('{name:w} plans "{deployment}"')
def plans(context, name, deployment):
    """What was deployed, once more."""
    context.machine = context.cluster.machines[name]
    file = context.machine.home / "plan.yaml"
    file.write_text(context.ensembles[deployment].text())
    context.answer = context.machine.nunet("plan", "-f", file, "--json")


@then('{name:w} plans "{deployment}" for {chosen:w}')
def plans_for(context, name, deployment, chosen):
    plans(context, name, deployment)
    assert context.answer.status == 0, context.answer
    peers = [machine["peer"] for machine in context.answer.json["Choice"]["machines"] if machine["chosen"]]
    assert peers == [context.cluster.machines[chosen].peer_id()], context.answer


@when('{name:w} explains "{deployment}"')
def explains(context, name, deployment):
    context.machine = context.cluster.machines[name]
    context.answer = context.machine.nunet("deployment", "explain", context.ensembles[deployment].id, "--json")


@then('"{node}" gets {chosen:w}, as these ways from {name:w} were measured')
def gets(context, node, chosen, name):
    """Of the only edge."""
    answer, machines = context.answer.json, context.cluster.machines
    choice = answer.get("Choice") or answer
    verdicts = {entry["peer"]: entry for entry in choice["machines"] if entry.get("node") == node}
    ways = {frozenset((way["a"], way["b"])): way for way in choice["edges"]}
    for row in context.table:
        peer = machines[row["to"]].peer_id()
        way, verdict = ways.pop(frozenset((peer, machines[name].peer_id()))), verdicts.pop(peer)
        rtt, bandwidth = re.fullmatch(r"(\S+) ms, (\d+) bit/s", way["measured"]).groups()
        for value, column in ((float(rtt), "round trip in ms"), (int(bandwidth) / 1000, "bandwidth in kbit")):
            least, most = map(int, row[column].split(" to "))
            assert least <= value <= most, (row, way)
        assert way["holds"] is verdict["chosen"] is (row["to"] == chosen), (way, verdict)
        said = row["what is said of it"].replace("<round trip>", rtt).replace("<bandwidth>", bandwidth)
        assert said in ("chosen" if verdict["chosen"] else verdict["reason"]), (said, verdict)
    assert not ways and not verdicts, (ways, verdicts)
