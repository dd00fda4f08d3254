#!/usr/bin/python3
"""This libp2p against other implementations, each dialing the other, over each security protocol: functions and speed.

Peers whose toolchain or registry is missing are 'skipped: why'. Prints a table, writes it and more to BUILD/interop/matrix.json,
and ends in 'N passed, N failed, N skipped'. A run of everything, without arguments, also writes the table to docs/interop.md.
With CI=true: js-libp2p alone, and docs/ stays as it is.
"""

import argparse
import collections
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import sys
import time

from peers import BUILDERS, NOISE, TIMEOUT, ROOT, SHORT, UNKNOWN_PEER, TLS, Missing, Peer, PeerError, nunet

PAGE = ROOT / "docs/interop.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
ECHO, BARE_ECHO = "/interop/echo/0.0.1", "interop/echo/0.0.1"
MIB = 2**20
TRANSFER = {"go": 1024 * MIB, "rust": 1024 * MIB, "js": 64 * MIB}
STREAMS = 1000
AGENTS = {"nunet": "nunet/", "js": "js-libp2p", "go": "go-libp2p", "rust": "rust-libp2p"}


@dataclasses.dataclass
class Outcome:
    peer: str
    security: str
    dialer: str
    check: str
    status: str  # passed, failed, skipped
    detail: str = ""
    figures: dict = dataclasses.field(default_factory=dict)


class Unfit(Exception):
    """A check that an implementation does not support; the message gives the reason."""


# --- the checks: each gets the requesting and the responding peer, and may return figures

def echo(requester, responder, options):
    for size in (0, 1, 100_000, 3_000_000):
        requester.do(f"echo {responder.id} {size} {ECHO}")


def bare_echo(requester, responder, options):
    if "rust" in (requester.name, responder.name):
        raise Unfit("rust-libp2p requires the slash")
    requester.do(f"echo {responder.id} 100000 {BARE_ECHO}")


def identify(requester, responder, options):
    requester.until_event(f"identified {responder.id}")
    answer = requester.do(f"identify {responder.id}")
    for needed in (AGENTS[responder.name], "/ipfs/ping/1.0.0", "/ipfs/id/1.0.0", "/interop/sum/0.0.1"):
        if needed not in answer:
            raise PeerError(f"'{needed}' is missing in '{answer}'")


def ping(requester, responder, options):
    median, late = requester.do(f"pings {responder.id} 100").split()
    return {"ping_p50_us": int(median) / 1e3, "ping_p99_us": int(late) / 1e3}


def transfer(verb):
    def check(requester, responder, options):
        size, nanoseconds = map(int, requester.do(f"{verb} {responder.id} {options.bytes}", timeout=300).split())
        return {f"{verb}_bytes": size, f"{verb}_MB_s": size * 1e3 / nanoseconds}
    return check


def streams(requester, responder, options):
    burst = 1 if responder.name == "rust" else STREAMS  # libp2p-stream drops streams that arrive faster than it accepts them
    count, nanoseconds = map(int, requester.do(f"streams {responder.id} {STREAMS} {burst}", timeout=60).split())
    return {"streams_ms": nanoseconds / 1e6, "streams": count}


def half_close(requester, responder, options):
    seen = len(responder.events)
    requester.do(f"half-close {responder.id} 300000")
    responder.until_event(f"late {requester.id} 300000", seen)


def reset(requester, responder, options):
    seen = len(responder.events)
    requester.do(f"reset {responder.id}")
    responder.until_event(f"reset {requester.id}", seen)
    requester.do(f"reset-by {responder.id}")
    requester.do(f"echo {responder.id} 1000 {ECHO}")  # the connection still works


def unknown(requester, responder, options):
    requester.do(f"unknown {responder.id}")


CHECKS = {"identify": identify, "ping": ping, "echo": echo, "echo without a slash": bare_echo, "upload": transfer("upload"),
          "download": transfer("download"), "1000 streams": streams, "half-close": half_close, "reset": reset,
          "unknown protocol": unknown}


# --- one pair

