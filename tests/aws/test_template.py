"""What template.yaml becomes when SAM has expanded it.

Lint knows what AWS accepts. These tests know what Hekate promises: who may do what, what is kept, and how work is retried.
They read the expanded template, so that what SAM adds by itself is seen too.
"""

import json
import re
import unittest
from pathlib import Path

from samtranslator.translator.managed_policy_translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

TEMPLATE = Path(__file__).resolve().parents[2] / "template.yaml"

LOG_AND_TRACE = {
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}

# function → resource → actions. `table`, `due` (the index), `queue`, `batches`, `schedule-dlq` and `token` are the only resources that hold
# anything; `token` and `bus` are the secret and the event bus that parameters name, and their statements are there only if the
# parameters are; `signing-key` is the stack's own or the one that a parameter names.
CONDITIONS = {"token": "HasGitHubTokenSecret", "bus": "HasEventBus"}

GRANTS = {
    "VerifyApiRole": {
        "table": {
            "dynamodb:BatchGetItem",
            "dynamodb:BatchWriteItem",
            "dynamodb:DeleteItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:UpdateItem",
        },
        "batches": {"sqs:SendMessage"},
        "bus": {"events:PutEvents"},
        "token": {"secretsmanager:GetSecretValue"},
        "signing-key": {"kms:GetPublicKey", "kms:Sign"},
    },
    "BatchVerifierRole": {
        "table": {
            "dynamodb:BatchGetItem",
            "dynamodb:BatchWriteItem",
            "dynamodb:DeleteItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:UpdateItem",
        },
        "queue": {
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:ReceiveMessage",
            "sqs:SendMessage",
        },
        "batches": {
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:ReceiveMessage",
        },
        "bus": {"events:PutEvents"},
        "token": {"secretsmanager:GetSecretValue"},
    },
    "SweeperRole": {
        "due": {"dynamodb:Query"},
        "table": {
            "dynamodb:BatchGetItem",
            "dynamodb:DeleteItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:UpdateItem",
        },
        "queue": {"sqs:SendMessage"},
        "batches": {"sqs:SendMessage"},
        "bus": {"events:PutEvents"},
    },
    "ScheduleRole": {
        "sweeper": {"lambda:InvokeFunction"},
        "schedule-dlq": {"sqs:SendMessage"},
    },
}

SIGNING_KEY = {"Fn::If": ["MakesSigningKey", {"Fn::GetAtt": ["SigningKey", "Arn"]}, {"Ref": "SigningKeyArn"}]}

# How the expanded template spells each resource.
RESOURCES = {
    json.dumps({"Fn::GetAtt": ["Table", "Arn"]}): "table",
    json.dumps({"Fn::Sub": "${Table.Arn}/index/due"}): "due",
    json.dumps({"Fn::GetAtt": ["WorkQueue", "Arn"]}): "queue",
    json.dumps({"Fn::GetAtt": ["BatchQueue", "Arn"]}): "batches",
    json.dumps({"Fn::GetAtt": ["ScheduleDeadLetterQueue", "Arn"]}): "schedule-dlq",
    json.dumps({"Fn::GetAtt": ["SweeperFunction", "Arn"]}): "sweeper",
    json.dumps({"Ref": "GitHubTokenSecret"}): "token",
    json.dumps({"Ref": "EventBusArn"}): "bus",
    json.dumps(SIGNING_KEY): "signing-key",
}

ENVIRONMENT = {
    "HEKATE_TABLE",
    "HEKATE_QUEUE_URL",
    "HEKATE_BATCH_QUEUE_URL",
    "HEKATE_EVENT_BUS",
    "HEKATE_NPM_URL",
    "HEKATE_NPM_FEED_URL",
    "HEKATE_PYPI_URL",
    "HEKATE_PYPI_FILES_URL",
    "HEKATE_PYPI_FEED_URL",
    "HEKATE_HOMEBREW_URL",
    "HEKATE_HOMEBREW_BOTTLES_URL",
    "HEKATE_HOMEBREW_STORAGE_URL",
    "HEKATE_TUF_URL",
    "HEKATE_TRUSTED_ROOT",
    "HEKATE_GITHUB_TRUSTED_ROOT",
    "HEKATE_NPM_KEYS",
    "HEKATE_VERIFIER_ID",
    "HEKATE_CONTACT",
}

