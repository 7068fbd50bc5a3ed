"""The life of a deployment: built by SAM, deployed, updated, deleted, and put up again on the table that was kept.

    test_deployment.py --build DIR --sam FILE --registry-command COMMAND

The arguments are those of test_functions.py.
"""

import argparse
import io
import json
import re
import struct
import sys
import time
import unittest
import zipfile
from pathlib import Path
from urllib.parse import quote

import emulator
from test_functions import PARAMETERS, UPSTREAMS, start_registry, stop_registry

RUNBOOK = Path(__file__).resolve().parents[2] / "docs" / "runbook.md"
OPTIONS = argparse.Namespace()

# Nothing listens there.
NOBODY = "http://127.0.0.1:1"

# `e_machine` of an ELF header.
MACHINES = {"x86_64": 62, "arm64": 183}


def retained_table():
    """The template with which the runbook takes up a table that a deleted stack left."""
    (template,) = re.findall(r"^```yaml\n(AWSTemplateFormatVersion.*?)^```$", RUNBOOK.read_text(), re.DOTALL | re.MULTILINE)
    return template


class Built(unittest.TestCase):
    def test_each_function_is_one_executable_for_the_architecture_that_was_asked_for(self):
        folders = {path.name for path in OPTIONS.build.iterdir() if path.is_dir()}
        self.assertEqual(folders, set(emulator.FUNCTIONS))
        for function in emulator.FUNCTIONS:
            bootstrap = OPTIONS.build / function / "bootstrap"
            self.assertEqual([path.name for path in bootstrap.parent.iterdir()], ["bootstrap"])
            self.assertTrue(bootstrap.stat().st_mode & 0o111, f"{function} is not executable")
            with bootstrap.open("rb") as file:
                header = file.read(20)
            self.assertEqual(header[:4], b"\x7fELF", function)
            (machine,) = struct.unpack_from("<H", header, 18)
            self.assertEqual(machine, MACHINES[emulator.HOST_PARAMETERS["Architecture"]], function)


