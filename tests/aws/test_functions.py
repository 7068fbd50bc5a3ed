"""The three binaries as functions: alone under the runtime interface emulator, and wired together on an emulated AWS.

    test_functions.py --build DIR --sam FILE --interface-emulator FILE --registry-command COMMAND [--expectations FILE]

DIR is what `sam build` left. The registry command serves an npm registry, and whatever else the functions are to ask, on the loopback interface until its standard
input closes or it is terminated. It prints one line of JSON when it is ready:

    {"npmUrl": "…", "pypiUrl": "…", "homebrewUrl": "…", "githubUrl": "…", "trustedRoot": "FILE", "npmKeys": "FILE", "signingKey": "FILE",
     "packages": [{"purl": "…", "expected": "…"}]}

`expected` is the status of the verdict; or `absent`, the
registry has no such version; or `unavailable`, the registry fails for it as often as it is asked. A file of expectations is a
JSON list that stands in for `packages`. At least one package each must be `attested`, `absent` and `unavailable`, and two
of those of which everybody is told, or nothing would be proved.
"""

import argparse
import base64
import hashlib
import json
import shlex
import socket
import subprocess
import sys
import threading
import time
import unittest
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import emulator
import rie
import runtime
from loopback import Front, stop_group

EVENTS = Path(__file__).resolve().parents[2] / "events"

# Key of the registry's line → variable of the functions.
UPSTREAMS = {
    "npmUrl": "HEKATE_NPM_URL",
    "pypiUrl": "HEKATE_PYPI_URL",
    "homebrewUrl": "HEKATE_HOMEBREW_URL",
    "githubUrl": "HEKATE_GITHUB_URL",
    "trustedRoot": "HEKATE_TRUSTED_ROOT",
    "npmKeys": "HEKATE_NPM_KEYS",
}
# Variable → parameter of the template.
PARAMETERS = {
    "HEKATE_NPM_URL": "NpmUrl",
    "HEKATE_PYPI_URL": "PypiUrl",
    "HEKATE_HOMEBREW_URL": "HomebrewUrl",
    "HEKATE_GITHUB_URL": "GitHubUrl",
    "HEKATE_TRUSTED_ROOT": "TrustedRoot",
    "HEKATE_NPM_KEYS": "NpmKeys",
}

# Of a first verdict with one of these everybody is told.
TOLD = ("downgraded", "suspicious", "mismatch")

OPTIONS = argparse.Namespace()
CLEANUP = []


def built():
    """What `sam build` left."""
    return emulator.Build(OPTIONS.build, OPTIONS.sam)


def parameters(upstreams):
    """The template's parameters for upstreams that variables name."""
    return {PARAMETERS[variable]: value for variable, value in upstreams.items()}


class World:
    """What the tests share: the registry, the emulated AWS and the stack deployed on it."""

    registry = None
    packages = []
    aws = None
    outputs = {}
    resources = {}
    environment = {}


