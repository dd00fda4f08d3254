"""A command in a terminal: its questions, the answers, and the state of the terminal afterwards."""

import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time

from behave import then, when

from feature_world import path_of

TIMEOUT = 60


def start():
    """In the child: its standard input is its controlling terminal, and SIGHUP has its default action again."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Terminal:
    """One command in a pseudo-terminal, with no passphrase in its environment."""

    def __init__(self, machine, line):
        self.master, self.terminal = pty.openpty()
        environment = {k: v for k, v in machine.environment(PATH=path_of(machine)).items() if k != "DMS_PASSPHRASE"}
        self.process = subprocess.Popen(machine.inside(["bash", "-c", "exec " + line]), cwd=machine.home, env=environment,
                                        stdin=self.terminal, stdout=self.terminal, stderr=self.terminal, start_new_session=True,
                                        preexec_fn=start)
        machine.cluster.children.append(self.process)  # ended with the scenario
        self.output, self.answered = "", 0

    def echoes(self):
        return bool(termios.tcgetattr(self.terminal)[3] & termios.ECHO)

    def read(self, seconds):
        """What comes within `seconds`, if anything."""
        if select.select([self.master], [], [], seconds)[0]:
            self.output += os.read(self.master, 4096).decode(errors="replace")

    def wait_for(self, condition, what):
        end = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < end, f"{what}: not within {TIMEOUT} s; its output: {self.output!r}"
            self.read(0.05)

    def wait_for_question(self, question):
        """A question after the last answer."""
        self.wait_for(lambda: question in self.output[self.answered:], f"the question {question!r}")
        self.answered = self.output.index(question, self.answered) + len(question)

    def type(self, keys):
        os.write(self.master, keys.encode())

    def hang_up(self):
        os.close(self.master)
        self.master = None

    def close(self):
        if self.master is not None:
            os.close(self.master)
        os.close(self.terminal)


@when('{name:w} starts "{line}" in a terminal')
def starts(context, name, line):
    context.machine = context.cluster.machines[name]
    context.terminal = Terminal(context.machine, line)
    context.add_cleanup(context.terminal.close)


@when('asked "{question}" answers "{answer}" unseen')
def answers_unseen(context, question, answer):
    context.terminal.wait_for_question(question)
    # Input before the echo is off would be echoed and discarded.
    context.terminal.wait_for(lambda: not context.terminal.echoes(), "the echo is off")
    context.terminal.type(answer + "\r")
    context.terminal.wait_for(lambda: "\n" in context.terminal.output[context.terminal.answered:], "the answer is taken")


@when('asked "{question}" answers "{answer}"')
def answers(context, question, answer):
    context.terminal.wait_for_question(question)
    context.terminal.type(answer + "\r")


@when('asked "{question}" presses Ctrl-C')
def presses_ctrl_c(context, question):
    context.terminal.wait_for_question(question)
    context.terminal.wait_for(lambda: not context.terminal.echoes(), "the echo is off")
    context.terminal.type("\x03")


@when('asked "{question}" is sent {name}')
def is_sent(context, question, name):
    context.terminal.wait_for_question(question)
    context.terminal.wait_for(lambda: not context.terminal.echoes(), "the echo is off")
    os.kill(context.terminal.process.pid, getattr(signal, name))


@then("the terminal shows a DID and never \"{secret}\"")
def shows_a_did(context, secret):
    finish(context)
    assert re.search(r"did:key:z\w{40,}", context.terminal.output), context.terminal.output
    assert secret not in context.terminal.output, context.terminal.output


def finish(context):
    terminal = context.terminal
    terminal.wait_for(lambda: terminal.process.poll() is not None, "the command ends")
    while select.select([terminal.master], [], [], 0)[0]:
        terminal.read(0)


@then("the command ends with status {status:d} and the terminal echoes again")
def ends_and_echoes(context, status):
    finish(context)
    assert context.terminal.process.returncode == status, (context.terminal.process.returncode, context.terminal.output)
    assert context.terminal.echoes()


@then('the terminal mentions "{text}"')
def terminal_mentions(context, text):
    finish(context)
    assert text in context.terminal.output, context.terminal.output


@when('it prints "{text}" and the terminal is closed')
def prints_and_is_closed(context, text):
    terminal = context.terminal
    terminal.wait_for(lambda: text in terminal.output, f"it prints {text!r}")
    terminal.hang_up()


@when('it prints "{text}" and Ctrl-C is pressed')
def prints_and_is_interrupted(context, text):
    context.terminal.wait_for(lambda: text in context.terminal.output, f"it prints {text!r}")
    context.terminal.type("\x03")


@then("it is ended with status {status:d}")
def is_ended(context, status):
    assert context.terminal.process.wait(TIMEOUT) == status
