"""The program that carries packets between the hosts of a network, and its control socket."""

import json
import os
import pathlib
import socket
import subprocess

from nunet_cluster import ROOT, ClusterError, wait_for

TIMEOUT = 10


def program():
    """Where the link program is."""
    build = pathlib.Path(os.environ.get("DMS_BUILD", ROOT / "build"))
    return pathlib.Path(os.environ.get("TESTNET_LINK", build / "bin/testnet_link"))


class Link:
    def __init__(self, folder):
        self.socket, self.log, self.process = folder / "link.sock", folder / "link.log", None

    def start(self, seed, environment):
        """Its process id."""
        if not os.access(program(), os.X_OK):
            raise ClusterError(f"{program()} is not there: `make testnet` builds it")
        with open(self.log, "ab") as log:
            self.process = process = subprocess.Popen([program(), "--socket", self.socket, "--seed", str(seed)], stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log, env=environment, start_new_session=True)

        def answers():
            if process.poll() is not None:
                raise ClusterError(f"the link ended with {process.returncode}: {self.log.read_text(errors='replace').strip()}")
            return self.ask({"command": "status"})
        wait_for(answers, "the link answers", TIMEOUT, 0.01)
        return process.pid

    def tell(self, *commands):
        """Carries out commands in their order; the answer to each."""
        answers = []
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(TIMEOUT)
                connection.connect(str(self.socket))
                with connection.makefile("rb") as lines:
                    for command in commands:
                        connection.sendall(json.dumps(command).encode() + b"\n")
                        answers.append(json.loads(lines.readline() or b'{"ok": false, "error": "the link has ended"}'))
                        if not answers[-1]["ok"]:
                            raise ClusterError(f"the link: {command['command']}: {answers[-1]['error']}")
        except OSError as error:
            raise ClusterError(f"the link does not answer at {self.socket}: {error}") from error
        return answers

    def ask(self, command):
        return self.tell(command)[0]

    def end(self):
        """Of a link that this object has started."""
        if self.process:
            self.process.terminate()
            self.process.wait(TIMEOUT)
