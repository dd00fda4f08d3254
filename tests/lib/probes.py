"""What this machine supports of that which the functional tests and the demonstration need. Standard library only."""

import functools
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile


@functools.cache
def namespaces_obstacle():
    """Why network namespaces cannot be used here; empty if they can. Tries every kind of command that a network uses, because
    in a chroot or a container a namespace may be made and not entered."""
    if os.geteuid() != 0:
        return "no root"
    for program in ("ip", "nsenter"):
        if not shutil.which(program):
            return f"{program} is not installed"
    name = f"nunet-probe-{os.getpid()}"
    commands = [
        ["ip", "netns", "add", name],
        ["ip", "-n", name, "link", "set", "lo", "up"], ["nsenter", f"--net=/run/netns/{name}", "true"]]
    try:
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                output = (done.stderr or done.stdout).strip()
                return f"`{' '.join(command)}` fails: {output.splitlines()[0] if output else done.returncode}"
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True)
    return ""


def sandbox_obstacle():
    """Why the sandbox executor cannot work here; empty if it can. The same command as Sandbox::probe()."""
    if not shutil.which("bwrap"):
        return "bwrap is not installed"
    command = ["bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--ro-bind", "/", "/", "--proc", "/proc"]
    command += ([] if os.geteuid() == 0 else ["--unshare-user"]) + ["--", "/usr/bin/env", "true"]
    done = subprocess.run(command, capture_output=True, text=True)
    return "" if done.returncode == 0 else f"bubblewrap cannot make namespaces: {done.stderr.strip() or done.returncode}"


def group_of(user):
    return pwd.getpwnam(user).pw_gid


def as_user(user, socket=None):
    """What begins a command that runs as this user, who is in the group of the socket too."""
    groups = {group_of(user)} | ({os.stat(socket).st_gid} if socket else set())
    return ["setpriv", "--reuid", user, "--regid", str(group_of(user)), "--groups", ",".join(map(str, sorted(groups))),
            "--inh-caps=-all", "--"]


def user_obstacle(user, program, socket=None):
    """Why the program cannot run as this user here, with this socket; empty if it can."""
    if os.geteuid() != 0:
        return "no root"
    if not shutil.which("setpriv"):
        return "setpriv is not installed"
    connects = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    commands = [[program, "--version"]] + ([["/usr/bin/python3", "-I", "-c", connects, socket]] if socket else [])
    for command in commands:
        done = subprocess.run(as_user(user, socket) + command, capture_output=True, text=True)
        if done.returncode != 0:
            return f"{user} cannot use {command[-1] if socket in command else program}: {(done.stderr or done.stdout).strip().splitlines()[-1:]}"
    return ""


def fake_time_library():
    """libfaketime for programs with threads; empty where it is not installed."""
    found = sorted(pathlib.Path("/usr/lib").glob("**/faketime/libfaketimeMT.so.1"))
    return str(found[0]) if found else ""


def mounts_obstacle():
    """Why a folder cannot be made a disk of its own here; empty if it can."""
    if os.geteuid() != 0:
        return "no root"
    with tempfile.TemporaryDirectory(prefix="nunet-probe-") as folder:
        done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, text=True)
        if done.returncode == 0:
            subprocess.run(["umount", folder], capture_output=True)
        return done.stderr.strip()


def testnet_obstacle(link):
    """Why a network of namespaces cannot be spawned here, with this program as its link; empty if it can."""
    if obstacle := namespaces_obstacle() or tun_obstacle():
        return obstacle
    return "" if os.access(link, os.X_OK) else f"{link} is not built"


def tun_obstacle():
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        return f"/dev/net/tun: {error.strerror}"
    return ""


def sshd():
    """The program; empty where it is not installed."""
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""
