"""Which processes run the work, where, and whether they are the same as before; its gate."""

import os
import pathlib
import re
import signal
import threading
import time

from behave import then, when

from feature_world import in_parallel
from nunet_cluster import wait_for
from scenario_work import copies, work_of


@then('"{name}" runs')
@then('"{name}" runs once')
def runs(context, name):
    work_of(context, name).running(name)


@then('"{name}" runs twice')
def runs_twice(context, name):
    work_of(context, name).running(name, 2)


@then('"{name}" does not run')
def does_not_run(context, name):
    wait_for(lambda: not work_of(context, name).processes(name), f"{name} does not run")


@then('"{name}" runs at {provider:w} within {seconds:d} s')
def runs_at_within(context, name, provider, seconds):
    """Since the step before."""
    begin = time.monotonic()
    runs_at(context, name, provider)
    assert (took := time.monotonic() - begin) <= seconds, f"{name} ran at {provider} after {took:.1f} s"


@then('"{name}" runs at {provider:w}')
def runs_at(context, name, provider):
    ensemble, peer = work_of(context, name), context.cluster.machines[provider].peer_id()

    def there():
        found = ensemble.status().get("Allocations", {}).get(name, {})
        return found.get("peer") == peer and found.get("status") == "running"
    wait_for(there, f"{name} runs at {provider}", 60)
    ensemble.running(name)


@then('"{name}" runs at {provider:w}, beside the run at {other:w}')
def runs_beside(context, name, provider, other):
    ensemble, peer = work_of(context, name), context.cluster.machines[provider].peer_id()
    wait_for(lambda: ensemble.status().get("Allocations", {}).get(name, {}).get("peer") == peer, f"{name} is at {provider}", 60)
    ensemble.running(name, 2)


@then('"{name}" counts on')
def counts_on(context, name):
    work_of(context, name).counts_on(name)


@then('"{name}" counts on for {seconds:d} s')
def counts_on_for(context, name, seconds):
    """And once more when these have passed: the same run, however slow this machine is."""
    ensemble, end = work_of(context, name), time.monotonic() + seconds
    while time.monotonic() < end:
        ensemble.counts_on(name)
    ensemble.counts_on(name)


@when('the gate of "{name}" is opened')
def gate_is_opened(context, name):
    work_of(context, name).open_gate(name)


@when('the gates of "{first}" to "{last}" are opened')
def gates_are_opened(context, first, last):
    """Of allocations that differ in their numbers."""
    name, number = re.fullmatch(r"(.*?)(\d+)", last).groups()
    in_parallel(lambda copy: work_of(context, copy).open_gate(copy), copies(name, number))


@when('the gate of "{name}" is opened, if it still runs')
def gate_is_opened_if_it_runs(context, name):
    """Its time to end may have passed meanwhile: then it was ended."""
    work_of(context, name).open_gate(name, must=False)


@then('"{name}" has the same process as before')
def same_process(context, name):
    """As when a step last looked; whatever its output."""
    ensemble = work_of(context, name)
    before = ensemble.seen.get(name)
    assert before, f"no step has looked at the processes of {name} before"
    now = ensemble.running(name)
    assert now == before, f"{name} ran as {before}, and runs as {now}"


@then('"{name}" has the same run as before')
def same_run(context, name):
    """As when a step last looked. It counts from 1 without a gap, and is the only one."""
    same_process(context, name)
    work_of(context, name).check_count(name, ended=False)


@when('{owner:w} halts what runs of "{name}", and says nothing')
def halts_work(context, owner, name):
    """The owner of a machine: its daemon is not told, and has the processes as before."""
    group = work_of(context, name).processes(name)
    for pid in group:  # grows
        group += [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        os.kill(pid, signal.SIGSTOP)


@when('"{name}" is watched')
def is_watched(context, name):
    """Looks at its processes, again and again, until the scenario ends or asks."""
    ensemble = work_of(context, name)
    watch = context.watch = {"most": 0, "looks": 0, "runs": set(ensemble.processes(name)), "ended": threading.Event()}

    def look():
        while not watch["ended"].wait(0.05):
            found = ensemble.processes(name)
            watch["most"], watch["looks"] = max(watch["most"], len(found)), watch["looks"] + 1
            watch["runs"].update(found)
    watch["thread"] = threading.Thread(target=look, daemon=True)
    watch["thread"].start()
    context.add_cleanup(watch["ended"].set)


def end_watch(context):
    context.watch["ended"].set()
    context.watch["thread"].join(10)
    assert context.watch["looks"], context.watch


@then('"{name}" never ran twice at once')
def never_twice(context, name):
    end_watch(context)
    assert context.watch["most"] == 1, context.watch


@then('"{name}" ran only once')
def only_once(context, name):
    """Since it is watched: no other process has run it, neither beside the first nor after it."""
    end_watch(context)
    assert len(context.watch["runs"]) == 1, context.watch


@then("{provider:w}'s work \"{name}\" has ended")
def work_has_ended(context, provider, name):
    """Seen by its processes: the provider's clock may not allow to ask its daemon."""
    wait_for(lambda: not work_of(context, name).processes(name), f"{name} has ended")
