#!/usr/bin/python3
"""Runs the benchmarks: the *_bench programs of the modules, then the scripts in tests/bench that measure the whole program.

Prints one line per result and writes the same to build/bench/*.json:
  figure NAME VALUE UNIT         a measurement
  ratio NAME VALUE vs PEER       this project by the peer, measured side by side
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINE = re.compile(r"^(figure) (\S+) (\S+) (\S+)$|^(ratio) (\S+) (\S+) vs (.+)$")


def speed(row):
    """The more, the faster: in bytes or items where the benchmark counts them, else in runs."""
    return row.get("bytes_per_second") or row.get("items_per_second") or 1 / row["real_time"]


def google_benchmark(program):
    run = subprocess.run([str(program), "--benchmark_format=json", "--benchmark_min_time=0.2"], capture_output=True, text=True)
    if run.returncode != 0:
        raise RuntimeError(run.stderr[-2000:])
    module = program.name.removesuffix("_bench")
    rows = json.loads(run.stdout)["benchmarks"]
    by_name = {row["name"]: row for row in rows}
    for row in rows:
        if row.get("error_occurred"):
            raise RuntimeError(f"{row['name']}: {row.get('error_message')}")
        name = f"{module}.{row['name']}"
        yield f"figure {name} {row['real_time']:.4g} {row['time_unit']}"
        if "bytes_per_second" in row:
            yield f"figure {name}.throughput {row['bytes_per_second'] / 1e6:.4g} MB/s"
        if "items_per_second" in row:
            yield f"figure {name}.rate {row['items_per_second']:.4g} 1/s"
        if row.get("label", "").startswith("vs "):  # a peer measured by the same program
            peer = row["label"].removeprefix("vs ")
            yield f"ratio {name} {speed(row) / speed(by_name[peer]):.4g} vs {peer}"
        for key, value in row.items():  # counters, whose names say what they are
            if "_per_" in key and key not in ("bytes_per_second", "items_per_second"):
                yield f"figure {name}.{key.split('_', 1)[0]} {value:.4g} {key.split('_', 1)[1].replace('_per_', '/')}"


def script(path, build):
    env = dict(os.environ, NUNET=str(ROOT / "build/nunet"), BENCH_BUILD=str(pathlib.Path(build).resolve()))
    run = subprocess.run([str(path)], cwd=ROOT, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=900)
    if run.returncode == 77:
        print(run.stdout.strip() or f"skipped: {path.name} gave no reason")
        return
    if run.returncode != 0:
        raise RuntimeError((run.stdout + run.stderr)[-2000:])
    for line in run.stdout.splitlines():
        if LINE.match(line):
            yield line
        elif line.startswith("skipped: "):  # a part of it; the rest was measured
            print(line, flush=True)


def as_record(line):
    match = LINE.match(line)
    if match.group(1):
        return {"kind": "figure", "name": match.group(2), "value": float(match.group(3)), "unit": match.group(4)}
    return {"kind": "ratio", "name": match.group(6), "value": float(match.group(7)), "peer": match.group(8)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/bench-build")
    options = parser.parse_args()
    results = ROOT / "build/bench"
    results.mkdir(parents=True, exist_ok=True)

    sources = [(p, google_benchmark) for p in sorted((pathlib.Path(options.build) / "bin").glob("*_bench"))]
    sources += [(p, lambda path: script(path, options.build)) for p in sorted((ROOT / "tests/bench").glob("*")) if os.access(p, os.X_OK) and p.is_file()]
    failed = 0
    for path, run in sources:
        records = []
        try:
            for line in run(path):
                print(line, flush=True)
                records.append(as_record(line))
        except (RuntimeError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
            failed += 1
            print(f"FAILED {path.name}: {error}", flush=True)
        (results / f"{path.stem}.json").write_text(json.dumps(records, indent=1) + "\n")
    return 1 if failed or not sources else 0


if __name__ == "__main__":
    sys.exit(main())
