#!/usr/bin/python3
"""Runs every suite of the project and counts the results; the last line is always 'N passed, N failed, N skipped'.

Suites
  unit      build/bin/*_test, GoogleTest programs, split into chunks that run side by side
  features  tests/features/*.feature, behave scenarios against the built program, one process per file
  python    *_test.py under scripts/, testnet/ and tests/, unittest
  shell     *_test.sh under tests/: exit status 0 is passed, 77 skipped, all else failed
  interop   tests/interop/matrix.py and tests/interop/*/run.sh, like shell; runs only with --only

A functional scenario carries the tag of the feature that it accepts (tests/lib/feature_tags.py); one without, or with an
unknown tag, fails. The table of features counts the scenarios of each.

A test that crashes or runs past its time is one failed test: the rest of its chunk runs again without it. A program that
reports success for every test and still ends badly (a leak, a data race at exit) is one failed test more. A shell suite
may end in a line 'N passed, N failed, N skipped' and then counts as that many tests.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/lib"))

import feature_tags  # noqa: E402  (the path to it is only known now)

SUITES = ["features", "unit", "python", "shell"]  # the slowest begin first
CLOSING_LINE = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.M)
SHOWN_LINES = 80


@dataclasses.dataclass
class Outcome:
    suite: str
    name: str
    status: str  # passed, failed, skipped
    seconds: float = 0.0
    detail: str = ""  # a failure's output, or why it was skipped
    features: list[str] = dataclasses.field(default_factory=list)  # those that a functional scenario accepts


@dataclasses.dataclass
class Run:
    status: int | None  # None: killed because it took too long
    output: str
    seconds: float


def run_process(command, timeout, env, line_timeout=None, shown=False):
    """Runs to the end, or until `timeout` seconds in all, or `line_timeout` without a line of output. `shown`: as it comes."""
    begin = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True)
    os.set_blocking(process.stdout.fileno(), False)
    output = bytearray()
    last = begin
    timed_out = False
    while not timed_out:
        select.select([process.stdout], [], [], 0.1)
        chunk = process.stdout.read()
        now = time.monotonic()
        if chunk:
            output += chunk
            last = now
            if shown:
                print(chunk.decode(errors="replace"), end="", flush=True)
        elif chunk == b"" or process.poll() is not None:  # a child that outlives it may hold the pipe open
            break
        timed_out = now - begin > timeout or (line_timeout is not None and now - last > line_timeout)
    if timed_out:
        stop_group(process)
    status = process.wait()
    output += process.stdout.read() or b""
    process.stdout.close()
    return Run(None if timed_out else status, output.decode(errors="replace"), time.monotonic() - begin)


def stop_group(process):
    """Ends a process and the children it started in its own session."""
    for kill, grace in ((signal.SIGTERM, 3), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, kill)
            process.wait(grace)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def tail(text):
    lines = text.rstrip().splitlines()
    cut = [f"... {len(lines) - SHOWN_LINES} lines before ..."] if len(lines) > SHOWN_LINES else []
    return "\n".join(cut + lines[-SHOWN_LINES:])


def describe_exit(run):
    if run.status is None:
        return f"ran past its time ({run.seconds:.0f} s)"
    if run.status < 0:
        return f"killed by {signal.Signals(-run.status).name}"
    return f"ended with status {run.status}"


# --- unit: GoogleTest ---------------------------------------------------------------------------------------------------

def list_gtests(program, env):
    listing = run_process([str(program), "--gtest_list_tests"], 60, env)
    if listing.status != 0:
        return None, listing
    names, group = [], ""
    for line in listing.output.splitlines():
        line = line.split("#")[0].rstrip()
        if re.fullmatch(r"[\w/]+\.", line):
            group = line
        elif line.startswith("  "):
            names.append(group + line.strip())
    return names, listing


def gtest_skip_reason(name, output):
    """GoogleTest 1.12 keeps the reason out of its report."""
    name = re.escape(name)
    found = re.search(rf"\[ RUN +\] {name}\n(.*?)\[  SKIPPED \] {name}", output, re.S)
    why = re.search(r": Skipped\n(.*)", found.group(1), re.S) if found else None
    return " ".join(why.group(1).split()).removeprefix("skipped: ") if why and why.group(1).strip() else "no reason given"


def read_gtest_report(path, suite, output):
    try:
        report = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    outcomes = {}
    for group in report.get("testsuites", []):
        for test in group.get("testsuite", []):
            if test.get("result") not in ("COMPLETED", "SKIPPED"):
                continue
            name = f"{group['name']}.{test['name']}"
            seconds = float(test.get("time", "0s").rstrip("s"))
            if "failures" in test:
                text = "\n".join(f["failure"] for f in test["failures"])
                outcomes[name] = Outcome(suite, name, "failed", seconds, text)
            elif test["result"] == "SKIPPED":
                outcomes[name] = Outcome(suite, name, "skipped", seconds, gtest_skip_reason(name, output))
            else:
                outcomes[name] = Outcome(suite, name, "passed", seconds)
    return outcomes


def outcomes_from_output(run, suite):
    """The output of a program that crashed, as outcomes; the test that ran at its end has failed."""
    outcomes, running, begin = {}, None, 0
    for match in re.finditer(r"\[ (RUN     |      OK|  FAILED |  SKIPPED) \] ([\w/]+\.[\w/]+)", run.output):
        verb, name = match.group(1).strip(), match.group(2)
        if verb == "RUN":
            running, begin = name, match.start()
        elif name == running:
            status = {"OK": "passed", "FAILED": "failed", "SKIPPED": "skipped"}[verb]
            detail = tail(run.output[begin:match.end()]) if status != "passed" else ""
            outcomes[name] = Outcome(suite, name, status, 0.0, detail)
            running = None
    if running:
        outcomes[running] = Outcome(suite, running, "failed", run.seconds,
                                    f"{describe_exit(run)}\n{tail(run.output[begin:])}")
    return outcomes


def run_gtests(program, tests, options, env):
    suite = program.name
    outcomes, left = [], list(tests)
    while left:
        with tempfile.TemporaryDirectory(dir=env["TMPDIR"]) as folder:
            report = pathlib.Path(folder) / "report.json"
            command = [str(program), f"--gtest_output=json:{report}", "--gtest_filter=" + ":".join(left)]
            run = run_process(command, options.timeout * len(left), env, line_timeout=options.timeout)
            found = read_gtest_report(report, suite, run.output) or outcomes_from_output(run, suite)
        outcomes += found.values()
        if run.status != 0 and not any(o.status == "failed" for o in found.values()):
            outcomes.append(Outcome(suite, f"{suite} (exit)", "failed", run.seconds,
                                    f"{describe_exit(run)}\n{tail(run.output)}"))
        rest = [name for name in left if name not in found]
        if len(rest) == len(left):
            outcomes += [Outcome(suite, name, "failed", 0.0, "did not run") for name in rest]
            break
        left = rest
    return outcomes


def unit_jobs(options, env):
    programs = sorted((pathlib.Path(options.build) / "bin").glob("*_test"))
    if options.modules:
        programs = [p for p in programs if p.name.removesuffix("_test") in options.modules]
    if not programs:
        yield lambda: [Outcome("unit", "programs", "failed", 0.0, f"no test programs in {options.build}/bin")]
    for program in programs:
        names, listing = list_gtests(program, env)
        if not names:
            yield lambda program=program, listing=listing: [
                Outcome(program.name, program.name, "failed", 0.0, "lists no tests\n" + tail(listing.output))]
            continue
        disabled = [n for n in names if "DISABLED_" in n]
        names = [n for n in names if n not in disabled]
        if disabled:
            yield lambda program=program, disabled=disabled: [
                Outcome(program.name, n, "skipped", 0.0, "disabled in the source") for n in disabled]
        chunks = max(1, min(options.jobs * 2, len(names) // 8))
        for i in range(chunks):
            yield lambda program=program, tests=names[i::chunks]: run_gtests(program, tests, options, env)


# --- features: behave ---------------------------------------------------------------------------------------------------

def run_feature(path, options, env):
    suite = f"features/{path.stem}"
    with tempfile.TemporaryDirectory(dir=env["TMPDIR"]) as folder:
        report = pathlib.Path(folder) / "report.json"
        command = [sys.executable, "-m", "behave", "--no-color", "--format", "json", "--outfile", str(report),
                   "--format", "plain", "--outfile", "/dev/stdout", str(path)]
        run = run_process(command, options.timeout * 10, env)
        try:
            features = json.loads(report.read_text())
        except (OSError, ValueError):
            return [Outcome(suite, path.name, "failed", run.seconds, f"{describe_exit(run)}\n{tail(run.output)}")]
    outcomes = read_feature_report(features, suite, run.output)
    if run.status != 0 and not any(o.status == "failed" for o in outcomes):
        outcomes.append(Outcome(suite, f"{path.name} (exit)", "failed", run.seconds,
                                f"{describe_exit(run)}\n{tail(run.output)}"))
    return outcomes


def read_feature_report(features, suite, output):
    """The outcomes of `features`, the JSON report of behave; `output` has the reasons of skipped ones."""
    outcomes = []
    for feature in features:
        for scenario in (e for e in feature.get("elements", []) if e.get("type") != "background"):
            outcome = read_scenario(scenario, suite, output)
            tags = [*feature.get("tags", []), *scenario.get("tags", [])]
            outcome.features = feature_tags.features_of(tags)
            if mistake := feature_tags.mistake(tags):
                outcome.status, outcome.detail = "failed", "\n".join(filter(None, [mistake, outcome.detail]))
            outcomes.append(outcome)
    return outcomes


def read_scenario(scenario, suite, output):
    status, name = scenario.get("status", "untested"), scenario["name"]
    steps = scenario.get("steps", [])
    seconds = sum(s.get("result", {}).get("duration", 0) for s in steps)
    if status == "passed":
        return Outcome(suite, name, "passed", seconds)
    if status == "skipped":
        why = re.search(re.escape(name) + r".*?skipped: (.*)", output, re.S)
        return Outcome(suite, name, "skipped", seconds, why.group(1).splitlines()[0] if why else "no reason given")
    errors = ["\n".join([s["keyword"] + " " + s["name"]] + as_lines(s["result"].get("error_message")))
              for s in steps if s.get("result", {}).get("status") in ("failed", "undefined")]
    hooks = re.findall(r"HOOK-ERROR.*", output)  # of this file; behave does not say of which scenario
    return Outcome(suite, name, "failed", seconds, "\n".join(errors or hooks) or tail(output))


def as_lines(message):
    return message if isinstance(message, list) else (message or "a step without an implementation").splitlines()


LONG = ("adversity", "deployment", "leases", "partitions", "restart", "testnet")  # these begin first


def feature_jobs(options, env):
    paths = (ROOT / "tests/features").glob("*.feature")
    for path in sorted(paths, key=lambda path: (not path.stem.startswith(LONG), path)):
        yield lambda path=path: run_feature(path, options, env)


# --- python and shell ---------------------------------------------------------------------------------------------------

PYTHON_CHILD = """
import json, pathlib, sys, unittest
path = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(path.parent))
class Recorder(unittest.TextTestResult):
    outcomes = []
    def startTest(self, test):
        super().startTest(test)
        self.outcome = [test.id(), "passed", ""]
        self.outcomes.append(self.outcome)
    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.outcome[1:] = ["failed", self._exc_info_to_string(error, test)]
    addError = lambda self, test, error: Recorder.addFailure(self, test, error)
    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.outcome[1:] = ["skipped", reason]
    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error: self.outcome[1:] = ["failed", self._exc_info_to_string(error, test)]
