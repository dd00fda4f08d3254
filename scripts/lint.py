#!/usr/bin/python3
"""clang-tidy over the sources, side by side, within a budget of time.

Files changed since --base come first, then the rest, tests last. What the budget left out is named: a file that was not read
is never reported as clean.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILE_SECONDS = 180  # clang-tidy has been seen to lose itself; such a file counts as not read


def git(*arguments):
    run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return set(run.stdout.split()) if run.returncode == 0 else set()


def changed_files(base):
    files = git("diff", "--name-only", "HEAD") | git("ls-files", "--others", "--exclude-standard")
    return files | (git("diff", "--name-only", f"{base}...HEAD") if base else set())


def sources(build):
    entries = json.loads((build / "compile_commands.json").read_text())
    files = {pathlib.Path(e["directory"], e["file"]).resolve() for e in entries}
    return sorted(f.relative_to(ROOT).as_posix() for f in files if (ROOT / "src") in f.parents)


def tidy(file, build):
    """The findings of clang-tidy in a file; None if it does not end."""
    command = ["clang-tidy-16", "--quiet", "--use-color", "-p", str(build), file]
    if not sys.stdout.isatty():
        command.remove("--use-color")
    try:
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=FILE_SECONDS)
    except subprocess.TimeoutExpired:
        return None
    findings = run.stdout.strip()
    if run.returncode != 0 and not findings:
        findings = run.stderr.strip()
    return findings


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/lint", help="the folder with compile_commands.json")
    parser.add_argument("--base", help="a commit: files changed since then come first")
    parser.add_argument("--changed", action="store_true", help="only changed files")
    parser.add_argument("--budget", type=float, default=0, help="start no file after this many seconds (0: read all)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("files", nargs="*", help="only these")
    options = parser.parse_args()
    build = pathlib.Path(options.build).resolve()

    files, changed = sources(build), changed_files(options.base)
    if options.files:
        files = [f for f in files if f in options.files]
    if options.changed:
        files = [f for f in files if f in changed]
    files.sort(key=lambda f: (f not in changed, f.endswith("_test.cpp"), f))

    end = time.monotonic() + options.budget if options.budget else float("inf")
    unread, seen, bad = [], set(), 0

    def read(file):
        return tidy(file, build) if time.monotonic() < end else None

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for file, findings in zip(files, pool.map(read, files)):
            if findings is None:
                unread.append(file)
            elif findings and findings not in seen:
                seen.add(findings)
                bad += 1
                print(findings, flush=True)
    for file in unread:
        print(f"not read, out of time: {file}")
    print(f"clang-tidy: {len(files) - len(unread)} of {len(files)} files read, {bad} with findings")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