class Report:
    def __init__(self):
        self.outcomes = []

    @contextlib.contextmanager
    def check(self, peer, security, dialer, name):
        """A failure does not prevent the next check."""
        outcome = Outcome(peer, SHORT[security], dialer, name, "passed")
        try:
            yield outcome
        except Unfit as why:
            outcome.status, outcome.detail = "skipped", str(why)
        except Exception as error:
            outcome.status, outcome.detail = "failed", f"{error}" if isinstance(error, PeerError) else repr(error)
        self.add(outcome)

    def add(self, outcome):
        self.outcomes.append(outcome)
        words = {"passed": "PASS", "failed": "FAIL", "skipped": "skipped:"}
        figures = " ".join(f"{name}={value:.4g}" for name, value in outcome.figures.items())
        where = f"{outcome.peer} {outcome.security}, {outcome.dialer} dials: {outcome.check}"
        print(" ".join(filter(None, (words[outcome.status], f"{outcome.detail}  [{where}]" if outcome.status == "skipped"
                                     else where, outcome.detail if outcome.status == "failed" else "", figures))), flush=True)

    def skip(self, peer, security, why):
        self.add(Outcome(peer, SHORT[security], "none", "all", "skipped", why))

    def count(self):
        return collections.Counter(outcome.status for outcome in self.outcomes)


def refuse_wrong_peer(dialer, listener):
    """A peer with another id than the expected one gets no connection, on either side."""
    seen = len(listener.events)
    dialer.refuses(f"dial {listener.address.rsplit('/', 1)[0]}/{UNKNOWN_PEER}")
    for side, other in ((dialer, listener), (listener, dialer)):
        deadline = time.monotonic() + TIMEOUT  # with TLS a listener may finish before it receives the refusal
        while other.id in side.do("peers").split():
            if time.monotonic() > deadline:
                raise PeerError(f"{side.name} counts {other.name} as connected")
    if any(f"identified {dialer.id}" in event for event in listener.events[seen:]):
        raise PeerError(f"{listener.name} has identified {dialer.name}")


def connect(dialer, listener):
    seen = len(listener.events)
    if dialer.do(f"dial {listener.address}") != listener.id:
        raise PeerError("connected to another peer")
    listener.until_event(f"connected {dialer.id}", seen)


def part(requester, responder):
    """Both sides notice; a late event must not be taken for one of the next check."""
    seen = [(side, other, len(side.events)) for side, other in ((requester, responder), (responder, requester))]
    requester.do(f"disconnect {responder.id}")
    for side, other, since in seen:
        side.until_event(f"disconnected {other.id}", since)


def leave(listener, dialer):
    seen = len(dialer.events)
    listener.quit()
    dialer.until_event(f"disconnected {listener.id}", seen)


def pair(report, programs, name, security, nunet_dials, options):
    with contextlib.ExitStack() as stack:
        mine = Peer("nunet", programs["nunet"], 1, security)
        stack.callback(mine.kill)
        other = Peer(name, programs[name], 2, security)
        stack.callback(other.kill)
        dialer, listener = (mine, other) if nunet_dials else (other, mine)
        about = (name, security, dialer.name)
        with report.check(*about, "wrong peer id"):
            refuse_wrong_peer(dialer, listener)
        with report.check(*about, "handshake"):
            connect(dialer, listener)
        for check, work in CHECKS.items():
            for requester, responder in ((dialer, listener), (listener, dialer)):
                if check in ("upload", "download") and requester is listener:
                    continue  # checked in the other direction
                suffix = "" if requester is dialer else ", requested by the listener"
                with report.check(*about, check + suffix) as outcome:
                    outcome.figures = work(requester, responder, options) or {}
        with report.check(*about, "disconnect and dial again"):
            part(dialer, listener)
            connect(dialer, listener)
            part(listener, dialer)
            connect(dialer, listener)
        with report.check(*about, "go away"):
            leave(listener, dialer)
            dialer.quit()


# --- the table