suite = unittest.defaultTestLoader.loadTestsFromName(path.stem)
unittest.TextTestRunner(resultclass=Recorder).run(suite)
pathlib.Path(sys.argv[2]).write_text(json.dumps(Recorder.outcomes))
"""


def run_python(path, options, env):
    suite = str(path.relative_to(ROOT))
    with tempfile.TemporaryDirectory(dir=env["TMPDIR"]) as folder:
        report = pathlib.Path(folder) / "report.json"
        run = run_process([sys.executable, "-c", PYTHON_CHILD, str(path), str(report)], options.timeout * 5, env)
        rows = json.loads(report.read_text()) if report.exists() else []
    if not rows or run.status != 0:
        return [Outcome(suite, path.name, "failed", run.seconds, f"{describe_exit(run)}\n{tail(run.output)}")]
    return [Outcome(suite, name, status, 0.0, detail) for name, status, detail in rows]


def run_shell(path, options, env, seconds=None, shown=False):
    suite = str(path.relative_to(ROOT))
    run = run_process([str(path)], seconds or options.timeout * 5, env, shown=shown)
    closing = CLOSING_LINE.findall(run.output)
    if closing and run.status is not None:
        counts = dict(zip(("passed", "failed", "skipped"), map(int, closing[-1])))
        if run.status == 0 or counts["failed"]:
            detail = {"passed": "", "failed": tail(run.output)}
            return [Outcome(suite, f"{path.name} #{i + 1}", status, run.seconds / max(1, sum(counts.values())),
                            detail.get(status, skip_reason(run.output, i)))
                    for status, count in counts.items() for i in range(count)]
    status = {0: "passed", 77: "skipped"}.get(run.status, "failed")
    detail = {"passed": "", "skipped": skip_reason(run.output)}.get(status, f"{describe_exit(run)}\n{tail(run.output)}")
    return [Outcome(suite, path.name, status, run.seconds, detail)]


def skip_reason(output, index=-1):
    """Of the `index`-th that was skipped; of the last if not every one has a line of its own."""
    reasons = re.findall(r"^skipped: (.*)", output, re.M) or re.findall(r"skipped: (.*)", output)
    return reasons[min(index, len(reasons) - 1)] if reasons else "no reason given"


def python_jobs(options, env):
    for path in sorted(path for folder in ("scripts", "testnet", "tests") for path in ROOT.glob(f"{folder}/**/*_test.py")):
        if "node_modules" not in path.parts:
            yield lambda path=path: run_python(path, options, env)


def shell_jobs(options, env):
    for path in sorted(ROOT.glob("tests/**/*_test.sh")):
        if "node_modules" not in path.parts:
            yield lambda path=path: run_shell(path, options, env)


def interop_jobs(options, env):
    """One after the other: they measure, and share what they install."""
    suites = [(ROOT / "tests/interop/matrix.py", 3600)]  # builds the peers of other implementations first
    suites += [(path, None) for path in sorted(ROOT.glob("tests/interop/*/run.sh"))]
    yield lambda: [outcome for path, seconds in suites for outcome in run_shell(path, options, env, seconds, shown=True)]


JOBS = {"unit": unit_jobs, "features": feature_jobs, "python": python_jobs, "shell": shell_jobs, "interop": interop_jobs}


# --- a Docker engine for the suites that need one ---------------------------------------------------------------------

@contextlib.contextmanager
def docker_engine(options):
    """DOCKER_HOST of a private engine for the length of the run; nothing if none is needed, given, or possible."""
    wrapper = ROOT / "tests/docker/with-dockerd.sh"
    if "DOCKER_HOST" in os.environ or not {"unit", "features"} & set(options.only) or not wrapper.exists():
        yield {}
        return
    engine = subprocess.Popen([str(wrapper), "sh", "-c", 'echo "$DOCKER_HOST"; read -r end'], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    host = engine.stdout.readline().strip()
    if not host:
        print(engine.stderr.read().strip(), flush=True)
    try:
        yield {"DOCKER_HOST": host} if host else {}
    finally:
        engine.stdin.close()
        engine.wait(60)


# --- all together -------------------------------------------------------------------------------------------------------

def environment(options, folder):
    build = pathlib.Path(options.build).resolve()
    supp = ROOT / "scripts/tsan.supp"
    return dict(os.environ, TMPDIR=folder, FEATURE_IDENTITIES=f"{folder}/identities", NUNET=str(build / "nunet"),
                DMS_BUILD=str(build), PYTHONDONTWRITEBYTECODE="1",
                UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1",
                ASAN_OPTIONS="detect_leaks=1:strict_string_checks=1",
                TSAN_OPTIONS=f"halt_on_error=1:second_deadlock_stack=1:suppressions={supp}")


def limited(job, at_once):
    """The job, once `at_once`, a semaphore, lets it begin."""
    def run():
        with at_once:
            return job()
    return run


def collect(options):
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="nunet-test-") as folder, docker_engine(options) as docker:
        os.chmod(folder, 0o711)  # some daemons run as another user
        env = environment(options, folder) | docker
        busy = threading.Semaphore(options.jobs + 1)
        jobs = [job if suite == "features" else limited(job, busy) for suite in options.only for job in JOBS[suite](options, env)]
        with concurrent.futures.ThreadPoolExecutor(options.jobs + 3) as pool:  # scenarios wait for half of their time
            for done in concurrent.futures.as_completed([pool.submit(job) for job in jobs]):
                for outcome in done.result():
                    outcomes.append(outcome)
                    if outcome.status == "failed":
                        print(f"FAILED {outcome.suite}: {outcome.name}", flush=True)
    return sorted(outcomes, key=lambda o: (o.suite, o.name))


def feature_table(outcomes):
    """A line for each feature of the project, one without scenarios included."""
    lines = ["scenarios by feature"]
    for feature in feature_tags.FEATURES:
        count = collections.Counter(o.status for o in outcomes if feature in o.features)
        lines.append(f"{feature:<32} {count['passed']:>5} passed {count['failed']:>4} failed {count['skipped']:>4} skipped")
    return lines


def report(outcomes, seconds, with_features):
    for outcome in outcomes:
        if outcome.status == "failed":
            print(f"\n--- FAILED {outcome.suite}: {outcome.name} ({outcome.seconds:.1f} s)\n{outcome.detail}")
    skipped = [o for o in outcomes if o.status == "skipped"]
    if skipped:
        print()
    for outcome in skipped:
        print(f"skipped: {outcome.detail}  [{outcome.suite}: {outcome.name}]")
    slow = sorted((o for o in outcomes if o.seconds > 2), key=lambda o: -o.seconds)[:5]
    for outcome in slow:
        print(f"slow: {outcome.seconds:.1f} s  [{outcome.suite}: {outcome.name}]")
    print()
    by_suite = collections.defaultdict(collections.Counter)
    for outcome in outcomes:
        by_suite[outcome.suite][outcome.status] += 1
    for suite, count in by_suite.items():
        print(f"{suite:<32} {count['passed']:>5} passed {count['failed']:>4} failed {count['skipped']:>4} skipped")
    if with_features:
        print("\n" + "\n".join(feature_table(outcomes)) + "\n")
    total = collections.Counter(o.status for o in outcomes)
    print(f"in {seconds:.0f} s")
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped", flush=True)
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", help="the build folder (build)")
    parser.add_argument("--only", action="append", choices=list(JOBS), help="a suite; may be repeated (all but interop)")
    parser.add_argument("--modules", nargs="*", help="only these modules' unit tests")
    parser.add_argument("--jobs", type=int, default=max(2, os.cpu_count() or 2))
    parser.add_argument("--timeout", type=float, default=240, help="seconds that one test may take (240)")
    options = parser.parse_args()
    options.only = options.only or SUITES

    begin = time.monotonic()
    outcomes = collect(options)
    seconds = time.monotonic() - begin
    results = pathlib.Path(options.build) / "test-results.json"
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps([dataclasses.asdict(o) for o in outcomes], indent=1))
    total = report(outcomes, seconds, "features" in options.only)
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
