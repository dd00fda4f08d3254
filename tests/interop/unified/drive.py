#!/usr/bin/python3
"""Runs unified_peer as libp2p's unified interoperability tests would: a listener and a dialer that know each other through
Redis, in the suites `transport` and `perf`; against itself and, in `transport`, against others (README.md beside this).

Usage: drive.py UNIFIED_PEER [NAME=PROGRAM...]. PROGRAM is another implementation's peer of the suite `transport`.
Prints PASS or FAIL lines and ends 'N passed, N failed, N skipped'.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from redis_stub import RedisStub

STACK = {"TRANSPORT": "tcp", "SECURE_CHANNEL": "noise", "MUXER": "yamux", "LISTENER_IP": "0.0.0.0", "DEBUG": "false"}
PERF = {"UPLOAD_BYTES": "3000000", "DOWNLOAD_BYTES": "5000000", "UPLOAD_ITERATIONS": "3", "DOWNLOAD_ITERATIONS": "4",
        "LATENCY_ITERATIONS": "10"}
# The lines that the suites' scripts keep of what a dialer prints.
KEPT = {"transport": re.compile(r"latency:|  (handshake_plus_one_rtt|ping_rtt|unit):"),
        "perf": re.compile(r"(upload|download|latency):|  (iterations|min|q1|median|q3|max|outliers|samples|unit):")}
ADDRESS = "192.0.2.1"  # of a private network namespace: the listeners of other implementations refuse loopback addresses


# --- Redis

def redis_server():
    """The server program; redis-tools contains it as redis-check-rdb, which selects its function by argv[0]."""
    return shutil.which("redis-server") or shutil.which("redis-check-rdb")


@contextlib.contextmanager
def real_redis():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", folder]
        server = subprocess.Popen(command, executable=redis_server(), stdout=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 10
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                assert time.monotonic() < deadline, "redis-server does not accept connections"
                time.sleep(0.05)
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(10)


@contextlib.contextmanager
def stub_redis():
    with RedisStub() as stub:
        yield stub.address


def ask_redis(redis, *words):
    """The first line of the answer, which shows its kind."""
    host, port = redis.split(":")
    with socket.create_connection((host, int(port)), 10) as connection, connection.makefile("rwb") as stream:
        stream.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
        stream.flush()
        return stream.readline().decode().strip()


# --- peers

def start(command, redis, **environment):
    keep = {k: v for k, v in os.environ.items() if k == "PATH" or k.endswith("SAN_OPTIONS")}
    return subprocess.Popen(command, env={**keep, **STACK, "REDIS_ADDR": redis, **environment}, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process, timeout=90):
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        err += f"\n(killed after {timeout} s)"
    return process.returncode, out, err


def read_yaml(text):
    """The YAML of the suites' results: two levels, numbers, words and lists of numbers."""
    result, section = {}, None
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, _, value = line.strip().partition(":")
        value = value.strip()
        if not line.startswith(" "):
            assert not value, line
            section = result.setdefault(name, {})
        elif value.startswith("["):
            section[name] = [float(number) for number in value.strip("[]").split(",") if number.strip()]
        else:
            section[name] = value if name == "unit" else float(value)
    return result


def pair(listener, dialer, redis, test, nunet=("listener", "dialer"), listening=None, dialing=None):
    """The dialer's output, with the listener running. unified_peer must end with status 0 and print only the specified lines."""
    serving = start(listener, redis, IS_DIALER="false", TEST_KEY=test, **(listening or {}))
    try:
        status, out, err = finish(start(dialer, redis, IS_DIALER="true", TEST_KEY=test, **(dialing or {})))
        alive = serving.poll() is None
    finally:
        serving.terminate()
        ended = finish(serving, 20)
    assert status == 0, f"the dialer ended with {status}: {err[-2000:]}; the listener: {ended[2][-2000:]}"
    assert alive, f"the listener has ended: {ended}"
    if "listener" in nunet:
        assert ended[0] == 0 and ended[1] == "", f"the listener: {ended}"
    if "dialer" in nunet:
        stray = [line for line in out.splitlines() if not KEPT[dialer[-1]].match(line)]
        assert not stray, f"the suite does not keep these lines: {stray}"
    return read_yaml(out)


def check_latency(latency):
    assert latency["unit"] == "ms", latency
    assert 0 < latency["ping_rtt"] <= latency["handshake_plus_one_rtt"], latency


# --- unified_peer with itself

def transport(nunet, redis, security="noise", test="aaaa0001"):
    channel = {"SECURE_CHANNEL": security}
    command = [nunet, "transport"]
    check_latency(pair(command, command, redis, test, listening=channel, dialing=channel)["latency"])


def transport_tls(nunet, redis):
    transport(nunet, redis, "tls", "aaaa0007")


