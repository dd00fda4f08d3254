"""What the steps of the functional tests share."""

import concurrent.futures
import fcntl
import os
import pathlib
import shutil
import tempfile

import nunet_cluster

# The feature files of one run share what is expensive to make.
SHARED = os.environ.get("FEATURE_IDENTITIES")
POOL = pathlib.Path(SHARED or tempfile.mkdtemp(prefix="nunet-identities-"))


def forget():
    if not SHARED:
        shutil.rmtree(POOL, ignore_errors=True)


def in_parallel(function, items):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(function, items))


def identities(world, machines, make):
    """Keys and contexts of these machines: those that `make` has made for the same `world` before, or new ones. Making them is
    expensive by design."""
    POOL.mkdir(parents=True, exist_ok=True)
    with open(POOL / f"{world}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = all((POOL / world / machine.name).exists() for machine in machines)
        if not known:
            make()
        for machine in machines:
            stored = POOL / world / machine.name
            for part in ("key", "cap"):
                source, target = (stored, machine.user_dir) if known else (machine.user_dir, stored)
                shutil.copytree(source / part, target / part)


def free(machine):
    return machine.cmd("/dms/node/resources/free")["Resources"]


def amounts(resources):
    return tuple(resources[part].get(member, 0) for part, member in (("cpu", "cores"), ("ram", "size"), ("disk", "size")))


def path_of(machine):
    """Where a shell of this machine finds programs: what the scenario put into ~/bin, nunet, and the system's."""
    own = machine.home / "bin"
    own.mkdir(exist_ok=True)
    link = own / "nunet"
    if not link.exists():
        link.symlink_to(pathlib.Path(nunet_cluster.NUNET).resolve())
    return f"{own}:{os.environ['PATH']}"
