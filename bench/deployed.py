#!/usr/bin/env python3
"""What the functions take: cold start, cached, fresh and signed verdicts, memory, size, table units and modelled cost.

    cargo build --release --locked --workspace --bins
    python3 bench/deployed.py target/release [--format text|markdown|json] [--keep FILE]

A stand-in for Lambda's runtime API on the loopback interface hands invocations to the release binaries, one at a time, and takes
the time from each hand-over to its answer. The table is the embedded store, served by a process of its own; the registry and GitHub
are those of `hekate demo --registry`, with packages as a lockfile has them, behind proxies that hold every request for fifty
milliseconds. Nothing leaves the loopback interface. `--keep` writes the measurements that bench/cost.py turns into the cost of a
million verdicts.

Own time is the processor time of the function's process, from the kernel's clock, divided by the number of invocations: what is
left when the store's and the network's time is taken away. Memory is the kernel's high-water mark.
"""

import argparse
import base64
import http.client
import http.server
import json
import os
import platform
import queue
import statistics
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import cost
import functions

EVENTS = Path(__file__).resolve().parents[1] / "events"
PRICES = Path(__file__).with_name("prices.json")
CACHED = 1000
# So many are asked for before, so that what is measured is warm.
WARMING = 100
# Packages, every other one with a provenance, and how many of them are looked at one by one.
DEPENDENCIES = 120
ALONE = 20
AT_ONCE = 10
LATENCY = 0.05
# The part of the invocations that X-Ray records where tracing is active: Lambda takes the first request of each second and 5 % of the
# others (as of 2026-11, common knowledge and unconfirmed). The first ones are left out: they are 2.6 million a month of each function at
# most, whatever is asked.
TRACED = 0.05
TICKS = os.sysconf("SC_CLK_TCK")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """The other end was ended while it waited for an answer, as every function is in the end."""


