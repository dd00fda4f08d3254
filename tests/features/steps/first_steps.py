"""The first steps of README.md, as a newcomer types them."""

import re
import shutil
import signal
import subprocess

from behave import given, then, when

import nunet_cluster
from feature_world import path_of
from light_keys import lighten

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Newcomer:
    """Does what the blocks of README.md say, in their order: saves files under the name of their first line, types commands literally
    but for ID, and compares the output that is shown, whose `...` is any text. What `make` does is taken as done: its targets are only
    looked up."""

    def __init__(self, machine):
        self.machine, self.id, self.printed, self.typed = machine, None, [], 0

    def follow(self, document):
        for language, text in BLOCK.findall(document):
            {"yaml": self.save, "sh": self.type_all, "text": self.compare}[language](text)

    def save(self, text):
        mark, name = text.splitlines()[0].split()
        assert mark == "#", text
        (self.machine.home / name).write_text(text)

    def compare(self, text):
        for line in text.splitlines():
            pattern = re.compile(".*".join(re.escape(part) for part in line.split("...")))
            assert any(pattern.fullmatch(printed) for printed in self.printed), f"README.md shows {line!r}; printed is {self.printed}"

    def type_all(self, text):
        for line in text.splitlines():
            if line := line.partition("#")[0].strip():
                self.type(line)
                self.typed += 1

    def type(self, line):
        if line.startswith("make"):
            subprocess.run([*line.split(), "--dry-run"], cwd=nunet_cluster.ROOT, check=True, stdout=subprocess.DEVNULL)
        elif line.startswith("nunet run"):
            start(self.machine, line)
        elif line.endswith(" -f"):
            self.follow_output(self.filled_in(line))
        else:
            finished = type_line(self.machine, self.filled_in(line))
            assert finished.status == 0, finished
            self.printed += (finished.out + finished.err).splitlines()
            self.find_id(line, finished.out)
        if line == "nunet init":
            for key in (self.machine.user_dir / "key").glob("*.json"):  # else each command takes as long as the search for a passphrase
                lighten(key)

    def filled_in(self, line):
        return re.sub(r"\bID\b", self.id, line) if "ID" in line.split() else line

    def find_id(self, line, out):
        """The first word that a deployment prints, and of a list that of its first row."""
        if line.startswith("nunet deploy "):
            self.id = out.split()[0]
        elif line.split()[2:3] == ["list"]:
            self.id = out.splitlines()[1].split()[0]

    def follow_output(self, line):
        """Until its first line has come; then Ctrl-C."""
        process = subprocess.Popen(self.machine.inside(["bash", "-c", f"exec {line}"]), cwd=self.machine.home,
                                   env=self.machine.environment(PATH=path_of(self.machine)), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, text=True)
        self.machine.cluster.children.append(process)
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert first, f"`{line}` ended with {process.returncode} and printed nothing; {errors}"
        self.printed.append(first.rstrip("\n"))


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


@when("{name:w} follows README.md")
def follow(context, name):
    machine = context.machine = context.cluster.machines[name]
    newcomer = Newcomer(machine)
    newcomer.follow((nunet_cluster.ROOT / "README.md").read_text())
    assert newcomer.typed > 10 and newcomer.printed, "README.md has few commands: are its blocks found?"


@then('{name:w}\'s daemon has printed "{text}" after "{line}"')
def has_printed(context, name, text, line):
    lines = context.cluster.machines[name].log.read_text().splitlines()
    assert text in lines[lines.index(line) + 1:], lines
