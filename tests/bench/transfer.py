#!/usr/bin/python3
"""Measures the transfer of output and inputs between two nodes, beside curl from nginx over loopback HTTP.

  transfer               MB/s of one file over libp2p (encrypted, verified, made durable), on the loopback
  transfer_curl          MB/s of the same file by `curl` from nginx with sendfile: no encryption, no digest, not made durable
  transfer_curl_checked  the same, then `sha256sum` and `sync` of the file: the work that a transfer does, without encryption

Rounds alternate, so that a busy moment hits all alike. Figures are medians. Standard library only; nginx is ended by its pid.
"""

import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BENCH = pathlib.Path(os.environ.get("BENCH_BUILD", ROOT / "build/bench-build")) / "bin/transfer_bench"
SIZE = 256 << 20
ROUNDS = 5

CONFIG = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  sendfile on;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    root {folder}/www;
  }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serve(folder, port):
    (folder / "nginx.conf").write_text(CONFIG.format(folder=folder, port=port))
    server = subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=1).close()
            return server
        except OSError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                server.terminate()
                raise RuntimeError(f"nginx does not serve: {error}; {(folder / 'error.log').read_text()[-500:]}") from error
            time.sleep(0.05)


def curl(folder, port, checked):
    target = folder / "got"
    begin = time.monotonic()
    subprocess.run(["curl", "-fsS", "-o", str(target), f"http://127.0.0.1:{port}/file"], check=True)
    if checked:
        subprocess.run(["sha256sum", str(target)], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["sync", str(target)], check=True)
    seconds = time.monotonic() - begin
    target.unlink()
    return SIZE / seconds / 1e6


def transfer(folder):
    env = dict(os.environ, TRANSFER_BENCH_BYTES=str(SIZE), TRANSFER_BENCH_FOLDER=str(folder))
    run = subprocess.run([str(BENCH), "--benchmark_format=json"], env=env, capture_output=True, text=True, timeout=300)
    rows = json.loads(run.stdout)["benchmarks"] if run.returncode == 0 else []
    if not rows or rows[0].get("error_occurred"):
        raise RuntimeError(f"transfer_bench failed: {rows or run.stderr[-1000:]}")
    return rows[0]["bytes_per_second"] / 1e6


def main():
    missing = [program for program in ("nginx", "curl") if shutil.which(program) is None]
    if missing or not BENCH.exists():
        print(f"skipped: transfer needs {', '.join(missing) or BENCH}")
        return 77
    with tempfile.TemporaryDirectory(prefix="transfer-bench-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)  # nginx reads as another user
        (folder / "www").mkdir()
        (folder / "www/ready").write_text("yes")
        (folder / "www/file").write_bytes(os.urandom(1 << 20) * (SIZE >> 20))
        port = free_port()
        server = serve(folder, port)
        try:
            samples = {"transfer": [], "transfer_curl": [], "transfer_curl_checked": []}
            for _ in range(ROUNDS):
                samples["transfer"].append(transfer(folder))
                samples["transfer_curl"].append(curl(folder, port, checked=False))
                samples["transfer_curl_checked"].append(curl(folder, port, checked=True))
        finally:
            server.terminate()
            server.wait()
    for name, values in samples.items():
        print(f"figure {name} {statistics.median(values):.4g} MB/s")
        print(f"    {name}: {len(values)} rounds, {min(values):.0f} to {max(values):.0f} MB/s", file=sys.stderr)
    ours = statistics.median(samples["transfer"])
    for peer, label in (("transfer_curl", "curl"), ("transfer_curl_checked", "curl-sha256sum-sync")):
        print(f"ratio transfer_vs_{label.replace('-', '_')} {ours / statistics.median(samples[peer]):.3f} vs {label}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
