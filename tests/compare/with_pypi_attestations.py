"""Puts PyPI's own verifier beside Hekate.

    with_pypi_attestations.py FOLDER [--table FILE]

FOLDER holds what the test `cases_are_written_for_another_verifier` wrote: of each case the files, their provenance objects, the
trusted root to judge them by, and Hekate's verdict. Each file is verified by the library `pypi_attestations` as its own command
line does it: every attestation of every bundle, against the publisher that the bundle names. No network is used.

Prints a table of all cases. With --table the table in FILE is compared with it. Fails on a disagreement that is not explained
below, on an explanation of what is none, and if the table in FILE is another.
"""

import argparse
import json
import sys
from pathlib import Path

import pypi_attestations._impl as implementation
from pypi_attestations import AttestationError, Distribution, Provenance
from pydantic import ValidationError
from sigstore.models import TrustedRoot
from sigstore.verify import Verifier

# Of each case in which one accepts what the other does not: who is right, and why.
EXPLAINED = {
    "no bundles": (
        "Hekate",
        "PEP 740 demands a bundle; the library walks an empty list and finds nothing wrong",
    ),
    "a bundle without attestations": ("Hekate", "the same with an empty list of attestations"),
    "no bundles, beside an attested file": (
        "Hekate",
        "the same: an installer may take the file of which nothing is attested",
    ),
    "another environment in the certificate than the publisher's": (
        "Hekate",
        "the publisher that the index names is not the one that signed; the library compares no environments",
    ),
    "metadata of another project in the file": (
        "Hekate",
        "the file says that it is another project's; the library does not read it, and does not promise to",
    ),
    "signed by a run that failed before it published": (
        "Hekate",
        "a signature proves that some job signed: what became of the job is GitHub's to say, and the library does not ask",
    ),
}


def theirs(folder: Path, files: list[dict]) -> str:
    """What the library says of the files of a case: nothing if it accepts them all."""
    root = TrustedRoot.from_file(str(folder / "root.json"))
    production = classmethod(lambda cls, *, offline=False: cls(trusted_root=root))
    implementation.Verifier = type("Offline", (Verifier,), {"production": production})
    for file in files:
        if file["provenance"] is None:
            return "no provenance to verify"
        try:
            text = (folder / file["provenance"]).read_bytes()
            provenance = Provenance.model_validate_json(text)
        except ValidationError as error:
            return "no provenance object: " + error.errors()[0]["msg"]
        try:
            distribution = Distribution.from_file(folder / file["file"])
            for bundle in provenance.attestation_bundles:
                for attestation in bundle.attestations:
                    attestation.verify(bundle.publisher, distribution, offline=True)
        except (AttestationError, ValidationError) as error:
            return " ".join(str(error).split())
    return ""


def shortened(text: str) -> str:
    text = text.replace("|", "/")
    return text if len(text) <= 90 else text[:87] + "..."


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    lines = [
        "| case | `pypi_attestations` | Hekate | who is right, and why |",
        "|---|---|---|---|",
    ]
    troubles = []
    names = set()
    folders = sorted(path.parent for path in arguments.folder.glob("*/case.json"))
    for folder in folders:
        case = json.loads((folder / "case.json").read_text())
        name, status = case["name"], case["status"]
        names.add(name)
        refusal = theirs(folder, case["files"])
        ours = status
        if status not in ("attested", "verified"):
            ours += " by " + ", ".join(f"`{check}`" for check in case["decidedBy"][:2])
        agree = (refusal == "") == (status in ("attested", "verified"))
        right, why = EXPLAINED.get(name, ("both", ""))
        if agree and name in EXPLAINED:
            troubles.append(f"{name}: they agree, and a disagreement is explained")
        if not agree and name not in EXPLAINED:
            troubles.append(f"{name}: not explained: {refusal or 'accepted'} and {ours}")
        said = f"refused: {shortened(refusal)}" if refusal else "accepted"
        lines.append(f"| {name} | {said} | {ours} | {right}{': ' + why if why else ''} |")
    print("\n".join(lines))
    if len(folders) < 30:
        troubles.append(f"only {len(folders)} cases")
    if arguments.table is not None:
        text = arguments.table.read_text()
        missing = [line for line in lines if line not in text]
        troubles.extend(f"{arguments.table} lacks: {line}" for line in missing)
    for trouble in troubles:
        print(trouble, file=sys.stderr)
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main())
