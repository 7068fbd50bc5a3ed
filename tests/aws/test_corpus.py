"""Every recorded npm case through the command line and through the API's and the worker's binaries.

    test_corpus.py --build DIR --sam FILE --binaries DIR --interface-emulator FILE

The functions are those that `sam build` left. The folder of binaries holds `hekate` and `corpus-registry`, which serves the folder that HEKATE_CORPUS names: each case under an address of its
own, with the verdict that the folder's index names. Without the variable nothing is run, and that is said.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from urllib.parse import quote

import emulator
import rie
from test_functions import start_registry, stop_registry

OPTIONS = argparse.Namespace()


class Corpus(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not os.environ.get("HEKATE_CORPUS"):
            raise unittest.SkipTest("HEKATE_CORPUS is not set: the recorded cases were not run")
        cls.build = emulator.Build(OPTIONS.build, OPTIONS.sam)
        registry, line = start_registry(str(OPTIONS.binaries / "corpus-registry"))
        cls.addClassCleanup(stop_registry, registry)
        # Runs and commits are not recorded: the registry answers 404 to everything below this address.
        cls.upstreams = {
            "HEKATE_GITHUB_URL": f"{line['npmUrl']}/github",
            "HEKATE_TRUSTED_ROOT": line["trustedRoot"],
            "HEKATE_NPM_KEYS": line["npmKeys"],
            "HEKATE_TUF_URL": "off",
        }
        cls.packages = line["packages"]
        statuses = {package["expected"] for package in cls.packages}
        assert {"attested", "mismatch"} <= statuses, f"nothing would be proved: {statuses}"

    def assert_expected(self, verdict, package):
        if package["expected"] == "not accepted":
            self.assertNotIn(verdict["status"], ("attested", "verified"))
        else:
            self.assertEqual(verdict["status"], package["expected"], verdict["decidedBy"])

    def test_the_command_line_gives_the_verdict_of_the_index(self):
        for package in self.packages:
            with self.subTest(case=package["recording"]), tempfile.TemporaryDirectory() as folder:
                environment = {**os.environ, **self.upstreams, "HEKATE_NPM_URL": package["npmUrl"], "HEKATE_STORE": f"{folder}/store"}
                ran = subprocess.run(
                    [OPTIONS.binaries / "hekate", "verify", "--format", "json", package["purl"]],
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=120,
                    check=False,
                )
                verdict = json.loads(ran.stdout)
                self.assert_expected(verdict, package)
                exits = {"attested": 0, "unattested": 0, "indeterminate": 75}
                self.assertEqual(ran.returncode, exits.get(verdict["status"], 1), ran.stderr)

    def test_the_api_and_the_worker_give_the_verdict_of_the_index(self):
        with emulator.start() as aws:
            # The schedule may set the deployed functions to work, too.
            nothing = self.upstreams["HEKATE_GITHUB_URL"]
            everybody = ("NpmUrl", "PypiUrl", "HomebrewUrl", "GitHubUrl")
            outputs, _ = emulator.deploy(aws, self.build, dict.fromkeys(everybody, nothing))
            for package in self.packages:
                environment = {
                    **self.upstreams,
                    "AWS_ENDPOINT_URL": aws.url,
                    "AWS_REGION": emulator.REGION,
                    "AWS_ACCESS_KEY_ID": "test",
                    "AWS_SECRET_ACCESS_KEY": "test",
                    "HEKATE_TABLE": outputs["TableName"],
                    "HEKATE_QUEUE_URL": outputs["QueueUrl"],
                    "HEKATE_NPM_URL": package["npmUrl"],
                }
                with self.subTest(case=package["recording"]):
                    self.forget(aws, outputs["TableName"])
                    self.assert_expected(self.from_worker(environment, package["purl"]), package)
                    self.forget(aws, outputs["TableName"])
                    self.assert_expected(self.from_api(environment, package["purl"]), package)

    def forget(self, aws, table):
        """Empties the table: several cases are about one version, and each is to be seen for the first time."""
        dynamodb = aws.client("dynamodb")
        for item in dynamodb.scan(TableName=table)["Items"]:
            dynamodb.delete_item(TableName=table, Key={"pk": item["pk"], "sk": item["sk"]})

    def from_api(self, environment, purl):
        query = f"purl={quote(purl, safe='')}"
        event = {
            "version": "2.0",
            "routeKey": "GET /v1/verdicts",
            "rawPath": "/v1/verdicts",
            "rawQueryString": query,
            "headers": {"host": "api.example"},
            "queryStringParameters": {"purl": purl},
            "requestContext": {
                "http": {"method": "GET", "path": "/v1/verdicts", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "test"},
                "stage": "$default",
                "timeEpoch": 0,
            },
            "isBase64Encoded": False,
        }
        with rie.function(self.build.bootstrap("verify-api"), environment, executable=OPTIONS.interface_emulator) as function:
            answer = function.invoke(event)
        self.assertEqual(answer["statusCode"], 200, answer["body"])
        return json.loads(answer["body"])

    def from_worker(self, environment, purl):
        body = json.dumps({"schema": 1, "package": purl, "reason": "sweep"})
        bootstrap = self.build.bootstrap("batch-verifier")
        with rie.function(bootstrap, environment, executable=OPTIONS.interface_emulator) as function:
            answer = function.invoke({"Records": [{"messageId": "1", "body": body}]})
        self.assertEqual(answer["batchItemFailures"], [])
        # What the worker recorded is what the API then serves, and it asks no registry for it.
        return self.from_api({**environment, "HEKATE_NPM_URL": "http://127.0.0.1:1", "HEKATE_GITHUB_URL": "http://127.0.0.1:1"}, purl)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--sam", type=Path, required=True)
    parser.add_argument("--binaries", type=Path, required=True)
    parser.add_argument("--interface-emulator", type=Path, required=True)
    _, rest = parser.parse_known_args(namespace=OPTIONS)
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)


if __name__ == "__main__":
    main()
