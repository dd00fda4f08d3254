#!/usr/bin/python3
"""This libp2p beside go-libp2p and rust-libp2p: two peers of the same kind do the same work over loopback, the kinds in turn.

Prints medians over the rounds, and writes them to BUILD/bench/p2p.json:
  figure NAME VALUE UNIT         a measurement
  ratio NAME VALUE vs PEER       this libp2p divided by PEER; of a time, of memory or of processor seconds less is better
An implementation that cannot be built here is 'skipped: why'.

Per security protocol: one stream's throughput up and down (libp2p perf), processor seconds of both ends per GiB, handshakes per second
one after the other, ping p50 and p99, and the resident memory of a listener per idle connection. Beside them what this machine can
do without libp2p: bare TCP, and the cipher alone.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import resource
import socket
import statistics
import subprocess
import sys
import time

from peers import BUILDERS, NOISE, TIMEOUT, SHORT, TLS, Missing, Peer, PeerError, nunet

KINDS = {"go": "go-libp2p", "rust": "rust-libp2p"}
CIPHERS = {"chacha20-poly1305": 65519, "aes-128-gcm": 16384}  # with the message sizes of Noise and of TLS
GIB, MIB, BLOCK = 2**30, 2**20, 64 * 1024
WARM_UP = 16 * MIB  # opens the windows
TICK = os.sysconf("SC_CLK_TCK")


class Measured:
    """Lists of values by name; reports medians."""

    def __init__(self):
        self.values, self.units, self.records = collections.defaultdict(list), {}, []

    def add(self, name, value, unit):
        self.values[name].append(value)
        self.units[name] = unit

    def report(self):
        for name, values in self.values.items():
            middle = statistics.median(values)
            print(f"figure {name} {middle:.4g} {self.units[name]}", flush=True)
            print(f"    {name}: {len(values)} rounds, {min(values):.4g} to {max(values):.4g}", file=sys.stderr)
            self.records.append({"kind": "figure", "name": name, "value": middle, "unit": self.units[name],
                                 "least": min(values), "most": max(values), "rounds": len(values)})
        for name in [name for name in self.values if name.startswith("p2p.nunet.")]:
            what = name.removeprefix("p2p.nunet.")
            for kind, peer in KINDS.items():
                if other := self.values.get(f"p2p.{kind}.{what}"):
                    self.ratio(what, statistics.median(self.values[name]) / statistics.median(other), peer)

    def ratio(self, what, value, peer):
        print(f"ratio p2p.{what} {value:.3f} vs {peer}", flush=True)
        self.records.append({"kind": "ratio", "name": f"p2p.{what}", "value": value, "peer": peer})


# --- processes

def processor_seconds(*peers):
    """User and system time of all threads, ended ones included; in clock ticks."""
    ticks = 0
    for peer in peers:
        words = pathlib.Path(f"/proc/{peer.process.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(words[11]) + int(words[12])
    return ticks / TICK


def resident_kib(peer):
    for line in pathlib.Path(f"/proc/{peer.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise PeerError(f"{peer.name} has no memory")


@contextlib.contextmanager
def connected(kind, program, security):
    with Peer(f"{kind} listener", program, 1, security) as listener, Peer(f"{kind} dialer", program, 2, security) as dialer:
        dialer.do(f"dial {listener.address}")
        yield dialer, listener


# --- what is measured

def throughput(measured, name, dialer, listener, size):
    for direction, arguments in (("upload", f"{size} 0"), ("download", f"0 {size}")):
        before = processor_seconds(dialer, listener)
        nanoseconds = int(dialer.do(f"perf {listener.id} {arguments}", timeout=120).split()[2])
        spent = processor_seconds(dialer, listener) - before
        measured.add(f"{name}.{direction}", size * 1e3 / nanoseconds, "MB/s")
        measured.add(f"{name}.{direction}_processor", spent * GIB / size, "s/GiB")


def pings(measured, name, dialer, listener, count):
    median, late = map(int, dialer.do(f"pings {listener.id} {count}").split())
    measured.add(f"{name}.ping_p50", median / 1e3, "us")
    measured.add(f"{name}.ping_p99", late / 1e3, "us")


def handshakes(measured, name, program, security, count):
    """With new peers: an existing connection would be reused."""
    with Peer("listener", program, 1, security) as listener, Peer("dialer", program, 2, security) as dialer:
        dialer.do(f"handshakes {listener.address} 10")  # warm
        before = processor_seconds(dialer, listener)
        nanoseconds = int(dialer.do(f"handshakes {listener.address} {count}", timeout=120).split()[1])
        measured.add(f"{name}.handshakes", count * 1e9 / nanoseconds, "1/s")
        measured.add(f"{name}.handshake_processor", (processor_seconds(dialer, listener) - before) / count * 1e6, "us")


def one_round(measured, programs, security, options):
    for kind, program in programs.items():
        name = f"p2p.{kind}.{SHORT[security]}"
        with connected(kind, program, security) as (dialer, listener):
            for arguments in (f"{WARM_UP} 0", f"0 {WARM_UP}"):
                dialer.do(f"perf {listener.id} {arguments}")
            throughput(measured, name, dialer, listener, options.bytes)
            pings(measured, name, dialer, listener, options.pings)
        handshakes(measured, name, program, security, options.handshakes)


def idle_memory(measured, programs, security, count):
    """Of the listener. The dialers are interop_peer in each case: one process with one host per connection."""
    for kind, program in programs.items():
        with Peer(f"{kind} listener", program, 1, security) as listener:
            before = resident_kib(listener)
            crowd = Peer("crowd", programs["nunet"], 2, security)
            try:
                crowd.do(f"crowd {listener.address} {count}", timeout=300)
                until_identified(listener, count)
                name = f"p2p.{kind}.{SHORT[security]}"
                measured.add(f"{name}.memory_per_idle_connection", (resident_kib(listener) - before) / count, "KiB")
            finally:
                crowd.kill()


def until_identified(listener, count):
    """Identify is the last exchange on a connection before it is idle."""
    def enough():
        return sum(event.startswith("identified") for event in listener.events) >= count
    with listener.changed:
        if not listener.changed.wait_for(enough, TIMEOUT):
            raise PeerError(f"{listener.name} has not identified {count} peers")


# --- what this machine can do without libp2p

def bare_tcp(measured, size):
    """One connection, a process at each end, in blocks as large as the peers'."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        child = os.fork()
        if child == 0:
            with contextlib.suppress(OSError), socket.create_connection(server.getsockname()) as wire:
                block = bytes(BLOCK)
                for _ in range(size // BLOCK):
                    wire.sendall(block)
                wire.shutdown(socket.SHUT_WR)
                wire.recv(1)
            os._exit(0)
        own = time.process_time()
        wire, _ = server.accept()
        with wire:
            begin, got, block = time.monotonic(), 0, bytearray(BLOCK)
            while more := wire.recv_into(block):
                got += more
            seconds = time.monotonic() - begin
        own = time.process_time() - own
        os.waitpid(child, 0)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = own + after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    measured.add("p2p.bare_tcp", got / 1e6 / seconds, "MB/s")
    measured.add("p2p.bare_tcp_processor", spent * GIB / got, "s/GiB")


def bare_cipher(measured):
    """Encryption alone on one core, by OpenSSL."""
    for cipher, size in CIPHERS.items():
        command = ["openssl", "speed", "-mr", "-elapsed", "-seconds", "1", "-bytes", str(size), "-evp", cipher]
        output = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        rate = float(next(line for line in output.splitlines() if line.startswith("+F")).rsplit(":", 1)[1])
        measured.add(f"p2p.bare_{cipher}", rate / 1e6, "MB/s")


# --- all of it

def crowd_size(wanted):
    """Each connection takes a file descriptor at both ends."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        if wanted > limit - 200:
            print(f"skipped: idle memory at {wanted} connections: at most {limit} files may be open; using {limit - 200}", flush=True)
            return limit - 200
    return wanted


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", help="the build folder; its interop_peer should be a release build")
    parser.add_argument("--peers", nargs="*", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bytes", type=int, default=256 * MIB, help="of each transfer")
    parser.add_argument("--pings", type=int, default=5000)
    parser.add_argument("--handshakes", type=int, default=300)
    parser.add_argument("--connections", type=int, default=5000, help="idle ones; 0 leaves them out")
    return parser.parse_args()


def prepare(options):
    programs = {"nunet": nunet(options.build)}
    for kind in options.peers:
        try:
            programs[kind] = BUILDERS[kind](options.build)
        except Missing as why:
            print(f"skipped: {KINDS[kind]}: {why}", flush=True)
    return programs


def measure(measured, programs, options):
    for number in range(options.rounds):
        print(f"    round {number + 1} of {options.rounds}", file=sys.stderr)
        bare_tcp(measured, options.bytes)
        bare_cipher(measured)
        for security in (NOISE, TLS):
            one_round(measured, programs, security, options)
    if options.connections:
        count = crowd_size(options.connections)
        measured.add("p2p.idle_connections", count, "connections")
        for security in (NOISE, TLS):
            idle_memory(measured, programs, security, count)


def main():
    options = parse_arguments()
    measured = Measured()
    try:
        programs = prepare(options)
        measure(measured, programs, options)
    except (Missing, PeerError, OSError, subprocess.SubprocessError) as error:
        print(f"the measurement failed: {error}", file=sys.stderr)
        return 1
    measured.report()
    results = pathlib.Path(options.build) / "bench/p2p.json"
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(measured.records, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
