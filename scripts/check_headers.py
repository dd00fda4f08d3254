#!/usr/bin/python3
"""Compiles each header under src/ alone, without the precompiled header: a header brings what it needs.

Files changed since --base come first. What the budget left out is named.
"""

import argparse
import json
import pathlib
import shlex
import subprocess
import sys

import within_budget
from within_budget import ROOT


def module_flags(build):
    """For each module the compiler and flags of one of its sources."""
    flags = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = pathlib.Path(entry["directory"], entry["file"]).resolve()
        if ROOT / "src" not in path.parents:
            continue
        words = shlex.split(entry["command"])
        compiler = next(i for i, word in enumerate(words) if pathlib.Path(word).name.startswith(("g++", "clang++", "c++")))
        keep = [w for w in words[compiler + 1:] if w.startswith(("-D", "-I", "-std=", "-W", "-f"))]
        system = [x for i, w in enumerate(words) if w in ("-isystem", "-include") for x in words[i:i + 2]]
        flags.setdefault(path.relative_to(ROOT / "src").parts[0], [words[compiler], *keep, *system])
    return flags


def compile_alone(header, command):
    """What the compiler says of a header, '' if it compiles."""
    run = subprocess.run([*command, "-Wno-pragma-once-outside-header", "-fsyntax-only", "-x", "c++", str(ROOT / header)],
                         capture_output=True, text=True, errors="replace")
    return "" if run.returncode == 0 else f"{header} does not compile alone:\n{run.stderr}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    within_budget.add_arguments(parser)
    options = parser.parse_args()

    flags = module_flags(pathlib.Path(options.build).resolve())
    modules = {h.relative_to(ROOT).as_posix(): h.relative_to(ROOT / "src").parts[0] for h in (ROOT / "src").rglob("*.hpp")}
    headers = [h for h, module in modules.items() if module in flags]
    count, unread, failed = within_budget.run(headers, lambda header: compile_alone(header, flags[modules[header]]), options)
    print(f"{count - unread} of {count} headers read, {failed} do not compile alone")
    return 1 if failed or not headers else 0


if __name__ == "__main__":
    sys.exit(main())
