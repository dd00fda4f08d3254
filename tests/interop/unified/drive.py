#!/usr/bin/python3
"""Runs unified_peer as libp2p's unified interoperability tests would: a listener and a dialer that know each other through
Redis, in the suites `transport` and `perf`. Uses Debian's redis-server if it is there, else a stub.

Usage: drive.py UNIFIED_PEER. Prints PASS or FAIL lines and ends 'N passed, N failed, N skipped'.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from redis_stub import RedisStub

STACK = {"TRANSPORT": "tcp", "SECURE_CHANNEL": "noise", "MUXER": "yamux"}
PERF = {"UPLOAD_BYTES": "3000000", "DOWNLOAD_BYTES": "5000000", "UPLOAD_ITERATIONS": "3", "DOWNLOAD_ITERATIONS": "4",
        "LATENCY_ITERATIONS": "10"}


@contextlib.contextmanager
def real_redis():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", folder],
                                  stdout=subprocess.DEVNULL)
        try:
            for _ in range(200):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.05)
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(10)


@contextlib.contextmanager
def stub_redis():
    with RedisStub() as stub:
        yield stub.address


def start(program, redis, **environment):
    keep = {k: v for k, v in os.environ.items() if k == "PATH" or k.endswith("SAN_OPTIONS")}
    return subprocess.Popen([program], env={**keep, **STACK, "REDIS_ADDR": redis, "DEBUG": "false", **environment}, text=True,
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
    """The YAML that the suites' results are made of: two levels, numbers, words and lists of numbers."""
    result, section = {}, None
    for line in text.splitlines():
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


def pair(program, redis, test, dialer=None, listener=None):
    """What the dialer printed, with the other side running; both must end well."""
    listening = start(program, redis, IS_DIALER="false", TEST_KEY=test, **{"LISTENER_IP": "127.0.0.1", **(listener or {})})
    try:
        status, out, err = finish(start(program, redis, IS_DIALER="true", TEST_KEY=test, **(dialer or {})))
        assert status == 0, f"the dialer ended with {status}: {err}"
        assert listening.poll() is None, f"the listener has ended: {finish(listening)}"
    finally:
        listening.terminate()
        ended = finish(listening, 20)
    assert ended[0] == 0 and ended[1] == "", f"the listener: {ended}"
    return read_yaml(out)


def transport(program, redis, security="noise", test="aaaa0001"):
    channel = {"SECURE_CHANNEL": security}
    latency = pair(program, redis, test, dialer=channel, listener=channel)["latency"]
    assert latency["unit"] == "ms", latency
    assert 0 < latency["ping_rtt"] <= latency["handshake_plus_one_rtt"], latency


def transport_tls(program, redis):
    transport(program, redis, "tls", "aaaa0007")


def perf(program, redis):
    result = pair(program, redis, "aaaa0002", dialer=PERF)
    for name, times, unit in (("upload", 3, "Gbps"), ("download", 4, "Gbps"), ("latency", 10, "ms")):
        part = result[name]
        assert part["iterations"] == times == len(part["samples"]), part
        assert part["unit"] == unit, part
        assert part["q1"] <= part["median"] <= part["q3"] and part["min"] <= part["max"], part
        assert sorted(part["outliers"] + [s for s in part["samples"] if s not in part["outliers"]]) == part["samples"], part
        assert part["samples"] == sorted(part["samples"]) and part["samples"][-1] > 0, part


def late_listener(program, redis):
    """The dialer waits for a listener that comes after it."""
    dialer = start(program, redis, IS_DIALER="true", TEST_KEY="aaaa0003")
    listener = start(program, redis, IS_DIALER="false", LISTENER_IP="127.0.0.1", TEST_KEY="aaaa0003")
    try:
        status, out, err = finish(dialer)
        assert status == 0 and "ping_rtt" in out, err
    finally:
        listener.terminate()
        finish(listener, 20)


def all_interfaces(program, redis):
    pair(program, redis, "aaaa0004", listener={"LISTENER_IP": "0.0.0.0"})


def what_is_not_spoken(program, redis):
    for change in ({"TRANSPORT": "quic-v1"}, {"MUXER": "mplex"}, {"SECURE_CHANNEL": "plaintext"}, {"IS_DIALER": ""}):
        environment = {"IS_DIALER": "true", "TEST_KEY": "aaaa0005", **change}
        status, out, err = finish(start(program, redis, **environment), 20)
        name = next(iter(change))
        assert status == 1 and out == "" and name in err, (status, out, err)


def nobody_there(program, _):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but nobody listens
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        status, out, err = finish(start(program, address, IS_DIALER="true", TEST_KEY="aaaa0006"), 20)
    assert status == 1 and out == "" and err, (status, out, err)


CASES = [transport, transport_tls, perf, late_listener, all_interfaces, what_is_not_spoken, nobody_there]


def main():
    program = sys.argv[1]
    servers = [("stub", stub_redis)]
    skipped = 0
    if shutil.which("redis-server"):
        servers.append(("redis-server", real_redis))
    else:
        print("skipped: redis-server is not installed")
        skipped = len(CASES)
    passed = failed = 0
    for name, server in servers:
        with server() as redis:
            for case in CASES:
                try:
                    case(program, redis)
                    passed += 1
                    print(f"PASS {case.__name__} with {name}", flush=True)
                except AssertionError as error:
                    failed += 1
                    print(f"FAIL {case.__name__} with {name}: {error}", flush=True)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
