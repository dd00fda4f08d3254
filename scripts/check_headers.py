#!/usr/bin/python3
"""Compiles each header under src/ alone, without the precompiled header: a header brings what it needs."""

import argparse
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


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
    run = subprocess.run([*command, "-Wno-pragma-once-outside-header", "-fsyntax-only", "-x", "c++", str(header)],
                         capture_output=True, text=True, errors="replace")
    return run.returncode == 0, run.stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build/lint", help="the folder with compile_commands.json")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()

    flags = module_flags(pathlib.Path(options.build).resolve())
    headers = [h for h in sorted((ROOT / "src").rglob("*.hpp")) if h.relative_to(ROOT / "src").parts[0] in flags]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        jobs = [pool.submit(compile_alone, h, flags[h.relative_to(ROOT / "src").parts[0]]) for h in headers]
        for header, job in zip(headers, jobs):
            ok, errors = job.result()
            if not ok:
                failed += 1
                print(f"{header.relative_to(ROOT)} does not compile alone:\n{errors}", flush=True)
    print(f"{len(headers)} headers, {failed} do not compile alone")
    return 1 if failed or not headers else 0


if __name__ == "__main__":
    sys.exit(main())
