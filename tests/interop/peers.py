"""Peers of several libp2p implementations: builds, starts and commands them (README.md)."""

import contextlib
import os
import pathlib
import queue
import shutil
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tests/lib"))

from libp2p_wire import UNKNOWN_PEER  # noqa: E402, F401  (needs the path above; re-exported)

ANYWHERE = "/ip4/127.0.0.1/tcp/0"
NOISE, TLS = "/noise", "/tls/1.0.0"
SHORT = {NOISE: "noise", TLS: "tls"}
TIMEOUT = 30  # seconds until an answer counts as missing
BUILD_TIMEOUT = 3000
RUST = (1, 88)  # required by rust-libp2p


class Missing(Exception):
    """An implementation that is not available here; the message gives the reason."""


class PeerError(Exception):
    """A peer that did not execute a command."""


# --- building: Missing if a tool or a download is not available; PeerError if the build fails

def run_quietly(command, folder, env=None, failure=PeerError):
    """Raises `failure`, with the last line of its output, if it fails."""
    try:
        done = subprocess.run(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=BUILD_TIMEOUT)
    except subprocess.TimeoutExpired:
        raise failure(f"{' '.join(command[:2])} took longer than {BUILD_TIMEOUT} s") from None
    if done.returncode != 0:
        lines = done.stdout.strip().splitlines() or ["no output"]
        raise failure(f"{' '.join(command[:3])} failed: {lines[-1].strip()}")


def needs(*programs):
    for program in programs:
        if shutil.which(program) is None:
            raise Missing(f"{program} is not installed")


def nunet(build):
    program = pathlib.Path(build) / "bin/interop_peer"
    if not program.exists():
        raise Missing(f"{program} is not built: cmake --build {build} --target interop_peer")
    return [str(program)]


def js(build):
    """Installed once per state of the lock file, beside the sources, where Node.js looks for modules."""
    needs("node", "npm")
    folder = HERE / "js"
    lock, stamp = folder / "package-lock.json", folder / "node_modules/.installed"
    if not stamp.exists() or stamp.read_bytes() != lock.read_bytes():
        run_quietly(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], folder,
                    failure=Missing)
        shutil.copy(lock, stamp)
    return ["node", str(folder / "peer.mjs")]


def go(build):
    needs("go")
    folder = HERE / "libp2p-go"
    program = pathlib.Path(build).resolve() / "interop/go-libp2p-peer"
    run_quietly(["go", "mod", "download"], folder, failure=Missing)
    run_quietly(["go", "build", "-o", str(program), "."], folder)
    return [str(program)]


def rust(build):
    needs("cargo", "rustc")
    output = subprocess.run(["rustc", "--version"], capture_output=True, text=True, timeout=TIMEOUT, check=True).stdout
    if tuple(map(int, output.split()[1].split(".")[:2])) < RUST:
        raise Missing(f"{output.strip()} is older than {RUST[0]}.{RUST[1]}")
    folder, target = HERE / "libp2p-rust", pathlib.Path(build).resolve() / "interop/rust"
    run_quietly(["cargo", "fetch", "--locked"], folder, failure=Missing)
    run_quietly(["cargo", "build", "--release", "--locked"], folder, dict(os.environ, CARGO_TARGET_DIR=str(target)))
    return [str(target / "release/peer")]


BUILDERS = {"js": js, "go": go, "rust": rust}


# --- running

class Peer:
    """A child process that executes commands. Used by one thread."""

    def __init__(self, name, program, seed, *security):
        """A dialer proposes the security protocols in this order; its default if none is named."""
        self.name = name
        self.events = []
        self.answers = queue.Queue()
        self.stuck = False  # a command was not answered: later answers could not be assigned
        self.changed = threading.Condition()
        self.process = subprocess.Popen([*program, str(seed), ANYWHERE, *(security or (NOISE,))], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        try:
            self.address = self.expect("listen", TIMEOUT)
        except PeerError:
            self.kill()
            raise
        self.id = self.address.rsplit("/", 1)[1]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.kill() if kind else self.quit()

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
            raise PeerError(f"{self.name} is not answering")
        try:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise PeerError(f"{self.name} has ended") from None

    def answer(self, timeout):
        try:
            return self.answers.get(timeout=timeout)
        except queue.Empty:
            self.stuck = True
            raise PeerError(f"{self.name} has not answered in {timeout:.0f} s") from None

    def expect(self, verb, timeout):
        kind, rest = self.answer(timeout)
        if kind != "ok" or not rest.startswith(verb):
            raise PeerError(f"{self.name}: {kind} {rest}")
        return rest[len(verb) + 1:]

    def do(self, command, timeout=TIMEOUT):
        """The words of the answer behind the command's name."""
        self.ask(command)
        return self.expect(command.split(" ", 1)[0], timeout)

    def refuses(self, command):
        self.ask(command)
        kind, rest = self.answer(TIMEOUT)
        if kind != "error":
            raise PeerError(f"{self.name} accepted: {command}")
        return rest

    def until_event(self, text, since=0):
        """Waits for an event that contains `text`, after the first `since` events."""
        with self.changed:
            if not self.changed.wait_for(lambda: any(text in event for event in self.events[since:]), TIMEOUT):
                raise PeerError(f"{self.name}: no event '{text}' among {self.events[since:][-5:]}")

    def until_answer(self, command, answer):
        """Repeats a command until its answer is the expected one: gossip takes time to spread."""
        deadline = time.monotonic() + TIMEOUT
        while (got := self.do(command)) != answer:
            if time.monotonic() > deadline:
                raise PeerError(f"{self.name}: '{command}' answers '{got}', expected '{answer}'")
            time.sleep(0.05)

    def quit(self):
        """Ends the peer; an error if its status is not 0. Does nothing if it has ended already."""
        with contextlib.suppress(BrokenPipeError, ValueError):
            self.process.stdin.write("quit\n")
            self.process.stdin.flush()
        try:
            self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise PeerError(f"{self.name} did not end") from None
        finally:
            self._close_pipes()
        if self.process.returncode != 0:  # a sanitizer fails at exit
            raise PeerError(f"{self.name} ended with status {self.process.returncode}")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self._close_pipes()

    def _close_pipes(self):
        self.reader.join(TIMEOUT)
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