def cell(outcomes):
    """The summary of many outcomes, with their figures."""
    if not outcomes:
        return ""
    count = collections.Counter(outcome.status for outcome in outcomes)
    if count["failed"]:
        return f"FAILED {count['failed']} of {sum(count.values())}"
    if not count["passed"]:
        return "skipped: " + outcomes[0].detail
    figures = {name: value for outcome in reversed(outcomes) for name, value in outcome.figures.items()}  # the dialer's
    for name, unit in (("upload_MB_s", "MB/s"), ("download_MB_s", "MB/s"), ("ping_p50_us", "µs"), ("streams_ms", "ms")):
        if name in figures:
            return f"{figures[name]:.0f} {unit}"
    return "passed"


def table(report):
    """Rows: peer, security, dialer. Columns: checks, both directions together."""
    checks = ["wrong peer id", "handshake", *CHECKS, "disconnect and dial again", "go away"]
    rows = [["peer", "security", "dialer", *checks]]
    groups = collections.defaultdict(list)
    for outcome in report.outcomes:
        groups[(outcome.peer, outcome.security, outcome.dialer)].append(outcome)
    for key, outcomes in groups.items():
        if key[2] == "none":
            rows.append([*key, f"{outcomes[0].status}: {outcomes[0].detail}", *[""] * (len(checks) - 1)])
        else:
            rows.append([*key, *(cell([o for o in outcomes if o.check.split(",")[0] == check]) for check in checks)])
    return rows


def markdown(rows):
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def turned(rows):
    """Markdown for docs/interop.md: checks as rows, pairs as columns."""
    return [list(column) for column in zip(*rows)]


def print_table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip())


def write_page(rows, options):
    page = PAGE.read_text()
    before, after = page[:page.index(BEGIN) + len(BEGIN)], page[page.index(END):]
    sizes = ", ".join(f"{options.sizes[name] // MIB} MiB with {name}" for name in options.peers)
    text = (f"Last measured {datetime.date.today().isoformat()} on {os.cpu_count()} cores; {sizes} each way. Transfers carry a SHA-256 at "
            "both ends, pings are medians.")
    PAGE.write_text(f"{before}\n{text}\n\n{markdown(rows)}\n{after}")


# --- all of it

def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    in_ci = os.environ.get("CI") == "true"
    parser.add_argument("--build", default=os.environ.get("DMS_BUILD", "build"), help="the build folder (build)")
    parser.add_argument("--peers", nargs="+", choices=list(BUILDERS), default=["js"] if in_ci else ["go", "rust", "js"])
    parser.add_argument("--security", nargs="+", choices=list(SHORT.values()), default=list(SHORT.values()))
    parser.add_argument("--bytes", type=int, help="of each transfer (1 GiB with go and rust, 64 MiB with js, 16 MiB in CI)")
    options = parser.parse_args()
    options.writes_page = not in_ci and len(sys.argv) <= 1
    options.sizes = {name: options.bytes or (16 * MIB if in_ci else TRANSFER[name]) for name in options.peers}
    return options


def prepare(report, options):
    """The available programs; the others are skipped."""
    programs = {"nunet": nunet(options.build)}
    for name in options.peers:
        print(f"building the {name} peer", flush=True)
        try:
            programs[name] = BUILDERS[name](options.build)
        except Missing as why:
            for security in SHORT:
                report.skip(name, security, str(why))
        except PeerError as why:
            report.add(Outcome(name, "any", "none", "build", "failed", str(why)))
    return programs


def main():
    options = parse_arguments()
    report = Report()
    try:
        programs = prepare(report, options)
    except Missing as why:
        print(f"FAIL {why}\n0 passed, 1 failed, 0 skipped")
        return 1
    for name in [name for name in options.peers if name in programs]:
        for security in (NOISE, TLS):
            if SHORT[security] not in options.security:
                continue
            options.bytes = options.sizes[name]
            for nunet_dials in (True, False):
                with report.check(name, security, "nunet" if nunet_dials else name, "both start"):
                    pair(report, programs, name, security, nunet_dials, options)
    rows = turned(table(report))
    print()
    print_table(rows)
    results = pathlib.Path(options.build) / "interop/matrix.json"
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps([dataclasses.asdict(outcome) for outcome in report.outcomes], indent=1))
    if options.writes_page and len(programs) == 1 + len(options.peers):
        write_page(rows, options)
    count = report.count()
    print(f"\n{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
