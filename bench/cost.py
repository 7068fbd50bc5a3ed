#!/usr/bin/env python3
"""What a million verdicts cost on AWS, from what was measured and what is charged.

    python3 bench/cost.py --measurements FILE [--prices bench/prices.json] [--format text|json|markdown] [--bar PATH=DOLLARS]…

Every amount is `quantity of a verdict × 1,000,000 × price of a unit`, and every one is printed, so that the sum can be checked by hand.
With `--bar` the exit status is 1 if a path costs more. docs/cost.md describes the measurements and how they are made. Wrong input is
exit status 2, with every mistake that was found.

Nothing is rounded before it is printed: all arithmetic is decimal.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

VERDICTS = 1_000_000
GB = 1_000_000_000
ARCHITECTURES = ("arm64", "x86_64")
FUNCTIONS = ("verify-api", "batch-verifier", "sweeper")
# Of `requests`: what is counted → its price.
SERVICES = {
    "http_api": "http_api_request",
    "sqs": "sqs_request",
    "eventbridge": "eventbridge_event",
    "scheduler": "scheduler_invocation",
    "kms_sign": "kms_sign_ecc",
    "xray": "xray_trace",
}
# Of `dynamodb`.
UNITS = {"write_units": "dynamodb_write_unit", "read_units": "dynamodb_read_unit"}
# Of `bytes`: counted in bytes, charged by the gigabyte.
BYTES = {"logs": "logs_gb", "data_out": "data_out_gb"}
# Of `bytes.stored`: charged for each month that it is kept.
KEPT = ("dynamodb_storage_gb_month", "dynamodb_backup_gb_month")


class Mistakes(Exception):
    """Everything that is wrong with the input."""


@dataclass(frozen=True)
class Price:
    dollars: Decimal
    unit: str
    date: str
    source: str
    confirmed: bool


@dataclass(frozen=True)
class Term:
    """One line of a sum: so much of a unit for one verdict, at the price of a unit."""

    what: str
    quantity: Decimal
    price: Price

    @property
    def dollars(self):
        return self.quantity * VERDICTS * self.price.dollars


@dataclass(frozen=True)
class Way:
    """What one way to a verdict costs."""

    name: str
    description: str
    terms: list
    # What a million of its verdicts cost for each month that they are kept; no part of the sum.
    monthly: list

    @property
    def dollars(self):
        return sum((term.dollars for term in self.terms), Decimal(0))

    @property
    def dollars_a_month(self):
        return sum((term.dollars for term in self.monthly), Decimal(0))


class Reader:
    """Reads documents and collects every mistake in them."""

    def __init__(self):
        self.mistakes = []

    def wrong(self, place, what):
        self.mistakes.append(f"{place}: {what}")

    def object(self, value, place, required=(), optional=None):
        """An object with the required keys, and no other than the optional ones; `None` for `optional` allows any."""
        if not isinstance(value, dict):
            self.wrong(place, "must be an object")
            return {}
        for key in required:
            if key not in value:
                self.wrong(place, f"lacks {key}")
        if optional is not None:
            for key in value:
                if key not in required and key not in optional:
                    self.wrong(place, f"has {key}, which means nothing here; known are {', '.join([*required, *optional])}")
        return value

    def number(self, value, place, positive=False):
        """A decimal number that is not negative. JSON's numbers are read as text, so that 0.1 is a tenth."""
        number = None
        if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
            number = Decimal(value)
        elif isinstance(value, str):
            try:
                number = Decimal(value)
            except InvalidOperation:
                pass
        if number is None or not number.is_finite():
            self.wrong(place, f"must be a number, not {value!r}")
            return Decimal(0)
        if number < 0 or (positive and number == 0):
            self.wrong(place, f"must be {'more than nothing' if positive else 'nothing or more'}, not {number}")
            return Decimal(0)
        return number

    def text(self, value, place):
        if not isinstance(value, str) or not value.strip():
            self.wrong(place, "must be a text")
            return ""
        return value

    def finish(self):
        if self.mistakes:
            raise Mistakes("\n".join(self.mistakes))


