"""The tags of functional scenarios: the feature that a scenario accepts, and what of the machine it needs."""

FEATURES = ["actor-model", "ucan", "remote-invocation", "cli-access", "local-db", "execution-and-resources",
            "machine-benchmarking", "p2p-network", "storage", "ip-over-libp2p", "observability", "workflow-definition",
            "job-orchestration", "hardware-capability", "supervision-model", "tokenomics", "feature-environment"]
NEEDS = ["bwrap", "docker", "faketime", "loopback", "namespaces", "nightly", "sshd", "testnet", "tmpfs",
         "unprivileged"]  # a scenario is skipped where the machine, or the run, lacks them


def features_of(tags):
    """The features that a scenario with these tags accepts, in the order of FEATURES."""
    return [feature for feature in FEATURES if feature in tags]


def mistake(tags):
    """Why these tags are refused; empty if they are right."""
    unknown = [f"@{tag}" for tag in tags if tag not in FEATURES and tag not in NEEDS]
    if unknown:
        return f"unknown tag {', '.join(unknown)}; known are {', '.join('@' + tag for tag in FEATURES + NEEDS)}"
    if not features_of(tags):
        return f"no tag of the feature that the scenario accepts; one of {', '.join('@' + tag for tag in FEATURES)}"
    return ""
