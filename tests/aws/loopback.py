"""Processes that listen on the loopback interface: a free port, waiting for them, ending them."""

import os
import signal
import socket
import time
from pathlib import Path


def free_port():
    """A port that nothing listened on a moment ago. Another process can take it first; the caller then fails loudly."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port, process, log, seconds=30):
    """Returns when something accepts on `port`; raises with the log when `process` ends or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}\n{Path(log).read_text(errors='replace')}")


def stop_group(process):
    """Ends a process that leads a session, and what it started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        time.sleep(0.2)
    process.wait(timeout=10)