def read_prices(document):
    """The prices of one unit each, by name."""
    reader = Reader()
    reader.object(document, "prices", ("region", "currency", "prices"), ("note",))
    if document.get("currency") != "USD":
        reader.wrong("prices.currency", "must be USD")
    needed = {*SERVICES.values(), *UNITS.values(), *BYTES.values(), *KEPT, "lambda_request"}
    needed |= {f"lambda_{architecture}_gb_second" for architecture in ARCHITECTURES}
    listed = reader.object(document.get("prices"), "prices.prices", sorted(needed), ())
    prices = {}
    for name, price in listed.items():
        place = f"prices.prices.{name}"
        reader.object(price, place, ("usd", "per", "unit", "date", "source", "confirmed"), ())
        if not isinstance(price, dict):
            continue
        if not isinstance(price.get("confirmed"), bool):
            reader.wrong(f"{place}.confirmed", "must be true or false")
        dollars = reader.number(price.get("usd"), f"{place}.usd")
        per = reader.number(price.get("per"), f"{place}.per", positive=True) or Decimal(1)
        prices[name] = Price(
            dollars=dollars / per,
            unit=reader.text(price.get("unit"), f"{place}.unit"),
            date=reader.text(price.get("date"), f"{place}.date"),
            source=reader.text(price.get("source"), f"{place}.source"),
            confirmed=price.get("confirmed") is True,
        )
    reader.finish()
    return prices


def read_paths(document, prices):
    """What each path of the measurements costs."""
    reader = Reader()
    top = reader.object(document, "measurements", ("architecture", "memory_mb", "measured", "paths"), ())
    architecture = top.get("architecture")
    if architecture not in ARCHITECTURES:
        reader.wrong("measurements.architecture", f"must be one of {', '.join(ARCHITECTURES)}, not {architecture!r}")
        architecture = ARCHITECTURES[0]
    reader.text(top.get("measured"), "measurements.measured")
    memory = reader.object(top.get("memory_mb"), "measurements.memory_mb", (), FUNCTIONS)
    memory = {name: reader.number(size, f"measurements.memory_mb.{name}", positive=True) for name, size in memory.items()}
    paths = reader.object(top.get("paths"), "measurements.paths")
    if not paths:
        reader.wrong("measurements.paths", "must name at least one path")
    read = [
        read_path(reader, name, path, memory, prices, prices[f"lambda_{architecture}_gb_second"]) for name, path in paths.items()
    ]
    reader.finish()
    return read


def read_path(reader, name, path, memory, prices, gb_second):
    place = f"measurements.paths.{name}"
    path = reader.object(path, place, ("description", "functions", "requests", "dynamodb", "bytes"), ())
    terms = []
    functions = reader.object(path.get("functions"), f"{place}.functions", (), FUNCTIONS)
    for function, use in functions.items():
        at = f"{place}.functions.{function}"
        use = reader.object(use, at, ("invocations", "billed_ms"), ())
        invocations = reader.number(use.get("invocations"), f"{at}.invocations")
        billed_ms = reader.number(use.get("billed_ms"), f"{at}.billed_ms")
        if function not in memory:
            reader.wrong(at, f"measurements.memory_mb lacks {function}")
            continue
        terms.append(Term(f"{function}: invocations", invocations, prices["lambda_request"]))
        seconds = invocations * billed_ms / 1000 * memory[function] / 1024
        what = f"{function}: {invocations.normalize():f} × {billed_ms.normalize():f} ms × {memory[function].normalize():f} MB"
        terms.append(Term(what, seconds, gb_second))
    for field, known in (("requests", SERVICES), ("dynamodb", UNITS)):
        counted = reader.object(path.get(field), f"{place}.{field}", tuple(UNITS) if field == "dynamodb" else (), tuple(known))
        for key, price in known.items():
            if key in counted:
                terms.append(Term(f"{field}: {key}", reader.number(counted[key], f"{place}.{field}.{key}"), prices[price]))
    sizes = reader.object(path.get("bytes"), f"{place}.bytes", ("logs", "stored"), ("data_out",))
    for key, price in BYTES.items():
        if key in sizes:
            terms.append(Term(f"bytes: {key}", reader.number(sizes[key], f"{place}.bytes.{key}") / GB, prices[price]))
    stored = reader.number(sizes.get("stored", 0), f"{place}.bytes.stored") / GB
    description = reader.text(path.get("description"), f"{place}.description")
    return Way(name, description, terms, [Term("bytes: stored", stored, prices[price]) for price in KEPT])


