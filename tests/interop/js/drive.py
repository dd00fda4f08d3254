#!/usr/bin/env python3
"""Drives a peer of ours and a js-libp2p peer against each other; prints PASS or FAIL for each thing they must be able to do.

Usage: drive.py INTEROP_PEER (the program built from tests/interop/peer.cpp)
"""

import contextlib
import itertools
import pathlib
import queue
import subprocess
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE = 30  # seconds until an answer counts as missing


class Peer:
    """A child process that obeys commands."""

    def __init__(self, name, command):
        self.name = name
        self.events = []
        self.answers = queue.Queue()
        self.stuck = False  # has left a command unanswered: later answers could not be told apart
        self.changed = threading.Condition()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, daemon=True).start()

    def started(self):
        self.address = self.expect("listen")
        self.id = self.address.rsplit("/", 1)[1]

    def _read(self):
        for line in self.process.stdout:
            kind, _, rest = line.rstrip("\n").partition(" ")
            if kind == "event":
                with self.changed:
                    self.events.append(rest)
                    self.changed.notify_all()
            else:
                self.answers.put((kind, rest))
        self.answers.put(("error", "the process has ended"))

    def ask(self, command):
        if self.stuck:
            raise RuntimeError(f"{self.name} does not answer any more")
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def answer(self):
        try:
            return self.answers.get(timeout=PATIENCE)
        except queue.Empty:
            self.stuck = True
            raise RuntimeError(f"{self.name} has not answered in {PATIENCE} s") from None

    def expect(self, verb):
        kind, rest = self.answer()
        if kind != "ok" or not rest.startswith(verb):
            raise RuntimeError(f"{self.name}: {kind} {rest}")
        return rest[len(verb) + 1:]

    def do(self, command):
        self.ask(command)
        return self.expect(command.split(" ", 1)[0])

    def refuses(self, command):
        self.ask(command)
        kind, rest = self.answer()
        if kind != "error":
            raise RuntimeError(f"{self.name} accepted: {command}")
        return rest

    def until_event(self, text):
        with self.changed:
            if not self.changed.wait_for(lambda: any(text in e for e in self.events), PATIENCE):
                raise RuntimeError(f"{self.name}: no event '{text}' among {self.events}")

    def until_answer(self, command, answer):
        """Asks again until the answer is the one expected: gossip takes its time to spread."""
        deadline = threading.Event()
        timer = threading.Timer(PATIENCE, deadline.set)
        timer.start()
        try:
            while (got := self.do(command)) != answer:
                if deadline.wait(0.05):
                    raise RuntimeError(f"{self.name}: '{command}' says '{got}', expected '{answer}'")
        finally:
            timer.cancel()

    def quit(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("quit\n")
            self.process.stdin.flush()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise RuntimeError(f"{self.name} did not end") from None


class Report:
    def __init__(self):
        self.passed = self.failed = 0
        self.about = ""

    @contextlib.contextmanager
    def check(self, what):
        try:
            yield
        except Exception as error:  # whatever it is, the next check still runs
            self.failed += 1
            print(f"FAIL {self.about}: {what}: {error!r}", flush=True)
        else:
            self.passed += 1
            print(f"PASS {self.about}: {what}", flush=True)


def identify(report, who, whom, agent):
    with report.check(f"{who.name} identifies {whom.name}"):
        who.until_event(f"identified {whom.id}")
        answer = who.do(f"identify {whom.id}")
        for needed in (agent, "/ipfs/ping/1.0.0", "/meshsub/1.1.0", "interop/echo/0.0.1"):
            if needed not in answer:
                raise RuntimeError(f"'{needed}' is missing in '{answer}'")


def converse(report, ours, js):
    """Everything two connected peers can do, both ways."""
    identify(report, ours, js, "js-libp2p")
    identify(report, js, ours, "nunet/")
    for who, whom in ((ours, js), (js, ours)):
        with report.check(f"{who.name} pings {whom.name}"):
            float(who.do(f"ping {whom.id}"))
        for size in (1, 100_000, 3_000_000):
            with report.check(f"{who.name} sends {whom.name} {size} bytes and gets them back"):
                who.do(f"echo {whom.id} {size}")
    for who, whom in ((ours, js), (js, ours)):
        with report.check(f"{who.name} publishes, {whom.name} hears it"):
            topic = f"interop-{who.name}-{whom.name}"
            whom.do(f"subscribe {topic}")
            who.until_answer(f"subscribers {topic}", "1")
            who.do(f"publish {topic} hello from {who.name}")
            whom.until_event(f"message {topic} {who.id} hello from {who.name}")
    with report.check("both subscribed, each hears the other"):
        topic = "/nunet/deployment"
        ours.do(f"subscribe {topic}")
        js.do(f"subscribe {topic}")
        ours.until_answer(f"subscribers {topic}", "1")
        js.until_answer(f"subscribers {topic}", "1")
        for i in range(10):
            ours.do(f"publish {topic} bid {i}")
            js.do(f"publish {topic} ask {i}")
        for i in range(10):
            js.until_event(f"message {topic} {ours.id} bid {i}")
            ours.until_event(f"message {topic} {js.id} ask {i}")


NOISE, TLS = "/noise", "/tls/1.0.0"
ANYWHERE = "/ip4/127.0.0.1/tcp/0"
STRANGER = "12D3KooWM6CgA9iBFZmcYAHA6A2qvbAxqfkmrYiRQuz3XEsk4Ksv"


class Round:
    """Two fresh peers: one of ours, one of theirs."""

    numbers = itertools.count(1)

    def __init__(self, program, ours_dials, ours, theirs):
        number = next(self.numbers)
        self.ours = Peer("ours", [program, str(number), ANYWHERE, *ours])
        self.js = Peer("js", ["node", str(HERE / "peer.mjs"), str(number), ANYWHERE, *theirs])
        pair = (self.ours, self.js)
        self.dialer, self.listener = pair if ours_dials else pair[::-1]

    def __enter__(self):
        try:
            for peer in (self.ours, self.js):
                peer.started()
        except RuntimeError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for peer in (self.ours, self.js):
            peer.quit()

    def connect(self, security):
        if self.dialer.do(f"dial {self.listener.address}") != self.listener.id:
            raise RuntimeError("connected to somebody else")
        self.listener.until_event(f"connected {self.dialer.id}")
        if (taken := self.js.do(f"security {self.ours.id}")) != security:
            raise RuntimeError(f"secured by {taken}, expected {security}")


def whole_round(report, program, ours_dials, security):
    """Everything, over one security protocol."""
    with Round(program, ours_dials, [security], [security]) as peers:
        dialer, listener = peers.dialer, peers.listener
        with report.check(f"{dialer.name} refuses a peer that is not the one expected"):
            dialer.refuses(f"dial {listener.address.rsplit('/', 1)[0]}/{STRANGER}")
        with report.check(f"{dialer.name} dials {listener.name}"):
            peers.connect(security)
        converse(report, peers.ours, peers.js)
        with report.check(f"{listener.name} leaves, {dialer.name} notices"):
            listener.quit()
            dialer.until_event(f"disconnected {listener.id}")


def choice(report, program, ours_dials, ours, theirs, expected):
    """The dialer's order decides among what both speak."""
    with Round(program, ours_dials, ours, theirs) as peers:
        proposed = ", ".join(ours if ours_dials else theirs)
        with report.check(f"{peers.dialer.name} proposes {proposed} to {peers.listener.name}: {expected}"):
            peers.connect(expected)
            peers.dialer.do(f"echo {peers.listener.id} 100000")


def main():
    report, program = Report(), sys.argv[1]
    for security in (NOISE, TLS):
        report.about = security
        for ours_dials in (True, False):
            whole_round(report, program, ours_dials, security)
    report.about = "choice"
    choice(report, program, True, [NOISE, TLS], [TLS], TLS)
    choice(report, program, True, [TLS, NOISE], [NOISE], NOISE)
    choice(report, program, True, [TLS, NOISE], [NOISE, TLS], TLS)
    choice(report, program, False, [NOISE], [NOISE, TLS], NOISE)
    choice(report, program, False, [NOISE], [TLS, NOISE], TLS)
    print(f"{report.passed} passed, {report.failed} failed, 0 skipped")
    return 1 if report.failed or not report.passed else 0


if __name__ == "__main__":
    sys.exit(main())
