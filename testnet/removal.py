"""Removes a network: what is there of it, not what its state says, so that it works after every failure."""

import concurrent.futures
import contextlib
import os
import pathlib
import shutil
import subprocess

from nunet_cluster import ClusterError, control_group, wait_for

from testnet.hosts import MARK, Process, namespace_prefix, reporting


def in_parallel(function, items):
    """The results; after all have ended, the first error."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=16) as pool:
        futures = [pool.submit(function, item) for item in items]
    return [future.result() for future in futures]


def remove(folder, ssh_hosts=(), force=False):
    """Idempotent."""
    unreached = []

    def remove_there(host):
        with reporting(unreached, host.name):
            host.remove()
        host.close()
    in_parallel(remove_there, ssh_hosts)
    if unreached and not force:
        raise ClusterError(f"not everything could be removed; repeat it, or forget the rest by `testnet down --force`: {'; '.join(unreached)}")
    for _ in range(5):  # one may start another while they are ended
        found = [Process.of(pid) for pid in processes_of_network(folder)]
        if not found:
            break
        for process in found:
            process.kill()
        for process in found:
            process.wait_end(f"process {process.pid} ends")
    in_parallel(lambda namespace: subprocess.run(["ip", "netns", "del", namespace], capture_output=True), namespaces_of(folder))
    remove_control_groups(folder)
    for mount in reversed(mounts_below(folder)):
        subprocess.run(["umount", "--lazy", mount], capture_output=True)
    if folder.exists():
        shutil.rmtree(folder)
    for file in folder.parent.glob(f".{folder.name}.lock"):
        file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()


def processes_of_network(folder):
    """The ids of the processes that carry the network's mark, and of those in a process namespace of one that does."""
    mark = f"{MARK}={folder}".encode()
    marked, namespaces = set(), {}
    own = os.readlink("/proc/self/ns/pid")
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                marked.add(int(entry.name))
    home = str(folder / "hosts").encode() + b"/"
    for entry in pathlib.Path("/proc").iterdir():  # work in a sandbox has another environment, but names its folder
        if entry.name.isdigit() and int(entry.name) not in (os.getpid(), os.getppid()):
            with contextlib.suppress(OSError):
                namespaces[int(entry.name)] = os.readlink(entry / "ns/pid")
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if words[0].rpartition(b"/")[2] in (b"bwrap", b"nunet") and any(home in word for word in words):
                    marked.add(int(entry.name))
    inside = {namespaces[pid] for pid in marked if pid in namespaces} - {own}
    return marked | {pid for pid, namespace in namespaces.items() if namespace in inside}


def namespaces_of(folder):
    named = pathlib.Path("/run/netns")
    return sorted(entry.name for entry in named.glob(f"{namespace_prefix(folder)}*")) if named.is_dir() else []


def mounts_below(folder):
    with open("/proc/self/mounts") as mounts:
        return [line.split()[1] for line in mounts if line.split()[1].startswith(f"{folder}/")]


def remove_control_groups(folder):
    """Those that the sandboxes of killed daemons have left."""
    names = {control_group(home / "nunet") for home in (folder / "hosts").glob("*")}
    if not names:
        return
    for parent, inner, _ in os.walk("/sys/fs/cgroup"):
        for name in names & set(inner):
            for group in [*sorted(pathlib.Path(parent, name).glob("*/"), reverse=True), pathlib.Path(parent, name)]:
                with contextlib.suppress(OSError, ClusterError):
                    wait_for(lambda group=group: not (group / "cgroup.procs").read_text(), f"{group} is empty", 2)
                with contextlib.suppress(OSError):
                    group.rmdir()
