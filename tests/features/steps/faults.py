"""Daemons, machines, connections, engines, disks and clocks that stop, fill up or change while work runs; logs."""

import contextlib
import shutil

from behave import given, then, when

from engine_gate import EngineGate
from feature_world import in_parallel
from nunet_cluster import DOCKER_SOCKET, wait_for
from scenario_work import named


@when("the daemon of {names} is killed")
def kill(context, names):
    for machine in named(context, names):
        machine.kill()


@when("the daemon of {names} is started and connected")
def start_connected(context, names):
    """They connect by themselves."""
    machines = named(context, names)
    in_parallel(lambda machine: machine.start(), machines)
    user = context.user
    others = context.providers if user in machines else machines
    for machine in others:
        if machine.process:
            found(user, machine)


def found(user, machine):
    peer = machine.peer_id()
    wait_for(lambda: peer in str(user.peers()), f"the daemon of {user.name} is connected to {machine.name}", timeout=90)


@given("{name:w} is connected to machines that state these places")
def state_places(context, name):
    def state(row):
        machine = context.cluster.machines[row["machine"]]
        for part in ("continent", "country"):
            machine.must("config", "set", f"general.host_{part}", row[part])
        machine.stop()
        machine.start()
        found(context.cluster.machines[name], machine)
    in_parallel(state, context.table)


@when("the daemon of {names} is started")
def start(context, names):
    in_parallel(lambda machine: machine.start(), named(context, names))


@then("{name:w} and {other:w} find each other")
def find_each_other(context, name, other):
    found(context.cluster.machines[name], context.cluster.machines[other])


@when("the daemon of {name:w} is stopped")
def stop(context, name):
    context.cluster.machines[name].stop()


@when("the daemon of {name:w} is suspended")
def suspend(context, name):
    context.cluster.machines[name].suspend()


@when("the daemon of {name:w} is resumed")
def resume(context, name):
    context.cluster.machines[name].resume()


@when("the daemon of {name:w} is resumed, if it was not killed")
def resume_if_there(context, name):
    if context.cluster.machines[name].process:
        context.cluster.machines[name].resume()


@when("the machine {name:w} is killed")
def kill_machine(context, name):
    context.cluster.machines[name].kill_all()


@when("the machine {name:w} is suspended")
def suspend_machine(context, name):
    context.cluster.machines[name].suspend_all()


@when("the machine {name:w} is resumed")
def resume_machine(context, name):
    context.cluster.machines[name].resume_all()


@then("{name:w} answers")
def answers(context, name):
    context.cluster.machines[name].cmd("/dms/node/peers/self")


@when("{name:w} is cut off")
def is_cut_off(context, name):
    context.cluster.cut_off(name)


@when("{name:w} is reachable again")
def is_reachable(context, name):
    context.cluster.reach_again(name)


@when("the Docker engine is {where:w} reach of {name:w}")
@when("the Docker engine is {where:w} of reach of {name:w}")
def docker_in_reach(context, where, name):
    context.cluster.machines[name].reach_docker(where == "in")


@given("the Docker engine of {name:w} holds what it loads")
def docker_holds(context, name):
    machine = context.cluster.machines[name]
    machine.docker_socket.unlink()
    context.gate = EngineGate(machine.docker_socket, DOCKER_SOCKET)
    context.add_cleanup(context.gate.close)


@when("the Docker engine of {name:w} goes on")
def docker_goes_on(context, name):
    context.gate.open()


@given("the work folder of {name:w} is a disk of {size:d} MiB")
def small_disk(context, name, size):
    """Of the machine that comes after it."""
    context.cluster.disks[name] = f"{size}m"


def free_bytes(context, name):
    return shutil.disk_usage(context.cluster.machines[name].work_dir).free


@when("the disk of {name:w} is full")
def fill_disk(context, name):
    """To the last byte."""
    with open(context.cluster.machines[name].work_dir / "ballast", "wb", buffering=0) as ballast:
        for size in (1 << 16, 1):
            with contextlib.suppress(OSError):
                while ballast.write(b"." * size):
                    pass


@then("the disk of {name:w} is full of work")
def filled_disk(context, name):
    wait_for(lambda: free_bytes(context, name) == 0, f"the disk of {name} is full")


@then("the disk of {name:w} has room")
def disk_has_room(context, name):
    wait_for(lambda: free_bytes(context, name) > 16 << 20, f"the disk of {name} has room")


@when("the disk of {name:w} has room again")
def empty_disk(context, name):
    (context.cluster.machines[name].work_dir / "ballast").unlink()


@given("the clock of {name:w} can be set")
def settable_clock(context, name):
    """Of the machine that comes after it: its daemon's time of day, not its monotonic time."""
    context.cluster.clocks.add(name)


@when("the clock of {name:w} is set to {offset}")
def set_clock(context, name, offset):
    context.cluster.machines[name].set_clock(int(offset))


@given("daemons log what they do in detail")
def logs_in_detail(context):
    """A setting of the machines that come after it."""
    context.cluster.settings["general"] = {"debug": True}


@then('the log of {name:w} says "{text}"')
def log_says(context, name, text):
    machine = context.cluster.machines[name]
    wait_for(lambda: text in machine.log.read_text(errors="replace"), f"the log of {name} says {text}", timeout=90)


@then('the log of {name:w} does not say "{text}"')
def log_does_not_say(context, name, text):
    log = context.cluster.machines[name].log.read_text(errors="replace")
    assert text not in log, [line for line in log.splitlines() if text in line]
