#!/usr/bin/python3
"""clang-tidy over the sources, side by side, within a budget of time.

Files changed since --base come first, then the rest, tests last. What the budget left out is named: a file that was not read
is never reported as clean.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import within_budget
from within_budget import ROOT

FILE_SECONDS = 180  # clang-tidy may not terminate; such a file counts as not read


def sources(build):
    entries = json.loads((build / "compile_commands.json").read_text())
    files = {pathlib.Path(e["directory"], e["file"]).resolve() for e in entries}
    return sorted(f.relative_to(ROOT).as_posix() for f in files if {ROOT / "src", ROOT / "testnet"} & set(f.parents))


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
    within_budget.add_arguments(parser)
    options = parser.parse_args()
    build = pathlib.Path(options.build).resolve()
    files, unread, bad = within_budget.run(sources(build), lambda file: tidy(file, build), options)
    print(f"clang-tidy: {files - unread} of {files} files read, {bad} with findings")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
