"""What the measurements of the whole program share. Standard library only."""

import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/lib"))

from nunet_cluster import ClusterError, processes_of, wait_for  # noqa: E402  (its folder is only known now)

IMAGE = "nunet-test:busybox"  # tests/docker/with-dockerd.sh puts it into its engine


def figure(name, value, unit):
    print(f"figure {name} {value:.4g} {unit}", flush=True)


def ratio(name, value, peer):
    print(f"ratio {name} {value:.3f} vs {peer}", flush=True)


def median_of(name, values, unit="s"):
    """Prints the median and returns it; the spread of the rounds goes to standard error."""
    middle = statistics.median(values)
    figure(name, middle, unit)
    print(f"    {name}: {len(values)} rounds, {min(values):.3f} to {max(values):.3f} {unit}", file=sys.stderr)
    return middle


# --- machines

def connect(user, *providers, cpu=1, ram="1GiB", disk="1GiB"):
    """A user's daemon and providers that accept each other, started and onboarded."""
    for machine in (user, *providers):
        machine.make_identities()
    for provider in providers:
        provider.accept(user)
        user.accept(provider)
    for machine in (user, *providers):
        machine.start()
    for provider in providers:
        user.connect(provider)
        provider.cmd("/dms/node/onboarding/onboard", "--cpu", cpu, "--ram", ram, "--disk", disk)
    wait_for(lambda: len(user.peers()) >= len(providers), "the user's daemon knows the providers")


def of_status(machine, key):
    """A number of /proc/PID/status."""
    text = pathlib.Path(f"/proc/{machine.process.pid}/status").read_text()
    return int(re.search(rf"^{key}:\s+(\d+)", text, re.M).group(1))


def proportional(pid):
    """MiB of a process, with its share of what it has in common with others (PSS)."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1)) / 1024


def work_of(machine):
    """(pid, command line) of each process that supervises or is the machine's work."""
    return [(pid, line) for pid, line in processes_of(machine.work_dir) if pid != machine.process.pid]


def finish(cluster):
    cluster.stop()
    cluster.close()
    if left := cluster.leftovers():
        raise ClusterError("left behind: " + ", ".join(left))


# --- running

def beside_docker(file):
    """Runs the script `file` again with --with-docker and a private engine; why there can be none, or the exit status."""
    child = subprocess.Popen([ROOT / "tests/docker/with-dockerd.sh", sys.executable, file, "--with-docker"],
                             stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        errors = child.communicate()[1]
    except BaseException:
        os.killpg(child.pid, signal.SIGTERM)  # the engine and the benchmark clean up after themselves
        child.communicate()
        raise
    print(errors, end="", file=sys.stderr)
    return errors.strip().splitlines()[-1] if child.returncode == 77 else child.returncode


def run(measure):
    """The exit status of a script that calls `measure`."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        measure()
    except (ClusterError, OSError, subprocess.SubprocessError) as error:
        print(f"the measurement failed: {error}", file=sys.stderr)
        return 1
    return 0


def run_beside_docker(file, measure, what):
    """The same for one that calls `measure(with_docker)`; `what` is skipped without an engine."""
    if sys.argv[1:] == ["--with-docker"]:
        return run(lambda: measure(True))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    ended = beside_docker(file)
    if isinstance(ended, int):
        return ended
    print(f"skipped: {what}: {ended}", flush=True)
    return run(lambda: measure(False))
