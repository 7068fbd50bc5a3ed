"""Processes that listen on the loopback interface: a free port, waiting for them, ending them."""

import os
import signal
import socket
import threading
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


class Front:
    """Stands before an address and passes on what it hears, until it is to [forget](Front.forget) its connections."""

    def __init__(self, host, port):
        self.behind = (host, port)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.generation = 0
        self.unheard = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def forget(self):
        """From now on what comes over the connections that are open is heard by nobody, and none of them is closed: as a process
        finds them that was frozen for a while."""
        self.generation += 1

    def accept(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            ends = (client, socket.create_connection(self.behind))
            for source, target in (ends, ends[::-1]):
                threading.Thread(target=self.pass_on, args=(source, target, self.generation), daemon=True).start()

    def pass_on(self, source, target, generation):
        try:
            while data := source.recv(1 << 16):
                if generation == self.generation:
                    target.sendall(data)
                else:
                    self.unheard += len(data)
            if generation == self.generation:
                target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.server.close()


def stop_group(process):
    """Ends a process that leads a session, and what it started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        time.sleep(0.2)
    process.wait(timeout=10)
