"""Files on their way between nodes, and output that is followed."""

import hashlib
import json
import pathlib
import subprocess

from behave import given, then, when

from nunet_cluster import NUNET, wait_for
from scenario_work import named, work_of

ENOUGH = 1 << 20  # bytes of a file that are there when it is on its way


@given('{name:w} has the file "{file}" of {size:d} MiB')
def has_large_file(context, name, file, size):
    """No page of it is like another."""
    with open(context.cluster.machines[name].home / file, "wb") as out:
        for i in range(size):
            out.write(hashlib.shake_128(b"%d" % i).digest(1 << 20))


def digest_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def in_the_middle(context, what, name, act):
    """Some of a file has arrived; after `act` it is not complete."""
    ensemble = work_of(context, name)

    def on_its_way():
        return [part for part in ensemble.arriving(name, what) if part.stat().st_size >= ENOUGH]
    wait_for(on_its_way, f"a part of the {what} of {name} has arrived", 60, 0.002)
    act()
    assert on_its_way(), f"the {what} of {name} were complete already"


@when('the daemon of {names} is killed in the middle of the {what:w} of "{name}"')
def kill_in_the_middle(context, names, what, name):
    in_the_middle(context, what, name, lambda: [machine.kill() for machine in named(context, names)])


@when('the daemon of {provider:w} is suspended in the middle of the {what:w} of "{name}"')
def suspend_in_the_middle(context, provider, what, name):
    in_the_middle(context, what, name, context.cluster.machines[provider].suspend)


@when('what has arrived of the {what:w} of "{name}" cannot be sent again')
def cannot_be_sent_again(context, what, name):
    """At the sender it is overwritten. A transfer that goes on behind it is whole; one that begins again at the first byte brings
    another content than the announced one, which is refused."""
    ensemble = work_of(context, name)
    part, = ensemble.arriving(name, what)
    source, = ensemble.sources(name, what, part.stem)
    arrived = part.stat().st_size
    assert arrived >= ENOUGH, f"{arrived} bytes of {part} are left"
    with open(source, "r+b") as file:
        file.write(b"." * arrived)


@then("no part of a file is left at {names}")
def no_part_is_left(context, names):
    left = [str(part) for machine in named(context, names) for part in machine.work_dir.rglob("*.part")]
    assert not left, left


@then('the result "{file}" of "{name}" is the digest of the file "{of}"')
def result_is_digest(context, file, name, of):
    results = fetch_results(work_of(context, name), name)
    assert (results / file).read_text().split()[0] == digest_of(results.parent / of), list(results.iterdir())


@then('the result "{file}" of "{name}" is the digest of the result "{of}"')
def result_is_digest_of_result(context, file, name, of):
    results = fetch_results(work_of(context, name), name)
    assert (results / file).read_text().split()[0] == digest_of(results / of), list(results.iterdir())


@then('the result "{file}" of "{name}" is "{text}"')
def result_is(context, file, name, text):
    results = fetch_results(work_of(context, name), name)
    assert (results / file).read_text().strip() == text, (results / file).read_text()


@then('only root reads "{file}" of "{name}"')
def only_root_reads(context, file, name):
    ensemble = work_of(context, name)

    def found():
        return [path for machine in context.cluster.machines.values() for path in machine.work_dir.rglob(f"work/{file}")
                if ensemble.id in str(path)]
    about = wait_for(found, f"{name} has written {file}")[0].stat()
    assert (about.st_uid, about.st_mode & 0o777) == (0, 0o600), about


@then("the daemon of {name:w} does not run as root")
def does_not_run_as_root(context, name):
    status = pathlib.Path(f"/proc/{context.cluster.machines[name].process.pid}/status").read_text()
    ids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
    assert "0" not in ids, ids


def fetch_results(ensemble, name):
    """All of them, in a folder of the machine that has deployed."""
    folder = ensemble.deployer.home / f"results-{name}"
    ensemble.deployer.must("deployment", "results", ensemble.id, name, "-o", folder, "--force")
    return folder


# --- `nunet deployment logs --follow`

@when('{name:w} follows the output of "{allocation}"')
def follows(context, name, allocation):
    machine, ensemble = context.cluster.machines[name], work_of(context, allocation)
    context.followed, context.notes = machine.home / "followed", machine.home / "notes"
    with open(context.followed, "wb") as out, open(context.notes, "wb") as notes:
        command = machine.inside([NUNET, "deployment", "logs", ensemble.id, allocation, "--follow"])
        context.follower = subprocess.Popen(command, cwd=machine.home, env=machine.environment(), stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=notes, start_new_session=True)
    context.cluster.children.append(context.follower)


@then("more of it is printed")
def more_is_printed(context):
    before = context.followed.stat().st_size

    def printed():
        assert context.follower.poll() is None, context.notes.read_text()
        return context.followed.stat().st_size >= before + 20
    wait_for(printed, "more of the output that is followed is printed", 90)


@then('following ends, and has printed the output of "{name}"')
def following_ends(context, name):
    assert context.follower.wait(90) == 0, context.notes.read_text()
    printed, stored = context.followed.read_text(), work_of(context, name).output(name)
    assert printed == stored, f"{len(printed)} bytes are printed, which end in {printed[-80:]!r}; the output has {len(stored)}"


# --- reports of `nunet sim`

def read_report(context, file):
    return json.loads((context.machine.home / file).read_text())


@then('the report "{file}" holds')
def report_holds(context, file):
    report = read_report(context, file)
    wrong = {row["member"]: report.get(row["member"]) for row in context.table if report.get(row["member"], "") != json.loads(row["value"])}
    assert not wrong, wrong


@then('the report "{file}" counts {members}')
def report_counts(context, file, members):
    report = read_report(context, file)
    assert all(report[member] > 0 for member in members.replace(" and ", ", ").split(", ")), report