def money(amount):
    return f"{amount:.4f}"


def plain(quantity):
    """A quantity with all its digits, or ten after the first that counts."""
    return f"{+quantity.quantize(Decimal(1).scaleb(quantity.adjusted() - 10)).normalize():f}" if quantity else "0"


def unit(price):
    return f"{price.dollars.normalize():f}"


def as_json(paths):
    return json.dumps(
        [
            {
                "path": path.name,
                "description": path.description,
                "verdicts": VERDICTS,
                "usd": money(path.dollars),
                "usdForEachMonthKept": money(path.dollars_a_month),
                "terms": [
                    {
                        "what": term.what,
                        "quantityOfAVerdict": plain(term.quantity),
                        "unit": term.price.unit,
                        "usdOfAUnit": unit(term.price),
                        "usd": money(term.dollars),
                        "priceOf": term.price.date,
                        "priceFrom": term.price.source,
                        "priceConfirmed": term.price.confirmed,
                    }
                    for term in path.terms
                ],
            }
            for path in paths
        ],
        indent=2,
        ensure_ascii=False,
    )


HEADINGS = ("what", "of a verdict", "unit", "USD of a unit", "USD of a million", "price")


def rows(path):
    for term in path.terms:
        confirmed = "" if term.price.confirmed else ", unconfirmed"
        origin = f"{term.price.date}{confirmed}"
        yield (term.what, plain(term.quantity), term.price.unit, unit(term.price), money(term.dollars), origin)


def as_markdown(paths):
    parts = []
    for path in paths:
        lines = [f"**{path.name}**: {path.description}", "", "| " + " | ".join(HEADINGS) + " |", "|---|--:|---|--:|--:|---|"]
        lines += ["| " + " | ".join(row) + " |" for row in rows(path)]
        lines += [f"| **sum** | | | | **{money(path.dollars)}** | |", "", kept(path)]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def as_text(paths):
    parts = []
    for path in paths:
        table = [HEADINGS, *rows(path), ("sum", "", "", "", money(path.dollars), "")]
        widths = [max(len(row[column]) for row in table) for column in range(len(HEADINGS))]
        lines = [f"{path.name}: {path.description}"]
        for row in table:
            cells = [cell.rjust(width) if column in (1, 3, 4) else cell.ljust(width) for column, (cell, width) in enumerate(zip(row, widths, strict=True))]
            lines.append("  ".join(cells).rstrip())
        lines.append(kept(path))
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def kept(path):
    parts = " + ".join(f"{plain(term.quantity * VERDICTS)} GB × {unit(term.price)}" for term in path.monthly)
    return f"Kept in the table, besides: {parts} = {money(path.dollars_a_month)} for each month."


FORMATS = {"text": as_text, "json": as_json, "markdown": as_markdown}


def read_bars(bars, paths):
    """The most that each path may cost, by name."""
    reader, read = Reader(), {}
    for bar in bars:
        name, _, dollars = bar.rpartition("=")
        if name not in {path.name for path in paths}:
            reader.wrong("--bar", f"{bar!r} is not PATH=DOLLARS with a path of the measurements")
            continue
        read[name] = reader.number(dollars, f"--bar {name}")
    reader.finish()
    return read


def load(path):
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise Mistakes(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise Mistakes(f"{path} is no JSON: {error}") from error


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measurements", required=True, help="JSON, as docs/cost.md describes it")
    parser.add_argument("--prices", default=Path(__file__).with_name("prices.json"), help="JSON with the price of each unit")
    parser.add_argument("--format", choices=FORMATS, default="text")
    parser.add_argument("--bar", action="append", default=[], metavar="PATH=DOLLARS", help="the most that a path may cost")
    options = parser.parse_args(arguments)
    try:
        prices = read_prices(load(options.prices))
        paths = read_paths(load(options.measurements), prices)
        bars = read_bars(options.bar, paths)
    except Mistakes as mistakes:
        print(mistakes, file=sys.stderr)
        return 2
    print(FORMATS[options.format](paths))
    over = [path for path in paths if path.name in bars and path.dollars > bars[path.name]]
    for path in over:
        print(f"{path.name} costs {money(path.dollars)}, and may cost {bars[path.name]}", file=sys.stderr)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
