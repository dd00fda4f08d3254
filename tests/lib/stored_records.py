"""What a daemon has stored, and the instant at which it has stored something.

A running daemon holds its store exclusively. To look, the daemon is suspended, its files are copied, and the copy is read; then it
goes on for a moment. Each transition of a deployment or an allocation is on disk before it acts, and the other daemons are
suspended in that moment, so no state is missed that ends with an answer of another daemon, however long the moment becomes on a
busy machine. The daemon is left suspended in the state that is waited for.
"""

import json
import pathlib
import sqlite3
import tempfile
import time

import feature_work
from nunet_cluster import ClusterError, stat_of

MOMENT = 0.0005  # seconds that a daemon goes on between two looks
LONGER = 0.05  # seconds for which it is suspended while its work may be being started
LONGEST = 10  # likewise, while there is a process of the start, which goes on alone


PASSING = "starting although it runs"  # an instant that no stored state marks, so it can be missed


class MissedError(Exception):
    """The instant has passed between two looks."""


def halt(machine):
    """Suspends the daemon; when it returns, none of its threads runs."""
    machine.suspend()
    tasks = pathlib.Path(f"/proc/{machine.process.pid}/task")
    end = time.monotonic() + 10
    while any(stat_of(task)[0] != "T" for task in tasks.iterdir()):
        if time.monotonic() > end:
            raise ClusterError(f"{machine.name}: the daemon is not suspended")


LOOKED = {}  # machine -> what its files held at the last look, and what that says


def rows(machine):
    """Of a daemon that is suspended or ended: (collection, id, text) of each document."""
    files = [machine.work_dir / name for name in ("nunet.db", "nunet.db-wal")]
    held = {file.name: file.read_bytes() for file in files if file.exists()}
    if machine not in LOOKED or LOOKED[machine][0] != held:
        LOOKED[machine] = held, read(held)
    return LOOKED[machine][1]


def read(held):
    """The files of a store are given back to a folder in memory: a look must not wait for a disk."""
    with tempfile.TemporaryDirectory(prefix="nunet-store-", dir="/dev/shm") as folder:
        for name, content in held.items():
            pathlib.Path(folder, name).write_bytes(content)
        store = sqlite3.connect(f"file:{folder}/nunet.db?mode=ro", uri=True)
        found = store.execute("SELECT collection, id, body FROM documents").fetchall()
        store.close()
    return found


def documents(machine, collection):
    """Likewise: id -> document, of one collection."""
    return {id: json.loads(body) for holder, id, body in rows(machine) if holder == collection}


def naming(machine, words):
    """What a daemon that runs has stored under or with one of the words: rows, and paths of files."""
    halt(machine)
    try:
        found = [f"{collection}: {id}" for collection, id, body in rows(machine) if any(word in f"{id} {body}" for word in words)]
    finally:
        machine.resume()
    paths = [path for folder in (machine.work_dir, machine.user_dir) for path in folder.rglob("*")]
    return found + [str(path) for path in paths if any(word in str(path) for word in words)]


def allocation_states(machine, ensemble, name):
    """Of an allocation at a provider: what its record says, and what can be said of it besides."""
    record = next((found for found in documents(machine, "allocations").values() if found["id"] == f"{ensemble.id}_{name}"), None)
    if record is None:
        reserved = any(ensemble.id in id for id in documents(machine, "resources.promises"))
        return {"reserved"} if reserved else {"gone"}
    states = {record["phase"]}
    if record["phase"] == "starting" and begins_to_run(machine, ensemble, name, record["incarnation"]):
        states.add(PASSING)
    if record["phase"] == "starting" and record.get("previous"):
        states.add("restarting")
    if record["phase"] == "running" and record.get("stopping"):
        states.add("being stopped")
    return states


def begins_to_run(machine, ensemble, name, run):
    """Its processes go on while the daemon is suspended."""
    begun = time.monotonic()
    while not (found := ensemble.processes(name)):
        is_begun = any(run in line for line in feature_work.work_at(machine))
        if time.monotonic() - begun > (LONGEST if is_begun else LONGER):
            break
        time.sleep(0.005)
    return found


def deployment_states(machine, ensemble):
    """Of a deployment at its orchestrator: its status, and what is under way in it."""
    record = documents(machine, "deployments").get(ensemble.id)
    if record is None:
        return {"gone"}
    allocations = record["manifest"]["allocations"]
    states = {{"ShuttingDown": "ending"}.get(record["status"], record["status"].lower())}
    finals = ("stopped", "failed", "completed", "terminated")
    if any(known["status"] in finals and not known.get("collected") for known in allocations.values()):
        states.add("collecting")
    if record.get("superseded"):
        states.add("releasing")
    if record.get("restarting"):
        states.add("restarting")
    return states


def placement_states(machine, ensemble, name):
    """Of an allocation at its orchestrator: how far it is placed, or its end; and of what it leaves elsewhere, whether that is here."""
    record = documents(machine, "deployments").get(ensemble.id)
    entry = record and record["manifest"]["allocations"].get(name)
    left = [other for other in record and record.get("superseded") or [] if name in other["allocations"]]
    states = {"awaited" if any(name in other.get("unfetched", []) for other in left) else "left"} if left else set()
    if not entry:
        return states or {"gone"}
    states.add({"pending": "unplaced"}.get(entry["status"], entry["status"]))
    node = record["manifest"]["nodes"].get(entry["node_id"], {})
    states |= {f"{entry['status']} at {other.name}" for other in machine.cluster.machines.values() if other.peer == node.get("peer", "")}
    if entry.get("collected"):
        states.add("collected")
    if entry["status"] == "pending" and entry["node_id"] in record["manifest"]["nodes"]:
        states.add("starting" if name in record.get("starts", {}) else "requested")
    return states


def end_time_to_deploy(machine, ensemble):
    """Of a daemon that does not run: the deployment's deadline has passed when it is started, as if it had been down until then."""
    with sqlite3.connect(machine.work_dir / "nunet.db") as store:
        record = documents(machine, "deployments")[ensemble.id] | {"deploy_until": 1}
        store.execute("UPDATE documents SET body = ? WHERE collection = 'deployments' AND id = ?", (json.dumps(record), ensemble.id))
    store.close()


def advance_until(machine, states, wanted, what, timeout=90):
    """The daemon and the others of the cluster go on by turns until `wanted` is one of `states()`; it is left suspended."""
    others = [other for other in machine.cluster.machines.values() if other is not machine and other.goes_on()]
    end, seen = time.monotonic() + timeout, []
    try:
        while True:
            halt(machine)
            found = states()
            if wanted in found:
                return
            if not seen or seen[-1] != found:
                seen.append(found)
            if wanted == PASSING and "running" in found:
                raise MissedError(f"{what}: the instant has passed between two looks at {machine.name}")
            if time.monotonic() > end:
                raise ClusterError(f"{machine.name}: {what}: not within {timeout} s; found were, in this order, {seen}")
            go_on(others)
            for other in others:
                halt(other)
            go_on([machine])
    finally:
        for other in others:
            other.resume()


def go_on(machines):
    """For a moment."""
    for machine in machines:
        machine.resume()
    time.sleep(MOMENT)


def knows(machine, other):
    """Whether the daemon, which runs, has stored how it reaches `other`."""
    halt(machine)
    try:
        return other.peer_id() in documents(machine, "network.peers")
    finally:
        machine.resume()
