"""Tests of the probes by which the demonstration and the functional tests check what a machine supports, and of its containers."""

import os
import pathlib
import signal
import stat
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import yaml

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests/lib")]

import demo  # noqa: E402
import demo_docker  # noqa: E402
import probes  # noqa: E402


def fake_programs(folder, **programs):
    for name, script in programs.items():
        path = pathlib.Path(folder) / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)


class Probes(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        for patch in (mock.patch.dict(os.environ, {"PATH": f"{self.folder}:/usr/bin:/bin"}), mock.patch("os.geteuid", return_value=0)):
            patch.start()
            self.addCleanup(patch.stop)
        self.addCleanup(probes.namespaces_obstacle.cache_clear)
        probes.namespaces_obstacle.cache_clear()

    def test_a_namespace_that_can_be_made_but_not_entered_cannot_be_used(self):
        fake_programs(self.folder, nsenter="exit 0", ip='[ "$1" != -n ] || { echo "mount of /sys failed: Invalid argument" >&2; exit 255; }')
        self.assertRegex(probes.namespaces_obstacle(), r"`ip -n .*` fails: mount of /sys failed")

    def test_namespaces_are_used_where_every_command_works(self):
        fake_programs(self.folder, nsenter="exit 0", ip="exit 0")
        self.assertEqual(probes.namespaces_obstacle(), "")

    def test_every_probe_is_removed(self):
        fake_programs(self.folder, nsenter="exit 1", ip=f'echo "$*" >>{self.folder}/log')
        self.assertRegex(probes.namespaces_obstacle(), "nsenter")
        lines = (pathlib.Path(self.folder) / "log").read_text().splitlines()
        made = {line.split()[-1] for line in lines if line.startswith("netns add")}
        self.assertEqual(made, {line.split()[-1] for line in lines if line.startswith("netns del")})

    def test_a_sandbox_that_cannot_be_made_says_why(self):
        fake_programs(self.folder, bwrap="echo 'bwrap: Failed to make / slave: Invalid argument' >&2; exit 1")
        self.assertIn("Failed to make / slave", probes.sandbox_obstacle())


class Containers(unittest.TestCase):
    def test_every_ensemble_can_run_in_containers(self):
        for text in (demo.MAP, demo.REDUCE % "peer", demo.SERVICE):
            sandboxes, containers = yaml.safe_load(text)["allocations"], yaml.safe_load(demo_docker.of_docker(text))["allocations"]
            self.assertEqual(list(sandboxes), list(containers))
            for name, allocation in containers.items():
                execution = {"type": "docker", "image": demo_docker.IMAGE, "cmd": sandboxes[name]["execution"]["cmd"]}
                self.assertEqual(allocation, sandboxes[name] | {"executor": "docker", "execution": execution})

    def test_without_an_engine_it_says_so(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, {"DOCKER_HOST": f"unix://{folder}/none"}):
            with demo_docker.Engine() as engine:
                self.assertRegex(engine.obstacle, f"no Docker engine answers on {folder}/none")


INTERRUPTED = """
import contextlib, sys, time
from unittest import mock
import demo

@contextlib.contextmanager
def network(*_, **__):
    try:
        yield
    finally:
        print("removed", flush=True)

def demonstrate(*_):
    print("up", flush=True)
    time.sleep(60)

with mock.patch("demo.testnet.Network", network), mock.patch("demo.demonstrate", demonstrate), \\
        mock.patch("demo.demo_docker.Engine") as engine:
    engine.return_value.__enter__.return_value.obstacle = ""
    sys.exit(demo.main())
"""


class Signals(unittest.TestCase):
    def test_what_ends_the_demonstration_removes_what_it_has_made(self):
        for sent in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(sent), tempfile.TemporaryDirectory() as folder:
                environment = {**os.environ, "PYTHONPATH": str(HERE), "TMPDIR": folder}
                with subprocess.Popen([sys.executable, "-c", INTERRUPTED], env=environment, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True) as process:
                    self.assertEqual(process.stdout.readline(), "up\n")
                    process.send_signal(sent)
                    out, err = process.communicate(timeout=30)
                self.assertEqual((out, process.returncode), ("removed\n", 130), err)
                self.assertEqual(os.listdir(folder), [])


if __name__ == "__main__":
    unittest.main()
