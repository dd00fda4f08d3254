"""Keys, capability contexts and grants for the hosts of a network, quickly.

Keys are made by light_keys; `nunet key new` takes a second of one core for each, by design. Tokens are signed by `nunet cap grant`.
"""

import concurrent.futures

import nunet_cluster
from light_keys import Key

CAPABILITIES = ("/dms/deployment", "/public", "/broadcast")


def grant(giver, receiver):
    """The tokens by which the user of `giver` lets the daemon of `receiver` in."""
    flags = [word for capability in CAPABILITIES for word in ("--cap", capability)]
    finished = giver.locally(nunet_cluster.NUNET, "cap", "grant", "--context", "user", *flags, "--topic", "/nunet",
                             "--duration", "168h", receiver.keys["dms"].did)
    if finished.status != 0:
        raise nunet_cluster.ClusterError(f"{giver.name}: {finished}")
    return finished.json["tok"]


def make(hosts, pairs):
    """For each host a user and a daemon that trusts its user; for each (host, other) the daemon of `host` accepts that of `other`."""
    def make_keys(host):
        host.keys = {name: Key() for name in ("user", "dms")}
        for name, key in host.keys.items():
            key.save(host.user_dir, name)
        host.keys["user"].save_context(host.user_dir, "user")
        host.peer = host.keys["dms"].peer_id

    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(make_keys, hosts))
        tokens = dict(zip(pairs, pool.map(lambda pair: grant(*pair), pairs)))
    for host in hosts:
        accepted = [token for (giver, _), found in tokens.items() if giver is host for token in found]
        host.keys["dms"].save_context(host.user_dir, "dms", [host.keys["user"].did], accepted)
