#!/usr/bin/env python3
"""Runs interop_peer and a js-libp2p peer against each other; prints PASS or FAIL for each check.

Usage: drive.py BUILD (a folder with bin/interop_peer)
"""

import contextlib
import itertools
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from peers import NOISE, UNKNOWN_PEER, TLS, Missing, Peer, PeerError, js, nunet  # noqa: E402  (needs the path above)


class Report:
    def __init__(self):
        self.passed = self.failed = 0
        self.about = ""

    @contextlib.contextmanager
    def check(self, what):
        try:
            yield
        except Exception as error:  # the next check still runs
            self.failed += 1
            print(f"FAIL {self.about}: {what}: {error!r}", flush=True)
        else:
            self.passed += 1
            print(f"PASS {self.about}: {what}", flush=True)


def identify(report, requester, responder, agent):
    with report.check(f"{requester.name} identifies {responder.name}"):
        requester.until_event(f"identified {responder.id}")
        answer = requester.do(f"identify {responder.id}")
        for needed in (agent, "/ipfs/ping/1.0.0", "/meshsub/1.1.0", "interop/echo/0.0.1"):
            if needed not in answer:
                raise PeerError(f"'{needed}' is missing in '{answer}'")


def connected_checks(report, nunet, js):
    """All checks of two connected peers, in both directions."""
    identify(report, nunet, js, "js-libp2p")
    identify(report, js, nunet, "nunet/")
    for requester, responder in ((nunet, js), (js, nunet)):
        with report.check(f"{requester.name} pings {responder.name}"):
            float(requester.do(f"ping {responder.id}"))
        for size in (1, 100_000, 3_000_000):
            with report.check(f"{requester.name} sends {responder.name} {size} bytes and receives the echo"):
                requester.do(f"echo {responder.id} {size}")
    for requester, responder in ((nunet, js), (js, nunet)):
        with report.check(f"{requester.name} publishes, {responder.name} receives it"):
            topic = f"interop-{requester.name}-{responder.name}"
            responder.do(f"subscribe {topic}")
            requester.until_answer(f"subscribers {topic}", "1")
            requester.do(f"publish {topic} hello from {requester.name}")
            responder.until_event(f"message {topic} {requester.id} hello from {requester.name}")
    with report.check("both subscribed, each receives the other's message"):
        topic = "/nunet/deployment"
        nunet.do(f"subscribe {topic}")
        js.do(f"subscribe {topic}")
        nunet.until_answer(f"subscribers {topic}", "1")
        js.until_answer(f"subscribers {topic}", "1")
        for i in range(10):
            nunet.do(f"publish {topic} bid {i}")
            js.do(f"publish {topic} ask {i}")
        for i in range(10):
            js.until_event(f"message {topic} {nunet.id} bid {i}")
            nunet.until_event(f"message {topic} {js.id} ask {i}")


class Round:
    """Two new peers: interop_peer and js-libp2p."""

    numbers = itertools.count(1)

    def __init__(self, programs, nunet_dials, nunet, other):
        number = next(self.numbers)
        with contextlib.ExitStack() as stack:
            self.nunet = stack.enter_context(Peer("nunet", programs["nunet"], number, *nunet))
            self.js = stack.enter_context(Peer("js", programs["js"], number, *other))
            self.peers = stack.pop_all()
        pair = (self.nunet, self.js)
        self.dialer, self.listener = pair if nunet_dials else pair[::-1]

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.peers.__exit__(*exception)

    def connect(self, security):
        if self.dialer.do(f"dial {self.listener.address}") != self.listener.id:
            raise PeerError("connected to another peer")
        self.listener.until_event(f"connected {self.dialer.id}")
        if (taken := self.js.do(f"security {self.nunet.id}")) != security:
            raise PeerError(f"secured by {taken}, expected {security}")


def whole_round(report, programs, nunet_dials, security):
    """All checks over one security protocol."""
    with Round(programs, nunet_dials, [security], [security]) as peers:
        dialer, listener = peers.dialer, peers.listener
        with report.check(f"{dialer.name} refuses a peer that is not the one expected"):
            dialer.refuses(f"dial {listener.address.rsplit('/', 1)[0]}/{UNKNOWN_PEER}")
        with report.check(f"{dialer.name} dials {listener.name}"):
            peers.connect(security)
        connected_checks(report, peers.nunet, peers.js)
        with report.check(f"{listener.name} leaves, {dialer.name} notices"):
            listener.quit()
            dialer.until_event(f"disconnected {listener.id}")


def choice(report, programs, nunet_dials, nunet, other, expected):
    """The dialer's order decides among the common protocols."""
    with Round(programs, nunet_dials, nunet, other) as peers:
        proposed = ", ".join(nunet if nunet_dials else other)
        with report.check(f"{peers.dialer.name} proposes {proposed} to {peers.listener.name}: {expected}"):
            peers.connect(expected)
            peers.dialer.do(f"echo {peers.listener.id} 100000")


def main():
    report, build = Report(), sys.argv[1]
    try:
        programs = {"nunet": nunet(build), "js": js(build)}
    except Missing as why:
        print(f"skipped: {why}")
        return 77
    for security in (NOISE, TLS):
        report.about = security
        for nunet_dials in (True, False):
            whole_round(report, programs, nunet_dials, security)
    report.about = "choice"
    choice(report, programs, True, [NOISE, TLS], [TLS], TLS)
    choice(report, programs, True, [TLS, NOISE], [NOISE], NOISE)
    choice(report, programs, True, [TLS, NOISE], [NOISE, TLS], TLS)
    choice(report, programs, False, [NOISE], [NOISE, TLS], NOISE)
    choice(report, programs, False, [NOISE], [TLS, NOISE], TLS)
    print(f"{report.passed} passed, {report.failed} failed, 0 skipped")
    return 1 if report.failed or not report.passed else 0


if __name__ == "__main__":
    sys.exit(main())
