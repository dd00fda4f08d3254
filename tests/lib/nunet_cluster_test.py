"""Tests of clusters themselves."""

import os
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests/lib"), str(ROOT)]

import nunet_cluster  # noqa: E402  (the path to it is only known now)


class ALinkThatDoesNotStart(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "clusters").mkdir()
        patch = mock.patch("tempfile.tempdir", str(self.folder / "clusters"))
        patch.start()
        self.addCleanup(patch.stop)

    def check(self, program):
        with mock.patch.dict(os.environ, {"TESTNET_LINK": str(program)}), self.assertRaises(nunet_cluster.ClusterError):
            nunet_cluster.Cluster(namespaces=True)
        self.assertEqual(list((self.folder / "clusters").iterdir()), [])

    def test_a_program_that_is_not_there_leaves_no_folder(self):
        self.check(self.folder / "nothing")

    def test_a_program_that_ends_at_once_leaves_no_folder(self):
        program = self.folder / "link"
        program.write_text("#!/bin/sh\nexit 1\n")
        program.chmod(0o755)
        with mock.patch("testnet.link_client.TIMEOUT", 0.2):
            self.check(program)


if __name__ == "__main__":
    unittest.main()
