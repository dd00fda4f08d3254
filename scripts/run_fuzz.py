#!/usr/bin/python3
"""Runs every libFuzzer target for a few seconds from its corpus (tests/corpus/<module>_<stem> for <module>_<stem>_fuzz).

New inputs stay in build/asan/corpus, an input that breaks something in build/asan/artifacts: make it a file of the
committed corpus together with the fix. The last line is 'N passed, N failed, N skipped'.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def fuzz(target, options):
    """(passed, what to print). A failure begins with FAILED and the name of the target, as the summary of .ci/run expects."""
    name = target.name
    seeds = ROOT / "tests/corpus" / name.removesuffix("_fuzz")
    if not any(seeds.glob("*")):
        return False, f"FAILED {name}: {seeds.relative_to(ROOT)} is empty; it needs valid and broken inputs"
    build = pathlib.Path(options.build).resolve()
    found, artifacts = build / "corpus" / name, build / "artifacts" / name
    found.mkdir(parents=True, exist_ok=True)
    artifacts.mkdir(parents=True, exist_ok=True)
    env = dict(os.environ, ASAN_SYMBOLIZER_PATH="/usr/bin/llvm-symbolizer-16")
    command = [str(target), f"-max_total_time={options.seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=65536",
               "-print_final_stats=1", f"-artifact_prefix={artifacts}/", str(found), str(seeds)]
    try:
        run = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL,
                             env=env, timeout=options.seconds * 4 + 120)
    except subprocess.TimeoutExpired:
        return False, f"FAILED {name}: did not end {options.seconds * 3 + 120} s after its time"
    if run.returncode != 0:
        cause = re.search(r"^(?:SUMMARY|==\d+== ERROR): .*", run.stderr, re.MULTILINE)
        return False, f"FAILED {name}: {cause.group() if cause else ''}\n" + "\n".join(run.stderr.splitlines()[-60:])
    units = re.search(r"number_of_executed_units:\s*(\d+)", run.stderr)
    coverage = re.findall(r"cov: (\d+)", run.stderr)
    return True, f"{name:<40} {units.group(1) if units else '?':>9} inputs, {coverage[-1] if coverage else '?':>6} edges"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/asan")
    parser.add_argument("--seconds", type=int, default=5, help="for each target (5)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()

    targets = sorted((pathlib.Path(options.build) / "bin").glob("*_fuzz"))
    passed, broken = 0, []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for ok, text in pool.map(lambda target: fuzz(target, options), targets):
            passed += ok
            broken += [] if ok else [text]
            print(text, flush=True)
    if broken:  # once more, at the end of the log
        print("\n" + "\n".join(broken))
    print(f"{passed} passed, {len(targets) - passed} failed, 0 skipped")
    return 0 if targets and passed == len(targets) else 1


if __name__ == "__main__":
    sys.exit(main())