class Runtime:
    """Lambda's runtime API for one function's process (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html)."""

    def __init__(self):
        self.events, self.answers = queue.Queue(), queue.Queue()
        self.polled = threading.Event()
        runtime = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one piece, or the other end waits for the second with its acknowledgement

            def do_GET(self):
                runtime.polled.set()
                event = runtime.events.get()
                if event is None:
                    self.close_connection = True
                    return
                body = json.dumps(event).encode()
                self.send_response(200)
                self.send_header("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
                self.send_header("Lambda-Runtime-Deadline-Ms", str(int((time.time() + 60) * 1000)))
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:f")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                runtime.began = time.perf_counter()
                self.wfile.write(body)

            def do_POST(self):
                ended = time.perf_counter()
                body = self.rfile.read(int(self.headers["Content-Length"] or 0)) if "Content-Length" in self.headers else self.chunks()
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()
                runtime.answers.put((self.path, ended, body))

            def chunks(self):
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def log_message(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"127.0.0.1:{self.server.server_address[1]}"

    def invoke(self, event):
        """The answer to an event, and how long it took, in milliseconds."""
        self.events.put(event)
        path, ended, body = self.answers.get(timeout=60)
        if not path.endswith("/response"):
            raise SystemExit(f"the function failed: {body.decode(errors='replace')}")
        return json.loads(body), (ended - self.began) * 1000

    def close(self):
        self.events.put(None)
        self.server.shutdown()
        self.server.server_close()


class Function:
    """A function's process, and the runtime that feeds it."""

    def __init__(self, binary, variables=None):
        self.runtime = Runtime()
        environment = functions.environment(binary, self.runtime.address) | {"HEKATE_FRESH_AFTER": "0", **(variables or {})}
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([binary], env=environment, stdout=self.log, stderr=self.log)
        if not self.runtime.polled.wait(10):
            self.close()
            raise SystemExit(f"{binary} did not poll within ten seconds")

    def invoke(self, event):
        return self.runtime.invoke(event)

    def own_time(self):
        """Processor time so far, in milliseconds."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * 1000 / TICKS

    def logged(self):
        """How many bytes it has written to its log so far, metrics included."""
        return os.fstat(self.log.fileno()).st_size

    def close(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        self.runtime.close()


@contextmanager
def started(*arguments):
    """A process that says in one line of JSON where it serves, until its standard input ends."""
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"{arguments[0]} ended before it served")
        yield json.loads(line)
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


@contextmanager
def slowed(address, seen=None):
    """Another address of the same server, at which every request is held for the latency; yields it and a list of the requests."""
    target, seen = urlsplit(address), [] if seen is None else seen

    class Proxy(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one piece, or the other end waits for the second with its acknowledgement

        def do_GET(self):
            time.sleep(LATENCY)
            seen.append(self.path)
            connection = http.client.HTTPConnection(target.hostname, target.port, timeout=30)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
            connection.request("GET", self.path, headers={**headers, "Host": target.netloc})
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                    self.send_header(name, value)
            if answer.status not in (204, 304):
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = Server(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        server.server_close()


def api_event(purl):
    event = json.loads((EVENTS / "api-gateway-v2-verdict-purl.json").read_text())
    event["rawQueryString"] = f"purl={quote(purl, safe='')}"
    event["queryStringParameters"] = {"purl": purl}
    return event


def signed_event(purl):
    """Asks for the verdict on a package, signed."""
    text = (EVENTS / "api-gateway-v2-verdict.json").read_text()
    name, version = purl.removeprefix("pkg:npm/").rsplit("@", 1)
    return json.loads(text.replace("@scope/name/1.2.3", f"{unquote(name)}/{version}/signed"))


def queue_event(purls):
    record = json.loads((EVENTS / "sqs-batch.json").read_text())["Records"][0]
    body = lambda purl: json.dumps({"schema": 1, "package": purl, "reason": "sweep"})
    return {"Records": [{**record, "messageId": str(number), "body": body(purl)} for number, purl in enumerate(purls)]}


def median(values):
    return statistics.median(values)


def verdict_of(answer):
    if answer["statusCode"] != 200:
        raise SystemExit(f"no verdict: {answer['body']}")
    return json.loads(answer["body"])


def sent(answer):
    """How many bytes an answer of the API has on its way to the caller: its head, as HTTP/1.1 writes it, and its body.

    What the gateway adds, its `date` and an id, and encryption are not in it.
    """
    head = [f"HTTP/1.1 {answer['statusCode']}"]
    head += [f"{name}: {value}" for name, value in answer["headers"].items()]
    body = base64.b64decode(answer["body"]) if answer.get("isBase64Encoded") else answer["body"].encode()
    return sum(len(line.encode()) + 2 for line in head) + 2 + len(body)


def spread_of(values):
    return {"minimum": min(values), "median": median(values), "maximum": max(values)}


def measure_api(binary, store, upstreams, purls, key):
    """Fresh, cached and signed verdicts through the API, one at a time. The key that signs is a file."""
    variables = {"AWS_ENDPOINT_URL": store["url"], "HEKATE_TABLE": store["table"], "HEKATE_SIGNING_KEY": key}
    function = Function(binary, {**upstreams, **variables})
    try:
        fresh, fresh_sent = [], 0
        for purl in purls:
            answer, took = function.invoke(api_event(purl))
            verdict_of(answer)
            fresh.append(took)
            fresh_sent += sent(answer)
        cached, cached_sent = [], 0
        for number in range(CACHED + WARMING):
            if number == WARMING:
                before, logged_before, cached_sent = function.own_time(), function.logged(), 0
            answer, took = function.invoke(api_event(purls[number % len(purls)]))
            verdict_of(answer)
            cached.append(took)
            cached_sent += sent(answer)
        own = (function.own_time() - before) / CACHED
        logged = (function.logged() - logged_before) / CACHED
        memory = functions.peak_memory(function.process)
        # Each for the first time, which is when it is signed.
        signed, signed_sent, logged_before, stored_before = [], 0, function.logged(), scanned(store)
        for purl in purls:
            answer, took = function.invoke(signed_event(purl))
            if not verdict_of(answer)["signatures"]:
                raise SystemExit(f"nothing is signed: {answer['body']}")
            signed.append(took)
            signed_sent += sent(answer)
        return {
            "freshMs": spread_of(fresh),
            "freshSentBytes": fresh_sent / len(purls),
            "cachedMs": spread_of(cached[WARMING:]),
            "cachedOwnMs": own,
            "cachedLoggedBytes": logged,
            "cachedSentBytes": cached_sent / CACHED,
            "signedMs": spread_of(signed),
            "signedLoggedBytes": (function.logged() - logged_before) / len(purls),
            "signedSentBytes": signed_sent / len(purls),
            "signedStoredBytes": (scanned(store) - stored_before) / len(purls),
            "peakMemoryMiB": memory,
        }
    finally:
        function.close()


def measure_worker(binary, store, upstreams, purls, at_once, seen):
    """Fresh verdicts by the queue's worker, so many messages an invocation."""
    function = Function(binary, {**upstreams, "AWS_ENDPOINT_URL": store["url"], "HEKATE_TABLE": store["table"]})
    seen.clear()
    try:
        took = []
        for begin in range(0, len(purls), at_once):
            answer, milliseconds = function.invoke(queue_event(purls[begin : begin + at_once]))
            if answer["batchItemFailures"]:
                raise SystemExit(f"messages were returned: {answer}")
            took.append(milliseconds)
        return {
            "invocations": len(took),
            "invocationMs": spread_of(took),
            "perVerdictMs": sum(took) / len(purls),
            "upstreamRequestsPerVerdict": len(seen) / len(purls),
            "ownMsPerVerdict": function.own_time() / len(purls),
            "loggedBytesPerVerdict": function.logged() / len(purls),
            "peakMemoryMiB": functions.peak_memory(function.process),
        }
    finally:
        function.close()


def scanned(store):
    """How many bytes the table's items have: names and values, as DynamoDB counts them."""
    address = urlsplit(store["url"])
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    headers = {
        "X-Amz-Target": "DynamoDB_20120810.Scan",
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Date": "20260101T000000Z",
        "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0",
    }
    size, start = 0, None
    while True:
        question = {"TableName": store["table"], **({"ExclusiveStartKey": start} if start else {})}
        connection.request("POST", "/", body=json.dumps(question), headers=headers)
        answer = connection.getresponse()
        page = json.loads(answer.read())
        if answer.status != 200:
            raise SystemExit(f"the table cannot be scanned: {page}")
        size += sum(len(name.encode()) + size_of(value) for item in page["Items"] for name, value in item.items())
        if not (start := page.get("LastEvaluatedKey")):
            connection.close()
            return size


def size_of(value):
    ((kind, content),) = value.items()
    if kind == "B":
        return len(content) * 3 // 4
    if kind == "M":
        return 3 + sum(len(name.encode()) + 1 + size_of(inner) for name, inner in content.items())
    if kind == "L":
        return 3 + sum(1 + size_of(inner) for inner in content)
    return len(content.encode()) if isinstance(content, str) else 1


def measure(folder):
    """Everything, by name."""
    figures = {"functions": {name: functions.cold_start(folder / name) for name in functions.FUNCTIONS}}
    units = json.loads(subprocess.run([folder / "units", "--format", "json"], check=True, capture_output=True).stdout)
    figures["units"] = {work["work"]: work for work in units["units"]}
    with started(folder / "hekate", "demo", "--registry", "--dependencies", str(DEPENDENCIES)) as registry:
        address = registry["npmUrl"].rsplit("/", 1)[0]
        # Two addresses, as registry and forge have: what is asked of one at once is bounded.
        with slowed(address) as (registries, seen), slowed(address, seen) as (forge, _):
            upstreams = {
                "HEKATE_NPM_URL": registry["npmUrl"].replace(address, registries),
                "HEKATE_PYPI_URL": registry["pypiUrl"].replace(address, registries),
                "HEKATE_HOMEBREW_URL": registry["homebrewUrl"].replace(address, registries),
                "HEKATE_GITHUB_URL": registry["githubUrl"].replace(address, forge),
                "HEKATE_TRUSTED_ROOT": registry["trustedRoot"],
                "HEKATE_NPM_KEYS": registry["npmKeys"],
            }
            dependencies = [package for package in registry["packages"] if "part-" in package["purl"]]
            attested, unattested = (
                [package["purl"] for package in dependencies if package["expected"] == expected] for expected in ("verified", "unattested")
            )
            if len(attested) + len(unattested) != DEPENDENCIES:
                raise SystemExit(f"the registry has other packages than were asked for: {registry['packages']}")
            with started(folder / "store") as store:
                figures["api"] = measure_api(folder / "verify-api", store, upstreams, attested[:ALONE], registry["signingKey"])
            ways = (("alone", 1, attested[:ALONE]), ("batched", AT_ONCE, attested), ("batchedUnattested", AT_ONCE, unattested))
            for name, at_once, purls in ways:
                with started(folder / "store") as store:
                    worker = measure_worker(folder / "batch-verifier", store, upstreams, purls, at_once, seen)
                    figures[name] = {**worker, "storedBytesPerVerdict": scanned(store) / len(purls)}
    return figures


def measurements(figures):
    """The document that bench/cost.py reads."""
    units = figures["units"]
    handed_in = units["a batch of 500 that is handed in"]
    of_batch = lambda work, versions: {name: units[work][name] / versions + handed_in[name] / 500 for name in ("writeUnits", "readUnits")}
    attested = of_batch("ten versions of a batch, first verdicts", AT_ONCE)
    unattested = of_batch("ten versions of a batch without attestations, first verdicts", AT_ONCE)
    single = of_batch("a version of a batch alone, first verdict", 1)
    path = lambda description, functions, requests, units, logged, stored, sent=0: {
        "description": description,
        "functions": functions,
        "requests": {**requests, "xray": TRACED * sum(use["invocations"] for use in functions.values())},
        "dynamodb": {"write_units": units["writeUnits"], "read_units": units["readUnits"]},
        "bytes": {"logs": logged, "stored": stored, **({"data_out": sent} if sent else {})},
    }
    worker = lambda figure, at_once: {"batch-verifier": {"invocations": 1 / at_once, "billed_ms": figure["perVerdictMs"] * at_once}}
    bytes_of = lambda figure: (figure["loggedBytesPerVerdict"], figure["storedBytesPerVerdict"])
    api, alone, batched, calm = figures["api"], figures["alone"], figures["batched"], figures["batchedUnattested"]
    return {
        "architecture": "arm64",
        "memory_mb": {"batch-verifier": 512, "verify-api": 512},
        "measured": f"on {platform.machine()} with {os.cpu_count()} processors, release build, upstreams on loopback with 50 ms; not on Lambda",
        "paths": {
            "fresh-batched": path(
                "first look at a version of an attested package, ten messages an invocation",
                worker(batched, AT_ONCE),
                {"sqs": 0.3},
                attested,
                *bytes_of(batched),
            ),
            "fresh-batched-unattested": path(
                "the same of a package without attestations",
                worker(calm, AT_ONCE),
                {"sqs": 0.3},
                unattested,
                *bytes_of(calm),
            ),
            "fresh-single": path("first look, one message an invocation", worker(alone, 1), {"sqs": 3}, single, *bytes_of(alone)),
            "fresh-asked": path(
                "first look of the API at a version of a watched package, which is announced",
                {"verify-api": {"invocations": 1, "billed_ms": api["freshMs"]["median"]}},
                {"http_api": 1, "eventbridge": 1},
                units["a first verdict"],
                *bytes_of(alone),
                api["freshSentBytes"],
            ),
            "remembered": path(
                "answered from the table",
                {"verify-api": {"invocations": 1, "billed_ms": max(1, api["cachedMs"]["median"])}},
                {"http_api": 1},
                units["a verdict that is remembered"],
                api["cachedLoggedBytes"],
                0,
                api["cachedSentBytes"],
            ),
            "signed": path(
                "a remembered verdict that is asked for in its signed form for the first time; signed with a file, without the way to KMS",
                {"verify-api": {"invocations": 1, "billed_ms": max(1, api["signedMs"]["median"])}},
                {"http_api": 1, "kms_sign": 1},
                units["a verdict that is signed"],
                api["signedLoggedBytes"],
                api["signedStoredBytes"],
                api["signedSentBytes"],
            ),
        },
    }


def rows(figures, paths):
    """The table: what, and how much."""
    api, alone, batched, calm = figures["api"], figures["alone"], figures["batched"], figures["batchedUnattested"]
    spread = lambda one: f"{one['minimum']:.1f} / {one['median']:.1f} / {one['maximum']:.1f}"
    for name, start in figures["functions"].items():
        poll = start["firstPollMs"]
        yield f"{name}: start to first poll, ms (min / median)", f"{poll['minimum']:.1f} / {poll['median']:.1f}"
        yield f"{name}: memory then, binary, zipped, MiB", f"{start['peakMemoryMiB']:.1f}, {start['binaryMiB']:.1f}, {start['zippedMiB']:.1f}"
    yield "remembered verdict, ms (min / median / max)", spread(api["cachedMs"])
    yield "remembered verdict, own processor time, ms", f"{api['cachedOwnMs']:.2f}"
    yield "signed verdict, signed with a file, ms (min / median / max)", spread(api["signedMs"])
    sizes = (api["cachedSentBytes"], api["freshSentBytes"], api["signedSentBytes"])
    yield "answer with a remembered, a fresh, a signed verdict, bytes", ", ".join(f"{size:.0f}" for size in sizes)
    yield "fresh verdict through the API, ms (min / median / max)", spread(api["freshMs"])
    yield "fresh verdict, one message an invocation, ms (min / median / max)", spread(alone["invocationMs"])
    yield "fresh verdict, ten messages an invocation, ms a verdict", f"{batched['perVerdictMs']:.1f}"
    yield "the same without attestations, ms a verdict", f"{calm['perVerdictMs']:.1f}"
    yield "fresh verdict, own processor time, ms", f"{batched['ownMsPerVerdict']:.1f}"
    yield "requests to upstreams for a fresh verdict", f"{batched['upstreamRequestsPerVerdict']:.1f}"
    yield "memory of API and worker after that, MiB", f"{api['peakMemoryMiB']:.1f}, {batched['peakMemoryMiB']:.1f}"
    for work in figures["units"].values():
        yield f"table units, {work['work']} (read / written)", f"{work['readUnits']:g} / {work['writeUnits']:g}"
    for path in paths:
        yield f"modelled cost of a million, {path.name}, USD", cost.money(path.dollars)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binaries", type=Path, help="folder of the release build")
    parser.add_argument("--format", choices=("text", "markdown", "json"), default="text")
    parser.add_argument("--keep", type=Path, help="file for the measurements that bench/cost.py reads")
    arguments = parser.parse_args()
    missing = [name for name in [*functions.FUNCTIONS, "hekate", "store", "units"] if not (arguments.binaries / name).is_file()]
    if missing:
        parser.error(f"{arguments.binaries} lacks {', '.join(missing)}: cargo build --release --locked --workspace --bins")
    figures = measure(arguments.binaries.resolve())
    document = json.dumps(measurements(figures), indent=2)
    if arguments.keep:
        arguments.keep.write_text(document + "\n")
    paths = cost.read_paths(json.loads(document, parse_float=cost.Decimal), cost.read_prices(cost.load(PRICES)))
    if arguments.format == "json":
        print(json.dumps(figures, indent=2))
        return
    table = list(rows(figures, paths))
    if arguments.format == "markdown":
        print("| what | figure |\n|---|---|")
        print("\n".join(f"| {what} | {figure} |" for what, figure in table))
    else:
        width = max(len(what) for what, _ in table)
        print("\n".join(f"{what.ljust(width)}  {figure}" for what, figure in table))


if __name__ == "__main__":
    main()