def perf(nunet, redis):
    result = pair([nunet, "perf"], [nunet, "perf"], redis, "aaaa0002", dialing=PERF)
    for name, times, unit in (("upload", 3, "Gbps"), ("download", 4, "Gbps"), ("latency", 10, "ms")):
        part = result[name]
        assert part["iterations"] == times == len(part["samples"]), part
        assert part["unit"] == unit, part
        assert part["q1"] <= part["median"] <= part["q3"] and part["min"] <= part["max"], part
        assert sorted(part["outliers"] + [s for s in part["samples"] if s not in part["outliers"]]) == part["samples"], part
        assert part["samples"] == sorted(part["samples"]) and part["samples"][-1] > 0, part


def late_listener(nunet, redis):
    """The dialer waits for a listener that starts later."""
    for suite, test in (("transport", "aaaa0003"), ("perf", "aaaa0013")):
        dialer = start([nunet, suite], redis, IS_DIALER="true", TEST_KEY=test, **PERF)
        listener = start([nunet, suite], redis, IS_DIALER="false", TEST_KEY=test)
        try:
            status, out, err = finish(dialer)
            assert status == 0 and "latency:" in out, err
        finally:
            listener.terminate()
            finish(listener, 20)


def rendezvous(nunet, redis):
    """A listener stores in Redis what other implementations of the same suite read."""
    for suite, test, command, kind in (("transport", "aaaa0008", ["BLPOP", "5"], "*2"), ("perf", "aaaa0018", ["GET"], "$")):
        listener = start([nunet, suite], redis, IS_DIALER="false", TEST_KEY=test)
        try:
            deadline = time.monotonic() + 10
            while (answer := ask_redis(redis, command[0], f"{test}_listener_multiaddr", *command[1:])) == "$-1":
                assert time.monotonic() < deadline, f"{suite}: nothing in Redis"
                time.sleep(0.05)
            assert answer.startswith(kind), f"{suite}: {command[0]} answers {answer}"
        finally:
            listener.terminate()
            finish(listener, 20)


def loopback(nunet, redis):
    pair([nunet, "transport"], [nunet, "transport"], redis, "aaaa0004", listening={"LISTENER_IP": "127.0.0.1"})


def unsupported_stack(nunet, redis):
    for change in ({"TRANSPORT": "quic-v1"}, {"MUXER": "mplex"}, {"SECURE_CHANNEL": "plaintext"}, {"IS_DIALER": ""}):
        environment = {"IS_DIALER": "true", "TEST_KEY": "aaaa0005", **change}
        status, out, err = finish(start([nunet, "transport"], redis, **environment), 20)
        name = next(iter(change))
        assert status == 1 and out == "" and name in err, (status, out, err)
    status, out, err = finish(start([nunet, "hole-punch"], redis, IS_DIALER="true", TEST_KEY="aaaa0005"), 20)
    assert status == 1 and out == "" and "usage" in err, (status, out, err)


def no_listener(nunet, _):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but not listening
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        status, out, err = finish(start([nunet, "transport"], address, IS_DIALER="true", TEST_KEY="aaaa0006"), 20)
    assert status == 1 and out == "" and err, (status, out, err)


CASES = [transport, transport_tls, perf, late_listener, rendezvous, loopback, unsupported_stack, no_listener]


# --- with other implementations

def with_other(name, program, security, nunet_dials):
    def case(nunet, redis):
        mine, other = [nunet, "transport"], [program]
        channel = {"SECURE_CHANNEL": security}
        listener, dialer = (other, mine) if nunet_dials else (mine, other)
        check_latency(pair(listener, dialer, redis, f"bbbb_{name}_{security}_{nunet_dials}",
                           nunet=("dialer",) if nunet_dials else ("listener",), listening=channel, dialing=channel)["latency"])
    case.__name__ = f"{'nunet' if nunet_dials else name} dials {name if nunet_dials else 'nunet'} over {security}"
    return case


def in_own_network():
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind((ADDRESS, 0))
        return True
    return False


def enter_own_network():
    """Runs this script again in a network namespace whose loopback interface also has ADDRESS."""
    setup = f'ip link set lo up && ip address add {ADDRESS}/32 dev lo && exec "$@"'
    os.execvp("unshare", ["unshare", "--map-root-user", "--net", "sh", "-c", setup, "sh", sys.executable, *sys.argv])


# --- all of it

def main():
    nunet = sys.argv[1]
    others = [word.split("=", 1) for word in sys.argv[2:]]
    if others and not in_own_network():
        enter_own_network()
    foreign = [with_other(name, program, security, nunet_dials) for name, program in others for security in ("noise", "tls")
               for nunet_dials in (True, False)]
    runs = [("stub", stub_redis, CASES)]
    skipped = 0
    if redis_server():
        runs.append(("redis-server", real_redis, CASES + foreign))
    else:
        print("skipped: redis-server is not installed")
        skipped = len(CASES + foreign)
    passed = failed = 0
    for name, server, cases in runs:
        with server() as redis:
            for case in cases:
                try:
                    case(nunet, redis)
                    passed += 1
                    print(f"PASS {case.__name__} with {name}", flush=True)
                except (AssertionError, OSError) as error:
                    failed += 1
                    print(f"FAIL {case.__name__} with {name}: {error}", flush=True)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
