"""Hosts that are machines reached by ssh."""

import contextlib
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess

import nunet_cluster
from nunet_cluster import NUNET, ClusterError, Finished, Hopeless, control_group, wait_for

from testnet.hosts import ARTIFACTS, MARK, START_SCRIPT, Host, reporting

# Without urllib, whose import takes longer than all the rest: a daemon is asked many times until it answers.
ASK = """
import socket, sys
try:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10) as connection:
        connection.sendall(f"GET {sys.argv[2]} HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n".encode())
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
except OSError as error:
    sys.exit(f"no answer: {error}")
head, _, content = answer.partition(b"\\r\\n\\r\\n")
if head.split(b" ", 2)[1:2] != [b"200"]:
    sys.exit(f"{head.decode()}: {content.decode()}")
print(content.decode())
"""


class SshHost(Host):
    """A machine reached by ssh. Its home is a folder there; `home` here has the files that are copied to it."""

    def __init__(self, network, plan):
        super().__init__(network, plan)
        self.there = pathlib.PurePosixPath(f"/var/tmp/nunet-testnet-{network.name}-{plan.name}")
        self.nunet_there = plan.nunet or str(self.there / "bin/nunet")

    @property
    def options(self):
        socket_path = self.cluster.folder / f"ssh-{self.name}"
        options = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ControlMaster=auto", "-o", f"ControlPath={socket_path}",
                   "-o", "ControlPersist=60"]
        return options + shlex.split(os.environ.get("TESTNET_SSH_OPTIONS", ""))

    def inside(self, command):
        return ["ssh", *self.options, "-p", str(self.plan.ssh_port), self.plan.ssh, "--", self.line(command, {})]

    def line(self, command, environment):
        """A line for the machine's shell."""
        program, *arguments = [str(word) for word in command]
        program = self.nunet_there if program == NUNET else program
        variables = {"HOME": str(self.there), "DMS_PASSPHRASE": nunet_cluster.PASSPHRASE, MARK: str(self.there), **environment}
        words = ["env", *(f"{name}={value}" for name, value in variables.items()), program, *arguments]
        path = f'PATH={shlex.quote(str(self.there / "bin"))}:"$PATH"; export PATH; '
        return f"cd {shlex.quote(str(self.there))} && {{ {path}{shlex.join(words)}; }}"

    def run(self, *command, input=None, timeout=60, environment=None):
        return self.ssh(self.line(command, environment or {}), input=input, timeout=timeout, shown=command)

    def ssh(self, line, input=None, timeout=60, shown=None):
        command = ["ssh", *self.options, "-p", str(self.plan.ssh_port), self.plan.ssh, "--", line]
        try:
            # Not a pipe for the output of ssh's master process, which outlives the command.
            process = subprocess.run(command, input=input, stdin=None if input is not None else subprocess.DEVNULL, text=True,
                                     capture_output=True, errors="replace", timeout=timeout, start_new_session=True)
        except subprocess.TimeoutExpired as error:
            raise ClusterError(f"{self.name}: `{line}` did not end within {timeout} s") from error
        if process.returncode == 255:
            raise ClusterError(f"{self.name}: ssh {self.plan.ssh}: {process.stderr.strip()}")
        return Finished([str(word) for word in shown or [line]], process)

    def must_ssh(self, line, **options):
        finished = self.ssh(line, **options)
        if finished.status != 0:
            raise ClusterError(f"{self.name}: {finished}")
        return finished

    def copy(self, source, target):
        command = ["scp", "-q", "-r", *self.options, "-P", str(self.plan.ssh_port), str(source), f"{self.plan.ssh}:{target}"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise ClusterError(f"{self.name}: {' '.join(map(str, command))}: {done.stderr.strip()}")

    def configure(self, bootstrap):
        super().configure(bootstrap)
        # It listens on every address, and names the files where they are on that machine.
        settings = json.loads(self.config.read_text().replace(str(self.home), str(self.there)))
        settings["p2p"]["listen_address"] = [f"/ip4/0.0.0.0/tcp/{self.p2p_port}"]
        self.config.write_text(json.dumps(settings, indent=2) + "\n")

    def boot(self):
        """Copies the home to the machine, unless it is there from before a die()."""
        there = shlex.quote(str(self.there))
        if not self.on:
            self.on = True
            return
        done = self.must_ssh(f"umask 077; test -e {there} && echo there || mkdir -p {there}/bin {there}/nunet")
        if done.out.strip():
            raise ClusterError(f"{self.name}: {self.there} is there already on {self.plan.ssh}: another network of this name uses it, "
                               "or has not been taken down; remove that folder if none does")
        if self.user_dir.exists():
            self.copy(self.user_dir, f"{self.there}/.nunet")
        if self.has_daemon and not self.plan.nunet:
            self.copy(pathlib.Path(NUNET).resolve(), self.nunet_there)
        elif self.plan.nunet:
            self.must_ssh(f"ln -s {shlex.quote(self.plan.nunet)} {there}/bin/nunet")

    def launch(self):
        config = self.there / ".nunet/dms_config.json"
        self.daemon = self.launch_daemon([NUNET, "run", "--config", str(config)])

    def launch_daemon(self, command):
        finished = self.run("sh", "-c", START_SCRIPT, "sh", self.there, self.nunet_there, *command[1:])
        if finished.status != 0:
            raise ClusterError(f"{self.name}: {finished}")
        return RemoteProcess(self, int(finished.out))

    def healthy(self):
        if not self.daemon.alive:
            raise Hopeless(f"{self.name}: the daemon has ended{self.log_tail()}")
        return self.rest("/health").get("status") == "ok"

    def rest(self, path):
        """The answer of its daemon to GET, as JSON."""
        finished = self.run("/usr/bin/python3", "-I", "-S", "-c", ASK, self.rest_port, path)
        if finished.status != 0:
            raise ClusterError(f"{self.name}: {path}: {finished.err.strip() or finished.out.strip()}")
        return finished.json

    def log_tail(self, lines=25):
        with contextlib.suppress(ClusterError):
            end = self.ssh(f"tail -n {lines} {shlex.quote(str(self.there / 'daemon.log'))}").out
            return f"\n--- {self.name}: end of daemon.log\n{end}"
        return ""

    def die(self):
        """Ends the daemon and what has its home, at once; the machine itself goes on."""
        begin, end = str(self.there)[:12], str(self.there)[12:] + "/"
        self.ssh(END_SCRIPT.replace("MARK", shlex.quote(f"{MARK}={self.there}")).replace("BEGIN", begin).replace("END", end))
        self.on = False

    def remove(self):
        self.die()
        groups = f"find /sys/fs/cgroup -depth -type d -path '*/{control_group(self.there / 'nunet')}*' -exec rmdir {{}} + 2>/dev/null"
        self.must_ssh(f"{groups}; rm -rf {shlex.quote(str(self.there))}")

    def close(self):
        """Ends the connection that is shared by the commands."""
        subprocess.run(["ssh", *self.options, "-O", "exit", "-p", str(self.plan.ssh_port), self.plan.ssh], capture_output=True)

    def multiaddress(self):
        kind = "ip4" if re.fullmatch(r"[0-9.]+", self.address) else "dns4"
        return f"/{kind}/{self.address}/tcp/{self.p2p_port}/p2p/{self.peer_id()}"

    def daemon_state(self):
        try:
            return super().daemon_state()
        except ClusterError:
            return "unreachable"

    def processes(self):
        finished = self.ssh(LIST_SCRIPT.replace("MARK", shlex.quote(f"{MARK}={self.there}")))
        return [(int(pid), line) for pid, _, line in (row.partition(" ") for row in finished.out.splitlines())]

    def artifacts(self, folder):
        mistakes = []
        with reporting(mistakes, self.plan.ssh):
            names = " ".join(pattern.replace("**/*", "*/*/*") for pattern in ARTIFACTS)
            line = f"cd {shlex.quote(str(self.there))} && tar -cf - $(ls -d {names} 2>/dev/null)"
            command = ["ssh", *self.options, "-p", str(self.plan.ssh_port), self.plan.ssh, "--", line]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
            folder.mkdir(parents=True, exist_ok=True)
            if done.returncode != 0:
                mistakes.append(f"{self.plan.ssh}: {done.stderr.decode(errors='replace').strip()}")
            if done.stdout:
                unpack = ["tar", "-xf", "-", "--no-same-owner", "-C", str(folder)]
                subprocess.run(unpack, input=done.stdout, check=True, capture_output=True)
            (folder / "processes.txt").write_text("".join(f"{pid} {line}\n" for pid, line in self.processes()))
        return mistakes

    def follow(self, out, follow):
        self.check_daemon()
        command = ["ssh", *self.options, "-p", str(self.plan.ssh_port), self.plan.ssh, "--",
                   f"tail -n +1 {'-f ' if follow else ''}{shlex.quote(str(self.there / 'daemon.log'))}"]
        with contextlib.suppress(KeyboardInterrupt):
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out)

    def restore(self, state):
        super().restore(state)
        self.daemon = RemoteProcess(self, state["daemon"][0]) if state["daemon"] else None


