"""The arithmetic of cost.py, and what it refuses."""

import contextlib
import copy
import io
import json
import tempfile
import unittest
from decimal import Decimal
from pathlib import Path

import cost

PRICES = json.loads(Path(__file__).with_name("prices.json").read_text())

# Round numbers, so that the sums below can be made in one's head. They are measurements of nothing.
MADE_UP = {
    "architecture": "arm64",
    "memory_mb": {"batch-verifier": 512, "verify-api": 1024},
    "measured": "made up",
    "paths": {
        "batched": {
            "description": "ten messages for each invocation",
            "functions": {"batch-verifier": {"invocations": 0.1, "billed_ms": 3000}},
            "requests": {"sqs": 0.3, "kms_sign": 0.01, "xray": 0.005},
            "dynamodb": {"write_units": 8, "read_units": 1},
            "bytes": {"logs": 1000, "stored": 20000},
        },
        "remembered": {
            "description": "one request for a verdict that is in the table",
            "functions": {"verify-api": {"invocations": 1, "billed_ms": 4}},
            "requests": {"http_api": 1},
            "dynamodb": {"write_units": 0, "read_units": 2},
            "bytes": {"logs": 500, "stored": 0, "data_out": 10000},
        },
    },
}


def run(measurements, prices=None, *arguments):
    """Exit status, standard output and standard error of the program."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for name, document in (("measurements.json", measurements), ("prices.json", prices or PRICES)):
            file = Path(folder) / name
            file.write_text(document if isinstance(document, str) else json.dumps(document))
            files.append(str(file))
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            status = cost.main(["--measurements", files[0], "--prices", files[1], *arguments])
        return status, output.getvalue(), errors.getvalue()


def changed(place, value):
    """The made-up measurements with another value at a place; `...` takes it away."""
    document = copy.deepcopy(MADE_UP)
    *keys, last = place
    target = document
    for key in keys:
        target = target[key]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return document


class Arithmetic(unittest.TestCase):
    def paths(self, measurements=None):
        document = json.loads(json.dumps(measurements or MADE_UP), parse_float=Decimal)
        return {path.name: path for path in cost.read_paths(document, cost.read_prices(PRICES))}

    def test_every_term_is_a_quantity_times_a_million_times_a_price(self):
        dollars = {term.what: term.dollars for term in self.paths()["batched"].terms}
        self.assertEqual(
            dollars,
            {
                "batch-verifier: invocations": Decimal("0.02"),  # 0.1 × 0.20
                # 0.1 × 3 s × half a GB = 0.15 GB-seconds of a verdict
                "batch-verifier: 0.1 × 3000 ms × 512 MB": Decimal("2.00001"),
                "requests: sqs": Decimal("0.12"),  # 0.3 × 0.40
                "requests: kms_sign": Decimal("0.15"),  # 0.01 × 15.00
                "requests: xray": Decimal("0.025"),  # 0.005 × 5.00
                "dynamodb: write_units": Decimal("5"),  # 8 × 0.625
                "dynamodb: read_units": Decimal("0.125"),
                "bytes: logs": Decimal("0.5"),  # 1 kB × a million is a GB
            },
        )

    def test_a_sum_has_every_term_and_nothing_that_is_charged_by_the_month(self):
        path = self.paths()["batched"]
        self.assertEqual(path.dollars, Decimal("7.94001"))
        self.assertEqual(path.dollars_a_month, Decimal("9"))  # 20 GB × (0.25 + 0.20)

    def test_a_remembered_verdict_costs_its_request_its_reads_and_what_is_sent(self):
        # 1.00 + 0.20 + 0.004 GB-seconds × 13.3334 + 2 × 0.125 + 0.5 × 0.50 + 10 GB × 0.09
        self.assertEqual(self.paths()["remembered"].dollars, Decimal("2.6533336"))

    def test_the_architecture_decides_the_price_of_time_and_nothing_else(self):
        arm, x86 = self.paths()["batched"], self.paths(changed(["architecture"], "x86_64"))["batched"]
        self.assertEqual(x86.dollars - arm.dollars, Decimal("0.15") * (Decimal("16.6667") - Decimal("13.3334")))

    def test_more_memory_costs_in_proportion(self):
        twice = self.paths(changed(["memory_mb", "batch-verifier"], 1024))["batched"]
        self.assertEqual(twice.dollars - self.paths()["batched"].dollars, Decimal("2.00001"))

    def test_a_third_is_not_rounded_before_it_is_printed(self):
        path = self.paths(changed(["paths", "batched", "requests", "sqs"], "0.333333333333"))["batched"]
        (term,) = (term for term in path.terms if term.what == "requests: sqs")
        self.assertEqual(term.dollars, Decimal("0.1333333333332"))


class Output(unittest.TestCase):
    def test_every_format_shows_every_term_and_the_sum(self):
        for name in cost.FORMATS:
            with self.subTest(format=name):
                status, output, errors = run(MADE_UP, None, "--format", name)
                self.assertEqual((status, errors), (0, ""))
                for text in ("7.9400", "2.6533", "batch-verifier: 0.1 × 3000 ms × 512 MB", "0.15", "2.0000", "0.1250", "2026-11-22"):
                    self.assertIn(text, output)

    def test_json_is_json(self):
        _, output, _ = run(MADE_UP, None, "--format", "json")
        paths = {path["path"]: path for path in json.loads(output)}
        self.assertEqual(paths["batched"]["usd"], "7.9400")
        self.assertEqual(paths["batched"]["usdForEachMonthKept"], "9.0000")

    def test_a_price_that_nobody_confirmed_is_marked(self):
        _, output, _ = run(MADE_UP)
        (line,) = (line for line in output.splitlines() if line.startswith("requests: kms_sign"))
        self.assertIn("unconfirmed", line)

    def test_a_bar_is_held_or_broken(self):
        self.assertEqual(run(MADE_UP, None, "--bar", "batched=7.95", "--bar", "remembered=3")[0], 0)
        status, _, errors = run(MADE_UP, None, "--bar", "batched=7.93")
        self.assertEqual(status, 1)
        self.assertIn("batched costs 7.9400, and may cost 7.93", errors)


class Refusals(unittest.TestCase):
    def assert_refused(self, expected, *arguments):
        status, output, errors = run(*arguments)
        self.assertEqual((status, output), (2, ""))
        self.assertIn(expected, errors)

    def test_what_is_wrong_is_named_by_its_place(self):
        batched = ["paths", "batched"]
        for place, value, expected in (
            (["architecture"], "riscv", "measurements.architecture: must be one of arm64, x86_64, not 'riscv'"),
            (["measured"], ..., "measurements: lacks measured"),
            (["paths"], {}, "measurements.paths: must name at least one path"),
            (["memory_mb", "batch-verifier"], 0, "measurements.memory_mb.batch-verifier: must be more than nothing, not 0"),
            (["memory_mb"], {"verify-api": 512}, "functions.batch-verifier: measurements.memory_mb lacks batch-verifier"),
            ([*batched, "functions"], {"worker": {}}, "has worker, which means nothing here"),
            ([*batched, "functions", "batch-verifier", "billed_ms"], "soon", "billed_ms: must be a number, not 'soon'"),
            ([*batched, "functions", "batch-verifier", "invocations"], True, "invocations: must be a number, not True"),
            ([*batched, "requests", "sqs"], -1, "requests.sqs: must be nothing or more, not -1"),
            ([*batched, "requests", "sns"], 1, "requests: has sns, which means nothing here; known are http_api"),
            ([*batched, "dynamodb", "read_units"], ..., "dynamodb: lacks read_units"),
            ([*batched, "dynamodb", "read_units"], "NaN", "read_units: must be a number, not 'NaN'"),
            ([*batched, "bytes"], [], "bytes: must be an object"),
            ([*batched, "description"], " ", "description: must be a text"),
        ):
            with self.subTest(expected):
                self.assert_refused(expected, changed(place, value))

    def test_every_mistake_is_told_at_once(self):
        document = changed(["architecture"], "riscv")
        document["paths"]["batched"]["requests"]["sqs"] = None
        status, _, errors = run(document)
        self.assertEqual(status, 2)
        self.assertEqual(len(errors.splitlines()), 2)

    def test_a_price_without_a_date_or_a_source_is_none(self):
        for key in ("date", "source", "usd", "unit", "per", "confirmed"):
            prices = copy.deepcopy(PRICES)
            del prices["prices"]["sqs_request"][key]
            with self.subTest(key):
                self.assert_refused(f"prices.prices.sqs_request: lacks {key}", MADE_UP, prices)

    def test_a_missing_price_is_not_nothing(self):
        prices = copy.deepcopy(PRICES)
        del prices["prices"]["sqs_request"]
        self.assert_refused("prices.prices: lacks sqs_request", MADE_UP, prices)

    def test_what_is_no_json_and_a_bar_for_no_path_are_refused(self):
        self.assert_refused("is no JSON", "{")
        self.assert_refused("is not PATH=DOLLARS", MADE_UP, None, "--bar", "batch=9")


if __name__ == "__main__":
    unittest.main()
