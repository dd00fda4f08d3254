"""The first steps of README.md, as a newcomer types them."""

import re
import shutil
import subprocess

from behave import given, then, when

import nunet_cluster
from feature_world import path_of

SECTION = re.compile(r"^## First steps\n(.*?)^## ", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def first_steps():
    """The file that README.md has its readers save, and the commands that follow."""
    section = SECTION.search((nunet_cluster.ROOT / "README.md").read_text()).group(1)
    blocks = BLOCK.findall(section)
    ensemble = next(text for language, text in blocks if language == "yaml")
    commands = next(text for language, text in blocks if language == "sh")
    return ensemble, [line.partition("#")[0].strip() for line in commands.splitlines()]


def type_line(machine, line):
    """In a shell, with `nunet` in PATH."""
    return machine.run("bash", "-e", "-c", line, timeout=120, environment={"PATH": path_of(machine)})


def start(machine, command):
    """In the background, until it has printed `ready`."""
    with open(machine.log, "ab") as log:
        machine.process = subprocess.Popen(machine.inside(["bash", "-c", f"exec {command}"]), cwd=machine.home,
                                           env=machine.environment(PATH=path_of(machine)), stdin=subprocess.DEVNULL, stdout=log,
                                           stderr=subprocess.STDOUT, start_new_session=True)
    machine.cluster.children.append(machine.process)

    def ready():
        if machine.process.poll() is not None:
            raise nunet_cluster.Hopeless(f"it ended with {machine.process.returncode}{machine.log_tail()}")
        return "ready" in machine.log.read_text().splitlines()
    nunet_cluster.wait_for(ready, f"{machine.name}: `{command}` prints `ready`")


@given('a machine "{name:w}" without any files')
def without_any_files(context, name):
    machine = context.machine = context.cluster.machine(name)
    shutil.rmtree(machine.user_dir)


@given('{name:w}\'s daemon is started by "{command}"')
def started_by(context, name, command):
    start(context.cluster.machines[name], command)


@when("{name:w} follows the first steps of README.md")
def follow(context, name):
    machine = context.cluster.machines[name]
    ensemble, (init, run, deploy) = first_steps()
    (machine.home / "ensemble.yaml").write_text(ensemble)
    made = type_line(machine, init)
    assert made.status == 0, made
    start(machine, run)
    context.machine, context.answer = machine, type_line(machine, deploy)


@then('{name:w}\'s daemon has printed "{text}" after "{line}"')
def has_printed(context, name, text, line):
    lines = context.cluster.machines[name].log.read_text().splitlines()
    assert text in lines[lines.index(line) + 1:], lines
