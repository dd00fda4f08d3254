"""The machines and the work that the steps of a scenario name, and the ensembles of their tables."""

import feature_work
from nunet_cluster import ClusterError, wait_for
from work_scripts import SCRIPTS


def named(context, names):
    return [context.cluster.machines[name] for name in names.replace(",", " and").split(" and ")]


def work_of(context, name):
    """The ensemble that has, or had, an allocation of that name."""
    return next(ensemble for ensemble in context.ensembles.values() if name in ensemble.marks)


OF_NODE = {"lease": "lease", "on loss": "on_loss", "node recovery": "failure_recovery"}
NOT_OF_ALLOCATION = ("deployment", "allocation", "copies", "node", "at", "needs", "redundancy", "escalation", "timeout",
                     "accept", "reject", "excludes", *OF_NODE)


def columns(row):
    """What a row of the table says beside the names: only what is there."""
    what = {key: row[key] for key in row.headings if key not in NOT_OF_ALLOCATION and row[key]}
    what |= {key: type(what[key]) for key, type in (("cores", float), ("memory", int), ("disk", int)) if key in what}
    if "script" in what:
        what["script"] = SCRIPTS.get(what["script"], what["script"])
    if file := what.pop("input", None):
        what["inputs"] = [{"to": file, "file": file}]
    if results := what.pop("results", None):
        what["results"] = results.split()
    if check := what.pop("check", None):
        what["healthcheck"] = {"type": "command", "exec": ["/bin/sh", "-c", check], "interval": "1s", "grace": "10m"}
    if needs := row.get("needs"):
        needed, condition = needs.split()
        what["depends_on"] = {needed: condition}
    return what


def place(text):
    """`CONTINENT` or `CONTINENT, COUNTRY`."""
    return dict(zip(("continent", "country"), text.split(", ")))


def copies(name, count):
    return [f"{name}{number}" for number in range(1, int(count) + 1)] if count else [name]


def ensembles_of(context):
    """From a table with a row for each allocation, or for `copies` of it, which are numbered from 1."""
    made = {}
    for row in context.table:
        ensemble = made.setdefault(row["deployment"], feature_work.Ensemble(context.cluster))
        node = {"name": row.get("node") or row["at"] or "place"} | {key: row[name] for name, key in OF_NODE.items() if row.get(name)}
        if row.get("redundancy"):
            node["redundancy"] = int(row["redundancy"])
        if location := {which: [place(row[which])] for which in ("accept", "reject") if row.get(which)}:
            node["location"] = location
        if row.get("excludes"):
            ensemble.members["exclude_peers"] = [machine.peer_id() for machine in named(context, row["excludes"])]
        ensemble.timeout = row.get("timeout") or ensemble.timeout
        if row.get("escalation"):
            ensemble.members["escalation_strategy"] = row["escalation"]
        for name in copies(row["allocation"], row.get("copies")):
            ensemble.add(name, node=dict(node), peer=context.cluster.machines.get(row["at"]), **columns(row))
    for name in made.keys() & getattr(context, "supervisors", {}).keys():
        made[name].members["supervisor"] = context.supervisors[name]
    return made


def shows(look, expected, what):
    """Waits until `look()` is as expected; the error says how it is."""
    def found():
        if (seen := look()) == expected:
            return True
        raise ClusterError(f"{seen}, not {expected}")
    wait_for(found, what, 60)
