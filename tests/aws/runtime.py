"""One function alone, on a Lambda runtime API of this test's own.

The interface emulator invokes one at a time, sends no trace and always names a deadline. What a function does where several invocations
come at once, with a trace each, or from a host that knows no deadline, is seen here: the four routes of
<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html> that a function uses.
"""

import json
import os
import queue
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from loopback import stop_group

VERSION = "/2018-06-01/runtime"
# What `cargo lambda watch` names.
IN_1970 = 0


class Invocation:
    def __init__(self, number, event, deadline):
        self.id = f"request-{number}"
        self.trace = f"Root=1-5759e988-{number:024x};Sampled=1"
        self.event = event
        self.deadline = deadline
        self.answer = None
        self.answered = threading.Event()


class Function:
    def __init__(self, invocations, folder):
        self.invocations = invocations
        self.folder = folder
        self.waiting = queue.Queue()

    def invoke(self, *events, seconds=60, deadline=None):
        """The answers to events that are all there at once."""
        begun = []
        for event in events:
            ends = int((time.time() + seconds) * 1000) if deadline is None else deadline
            invocation = Invocation(len(self.invocations), event, ends)
            self.invocations[invocation.id] = invocation
            begun.append(invocation)
            self.waiting.put(invocation)
        for invocation in begun:
            if not invocation.answered.wait(seconds):
                raise RuntimeError(f"{invocation.id} was not answered\n{self.text('stderr')}")
        return [invocation.answer for invocation in begun]

    def text(self, stream):
        return (Path(self.folder) / stream).read_text(errors="replace")

    def lines(self, stream):
        """What the function wrote, each line of which has to be JSON."""
        return [json.loads(line) for line in self.text(stream).splitlines()]


@contextmanager
def function(binary, environment, concurrency=1):
    """Runs `binary` as a function that is invoked so many times at once."""
    with tempfile.TemporaryDirectory() as folder:
        running = Function({}, folder)

        class RuntimeApi(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                invocation = running.waiting.get()
                if invocation is None:
                    self.close_connection = True
                    return
                body = json.dumps(invocation.event).encode()
                self.send_response(200)
                for name, value in {
                    "Lambda-Runtime-Aws-Request-Id": invocation.id,
                    "Lambda-Runtime-Deadline-Ms": invocation.deadline,
                    "Lambda-Runtime-Trace-Id": invocation.trace,
                    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:123456789012:function:f",
                    "Content-Length": len(body),
                }.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                identity = self.path.removeprefix(f"{VERSION}/invocation/").rpartition("/")[0]
                if invocation := running.invocations.get(identity):
                    invocation.answer = json.loads(body)
                    invocation.answered.set()
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def handle(self):
                # The function is ended while it waits for its next invocation.
                try:
                    super().handle()
                except ConnectionError:
                    pass

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), RuntimeApi)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        variables = {
            "PATH": os.environ["PATH"],
            "AWS_LAMBDA_FUNCTION_NAME": Path(binary).name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}",
            "AWS_LAMBDA_MAX_CONCURRENCY": str(concurrency),
            **environment,
        }
        with (Path(folder) / "stdout").open("wb") as output, (Path(folder) / "stderr").open("wb") as errors:
            process = subprocess.Popen(
                [Path(binary).resolve(strict=True)],
                cwd=folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        try:
            yield running
        finally:
            stop_group(process)
            for _ in range(concurrency):
                running.waiting.put(None)
            server.shutdown()
            server.server_close()
