"""What the steps of the functional tests share."""

import concurrent.futures
import os
import pathlib
import shutil
import tempfile

import nunet_cluster

POOL = pathlib.Path(tempfile.mkdtemp(prefix="nunet-identities-"))


def forget():
    shutil.rmtree(POOL, ignore_errors=True)


def in_parallel(function, items):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(function, items))


def restore(world, machines):
    """Keys and contexts that an earlier scenario made for the same machines; making them is expensive by design."""
    if not all((POOL / world / machine.name).exists() for machine in machines):
        return False
    for machine in machines:
        for part in ("key", "cap"):
            shutil.copytree(POOL / world / machine.name / part, machine.user_dir / part)
    return True


def keep(world, machines):
    for machine in machines:
        for part in ("key", "cap"):
            shutil.copytree(machine.user_dir / part, POOL / world / machine.name / part)


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