# Of those who look, and not of the sweeper.
ENVIRONMENT_OF_LOOKS = {
    "HEKATE_GITHUB_URL",
    "HEKATE_GITHUB_TOKEN_SECRET",
}

# Of the one whom anybody can ask.
ENVIRONMENT_OF_THE_API = {
    "HEKATE_FRESH_AFTER",
    "HEKATE_SIGNING_KEY",
    "HEKATE_EARLIER_KEYS",
}

# What the configuration reads besides: for local use, or a secret that has no place in a template.
NOT_IN_THE_TEMPLATE = {
    "HEKATE_GITHUB_TOKEN",
    "HEKATE_POLICY",
    "HEKATE_STORE",
    "HEKATE_CACHE",
}

PUBLIC_ROUTES = {
    "GET /",
    "GET /.well-known/hekate.json",
    "GET /healthz",
    "GET /openapi.json",
    "GET /package/{proxy+}",
    "GET /v1/batches/{id}",
    "GET /v1/changes",
    "GET /v1/verdicts",
    "GET /v1/verdicts/{proxy+}",
}


# Whoever asks for work, or sees what somebody is interested in, says who they are.
AUTHORISED_ROUTES = {
    "POST /v1/batches",
    "GET /v1/watch",
    "POST /v1/watch",
    "GET /v1/watch/{proxy+}",
    "PUT /v1/watch/{proxy+}",
    "DELETE /v1/watch/{proxy+}",
}


CONFIGURATION = TEMPLATE.parent / "shared" / "src" / "config.rs"


def as_list(value):
    return value if isinstance(value, list) else [value]


def statements(policy):
    """A policy's statements as (condition or None, statement)."""
    for statement in policy["PolicyDocument"]["Statement"]:
        if "Fn::If" not in statement:
            yield None, statement
            continue
        condition, given, otherwise = statement["Fn::If"]
        assert otherwise == {"Ref": "AWS::NoValue"}, otherwise
        yield condition, given


