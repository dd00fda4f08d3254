"""The output of work, and what it used."""

from behave import then

from nunet_cluster import wait_for
from scenario_work import work_of


@then('"{name}" has written "{line}"')
def has_written(context, name, line):
    wait_for(lambda: line in work_of(context, name).output(name).splitlines(), f"{name} has written {line}", 60)


@then('the output of "{name}" mentions "{text}"')
def output_of_work_mentions(context, name, text):
    output = work_of(context, name).output(name)
    assert text in output, output


@then('the output of "{name}" is whole')
def output_is_whole(context, name):
    work_of(context, name).check_count(name)


@then('the output of "{name}" ends in "{line}"')
def output_ends_in(context, name, line):
    lines = work_of(context, name).output(name).splitlines()
    assert lines and lines[-1] == line, lines[-3:]


@then('the output of "{name}" has no gap')
def output_has_no_gap(context, name):
    work_of(context, name).check_count(name, ended=False)


@then('the output of "{name}" is told where it is incomplete')
def output_is_told(context, name):
    """Nothing is there twice or out of order; what could not be stored is mentioned."""
    ensemble = work_of(context, name)
    logs = ensemble.deployer.must("deployment", "logs", ensemble.id, "-a", name)
    lines = logs.out.splitlines()
    numbers = [int(line) for line in lines if line.isdigit()]
    assert lines[0] == "begin" and numbers == sorted(set(numbers)), logs
    whole = lines[-1] == "end" and numbers == list(range(1, len(numbers) + 1))
    assert whole or any(word in logs.err for word in ("bytes", "dropped", "missing")), logs


@then('the usage of "{name}" is known')
def usage_is_known(context, name):
    ensemble = work_of(context, name)
    info = ensemble.deployer.must("deployment", "info", ensemble.id, "--json").json["Allocations"][name]
    assert info.get("cpu_seconds", 0) > 0 and info.get("memory_bytes", 0) > 0, info
