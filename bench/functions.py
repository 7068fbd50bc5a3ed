#!/usr/bin/env python3
"""Cold start, memory and size of the three functions.

    cargo build --release --locked -p verify-api -p batch-verifier -p sweeper
    python3 bench/functions.py target/release

A stand-in for Lambda's runtime API on the loopback interface takes the time from `exec` to the function's first poll, several
times each, and reads the kernel's high-water mark of resident memory at that moment. Nothing else is asked, so that the figures
are of start-up alone; sizes are of the stripped binary, and of the same compressed as a deployment package is.
"""

import http.server
import os
import statistics
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

FUNCTIONS = ["verify-api", "batch-verifier", "sweeper"]
RUNS = 15


class RuntimeApi(http.server.BaseHTTPRequestHandler):
    polled = None

    def do_GET(self):
        if self.path.endswith("/runtime/invocation/next"):
            RuntimeApi.at = time.perf_counter()
            RuntimeApi.polled.set()
            time.sleep(5)  # no invocation comes; the function is ended before this

    def log_message(self, *_):
        pass


def environment(binary, address):
    """What a function has from Lambda, whose runtime API is at this address, and the least that it is configured with."""
    return {
        "PATH": os.environ["PATH"],
        "AWS_LAMBDA_RUNTIME_API": address,
        "AWS_LAMBDA_FUNCTION_NAME": binary.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_LOG_GROUP_NAME": "group",
        "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "HEKATE_TABLE": "table",
        "HEKATE_QUEUE_URL": "http://127.0.0.1:1/queue",
    }


def peak_memory(process):
    """The high-water mark of resident memory so far, in MiB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def start_once(binary, address):
    RuntimeApi.polled = threading.Event()
    begun = time.perf_counter()
    process = subprocess.Popen(
        [binary], env=environment(binary, address), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        if not RuntimeApi.polled.wait(10):
            raise SystemExit(f"{binary} did not poll within ten seconds")
        return (RuntimeApi.at - begun) * 1000, peak_memory(process)
    finally:
        process.kill()
        process.wait()


def cold_start(binary):
    """The time to the first poll, in milliseconds; memory at that moment, the size, and the size compressed, in MiB."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), RuntimeApi)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_address[1]}"
    start_once(binary, address)  # the file cache is warm from here on
    runs = [start_once(binary, address) for _ in range(RUNS)]
    server.shutdown()
    data = binary.read_bytes()
    return {
        "firstPollMs": {"minimum": min(run[0] for run in runs), "median": statistics.median(run[0] for run in runs)},
        "peakMemoryMiB": max(run[1] for run in runs),
        "binaryMiB": len(data) / 2**20,
        "zippedMiB": len(zlib.compress(data, 9)) / 2**20,
    }


def main():
    folder = Path(sys.argv[1])
    print(f"{'function':<15} {'first poll, ms (min/median)':>28} {'peak memory, MiB':>17} {'binary, MiB':>12} {'zipped, MiB':>12}")
    for name in FUNCTIONS:
        start = cold_start(folder / name)
        poll = f"{start['firstPollMs']['minimum']:.1f} / {start['firstPollMs']['median']:.1f}"
        sizes = f"{start['peakMemoryMiB']:>17.1f} {start['binaryMiB']:>12.1f} {start['zippedMiB']:>12.1f}"
        print(f"{name:<15} {poll:>28} {sizes}")


if __name__ == "__main__":
    main()
