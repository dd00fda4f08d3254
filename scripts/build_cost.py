#!/usr/bin/python3
"""Prints what a clean build costs, in a unit that does not depend on the machine, and its slowest ten files.

The unit is the compilation of one file that includes <bits/stdc++.h> and uses std::regex, with the flags of the build. The
figure is the time of everything that `make test` builds, in units, and per 1,000 lines of C++ under src/ and tests/; the goal
is 2.5. Linking counts.

  build_cost.py [--build build]     from the log of the build in that folder, without building: seconds by the clock of each
                                    command, which is near to its CPU time if nothing else runs beside the build. Files that
                                    came from ccache are named, because the figure is then too low.
  build_cost.py --rebuild           in CPU seconds of a clean build in build/cost, without ccache
"""

import argparse
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOAL = 2.5
UNIT = """#include <bits/stdc++.h>
bool matches(const std::string& text) { return std::regex_match(text, std::regex("a+b")); }
"""
FLAGS = ["-O2", "-g1", "-std=c++23"]  # of the preset release
CACHED_SECONDS = 0.35  # no file of this project compiles faster; ccache answers faster
SHOWN = 10


def child_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure_unit(tries=3):
    """CPU seconds of one compilation of the unit; the least of some tries."""
    with tempfile.TemporaryDirectory(prefix="nunet-cost-") as folder:
        source = pathlib.Path(folder) / "unit.cpp"
        source.write_text(UNIT)
        times = []
        for _ in range(tries):
            begin = child_seconds()
            subprocess.run(["/usr/bin/g++", *FLAGS, "-c", source, "-o", source.with_suffix(".o")], check=True)
            times.append(child_seconds() - begin)
    return min(times)


def read_log(text):
    """Seconds of each output of a .ninja_log; the last line of an output counts."""
    seconds = {}
    for line in text.splitlines():
        fields = line.split("\t")
        if line.startswith("#") or len(fields) < 5:
            continue
        seconds[fields[3]] = (int(fields[1]) - int(fields[0])) / 1000
    return seconds


def is_compiled(output):
    return output.endswith((".o", ".gch"))


def current(seconds, build):
    """Without the outputs of files that are gone."""
    return {output: time for output, time in seconds.items() if (build / output).exists()}


def count_lines(root=ROOT):
    listed = subprocess.run(["git", "ls-files", "src/*.cpp", "src/*.hpp", "tests/*.cpp", "tests/*.hpp"], cwd=root,
                            capture_output=True, text=True, check=True).stdout.split()
    return sum((root / name).read_bytes().count(b"\n") for name in listed if (root / name).exists())


def report(seconds, total, unit, lines):
    """The lines to print; `seconds` by output, `total` of all."""
    units = total / unit
    out = [f"build cost: {units:.0f} units of {unit:.2f} s; {units / lines * 1000:.2f} for each 1,000 of {lines:,} lines (goal {GOAL})"]
    compiled = {output: time for output, time in seconds.items() if is_compiled(output)}
    cached = [output for output, time in compiled.items() if time < CACHED_SECONDS]
    if cached:
        out.append(f"note: {len(cached)} of {len(compiled)} files came from ccache, so the figure is too low; see --rebuild")
    out.append(f"slowest {SHOWN} files, in units")
    for output, time in sorted(compiled.items(), key=lambda item: -item[1])[:SHOWN]:
        name = output.replace("CMakeFiles/", "").replace(".dir/", "/").removesuffix(".o")
        out.append(f"  {time / unit:5.2f}  {name}")
    return out


def rebuild():
    """Seconds by output and CPU seconds of all, of a clean build without ccache."""
    build = ROOT / "build/cost"
    shutil.rmtree(build, ignore_errors=True)
    subprocess.run(["cmake", "--preset", "release", "-B", build], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    begin = child_seconds()
    subprocess.run(["cmake", "--build", build], cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
                   env=dict(os.environ, CCACHE_DISABLE="1"))
    total = child_seconds() - begin
    seconds = read_log((build / ".ninja_log").read_text())
    shutil.rmtree(build, ignore_errors=True)
    return seconds, total


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", help="the build folder (build)")
    parser.add_argument("--rebuild", action="store_true", help="build again in build/cost, without ccache")
    options = parser.parse_args()
    if options.rebuild:
        seconds, total = rebuild()
    else:
        build = pathlib.Path(options.build)
        log = build / ".ninja_log"
        if not log.exists():
            print(f"skipped: {log} is not there; `make test` builds first")
            return 77
        seconds = current(read_log(log.read_text()), build)
        total = sum(seconds.values())
    print("\n".join(report(seconds, total, measure_unit(), count_lines())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
