"""The running API against its own description: Schemathesis asks `hekate serve` everything that /openapi.json allows, and more.

    check.py HEKATE

HEKATE is the program. It serves a generated supply chain on the loopback interface and, on a store of its own, the API; no other
host is asked. How much is asked, why, and the seed stand in schemathesis.toml.

Every operation has to accept something, or what it answers would have been compared with nothing.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

HERE = Path(__file__).resolve().parent
# In seconds, far more than it takes: a run that hangs is ended.
PATIENCE = 900
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")

# Key of the registry's line → variable of the program.
UPSTREAMS = {
    "npmUrl": "HEKATE_NPM_URL",
    "pypiUrl": "HEKATE_PYPI_URL",
    "homebrewUrl": "HEKATE_HOMEBREW_URL",
    "githubUrl": "HEKATE_GITHUB_URL",
    "trustedRoot": "HEKATE_TRUSTED_ROOT",
    "npmKeys": "HEKATE_NPM_KEYS",
    "signingKey": "HEKATE_SIGNING_KEY",
}


@contextmanager
def running(command, **options):
    """A process that is ended with the context."""
    process = subprocess.Popen(command, text=True, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def serving(hekate, environment, folder):
    """The address of an API with this environment and a store of its own."""
    log = folder / "serve.log"
    environment = environment | {"PATH": os.environ["PATH"], "HEKATE_STORE": str(folder / "store")}
    with log.open("w") as output, running(
        [hekate, "serve", "--listen", "127.0.0.1:0"], env=environment, stdout=subprocess.DEVNULL, stderr=output
    ) as server:
        address = None
        while address is None:
            if server.poll() is not None:
                raise SystemExit(f"the API did not start\n{log.read_text()}")
            address = re.search(r"listens on (http://\S+?),", log.read_text())
            try:
                server.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                pass
        yield address.group(1)


def key_of(address):
    """The base64 of the key with which an API signs."""
    with urllib.request.urlopen(f"{address}/.well-known/hekate.json", timeout=60) as answer:
        pem = json.load(answer)["keys"][0]["publicKey"]
    return "".join(line for line in pem.splitlines() if not line.startswith("-"))


@contextmanager
def api(hekate, folder):
    """The address of an API on a generated supply chain, and the packages in that. It has a peer on the same supply chain."""
    registry_command = [hekate, "demo", "--registry"]
    with running(registry_command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as registry:
        line = json.loads(registry.stdout.readline())
        upstreams = {variable: line[key] for key, variable in UPSTREAMS.items() if key in line}
        other_key = folder / "peer.pem"
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        other_key.write_bytes(pem)
        (folder / "peer").mkdir()
        peer_environment = upstreams | {"HEKATE_SIGNING_KEY": str(other_key)}
        with serving(hekate, peer_environment, folder / "peer") as peer:
            with serving(hekate, upstreams | {"HEKATE_PEERS": f"{peer}#{key_of(peer)}"}, folder) as address:
                yield address, line["packages"]


def look_once(address, packages):
    """Has every version looked at, so that there are dossiers and histories to ask for."""
    for package in packages:
        try:
            urllib.request.urlopen(f"{address}/v1/verdicts?purl={quote(package['purl'], safe='')}", timeout=60).close()
        except urllib.error.HTTPError as error:
            if package["expected"] not in ("absent", "unavailable"):
                raise SystemExit(f"{package['purl']}: {error.read().decode()}") from error


def dictionaries(packages):
    """What Schemathesis cannot guess: purls that the supply chain has, and names with a version that each of them has.

    Without those for which the registry fails: they are answered 503, which would hide a 503 that is the API's own fault.
    """
    purls = sorted({package["purl"] for package in packages if package["expected"] != "unavailable"})
    parts = [re.fullmatch(r"pkg:[a-z]+/(.+)@(.+)", purl).groups() for purl in purls]
    ((version, _),) = Counter(version for _, version in parts).most_common(1)
    words = {
        "purls": purls,
        "ecosystems": ["npm"],
        "names": [unquote(name) for name, its_version in parts if its_version == version],
        "versions": [version],
    }
    return "".join(f"\n[dictionaries.{name}]\nvalues = {json.dumps(values)}\n" for name, values in words.items())


def count_accepted(report):
    """How often each operation of the description answered 2xx."""
    accepted = Counter()
    with report.open() as lines:
        for line in lines:
            event = json.loads(line)
            if "ScenarioFinished" not in event:
                continue
            recorder = event["ScenarioFinished"]["recorder"]
            for name, interaction in recorder.get("interactions", {}).items():
                case, response = recorder["cases"][name]["value"], interaction["response"]
                # Methods that an operation's path has none of are asked as well, and are refused.
                if response is not None and response["status_code"] != 405:
                    accepted[f"{case['method']} {case['path']}"] += 200 <= response["status_code"] < 300
    return accepted


def main(arguments):
    if len(arguments) != 1:
        raise SystemExit(__doc__)
    hekate = Path(arguments[0]).resolve(strict=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with api(hekate, folder) as (address, packages):
            look_once(address, packages)
            configuration = folder / "schemathesis.toml"
            configuration.write_text((HERE / "schemathesis.toml").read_text() + dictionaries(packages))
            report = folder / "report.ndjson"
            ran = subprocess.run(
                [
                    SCHEMATHESIS,
                    *("--config-file", configuration),
                    *("run", f"{address}/openapi.json"),
                    *("--report", "ndjson"),
                    *("--report-ndjson-path", report),
                ],
                cwd=folder,
                timeout=PATIENCE,
                check=False,
            )
        if ran.returncode != 0:
            raise SystemExit(ran.returncode)
        accepted = count_accepted(report)
    for operation, count in sorted(accepted.items()):
        print(f"{count:>6} accepted  {operation}")
    silent = [operation for operation, count in accepted.items() if count == 0]
    if silent or not accepted:
        raise SystemExit(f"nothing was accepted by {silent}: what they answer was compared with nothing")


if __name__ == "__main__":
    main(sys.argv[1:])
