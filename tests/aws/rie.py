"""One function alone: its bootstrap under AWS's Lambda runtime interface emulator.

The emulator is the one that aws-sam-cli ships, so no container engine is needed. It proves that a binary speaks the runtime's
protocol and answers an event; it knows no permissions, no event sources and no limits of memory.

    rie.py BINARY EVENT.json [NAME=VALUE …]      prints the answer
    rie.py                                       prints where the emulator is
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from loopback import free_port, stop_group, wait_for

EMULATORS = {"x86_64": "aws-lambda-rie-x86_64", "aarch64": "aws-lambda-rie-arm64"}


def emulator():
    """The emulator's executable for this machine, inside the installed aws-sam-cli."""
    package = find_spec("samcli")
    if package is None or package.origin is None:
        raise SystemExit("aws-sam-cli is not installed in this environment")
    executable = Path(package.origin).parent / "local" / "rapid" / EMULATORS[platform.machine()]
    if not executable.is_file():
        raise SystemExit(f"aws-sam-cli has no {executable.name}")
    executable.chmod(executable.stat().st_mode | 0o111)
    return executable


class Function:
    def __init__(self, port, log):
        self.url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
        self.log = log

    def invoke(self, event, timeout=60):
        """The function's JSON answer to one event; raises `RuntimeError` with the log where the function failed."""
        request = urllib.request.Request(self.url, data=json.dumps(event).encode(), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                body = response.read()
        except (urllib.error.URLError, TimeoutError) as error:
            raise RuntimeError(f"the function did not answer: {error}\n{self.output()}") from error
        answer = json.loads(body) if body else None
        if isinstance(answer, dict) and "errorType" in answer:
            raise RuntimeError(f"the function failed: {json.dumps(answer)}\n{self.output()}")
        return answer

    def output(self):
        return Path(self.log).read_text(errors="replace")


@contextmanager
def function(binary, environment, timeout=60, executable=None):
    """Runs `binary` as a function for as long as the context lasts.

    The function sees `environment` and what the runtime needs, not the caller's environment. `executable` is the emulator, where
    aws-sam-cli is installed in another environment than this one.
    """
    binary = Path(binary).resolve(strict=True)
    port, runtime_port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "function.log"
        variables = {
            "PATH": os.environ["PATH"],
            "AWS_LAMBDA_FUNCTION_NAME": binary.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout),
            **environment,
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    executable or emulator(),
                    "--runtime-interface-emulator-address",
                    f"127.0.0.1:{port}",
                    "--runtime-api-address",
                    f"127.0.0.1:{runtime_port}",
                    binary,
                ],
                cwd=folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait_for(port, process, log)
            yield Function(port, log)
        finally:
            stop_group(process)


def main(arguments):
    if not arguments:
        print(emulator())
        return
    if len(arguments) < 2:
        raise SystemExit(__doc__)
    binary, event, *variables = arguments
    environment = dict(variable.split("=", 1) for variable in variables)
    with function(binary, environment) as running:
        print(json.dumps(running.invoke(json.loads(Path(event).read_text()))))


if __name__ == "__main__":
    main(sys.argv[1:])