class Life(unittest.TestCase):
    """Each step begins with what the one before left."""

    def setUp(self):
        self.build = emulator.Build(OPTIONS.build, OPTIONS.sam)
        running = emulator.start(enforce_permissions=True)
        self.aws = running.__enter__()
        self.addCleanup(running.__exit__, None, None, None)

    def verdict(self, outputs, package):
        status, _, body = self.aws.get(outputs["ApiUrl"], f"/v1/verdicts?purl={quote(package['purl'], safe='')}")
        self.assertEqual(status, 200, body)
        return json.loads(body)

    def test_verdicts_outlive_an_update_a_deletion_and_a_new_stack(self):
        registry, line = start_registry(OPTIONS.registry_command)
        self.addCleanup(stop_registry, registry)
        parameters = {PARAMETERS[variable]: line[key] for key, variable in UPSTREAMS.items() if key in line}
        outputs, resources = emulator.deploy(self.aws, self.build, parameters)
        table = outputs["TableName"]
        self.assertEqual(self.extension(resources), {})
        package = next(package for package in line["packages"] if package["expected"] == "attested")
        made = self.verdict(outputs, package)
        self.assertEqual(made["status"], "attested")

        # From here on nobody can be asked: a verdict comes from the table.
        parameters |= {name: NOBODY for name in parameters if name.endswith("Url")}
        changed = parameters | {"LogRetentionDays": "30", "FreshAfter": "900", "AlarmEmail": "operator@example.org"}
        changed |= {"DatadogLayerArn": self.layer(), "DatadogApiKeySecret": self.secret()}
        outputs, resources = emulator.deploy(self.aws, self.build, changed)
        self.assertEqual(outputs["TableName"], table)
        function = self.aws.client("lambda").get_function_configuration(FunctionName=resources["VerifyApiFunction"])
        self.assertEqual(function["Environment"]["Variables"]["HEKATE_FRESH_AFTER"], "900")
        groups = self.aws.client("logs").describe_log_groups()["logGroups"]
        self.assertEqual({group.get("retentionInDays") for group in groups}, {30})
        self.assert_alarms_notify(resources["AlarmTopic"], "operator@example.org")
        (extension,) = {json.dumps(each, sort_keys=True) for each in self.extension(resources).values()}
        self.assertEqual(
            json.loads(extension),
            {
                "layers": [changed["DatadogLayerArn"]],
                "DD_API_KEY_SECRET_ARN": changed["DatadogApiKeySecret"],
                "DD_ENV": "production",
                "DD_SERVICE": "hekate",
                "DD_SITE": "datadoghq.com",
                "DD_VERSION": "0.1.0",
            },
        )
        self.assertEqual(self.verdict(outputs, package), made)

        emulator.delete(self.aws, self.build)
        self.assertEqual(self.aws.client("dynamodb").list_tables()["TableNames"], [table])
        # What it signed can be verified for as long as its key is there.
        key = outputs["SigningKeyArn"]
        self.assertEqual(self.left(), {"keys": [key]})

        self.take_up(table)
        outputs, _ = emulator.deploy(self.aws, self.build, parameters | {"SigningKeyArn": key})
        self.assertEqual((outputs["TableName"], outputs["SigningKeyArn"]), (table, key))
        self.assertEqual(self.verdict(outputs, package), made)

    def layer(self):
        """A layer in place of Datadog's own, which is another account's."""
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as package:
            package.writestr("extension.txt", "nothing is started")
        layer = self.aws.client("lambda").publish_layer_version(LayerName="extension", Content={"ZipFile": content.getvalue()})
        return layer["LayerVersionArn"]

    def secret(self):
        return self.aws.client("secretsmanager").create_secret(Name="datadog/key", SecretString="t0p-s3cret")["ARN"]

    def extension(self, resources):
        """What the functions have of Datadog, by function; nothing of one that has nothing."""
        found = {}
        for function in emulator.FUNCTIONS:
            configuration = self.aws.client("lambda").get_function_configuration(FunctionName=resources[function])
            variables = configuration["Environment"]["Variables"]
            of_datadog = {name: value for name, value in variables.items() if name.startswith("DD_")}
            layers = [layer["Arn"] for layer in configuration.get("Layers", [])]
            if of_datadog or layers:
                found[function] = {"layers": layers, **of_datadog}
        return found

    def assert_alarms_notify(self, topic, address):
        alarms = self.aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
        self.assertTrue(alarms)
        for alarm in alarms:
            self.assertEqual(alarm["AlarmActions"], [topic], alarm["AlarmName"])
        subscriptions = self.aws.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        self.assertEqual([(s["Protocol"], s["Endpoint"]) for s in subscriptions], [("email", address)])

    def left(self):
        """What an account still has besides tables, and SAM's own bucket; keys wait for their end for some days."""
        everything = {
            "queues": self.aws.client("sqs").list_queues().get("QueueUrls", []),
            "functions": self.aws.client("lambda").list_functions()["Functions"],
            "event sources": self.aws.client("lambda").list_event_source_mappings()["EventSourceMappings"],
            "roles": self.aws.client("iam").list_roles()["Roles"],
            "log groups": self.aws.client("logs").describe_log_groups()["logGroups"],
            "schedules": self.aws.client("scheduler").list_schedules()["Schedules"],
            "alarms": self.aws.client("cloudwatch").describe_alarms()["MetricAlarms"],
            "topics": self.aws.client("sns").list_topics()["Topics"],
            "APIs": self.aws.client("apigatewayv2").get_apis()["Items"],
        }
        kms = self.aws.client("kms")
        keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
        everything["keys"] = [key["Arn"] for key in keys if key["KeyState"] != "PendingDeletion"]
        return {kind: found for kind, found in everything.items() if found}

    def take_up(self, table, stack="hekate"):
        """What the runbook says: a stack of the table alone, which the next deployment makes whole."""
        cloudformation = self.aws.client("cloudformation")
        cloudformation.create_change_set(
            StackName=stack,
            ChangeSetName="take-up-the-table",
            ChangeSetType="IMPORT",
            TemplateBody=retained_table(),
            ResourcesToImport=[
                {
                    "ResourceType": "AWS::DynamoDB::Table",
                    "LogicalResourceId": "Table",
                    "ResourceIdentifier": {"TableName": table},
                }
            ],
        )
        self.wait_for(cloudformation, stack, "REVIEW_IN_PROGRESS")
        cloudformation.execute_change_set(StackName=stack, ChangeSetName="take-up-the-table")
        self.wait_for(cloudformation, stack, "IMPORT_COMPLETE")

    def wait_for(self, cloudformation, stack, wanted, seconds=30):
        deadline = time.monotonic() + seconds
        while (status := cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]) != wanted:
            self.assertLess(time.monotonic(), deadline, status)
            time.sleep(0.3)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--sam", type=Path, required=True)
    parser.add_argument("--registry-command", required=True)
    _, rest = parser.parse_known_args(namespace=OPTIONS)
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)


if __name__ == "__main__":
    main()