class RemoteProcess:
    """A daemon on a machine reached by ssh."""

    began = 0

    def __init__(self, host, pid):
        self.host, self.pid = host, pid

    @property
    def alive(self):
        return self.host.ssh(f"grep -qs nunet /proc/{self.pid}/comm").status == 0

    def kill(self, sent=signal.SIGKILL):
        self.host.ssh(f"kill -{int(sent)} {self.pid}")

    def wait_end(self, what, timeout=10.0):
        wait_for(lambda: not self.alive, what, timeout, 0.2)


# The shell that runs them has neither the mark in its environment nor the folder, in one word, in its arguments.
LIST_SCRIPT = """for p in /proc/[0-9]*; do
  if tr '\\0' '\\n' <$p/environ 2>/dev/null | grep -qxF MARK; then echo "${p#/proc/} $(tr '\\0' ' ' <$p/cmdline)"; fi
done"""
END_SCRIPT = """there=BEGIN; there=$there"END"
for round in 1 2 3; do
  for p in /proc/[0-9]*; do
    if tr '\\0' '\\n' <$p/environ 2>/dev/null | grep -qxF MARK || tr '\\0' '\\n' <$p/cmdline 2>/dev/null | grep -qF "$there"; then
      [ "${p#/proc/}" = $$ ] || kill -9 "${p#/proc/}" 2>/dev/null
    fi
  done
done; true"""