def start_registry(command):
    """The registry's process and the line it printed."""
    process = subprocess.Popen(shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    line = process.stdout.readline()
    if not line.strip():
        raise RuntimeError(f"the registry command ended with {process.wait()} before it was ready")
    return process, json.loads(line)


def stop_registry(process):
    process.stdin.close()
    stop_group(process)
    process.stdout.close()


def setUpModule():
    registry, line = start_registry(OPTIONS.registry_command)
    CLEANUP.append(lambda: stop_registry(registry))
    World.registry = line
    World.packages = line["packages"]
    if OPTIONS.expectations:
        World.packages = json.loads(Path(OPTIONS.expectations).read_text())
    missing = {"attested", "absent", "unavailable"} - {package["expected"] for package in World.packages}
    if missing:
        raise RuntimeError(f"no package is expected to be {sorted(missing)}: nothing would be proved")
    if len(expected_to_be(*TOLD)) < 2:
        raise RuntimeError(f"fewer than two packages are expected to be one of {TOLD}: nothing would be proved")

    upstreams = {variable: line[key] for key, variable in UPSTREAMS.items() if key in line}
    running = emulator.start(enforce_permissions=True)
    World.aws = running.__enter__()
    CLEANUP.append(lambda: running.__exit__(None, None, None))
    World.outputs, World.resources = emulator.deploy_guided(World.aws, built(), parameters(upstreams))
    World.environment = {
        **upstreams,
        "AWS_ENDPOINT_URL": World.aws.url,
        "AWS_REGION": emulator.REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "HEKATE_TABLE": World.outputs["TableName"],
        "HEKATE_QUEUE_URL": World.outputs["QueueUrl"],
        "HEKATE_BATCH_QUEUE_URL": World.outputs["BatchQueueUrl"],
    }


def tearDownModule():
    while CLEANUP:
        CLEANUP.pop()()


def expected_to_be(*kinds):
    return [package["purl"] for package in World.packages if package["expected"] in kinds]


def with_verdict():
    return [package for package in World.packages if package["expected"] not in ("absent", "unavailable")]


def name_and_version(purl):
    """`pkg:npm/%40scope/name@1.2.3` → `("@scope/name", "1.2.3")`."""
    name, version = purl.removeprefix("pkg:npm/").rsplit("@", 1)
    return unquote(name), unquote(version)


def event(file, purl=None):
    """A sample event; with a purl, one that asks for that package instead of the sample's."""
    text = (EVENTS / file).read_text()
    if purl:
        name, version = name_and_version(purl)
        encoded = quote(name, safe="")
        for sample, wanted in (
            ("pkg%3Anpm%2F%2540scope%2Fname%401.2.3", quote(purl, safe="")),
            ("pkg:npm/%40scope/name@1.2.3", purl),
            ("%40scope%2Fname/1.2.3", f"{encoded}/{version}"),
            ("@scope/name/1.2.3", f"{name}/{version}"),
        ):
            text = text.replace(sample, wanted)
    return json.loads(text)


def batch():
    """The ten sample messages about the registry's packages, and the ids of the malformed, the failing and the other ones.

    The sample's one malformed body stays as it is, and exactly one body names a package whose registry fails.
    """
    records = event("sqs-batch.json")["Records"]
    failing_purl = expected_to_be("unavailable")[0]
    others = [package["purl"] for package in with_verdict()] + expected_to_be("absent")
    malformed, failing, settled = [], [], []
    for record in records:
        try:
            body = json.loads(record["body"])
        except ValueError:
            malformed.append(record["messageId"])
            continue
        body["package"] = failing_purl if not failing else others[len(settled) % len(others)]
        (settled if failing else failing).append(record["messageId"])
        record["body"] = json.dumps(body)
    return records, malformed, failing, settled


def make_something_due():
    """Moves the next look of one package of the table into the past; returns its key, or nothing if no package has one."""
    dynamodb = World.aws.client("dynamodb")
    items = dynamodb.scan(TableName=World.outputs["TableName"])["Items"]
    for item in (item for item in items if "due_shard" in item):
        key = {"pk": item["pk"], "sk": item["sk"]}
        dynamodb.update_item(
            TableName=World.outputs["TableName"],
            Key=key,
            UpdateExpression="SET due_at = :past",
            ExpressionAttributeValues={":past": {"S": "2000" + item["due_at"]["S"][4:]}},
        )
        return key
    return None


def until(condition, seconds):
    """The first truthy answer of `condition` within the time, or its last answer."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return answer


def batch_when_done(url):
    """How far a batch of the deployed stack is, as soon as it is done; nothing if it is not within a minute."""

    def done():
        status, _, body = World.aws.get(World.outputs["ApiUrl"], url)
        if status != 200:
            raise RuntimeError(f"{status}: {body}")
        batch = json.loads(body)
        return batch if batch["done"] else None

    return until(done, 60)


def public_key(listed):
    """A key of the verifier document, and its DER form."""
    key = serialization.load_pem_public_key(listed["publicKey"].encode())
    return key, key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def statement_of(envelope, key):
    """What an envelope says, verified by the rules of DSSE with a public key."""
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"]
    (signature,) = envelope["signatures"]
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    key.verify(base64.b64decode(signature["sig"]), signed, ec.ECDSA(hashes.SHA256()))
    return json.loads(payload)


class Verdicts:
    """What a caller relies on in a verdict, whatever brought the question."""

    def assert_verdict(self, status_code, body, package):
        self.assertEqual(status_code, 200, f"{package['purl']}: {body}")
        verdict = json.loads(body)
        self.assertEqual(verdict["schema"], "urn:hekate:verdict:1")
        self.assertEqual(verdict["package"], package["purl"])
        self.assertEqual(verdict["status"], package["expected"], f"{package['purl']}: decided by {verdict.get('decidedBy')}")
        self.assertTrue(verdict["findings"], "a verdict without findings")
        self.assertEqual(set(verdict["questions"]), {"registryOnly", "logOnly", "mismatch"})

    def assert_error(self, body):
        self.assertEqual(set(json.loads(body)["error"]), {"code", "message"})


class Alone(Verdicts, unittest.TestCase):
    """One binary at a time; the table and the queue are the deployed ones."""

    def run_function(self, name, *events):
        with rie.function(built().bootstrap(name), World.environment, executable=OPTIONS.interface_emulator) as function:
            return [function.invoke(event) for event in events]

    def test_every_shape_of_request_gets_the_verdict(self):
        shapes = [
            "api-gateway-v2-verdict.json",
            "api-gateway-v2-verdict-encoded.json",
            "api-gateway-v2-verdict-purl.json",
            "api-gateway-v1-verdict.json",
        ]
        cases = [(shape, package) for shape in shapes for package in with_verdict()]
        answers = self.run_function("verify-api", *(event(shape, package["purl"]) for shape, package in cases))
        for (shape, package), answer in zip(cases, answers, strict=True):
            with self.subTest(shape=shape, package=package["purl"]):
                self.assert_verdict(answer["statusCode"], answer["body"], package)

    def test_a_version_that_does_not_exist_is_the_callers_mistake(self):
        for purl in expected_to_be("absent"):
            (answer,) = self.run_function("verify-api", event("api-gateway-v2-verdict.json", purl))
            self.assertEqual(answer["statusCode"], 404, answer["body"])
            self.assert_error(answer["body"])

    def test_a_registry_that_fails_is_neither_a_pass_nor_an_accusation(self):
        for purl in expected_to_be("unavailable"):
            (answer,) = self.run_function("verify-api", event("api-gateway-v2-verdict.json", purl))
            self.assert_verdict(answer["statusCode"], answer["body"], {"purl": purl, "expected": "indeterminate"})
            self.assertIn("nextLookAt", json.loads(answer["body"]))

    def test_a_batch_returns_only_what_might_succeed_later(self):
        records, _, failing, _ = batch()
        (answer,) = self.run_function("batch-verifier", {"Records": records})
        returned = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
        self.assertEqual(returned, failing)

    def test_several_invocations_at_once_tell_their_own_stories_on_log_and_metrics(self):
        packages = with_verdict()
        asked = [event("api-gateway-v2-verdict.json", package["purl"]) for package in packages]
        for invocation in asked:
            invocation["rawQueryString"] = "fresh=true"
        environment = World.environment | {"HEKATE_FRESH_AFTER": "0", "AWS_LAMBDA_FUNCTION_NAME": "verify-api"}
        # From a host that knows no deadline, as one that is deployed may not be.
        with runtime.function(built().bootstrap("verify-api"), environment, concurrency=len(asked)) as function:
            answers = function.invoke(*asked, deadline=runtime.IN_1970)
            log, metrics = function.lines("stderr"), function.lines("stdout")
        for answer, package in zip(answers, packages, strict=True):
            self.assert_verdict(answer["statusCode"], answer["body"], package)
        verdicts = [line for line in log if line.get("event") == "verdict"]
        told = {line["package"]: line for line in verdicts}
        self.assertEqual(set(told), {package["purl"] for package in packages})
        self.assertEqual(len(verdicts), len(packages), "one line for each verdict")
        for invocation, package in zip(function.invocations.values(), packages, strict=True):
            line = told[package["purl"]]
            self.assertEqual((line["status"], line["reason"], line["fresh"]), (package["expected"], "api", True))
            # What Lambda's JSON format reads of a line.
            self.assertEqual(line["level"], "INFO")
            self.assertIn("timestamp", line)
            span = line["spans"][0]
            self.assertEqual((span["requestId"], span["xrayTraceId"]), (invocation.id, invocation.trace))
        # Metrics have standard output to themselves.
        named = [m["Name"] for line in metrics for d in line["_aws"]["CloudWatchMetrics"] for m in d["Metrics"]]
        self.assertEqual(named.count("VerdictsMade"), len(packages))
        for line in metrics:
            self.assertEqual(line["Function"], "verify-api")
            self.assertLess(abs(line["_aws"]["Timestamp"] / 1000 - time.time()), 600)

    def test_a_batch_from_a_host_without_a_deadline_is_worked_on(self):
        records, malformed, failing, _ = batch()
        with runtime.function(built().bootstrap("batch-verifier"), World.environment) as function:
            (answer,) = function.invoke({"Records": records}, seconds=100, deadline=runtime.IN_1970)
            log = function.lines("stderr")
        self.assertEqual([failure["itemIdentifier"] for failure in answer["batchItemFailures"]], failing)
        poison = [line["spans"][1]["messageId"] for line in log if line.get("event") == "message.poison"]
        self.assertEqual(poison, malformed)

    def test_a_registry_that_hangs_costs_no_invocation(self):
        purl = "pkg:npm/hangs@1.0.0"
        bodies = ["nothing", json.dumps({"schema": 1, "package": purl, "reason": "batch"})]
        records = {"Records": [{"messageId": str(index), "body": body} for index, body in enumerate(bodies)]}
        # Whoever connects waits.
        with socket.create_server(("127.0.0.1", 0)) as silent:
            environment = World.environment | {"HEKATE_NPM_URL": f"http://127.0.0.1:{silent.getsockname()[1]}"}
            for name, asked, seconds in (
                ("batch-verifier", records, 12),
                ("verify-api", event("api-gateway-v2-verdict.json", "pkg:npm/hangs-too@1.0.0"), 12),
            ):
                with self.subTest(function=name):
                    binary = built().bootstrap(name)
                    began = time.monotonic()
                    with rie.function(binary, environment, timeout=seconds, executable=OPTIONS.interface_emulator) as function:
                        answer = function.invoke(asked)
                    self.assertLess(time.monotonic() - began, seconds)
                    if name == "batch-verifier":
                        self.assertEqual(answer["batchItemFailures"], [{"itemIdentifier": "1"}])
                    else:
                        self.assert_verdict(
                            answer["statusCode"], answer["body"], {"purl": "pkg:npm/hangs-too@1.0.0", "expected": "indeterminate"}
                        )

    def test_a_table_that_does_not_hear_after_a_freeze_is_asked_on_another_connection(self):
        package = with_verdict()[0]
        asked = event("api-gateway-v2-verdict.json", package["purl"])
        table = urlsplit(World.aws.url)
        front = Front(table.hostname, table.port)
        self.addCleanup(front.close)
        environment = World.environment | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{front.port}"}
        with runtime.function(built().bootstrap("verify-api"), environment) as function:
            (before,) = function.invoke(asked)
            front.forget()
            began = time.monotonic()
            (after,) = function.invoke(asked, seconds=29)
            took = time.monotonic() - began
        for answer in (before, after):
            self.assert_verdict(answer["statusCode"], answer["body"], package)
        self.assertGreater(front.unheard, 0, "no connection was used that nobody hears")
        self.assertLess(took, 20)

    def test_a_package_is_put_on_the_watch_list(self):
        put = event("api-gateway-v2-watch.json")
        listed = json.loads(json.dumps(put).replace("PUT", "GET").replace("/v1/watch/npm/@scope/name", "/v1/watch"))
        answers = self.run_function("verify-api", put, listed)
        self.assertEqual([answer["statusCode"] for answer in answers], [200, 200], answers)
        entry, page = (json.loads(answer["body"]) for answer in answers)
        self.assertEqual(entry["package"], "pkg:npm/%40scope/name")
        self.assertIn(entry["package"], [entry["package"] for entry in page["packages"]])

    def test_a_batch_is_handed_in_worked_on_by_the_deployed_worker_and_read_over_http(self):
        package = with_verdict()[0]
        (answer,) = self.run_function("verify-api", event("api-gateway-v2-batch.json", package["purl"]))
        self.assertEqual(answer["statusCode"], 202, answer["body"])
        created = json.loads(answer["body"])
        self.assertEqual(created["total"], 1)
        batch = batch_when_done(created["url"])
        self.assertTrue(batch, "the batch was never done")
        self.assertEqual(batch["counts"], {package["expected"]: 1})

    def test_a_sweep_puts_what_is_due_on_the_queue(self):
        # The queue's consumer is held back, so that the message can be seen.
        functions = World.aws.client("lambda")
        name = World.outputs["QueueUrl"].rsplit("/", 1)[-1]
        mappings = functions.list_event_source_mappings()["EventSourceMappings"]
        (mapping,) = (mapping for mapping in mappings if mapping["EventSourceArn"].rsplit(":", 1)[-1] == name)
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        self.addCleanup(functions.update_event_source_mapping, UUID=mapping["UUID"], Enabled=True)
        queue = World.aws.client("sqs")
        queue.purge_queue(QueueUrl=World.outputs["QueueUrl"])
        self.run_function("verify-api", event("api-gateway-v2-verdict.json", expected_to_be("unavailable")[0]))
        for shape in ("schedule.json", "scheduled-event.json"):
            with self.subTest(shape=shape):
                self.assertTrue(make_something_due(), "no verdict left a next look in the table")
                self.run_function("sweeper", event(shape))
                messages = until(
                    lambda: queue.receive_message(QueueUrl=World.outputs["QueueUrl"], MaxNumberOfMessages=10).get("Messages"), 10
                )
                self.assertTrue(messages, "the sweep put nothing on the queue")
                for message in messages:
                    body = json.loads(message["Body"])
                    self.assertEqual(body["schema"], 1)
                    self.assertTrue(body["package"].startswith("pkg:"), body)
                    self.assertIn(body["reason"], ("sweep", "recheck"))
                    queue.delete_message(QueueUrl=World.outputs["QueueUrl"], ReceiptHandle=message["ReceiptHandle"])


class Wired(Verdicts, unittest.TestCase):
    """The deployed stack, each function with its own role enforced."""

    def get(self, path):
        return World.aws.get(World.outputs["ApiUrl"], path)

    def invoke(self, asked):
        """What the deployed API function answers to an event of the gateway: the status, and the JSON of the body if there is one."""
        answer = World.aws.client("lambda").invoke(FunctionName=World.resources["VerifyApiFunction"], Payload=json.dumps(asked))
        payload = json.loads(answer["Payload"].read())
        self.assertNotIn("FunctionError", answer, payload)
        return payload["statusCode"], json.loads(payload["body"]) if payload.get("body") else None

    def watch(self, method, name):
        """What the deployed API function answers about an entry of the watch list."""
        text = (EVENTS / "api-gateway-v2-watch.json").read_text()
        return self.invoke(json.loads(text.replace("PUT", method).replace("@scope/name", name)))

    def test_the_api_answers_over_http(self):
        for package in with_verdict():
            name, version = name_and_version(package["purl"])
            for path in (
                f"/v1/verdicts/npm/{name}/{version}",
                f"/v1/verdicts/npm/{quote(name, safe='')}/{version}",
                f"/v1/verdicts?purl={quote(package['purl'], safe='')}",
            ):
                with self.subTest(path=path):
                    status, _, body = self.get(path)
                    self.assert_verdict(status, body, package)

    def test_liveness_and_identity_are_public_and_what_has_no_route_is_not_found(self):
        self.assertEqual(self.get("/healthz")[0], 200)
        self.assertEqual(self.get("/.well-known/hekate.json")[0], 200)
        self.assertEqual(self.get("/openapi.json")[0], 200)
        self.assertEqual(self.get("/v1/nothing")[0], 404)

    def test_a_summary_is_signed_once_and_verifies_with_the_published_key(self):
        purl = expected_to_be("attested")[0]
        path = "/v1/verdicts/npm/{}/{}".format(*name_and_version(purl))
        status, _, verdict = self.get(path)
        self.assertEqual(status, 200, verdict)
        answers = [self.get(f"{path}/attestation") for _ in range(3)]
        self.assertEqual([answer[0] for answer in answers], [200] * 3, answers[0])
        # No two signatures over the same message are alike.
        self.assertEqual(len({answer[2] for answer in answers}), 1)
        envelope = json.loads(answers[0][2])

        (listed,) = json.loads(self.get("/.well-known/hekate.json")[2])["keys"]
        key, der = public_key(listed)
        self.assertEqual(listed["keyId"], hashlib.sha256(der).hexdigest())
        self.assertTrue(listed["signs"])
        self.assertEqual(envelope["signatures"][0]["keyid"], listed["keyId"])
        in_kms = World.aws.client("kms").get_public_key(KeyId=World.outputs["SigningKeyArn"])
        self.assertEqual(der, in_kms["PublicKey"])

        statement = statement_of(envelope, key)
        predicate = statement["predicate"]
        self.assertEqual(statement["_type"], "https://in-toto.io/Statement/v1")
        self.assertEqual(statement["predicateType"], "https://slsa.dev/verification_summary/v1")
        self.assertEqual(predicate["resourceUri"], purl)
        self.assertEqual(predicate["verificationResult"], "PASSED")
        self.assertEqual(predicate["verifiedLevels"], ["SLSA_BUILD_LEVEL_UNEVALUATED", "HEKATE_ATTESTED"])
        artifact = json.loads(verdict)["artifact"]
        self.assertEqual([subject["digest"]["sha256"] for subject in statement["subject"]], [artifact["sha256"]])
        own = predicate["urn:hekate:summary:1"]
        self.assertEqual(own["verdict"]["digest"]["sha256"], hashlib.sha256(verdict).hexdigest())

        forged = statement | {"predicate": predicate | {"verifiedLevels": ["SLSA_BUILD_LEVEL_3"]}}
        bent = envelope | {"payload": base64.b64encode(json.dumps(forged).encode()).decode()}
        with self.assertRaises(InvalidSignature):
            statement_of(bent, key)

    def test_what_cannot_be_signed_is_not_found(self):
        undecided = expected_to_be("unavailable")[0]
        self.get(f"/v1/verdicts?purl={quote(undecided, safe='')}")
        for purl, code in ((undecided, "no_summary"), (expected_to_be("absent")[0], "not_found")):
            status, _, body = self.get("/v1/verdicts/npm/{}/{}/attestation".format(*name_and_version(purl)))
            self.assertEqual((status, json.loads(body)["error"]["code"]), (404, code), body)

    def test_changes_are_public_and_the_watch_list_is_not(self):
        status, _, body = self.get("/v1/changes?since=2026-01-01T00:00:00Z")
        self.assertEqual(status, 200, body)
        self.assertIn("next", json.loads(body))
        self.assertIn(self.get("/v1/watch")[0], (401, 403))

    def test_the_api_sends_a_batch_to_the_workers_with_its_own_role(self):
        package = [package for package in with_verdict() if package["expected"] != "indeterminate"][-1]
        status, created = self.invoke(event("api-gateway-v2-batch.json", package["purl"]))
        self.assertEqual((status, created["total"]), (202, 1))
        # What could not be sent a sweep would hand over, but only after two minutes.
        batch = batch_when_done(created["url"])
        self.assertTrue(batch, "the batch was never done")
        self.assertEqual(batch["counts"], {package["expected"]: 1})

    def test_the_api_puts_packages_on_the_watch_list_and_takes_them_off_with_its_own_role(self):
        status, entry = self.watch("PUT", "watched-for-a-while")
        self.assertEqual((status, entry["package"]), (200, "pkg:npm/watched-for-a-while"))
        self.assertEqual(self.watch("GET", "watched-for-a-while"), (200, entry))
        self.assertEqual(self.watch("DELETE", "watched-for-a-while"), (204, None))
        self.assertEqual(self.watch("GET", "watched-for-a-while")[0], 404)

    def test_what_is_not_granted_is_refused(self):
        """Without this, every other test of this class would pass under roles that grant nothing."""
        self.assertEqual(self.watch("PUT", "watched-by-force")[0], 200)
        with emulator.taken_away(World.aws, World.resources["VerifyApiRole"], "dynamodb:DeleteItem"):
            self.assertEqual(self.watch("DELETE", "watched-by-force")[0], 503)
            self.assertEqual(self.watch("GET", "watched-by-force")[0], 200)
        self.assertEqual(self.watch("DELETE", "watched-by-force")[0], 204)

    def test_who_does_not_say_who_he_is_changes_nothing(self):
        self.assertEqual(self.watch("PUT", "watched-by-somebody")[0], 200)
        package = json.dumps({"packages": [with_verdict()[0]["purl"]]}).encode()
        for method, path, body in (
            ("POST", "/v1/batches", package),
            ("POST", "/v1/watch", package),
            ("PUT", "/v1/watch/npm/watched-by-nobody", None),
            ("DELETE", "/v1/watch/npm/watched-by-somebody", None),
        ):
            with self.subTest(method=method, path=path):
                status, _, answer = World.aws.ask(World.outputs["ApiUrl"], method, path, body)
                self.assertIn(status, (401, 403), answer)
        self.assertEqual(self.watch("GET", "watched-by-nobody")[0], 404)
        self.assertEqual(self.watch("DELETE", "watched-by-somebody")[0], 204)

    def test_the_worker_takes_ten_messages_and_only_the_failing_one_is_given_up(self):
        queue = World.aws.client("sqs")
        # What earlier tests left in flight would come back only after ten minutes.
        queue.purge_queue(QueueUrl=World.outputs["QueueUrl"])
        # Seconds instead of ten minutes between two receipts, so that five failures fit into a test.
        queue.set_queue_attributes(QueueUrl=World.outputs["QueueUrl"], Attributes={"VisibilityTimeout": "1"})
        records, *_ = batch()
        sent = queue.send_message_batch(
            QueueUrl=World.outputs["QueueUrl"],
            Entries=[{"Id": str(index), "MessageBody": record["body"]} for index, record in enumerate(records)],
        )
        self.assertEqual(len(sent["Successful"]), 10)
        given_up = until(lambda: self.messages("WorkDeadLetterQueue"), 60)
        self.assertTrue(given_up, "nothing reached the dead-letter queue")
        # A sweep may have put the same package on the queue a second time.
        self.assertEqual({json.loads(body)["package"] for body in given_up}, set(expected_to_be("unavailable")[:1]))
        self.assertTrue(until(lambda: self.left(queue) == {"0"}, 60), "messages stay on the queue")

    def left(self, queue):
        """How many messages the queue still has, waiting and in flight."""
        attributes = queue.get_queue_attributes(
            QueueUrl=World.outputs["QueueUrl"],
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )
        return set(attributes["Attributes"].values())

    def messages(self, logical_name):
        received = World.aws.client("sqs").receive_message(
            QueueUrl=World.resources[logical_name], MaxNumberOfMessages=10, VisibilityTimeout=0
        )
        return [message["Body"] for message in received.get("Messages", [])]

    def test_the_schedules_payload_runs_the_deployed_sweeper(self):
        answer = World.aws.client("lambda").invoke(
            FunctionName=World.resources["SweeperFunction"], Payload=(EVENTS / "schedule.json").read_bytes()
        )
        self.assertNotIn("FunctionError", answer, answer["Payload"].read())

    def test_the_schedule_starts_the_sweeper_which_claims_what_is_due(self):
        # A registry that fails leaves a next look.
        self.get(f"/v1/verdicts?purl={quote(expected_to_be('unavailable')[0], safe='')}")
        key = make_something_due()
        self.assertTrue(key, "no verdict left a next look in the table")

        def claimed():
            item = World.aws.client("dynamodb").get_item(TableName=World.outputs["TableName"], Key=key, ConsistentRead=True)["Item"]
            return not item.get("due_at", {"S": ""})["S"].startswith("2000")

        # Nobody but the schedule, which fires every minute, starts a sweep here.
        self.assertTrue(until(claimed, 120), "two minutes passed without a sweep")

    def test_the_dead_letter_queue_takes_from_the_two_queues_of_work_and_from_no_other(self):
        sqs = World.aws.client("sqs")
        (policy,) = sqs.get_queue_attributes(
            QueueUrl=World.resources["WorkDeadLetterQueue"], AttributeNames=["RedriveAllowPolicy"]
        )["Attributes"].values()
        sources = [
            sqs.get_queue_attributes(QueueUrl=World.outputs[name], AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            for name in ("QueueUrl", "BatchQueueUrl")
        ]
        self.assertEqual(json.loads(policy), {"redrivePermission": "byQueue", "sourceQueueArns": sources})


@contextmanager
def a_forge_that_has_nothing():
    """Its address, and the credentials of every request that it answers with 404."""
    credentials = []

    class Forge(BaseHTTPRequestHandler):
        def do_GET(self):
            credentials.append(self.headers.get("Authorization"))
            self.send_error(404)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Forge)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", credentials
    finally:
        server.shutdown()
        server.server_close()


class Token(unittest.TestCase):
    """A stack of its own whose parameter names a secret, each function with its own role enforced."""

    def credentials(self, name_of):
        """What GitHub is sent for one package, where `name_of` makes the parameter of the secret's address."""
        with a_forge_that_has_nothing() as (forge, credentials), emulator.start(enforce_permissions=True) as aws:
            secret = aws.client("secretsmanager").create_secret(Name="hekate/github", SecretString='{"token": "t0p-s3cret"}')
            upstreams = {"HEKATE_GITHUB_URL": forge} | {
                variable: World.registry[key] for key, variable in UPSTREAMS.items() if variable != "HEKATE_GITHUB_URL"
            }
            outputs, _ = emulator.deploy(aws, built(), parameters(upstreams) | {"GitHubTokenSecret": name_of(secret["ARN"])})
            purl = expected_to_be("attested")[0]
            status, _, body = aws.get(outputs["ApiUrl"], f"/v1/verdicts?purl={quote(purl, safe='')}")
            self.assertEqual(status, 200, body)
            self.assertEqual(json.loads(body)["package"], purl)
            self.assertNotIn("s3cret", body.decode())
        self.assertTrue(credentials, "GitHub was not asked")
        return set(credentials)

    def test_the_token_of_the_secret_is_sent_to_github(self):
        self.assertEqual(self.credentials(lambda address: address), {"Bearer t0p-s3cret"})

    def test_without_its_secret_a_function_asks_without_a_token(self):
        self.assertEqual(self.credentials(lambda address: address[:-6] + "000000"), {None})


class Bus(unittest.TestCase):
    """A stack of its own whose parameter names an event bus, each function with its own role enforced."""

    def setUp(self):
        running = emulator.start(enforce_permissions=True)
        self.aws = running.__enter__()
        self.addCleanup(running.__exit__, None, None, None)
        events, self.sqs = self.aws.client("events"), self.aws.client("sqs")
        bus = events.create_event_bus(Name="verdicts")["EventBusArn"]
        self.heard = self.sqs.create_queue(QueueName="heard")["QueueUrl"]
        (arn,) = self.sqs.get_queue_attributes(QueueUrl=self.heard, AttributeNames=["QueueArn"])["Attributes"].values()
        pattern = {"source": ["hekate"], "detail-type": ["Hekate Verdict Changed"]}
        events.put_rule(Name="all", EventBusName="verdicts", EventPattern=json.dumps(pattern))
        events.put_targets(Rule="all", EventBusName="verdicts", Targets=[{"Id": "heard", "Arn": arn}])
        upstreams = {variable: World.registry[key] for key, variable in UPSTREAMS.items()}
        self.outputs, self.resources = emulator.deploy(self.aws, built(), parameters(upstreams) | {"EventBusArn": bus})

    def events(self):
        """The details of the events that came since the last time."""
        received = self.sqs.receive_message(QueueUrl=self.heard, MaxNumberOfMessages=10).get("Messages", [])
        for message in received:
            self.sqs.delete_message(QueueUrl=self.heard, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"])["detail"] for message in received]

    def assert_heard(self, purl):
        heard = until(self.events, 60)
        self.assertEqual({event["subject"] for event in heard}, {purl})
        for event in heard:
            self.assertEqual((event["type"], event["data"]["package"]), ("dev.hekate.verdict.changed", purl))

    def look(self, purl):
        status, _, body = self.aws.get(self.outputs["ApiUrl"], f"/v1/verdicts?purl={quote(purl, safe='')}")
        self.assertEqual(status, 200, body)

    def owed(self):
        """The announcements that nobody has delivered yet, as rows of the table."""
        items = self.aws.client("dynamodb").scan(TableName=self.outputs["TableName"], ConsistentRead=True)["Items"]
        return [item for item in items if item["pk"]["S"].startswith("OWED#")]

    def age(self, row):
        """Makes an announcement that is owed one of long ago: a sweep leaves those of the last two minutes to whoever made them."""
        dynamodb, table = self.aws.client("dynamodb"), self.outputs["TableName"]
        dynamodb.put_item(TableName=table, Item=row | {"sk": {"S": "2000" + row["sk"]["S"][4:]}})
        dynamodb.delete_item(TableName=table, Key={"pk": row["pk"], "sk": row["sk"]})

    def test_every_function_announces_on_the_bus_that_is_named_with_its_own_role(self):
        calm = expected_to_be("unavailable")[0]
        asked, worked = expected_to_be(*TOLD)[:2]
        with self.subTest("the API"):
            self.look(asked)
            self.assert_heard(asked)
            self.assertEqual(self.owed(), [])
        with self.subTest("the worker"):
            message = {"schema": 1, "package": worked, "reason": "sweep"}
            self.sqs.send_message(QueueUrl=self.outputs["QueueUrl"], MessageBody=json.dumps(message))
            self.assert_heard(worked)
        with self.subTest("the sweeper"):
            with emulator.taken_away(self.aws, self.resources["VerifyApiRole"], "events:PutEvents"):
                self.look(calm)
            (row,) = self.owed()
            self.assertEqual(self.events(), [])
            self.age(row)
            # The schedule may have been first.
            self.aws.client("lambda").invoke(FunctionName=self.resources["SweeperFunction"], Payload=(EVENTS / "schedule.json").read_bytes())
            self.assert_heard(calm)


@contextmanager
def front_of_the_deployed_api():
    """An address of the deployed API that needs no host name: how another verifier reaches it."""

    class Forward(BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers, body = World.aws.get(World.outputs["ApiUrl"], self.path)
            self.send_response(status)
            self.send_header("Content-Type", headers["Content-Type"])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Forward)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Peers(Verdicts, unittest.TestCase):
    """A stack of its own: one that has the deployed one as its peer."""

    def test_two_deployed_verifiers_compare_what_they_say(self):
        key = World.aws.client("kms").get_public_key(KeyId=World.outputs["SigningKeyArn"])["PublicKey"]
        upstreams = {variable: World.registry[key] for key, variable in UPSTREAMS.items()}
        with front_of_the_deployed_api() as address, emulator.start(enforce_permissions=True) as aws:
            peers = {"Peers": f"{address}#{base64.b64encode(key).decode()}"}
            outputs, _ = emulator.deploy(aws, built(), parameters(upstreams) | peers)
            for package in with_verdict():
                path = "npm/{}/{}".format(*name_and_version(package["purl"]))
                status, _, body = aws.get(outputs["ApiUrl"], f"/v1/network/{path}")
                self.assertEqual(status, 200, body)
                report = json.loads(body)
                with self.subTest(package=package["purl"]):
                    # Who saw nothing has nothing to agree on.
                    agreed = ("skew", 0) if package["expected"] == "indeterminate" else ("agree", 1)
                    self.assertEqual((report["result"], report["agreeing"]), agreed)
                    (answer,) = report["peers"]
                    self.assertEqual(answer["says"]["status"], package["expected"])
                    self.assertEqual(answer["says"]["evidence"], report["ours"]["evidence"])
                    said = statement_of(answer["envelope"], serialization.load_der_public_key(key))
                    self.assert_verdict(200, json.dumps(said), package)
        status, _, body = World.aws.get(World.outputs["ApiUrl"], f"/v1/network/{path}")
        self.assertEqual((status, json.loads(body)["error"]["code"]), (404, "no_peers"))


class NamedKey(Verdicts, unittest.TestCase):
    """A stack of its own: one that signs with a key that was there before, after another one."""

    def test_a_stack_signs_with_the_key_that_is_named_and_publishes_the_one_before(self):
        with emulator.start(enforce_permissions=True) as aws:
            kms = aws.client("kms")
            arns = [
                kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"] for _ in range(2)
            ]
            earlier, current = (kms.get_public_key(KeyId=arn)["PublicKey"] for arn in arns)
            upstreams = {variable: World.registry[key] for key, variable in UPSTREAMS.items()}
            keys = {"SigningKeyArn": arns[1], "EarlierKeys": base64.b64encode(earlier).decode()}
            outputs, resources = emulator.deploy(aws, built(), parameters(upstreams) | keys)
            self.assertNotIn("SigningKey", resources)
            self.assertEqual(outputs["SigningKeyArn"], arns[1])
            status, _, document = aws.get(outputs["ApiUrl"], "/.well-known/hekate.json")
            self.assertEqual(status, 200, document)
            listed = [(public_key(key)[1], key["signs"]) for key in json.loads(document)["keys"]]
            self.assertEqual(listed, [(current, True), (earlier, False)])

            name, version = name_and_version(expected_to_be("attested")[0])
            self.assertEqual(aws.get(outputs["ApiUrl"], f"/v1/verdicts/npm/{name}/{version}")[0], 200)
            status, _, envelope = aws.get(outputs["ApiUrl"], f"/v1/verdicts/npm/{name}/{version}/attestation")
            self.assertEqual(status, 200, envelope)
            statement_of(json.loads(envelope), public_key(json.loads(document)["keys"][0])[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True, help="what sam build left")
    parser.add_argument("--sam", type=Path, required=True, help="the program that deploys it")
    parser.add_argument("--interface-emulator", type=Path, required=True, help="the runtime interface emulator's executable")
    parser.add_argument("--registry-command", required=True)
    parser.add_argument("--expectations", type=Path)
    _, rest = parser.parse_known_args(namespace=OPTIONS)
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)


if __name__ == "__main__":
    main()
