"""The measurements that deployed.py makes of its figures."""

import json
import re
import unittest
from decimal import Decimal
from pathlib import Path

import cost
import deployed

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cost.md"
SPREAD = {"minimum": 1, "median": 2, "maximum": 3}
WORKER = {"perVerdictMs": 10, "loggedBytesPerVerdict": 100, "storedBytesPerVerdict": 1000}

# Measurements of nothing.
FIGURES = {
    "units": {
        work: {"readUnits": 2, "writeUnits": 4}
        for work in (
            "a first verdict",
            "a verdict that is remembered",
            "a verdict that is signed",
            "a batch of 500 that is handed in",
            "ten versions of a batch, first verdicts",
            "ten versions of a batch without attestations, first verdicts",
            "a version of a batch alone, first verdict",
        )
    },
    "api": {
        "freshMs": SPREAD,
        "freshSentBytes": 7000,
        "cachedMs": SPREAD,
        "cachedLoggedBytes": 50,
        "cachedSentBytes": 6000,
        "signedMs": SPREAD,
        "signedLoggedBytes": 60,
        "signedSentBytes": 9000,
        "signedStoredBytes": 300,
    },
    "alone": WORKER,
    "batched": WORKER,
    "batchedUnattested": WORKER,
}


class Measurements(unittest.TestCase):
    def setUp(self):
        self.paths = deployed.measurements(FIGURES)["paths"]

    def test_they_are_what_the_costs_are_computed_of(self):
        document = json.loads(json.dumps(deployed.measurements(FIGURES)), parse_float=Decimal)
        self.assertEqual(len(cost.read_paths(document, cost.read_prices(cost.load(deployed.PRICES)))), len(self.paths))

    def test_the_paths_are_those_that_the_page_compares(self):
        table = PAGE.read_text().split("| path | way |", 1)[1].split("\n\n", 1)[0]
        self.assertEqual(set(self.paths), set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE)))

    def test_every_invocation_is_traced_as_often_as_lambda_samples(self):
        for name, path in self.paths.items():
            invocations = sum(use["invocations"] for use in path["functions"].values())
            self.assertAlmostEqual(path["requests"]["xray"], 0.05 * invocations, msg=name)

    def test_an_answer_leaves_aws_and_what_a_worker_does_stays(self):
        leaving = {name: path["bytes"].get("data_out") for name, path in self.paths.items()}
        self.assertEqual({name: size for name, size in leaving.items() if size}, {"fresh-asked": 7000, "remembered": 6000, "signed": 9000})
        for name, path in self.paths.items():
            self.assertEqual("data_out" in path["bytes"], "http_api" in path["requests"], name)

    def test_only_what_is_asked_for_signed_is_signed(self):
        signing = {name: path["requests"]["kms_sign"] for name, path in self.paths.items() if "kms_sign" in path["requests"]}
        self.assertEqual(signing, {"signed": 1})


class Sizes(unittest.TestCase):
    def test_what_is_sent_is_the_head_and_the_body(self):
        answer = {"statusCode": 200, "headers": {"etag": '"x"'}, "body": "{}", "isBase64Encoded": False}
        self.assertEqual(deployed.sent(answer), len('HTTP/1.1 200\r\netag: "x"\r\n\r\n{}'))
        self.assertEqual(deployed.sent(answer | {"body": "e30=", "isBase64Encoded": True}), deployed.sent(answer))

    def test_a_signed_verdict_is_asked_for_by_its_path(self):
        event = deployed.signed_event("pkg:npm/%40scope/part-3@1.0.0")
        self.assertEqual(event["rawPath"], "/v1/verdicts/npm/@scope/part-3/1.0.0/signed")


if __name__ == "__main__":
    unittest.main()