class ExpandedTemplate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.written = yaml_parse(TEMPLATE.read_text())
        cls.parameters = cls.written["Parameters"]
        source = yaml_parse(TEMPLATE.read_text())
        # What `sam package` puts there; the translator takes code from S3 only.
        for resource in source["Resources"].values():
            if resource["Type"] == "AWS::Serverless::Function":
                resource["Properties"]["CodeUri"] = "s3://code/function.zip"

        class NoManagedPolicies(ManagedPolicyLoader):
            def __init__(self):
                super().__init__(None)

            def load(self):
                return {}

        cls.template = transform(source, {}, NoManagedPolicies())
        cls.resources = cls.template["Resources"]

    def of_type(self, kind):
        return {name: r for name, r in self.resources.items() if r["Type"] == kind}

    def only(self, kind):
        found = self.of_type(kind)
        self.assertEqual(len(found), 1, f"{kind}: {sorted(found)}")
        return next(iter(found.values()))

    def function(self, name):
        return self.resources[name]["Properties"]

    # Who may do what

    def test_each_function_has_a_role_of_its_own_and_no_other_role_exists(self):
        roles = {name: f["Properties"]["Role"]["Fn::GetAtt"][0] for name, f in self.of_type("AWS::Lambda::Function").items()}
        self.assertEqual(
            roles,
            {
                "VerifyApiFunction": "VerifyApiRole",
                "BatchVerifierFunction": "BatchVerifierRole",
                "SweeperFunction": "SweeperRole",
            },
        )
        self.assertEqual(set(self.of_type("AWS::IAM::Role")), set(GRANTS))
        self.assertEqual(self.of_type("AWS::IAM::Policy"), {})
        self.assertEqual(self.of_type("AWS::IAM::ManagedPolicy"), {})

    def test_each_role_grants_exactly_the_actions_it_uses_on_the_resources_it_uses(self):
        for name, expected in GRANTS.items():
            role = self.resources[name]["Properties"]
            self.assertNotIn("ManagedPolicyArns", role, name)
            granted, observability = {}, set()
            for policy in role["Policies"]:
                for condition, statement in statements(policy):
                    self.assertEqual(statement["Effect"], "Allow", name)
                    self.assertFalse({"NotAction", "NotResource"} & set(statement), name)
                    actions = set(as_list(statement["Action"]))
                    if actions <= LOG_AND_TRACE:
                        observability |= actions
                        continue
                    for resource in as_list(statement["Resource"]):
                        spelled = json.dumps(resource)
                        self.assertIn(spelled, RESOURCES, f"{name} names an unexpected resource")
                        # A resource that may not be there is granted only if it is.
                        self.assertEqual(condition, CONDITIONS.get(RESOURCES[spelled]), name)
                        granted.setdefault(RESOURCES[spelled], set()).update(actions)
            self.assertEqual(granted, expected, name)
            self.assertEqual(observability, set() if name == "ScheduleRole" else LOG_AND_TRACE, name)

    def test_no_action_is_a_wildcard_and_only_tracing_has_no_resource(self):
        for name, role in self.of_type("AWS::IAM::Role").items():
            for policy in role["Properties"]["Policies"]:
                for _, statement in statements(policy):
                    actions = as_list(statement["Action"])
                    self.assertFalse([a for a in actions if "*" in a], name)
                    if "*" in json.dumps(statement["Resource"]):
                        self.assertEqual({a.split(":")[0] for a in actions}, {"xray"}, name)

    def test_each_function_writes_to_its_own_log_group_only(self):
        for function in self.of_type("AWS::Lambda::Function"):
            group = self.function(function)["LoggingConfig"]["LogGroup"]["Ref"]
            role = self.resources[self.function(function)["Role"]["Fn::GetAtt"][0]]["Properties"]
            resources = [
                s["Resource"]
                for p in role["Policies"]
                for _, s in statements(p)
                if "logs:PutLogEvents" in as_list(s["Action"])
            ]
            self.assertEqual(resources, [{"Fn::GetAtt": [group, "Arn"]}], function)

    def test_each_role_is_assumed_by_its_service_only(self):
        for name, role in self.of_type("AWS::IAM::Role").items():
            (statement,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
            service = "scheduler.amazonaws.com" if name == "ScheduleRole" else "lambda.amazonaws.com"
            self.assertEqual(statement["Principal"], {"Service": service}, name)

    def test_only_reads_are_public(self):
        routes = [r["Properties"] for r in self.of_type("AWS::ApiGatewayV2::Route").values()]
        public = {r["RouteKey"] for r in routes if r.get("AuthorizationType", "NONE") == "NONE"}
        self.assertEqual(public, PUBLIC_ROUTES)
        self.assertEqual({r["RouteKey"] for r in routes if r["AuthorizationType"] == "AWS_IAM"}, AUTHORISED_ROUTES)
        self.assertEqual(len(routes), len(PUBLIC_ROUTES | AUTHORISED_ROUTES))

    def test_the_gateway_may_invoke_the_api_function_and_nobody_else_may_invoke_anything(self):
        permission = self.only("AWS::Lambda::Permission")["Properties"]
        self.assertEqual(permission["FunctionName"], {"Fn::GetAtt": ["VerifyApiFunction", "Arn"]})
        self.assertEqual(permission["Principal"], "apigateway.amazonaws.com")
        self.assertTrue(permission["SourceArn"]["Fn::Sub"].endswith(":${Api}/*/*"))
        self.assertEqual(self.of_type("AWS::Lambda::Url"), {})

    # The front

    def test_the_api_is_throttled_and_logged(self):
        stage = self.only("AWS::ApiGatewayV2::Stage")["Properties"]
        settings = stage["DefaultRouteSettings"]
        self.assertEqual(settings["ThrottlingRateLimit"], {"Ref": "ThrottlingRate"})
        self.assertEqual(settings["ThrottlingBurstLimit"], {"Ref": "ThrottlingBurst"})
        self.assertEqual(stage["AccessLogSettings"]["DestinationArn"], {"Fn::GetAtt": ["ApiAccessLogGroup", "Arn"]})
        json.loads(stage["AccessLogSettings"]["Format"])

    def test_the_api_function_answers_before_the_gateway_gives_up(self):
        self.assertEqual(self.only("AWS::ApiGatewayV2::Integration")["Properties"]["PayloadFormatVersion"], "2.0")
        self.assertLess(self.function("VerifyApiFunction")["Timeout"], 30)

    # The functions

    def test_the_environment_is_the_documented_one_on_every_function(self):
        for name, function in self.of_type("AWS::Lambda::Function").items():
            expected = ENVIRONMENT if name == "SweeperFunction" else ENVIRONMENT | ENVIRONMENT_OF_LOOKS
            if name == "VerifyApiFunction":
                expected = expected | ENVIRONMENT_OF_THE_API
            self.assertEqual(set(function["Properties"]["Environment"]["Variables"]), expected, name)

    def test_the_documented_environment_is_what_the_configuration_reads(self):
        read = set(re.findall(r'"(HEKATE_[A-Z_]+)"', CONFIGURATION.read_text()))
        self.assertEqual(read, ENVIRONMENT | ENVIRONMENT_OF_LOOKS | ENVIRONMENT_OF_THE_API | NOT_IN_THE_TEMPLATE)

    def test_the_token_is_named_by_its_complete_address_or_not_at_all(self):
        pattern = re.compile(self.parameters["GitHubTokenSecret"]["AllowedPattern"])
        secret = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:hekate/github-AbCdEf"
        for text in ("", secret):
            self.assertTrue(pattern.fullmatch(text), text)
        for text in ("*", "hekate/github", secret[:-6] + "*", secret[:-6] + "??????", secret.replace("secret:", "*:")):
            self.assertFalse(pattern.fullmatch(text), text)
        condition = self.template["Conditions"]["HasGitHubTokenSecret"]
        self.assertEqual(condition, {"Fn::Not": [{"Fn::Equals": [{"Ref": "GitHubTokenSecret"}, ""]}]})

    # Signing

    def test_the_signing_key_signs_on_p256_and_outlives_the_stack(self):
        key = self.only("AWS::KMS::Key")
        self.assertEqual((key["DeletionPolicy"], key["UpdateReplacePolicy"]), ("Retain", "Retain"))
        properties = key["Properties"]
        self.assertEqual((properties["KeySpec"], properties["KeyUsage"]), ("ECC_NIST_P256", "SIGN_VERIFY"))
        alias = self.only("AWS::KMS::Alias")["Properties"]
        self.assertEqual(alias, {"AliasName": {"Fn::Sub": "alias/${AWS::StackName}"}, "TargetKeyId": {"Ref": "SigningKey"}})

    def test_nobody_outside_the_account_may_use_the_signing_key(self):
        (statement,) = self.only("AWS::KMS::Key")["Properties"]["KeyPolicy"]["Statement"]
        root = "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"
        self.assertEqual(statement["Principal"], {"AWS": {"Fn::Sub": root}})

    def test_the_stack_makes_a_signing_key_unless_one_is_named(self):
        self.assertEqual(self.template["Conditions"]["MakesSigningKey"], {"Fn::Equals": [{"Ref": "SigningKeyArn"}, ""]})
        for name in ("SigningKey", "SigningKeyAlias"):
            self.assertEqual(self.resources[name]["Condition"], "MakesSigningKey", name)
        variables = self.function("VerifyApiFunction")["Environment"]["Variables"]
        self.assertEqual(variables["HEKATE_SIGNING_KEY"], SIGNING_KEY)
        self.assertEqual(variables["HEKATE_EARLIER_KEYS"], {"Ref": "EarlierKeys"})

    def test_a_signing_key_is_named_by_the_address_that_a_role_can_be_granted(self):
        pattern = re.compile(self.parameters["SigningKeyArn"]["AllowedPattern"])
        key = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
        for text in ("", key, key.replace("1234abcd-12ab-34cd-56ef", "mrk")):
            self.assertTrue(pattern.fullmatch(text), text)
        for text in ("*", "alias/hekate", key.replace("key/", "alias/"), key[:-4] + "*", "1234abcd-12ab-34cd-56ef-1234567890ab"):
            self.assertFalse(pattern.fullmatch(text), text)

    def test_what_an_operator_may_leave_out_is_empty_by_default(self):
        for name in ("NpmUrl", "NpmFeedUrl", "EventBusArn", "SigningKeyArn", "EarlierKeys", "GitHubUrl", "GitHubTokenSecret", "TufUrl", "VerifierId", "TrustedRoot", "NpmKeys", "Contact", "AlarmTopicArn"):
            self.assertEqual(self.parameters[name]["Default"], "", name)

    def test_no_upstream_host_is_written_in_the_template(self):
        text = TEMPLATE.read_text()
        self.assertEqual(re.findall(r"https?://", text), [])
        hosts = set(re.findall(r"\b(?:[a-z0-9-]+\.)+(?:com|org|dev|io|net)\b", text))
        self.assertEqual(
            hosts,
            {"lambda.amazonaws.com", "apigateway.amazonaws.com", "scheduler.amazonaws.com"},
        )

    def test_the_functions_are_rust_on_the_chosen_architecture_and_traced(self):
        for name, function in self.of_type("AWS::Lambda::Function").items():
            properties = function["Properties"]
            self.assertEqual(properties["Runtime"], "provided.al2023", name)
            self.assertEqual(properties["Handler"], "bootstrap", name)
            self.assertEqual(properties["Architectures"], [{"Ref": "Architecture"}], name)
            self.assertEqual(properties["TracingConfig"], {"Mode": "Active"}, name)
        self.assertEqual(self.parameters["Architecture"]["Default"], "arm64")

    def test_sam_builds_each_function_from_its_own_workspace_member(self):
        for name, folder in {
            "VerifyApiFunction": "functions/verify-api",
            "BatchVerifierFunction": "functions/batch-verifier",
            "SweeperFunction": "functions/sweeper",
        }.items():
            resource = self.written["Resources"][name]
            self.assertEqual(resource["Properties"]["CodeUri"], folder)
            self.assertEqual(resource["Metadata"]["BuildMethod"], "rust-cargolambda")
            self.assertTrue((TEMPLATE.parent / folder / "Cargo.toml").is_file(), folder)

    def test_every_log_group_has_a_retention_and_every_function_has_a_log_group(self):
        groups = self.of_type("AWS::Logs::LogGroup")
        self.assertEqual(len(groups), 4)
        for name, group in groups.items():
            self.assertEqual(group["Properties"]["RetentionInDays"], {"Ref": "LogRetentionDays"}, name)

    # Memory

    def test_the_table_outlives_the_stack(self):
        table = self.only("AWS::DynamoDB::Table")
        self.assertEqual(table["DeletionPolicy"], "Retain")
        self.assertEqual(table["UpdateReplacePolicy"], "Retain")
        properties = table["Properties"]
        self.assertEqual(properties["DeletionProtectionEnabled"], {"Ref": "DeletionProtection"})
        self.assertEqual(self.parameters["DeletionProtection"]["Default"], "true")
        self.assertTrue(properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"])
        self.assertTrue(properties["SSESpecification"]["SSEEnabled"])
        # A table with a name of its own could not be replaced, and two stacks could not live in one account.
        self.assertNotIn("TableName", properties)

    def test_the_table_has_the_keys_the_index_and_the_expiry_that_the_store_uses(self):
        properties = self.only("AWS::DynamoDB::Table")["Properties"]
        self.assertEqual(properties["BillingMode"], "PAY_PER_REQUEST")
        self.assertEqual(properties["TimeToLiveSpecification"], {"AttributeName": "expires", "Enabled": True})
        self.assertEqual(
            {a["AttributeName"]: a["AttributeType"] for a in properties["AttributeDefinitions"]},
            {"pk": "S", "sk": "S", "due_shard": "S", "due_at": "S"},
        )
        self.assertEqual([(k["AttributeName"], k["KeyType"]) for k in properties["KeySchema"]], [("pk", "HASH"), ("sk", "RANGE")])
        (index,) = properties["GlobalSecondaryIndexes"]
        self.assertEqual(index["IndexName"], "due")
        self.assertEqual(
            [(k["AttributeName"], k["KeyType"]) for k in index["KeySchema"]],
            [("due_shard", "HASH"), ("due_at", "RANGE")],
        )
        self.assertEqual(index["Projection"], {"ProjectionType": "KEYS_ONLY"})

    # Work

    def mappings(self):
        """The event sources of the worker, by the queue."""
        mappings = [resource["Properties"] for resource in self.of_type("AWS::Lambda::EventSourceMapping").values()]
        return {mapping["EventSourceArn"]["Fn::GetAtt"][0]: mapping for mapping in mappings}

    def test_the_worker_reports_each_message_and_is_bounded(self):
        mappings = self.mappings()
        self.assertEqual(set(mappings), {"WorkQueue", "BatchQueue"})
        for queue, mapping in mappings.items():
            with self.subTest(queue=queue):
                self.assertEqual(mapping["FunctionName"], {"Ref": "BatchVerifierFunction"})
                self.assertEqual(mapping["FunctionResponseTypes"], ["ReportBatchItemFailures"])
                self.assertEqual(mapping["BatchSize"], 10)
                self.assertIsInstance(mapping["MaximumBatchingWindowInSeconds"], int)
                # Of its own for each: however many versions a batch has, what is watched has workers.
                self.assertEqual(mapping["ScalingConfig"], {"MaximumConcurrency": {"Ref": "MaximumConcurrency"}})
        self.assertGreaterEqual(self.parameters["MaximumConcurrency"]["MinValue"], 2)

    def test_a_message_stays_hidden_for_six_timeouts_and_the_window(self):
        timeout = self.function("BatchVerifierFunction")["Timeout"]
        for queue, mapping in self.mappings().items():
            visibility = self.resources[queue]["Properties"]["VisibilityTimeout"]
            self.assertGreaterEqual(visibility, 6 * timeout + mapping["MaximumBatchingWindowInSeconds"], queue)

    def test_what_keeps_failing_goes_to_the_dead_letter_queue_and_raises_an_alarm(self):
        for queue in ("WorkQueue", "BatchQueue"):
            redrive = self.resources[queue]["Properties"]["RedrivePolicy"]
            self.assertEqual(redrive["deadLetterTargetArn"], {"Fn::GetAtt": ["WorkDeadLetterQueue", "Arn"]})
            self.assertEqual(redrive["maxReceiveCount"], 5)
            dead, alive = (self.resources[q]["Properties"]["MessageRetentionPeriod"] for q in ("WorkDeadLetterQueue", queue))
            self.assertGreater(dead, alive)
        alarm = self.resources["WorkGivenUpAlarm"]["Properties"]
        self.assertEqual(alarm["Dimensions"][0]["Value"], {"Fn::GetAtt": ["WorkDeadLetterQueue", "QueueName"]})
        self.assertEqual(alarm["Threshold"], 1)

    def test_every_queue_is_encrypted(self):
        queues = self.of_type("AWS::SQS::Queue")
        self.assertEqual(len(queues), 4)
        for name, queue in queues.items():
            self.assertIs(queue["Properties"]["SqsManagedSseEnabled"], True, name)

    # Time

    def test_the_sweeper_runs_every_minute_and_a_lost_run_is_visible(self):
        schedule = self.only("AWS::Scheduler::Schedule")["Properties"]
        self.assertEqual(schedule["ScheduleExpression"], "rate(1 minute)")
        self.assertEqual(schedule["Name"], {"Fn::Sub": "${AWS::StackName}-sweeper"})
        target = schedule["Target"]
        self.assertEqual(target["Arn"], {"Fn::GetAtt": ["SweeperFunction", "Arn"]})
        self.assertEqual(target["RoleArn"], {"Fn::GetAtt": ["ScheduleRole", "Arn"]})
        self.assertEqual(target["DeadLetterConfig"], {"Arn": {"Fn::GetAtt": ["ScheduleDeadLetterQueue", "Arn"]}})
        self.assertIn("RetryPolicy", target)
        self.assertLess(self.function("SweeperFunction")["Timeout"], 60)
        self.assertEqual(self.resources["SweeperSilentAlarm"]["Properties"]["TreatMissingData"], "breaching")

    def test_the_outputs_are_the_names_that_others_rely_on(self):
        outputs = {"ApiUrl", "BatchQueueUrl", "QueueUrl", "SigningKeyArn", "TableName", "VerifierDocumentUrl"}
        self.assertEqual(set(self.template["Outputs"]), outputs)


if __name__ == "__main__":
    unittest.main()
