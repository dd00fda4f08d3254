"""Checks files side by side within a budget of time: changed files first. Files that were not checked are named."""

import concurrent.futures
import os
import pathlib
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def git(*arguments):
    run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return set(run.stdout.split()) if run.returncode == 0 else set()


def changed_files(base):
    """Files that differ from HEAD, and those that differ between a commit and HEAD."""
    files = git("diff", "--name-only", "HEAD") | git("ls-files", "--others", "--exclude-standard")
    return files | (git("diff", "--name-only", f"{base}...HEAD") if base else set())


def add_arguments(parser):
    parser.add_argument("--build", default="build/lint", help="the folder with compile_commands.json")
    parser.add_argument("--base", help="a commit: files changed since then come first")
    parser.add_argument("--changed", action="store_true", help="only changed files")
    parser.add_argument("--budget", type=float, default=0, help="start no file after this many seconds (0: read all)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("files", nargs="*", help="only these")


def run(files, check, options):
    """Calls check(file) for each file that the options select. Prints each distinct finding, and the files without a result.

    check returns the findings as text, '' for none, or None if it gave up. Returns the counts of files, files without a result
    and distinct findings.
    """
    changed = changed_files(options.base)
    if options.files:
        files = [f for f in files if f in options.files]
    if options.changed:
        files = [f for f in files if f in changed]
    files = sorted(files, key=lambda f: (f not in changed, f.endswith("_test.cpp"), f))

    end = time.monotonic() + options.budget if options.budget else float("inf")
    unread, seen = [], set()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for file, findings in zip(files, pool.map(lambda f: check(f) if time.monotonic() < end else None, files)):
            if findings is None:
                unread.append(file)
            elif findings and findings not in seen:
                seen.add(findings)
                print(findings, flush=True)
    for file in unread:
        print(f"not read, out of time: {file}")
    return len(files), len(unread), len(seen)
