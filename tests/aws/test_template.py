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
# anything; `token`, `datadog-key` and `bus` are the secrets and the event bus that parameters name, and their statements are there
# only if the parameters are.
# `signing-key` is the stack's own or the one that a parameter names.
CONDITIONS = {"token": "HasGitHubTokenSecret", "datadog-key": "HasDatadog", "bus": "HasEventBus"}

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
        "datadog-key": {"secretsmanager:GetSecretValue"},
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
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:ReceiveMessage",
            "sqs:SendMessage",
        },
        "batches": {
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:ReceiveMessage",
        },
        "bus": {"events:PutEvents"},
        "token": {"secretsmanager:GetSecretValue"},
        "datadog-key": {"secretsmanager:GetSecretValue"},
    },
    "SweeperRole": {
        "due": {"dynamodb:Query"},
        "table": {
            "dynamodb:BatchGetItem",
            "dynamodb:BatchWriteItem",
            "dynamodb:DeleteItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:UpdateItem",
        },
        "queue": {"sqs:SendMessage"},
        "batches": {"sqs:SendMessage"},
        "bus": {"events:PutEvents"},
        "datadog-key": {"secretsmanager:GetSecretValue"},
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
    json.dumps({"Ref": "DatadogApiKeySecret"}): "datadog-key",
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
    "HEKATE_POLICY",
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
    "HEKATE_PEERS",
}

# What the configuration reads besides, and why no parameter sets it.
NOT_IN_THE_TEMPLATE = {
    "HEKATE_GITHUB_TOKEN": "a secret has no place in a template; HEKATE_GITHUB_TOKEN_SECRET names it",
    "HEKATE_STORE": "the embedded store of local mode",
    "HEKATE_CACHE": "a function has one folder that it may write to, which is the default",
}

# Of the extension, where there is one.
ENVIRONMENT_OF_DATADOG = {
    "DD_API_KEY_SECRET_ARN": {"Ref": "DatadogApiKeySecret"},
    "DD_SITE": {"Ref": "DatadogSite"},
    "DD_SERVICE": "hekate",
    "DD_ENV": {"Ref": "DatadogEnvironment"},
    "DD_VERSION": "0.1.0",
}

NOTHING = {"Ref": "AWS::NoValue"}

PUBLIC_ROUTES = {
    "GET /",
    "GET /.well-known/hekate.json",
    "GET /healthz",
    "GET /openapi.json",
    "GET /package/{proxy+}",
    "GET /v1/batches/{id}",
    "GET /v1/changes",
    "GET /v1/network/{proxy+}",
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
ENTRY_POINTS = TEMPLATE.parent / "shared" / "src" / "entrypoints"
RUNBOOK = TEMPLATE.parent / "docs" / "runbook.md"
OPERATIONS = TEMPLATE.parent / "docs" / "operations.md"
ROUTER = TEMPLATE.parent / "shared" / "src" / "entrypoints" / "api" / "mod.rs"
WORKSPACE = TEMPLATE.parent / "Cargo.toml"

# What must raise an alarm: the metric and whose it is → the alarm.
ALARMS = {
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "WorkDeadLetterQueue"): "WorkGivenUpAlarm",
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "ScheduleDeadLetterQueue"): "ScheduleGivenUpAlarm",
    ("AWS/SQS", "ApproximateAgeOfOldestMessage", "WorkQueue"): "WorkWaitsAlarm",
    ("AWS/SQS", "ApproximateAgeOfOldestMessage", "BatchQueue"): "BatchWaitsAlarm",
    ("AWS/Lambda", "Invocations", "SweeperFunction"): "SweeperSilentAlarm",
    ("AWS/Lambda", "Errors", "SweeperFunction"): "SweeperFailsAlarm",
    ("AWS/Lambda", "Errors", "BatchVerifierFunction"): "BatchVerifierErrorsAlarm",
    ("AWS/Lambda", "Errors", "VerifyApiFunction"): "VerifyApiErrorsAlarm",
    ("AWS/Lambda", "Throttles", "SweeperFunction"): "SweeperThrottlesAlarm",
    ("AWS/Lambda", "Throttles", "BatchVerifierFunction"): "BatchVerifierThrottlesAlarm",
    ("AWS/Lambda", "Throttles", "VerifyApiFunction"): "VerifyApiThrottlesAlarm",
    ("AWS/ApiGateway", "5xx", "Api"): "ApiFailsAlarm",
    ("Hekate", "OldestDueAge", "SweeperFunction"): "VerdictAgeAlarm",
    ("Hekate", "MessagesPoison", "BatchVerifierFunction"): "PoisonMessagesAlarm",
    ("Hekate", "SplitViews", "VerifyApiFunction"): "SplitViewAlarm",
}

# Whose silence is an alarm of its own.
SILENCE_IS_BAD = {"SweeperSilentAlarm", "VerdictAgeAlarm"}


def dashed(logical_id):
    """`WorkGivenUpAlarm` → `work-given-up-alarm`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", logical_id).lower()


def anchors(markdown):
    """What a link into a page can name: its headings as GitHub spells them, and the ids that it sets itself."""
    headings = re.findall(r"^#+ +(.+?) *#*$", markdown, re.MULTILINE)
    spelled = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    return spelled | set(re.findall(r"""<a (?:id|name)=["']([^"']+)["']""", markdown))


def router_routes(source):
    """The routes of the API's router as (method, path), each parameter of a path replaced by something that it takes."""
    (body,) = re.findall(r"^pub fn router.*?\.fallback\(", source, re.DOTALL | re.MULTILINE)
    routes = set()
    for route in body.split(".route(")[1:]:
        path = re.search(r'"(.+?)"', route).group(1)
        path = re.sub(r"\{\*\w+\}", "a/b", path)
        path = re.sub(r"\{\w+\}", "a", path)
        for method in re.findall(r"(?<![:\w])(get|post|put|patch|delete)\(", route):
            routes.add((method.upper(), path))
    return routes


def reaches(key, method, path):
    """Whether the gateway's route with this key takes a request."""
    wanted, pattern = key.split(" ", 1)
    expression = re.escape(pattern).replace(re.escape("{proxy+}"), ".+")
    expression = re.sub(r"\\\{\w+\\\}", "[^/]+", expression)
    return wanted == method and re.fullmatch(expression, path) is not None


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

    def test_the_gateway_has_the_routes_of_the_router_and_whoever_changes_anything_says_who_he_is(self):
        routes = router_routes(ROUTER.read_text())
        self.assertGreaterEqual(len(routes), 15)
        keys = PUBLIC_ROUTES | AUTHORISED_ROUTES
        for method, path in sorted(routes):
            served = [key for key in keys if reaches(key, method, path)]
            self.assertEqual(len(served), 1, f"{method} {path} of the router: {served}")
            if method != "GET":
                self.assertIn(served[0], AUTHORISED_ROUTES, f"{method} {path} is open to everybody")
        for key in sorted(keys):
            self.assertTrue(any(reaches(key, method, path) for method, path in routes), f"{key} leads to no route of the router")

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

    def test_the_route_that_waits_for_peers_cannot_use_up_the_accounts_concurrency(self):
        stage = self.only("AWS::ApiGatewayV2::Stage")
        # Settings of a route that is not there yet are refused.
        self.assertEqual(stage["DependsOn"], "NetworkRoute")
        route = self.resources["NetworkRoute"]["Properties"]["RouteKey"]
        ((key, settings),) = stage["Properties"]["RouteSettings"].items()
        self.assertEqual(key, route)
        self.assertIs(settings["DetailedMetricsEnabled"], True)
        rate, burst = settings["ThrottlingRateLimit"], settings["ThrottlingBurstLimit"]
        self.assertLess(rate, self.parameters["ThrottlingRate"]["Default"])
        self.assertLess(burst, self.parameters["ThrottlingBurst"]["Default"])
        at_once = burst + rate * self.function("VerifyApiFunction")["Timeout"]
        self.assertEqual(at_once, 34)
        self.assertIn(f"{at_once} executions", RUNBOOK.read_text())

    def test_the_api_function_answers_before_the_gateway_gives_up(self):
        self.assertEqual(self.only("AWS::ApiGatewayV2::Integration")["Properties"]["PayloadFormatVersion"], "2.0")
        self.assertLess(self.function("VerifyApiFunction")["Timeout"], 30)

    # The functions

    def test_the_environment_is_the_documented_one_on_every_function(self):
        for name, function in self.of_type("AWS::Lambda::Function").items():
            expected = ENVIRONMENT if name == "SweeperFunction" else ENVIRONMENT | ENVIRONMENT_OF_LOOKS
            if name == "VerifyApiFunction":
                expected = expected | ENVIRONMENT_OF_THE_API
            names = set(function["Properties"]["Environment"]["Variables"])
            self.assertEqual({name for name in names if name.startswith("HEKATE_")}, expected, name)
            self.assertEqual({name for name in names if not name.startswith("HEKATE_")}, set(ENVIRONMENT_OF_DATADOG), name)

    def test_what_an_entry_point_takes_for_usual_is_its_functions_time_out(self):
        for name, file in {
            "VerifyApiFunction": "api/mod.rs",
            "BatchVerifierFunction": "batch.rs",
            "SweeperFunction": "sweep.rs",
        }.items():
            (usual,) = re.findall(r"pub const USUAL: Duration = Duration::from_secs\((\d+)\);", (ENTRY_POINTS / file).read_text())
            self.assertEqual(int(usual), self.function(name)["Timeout"], name)

    def test_the_documented_environment_is_what_the_configuration_reads(self):
        (listed,) = re.findall(r"^pub const VARIABLES: .*?= &\[$(.*?)^\];$", CONFIGURATION.read_text(), re.DOTALL | re.MULTILINE)
        read = set(re.findall(r'"(HEKATE_[A-Z_]+)"', listed))
        self.assertEqual(read, ENVIRONMENT | ENVIRONMENT_OF_LOOKS | ENVIRONMENT_OF_THE_API | set(NOT_IN_THE_TEMPLATE))

    def test_every_parameter_has_something_behind_it(self):
        body = {key: value for key, value in self.written.items() if key != "Parameters"}
        for name in self.parameters:
            self.assertIn(json.dumps({"Ref": name}), json.dumps(body), name)
            self.assertTrue(self.parameters[name]["Description"], name)
            self.assertIn("Default", self.parameters[name], f"{name}: a first deployment has to be asked about nothing")

    def test_datadog_is_there_as_a_whole_or_not_at_all(self):
        there = {"Fn::And": [{"Fn::Not": [{"Fn::Equals": [{"Ref": name}, ""]}]} for name in ("DatadogLayerArn", "DatadogApiKeySecret")]}
        self.assertEqual(self.template["Conditions"]["HasDatadog"], there)
        self.assertIn("DatadogHasItsKey", self.template["Rules"])
        for name, function in self.of_type("AWS::Lambda::Function").items():
            properties = function["Properties"]
            layers = [{"Fn::If": ["HasDatadog", {"Ref": "DatadogLayerArn"}, NOTHING]}]
            self.assertEqual([layer for layer in properties["Layers"] if "Datadog" in json.dumps(layer)], layers, name)
            for variable, value in ENVIRONMENT_OF_DATADOG.items():
                written = properties["Environment"]["Variables"][variable]
                self.assertEqual(written, {"Fn::If": ["HasDatadog", value, NOTHING]}, f"{name}: {variable}")
        for name in ("DatadogLayerArn", "DatadogApiKeySecret"):
            self.assertEqual(self.parameters[name]["Default"], "", name)

    def test_the_version_that_datadog_is_told_is_that_of_the_workspace(self):
        (version,) = re.findall(r'^version = "(.+)"$', WORKSPACE.read_text(), re.MULTILINE)
        self.assertEqual(ENVIRONMENT_OF_DATADOG["DD_VERSION"], version)

    def test_files_that_parameters_name_come_from_a_layer(self):
        for name, function in self.of_type("AWS::Lambda::Function").items():
            layer = {"Fn::If": ["HasFilesLayer", {"Ref": "FilesLayerArn"}, NOTHING]}
            self.assertIn(layer, function["Properties"]["Layers"], name)

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
        key = self.resources["SigningKey"]
        self.assertEqual((key["DeletionPolicy"], key["UpdateReplacePolicy"]), ("Retain", "Retain"))
        properties = key["Properties"]
        self.assertEqual((properties["KeySpec"], properties["KeyUsage"]), ("ECC_NIST_P256", "SIGN_VERIFY"))
        alias = self.only("AWS::KMS::Alias")["Properties"]
        self.assertEqual(alias, {"AliasName": {"Fn::Sub": "alias/${AWS::StackName}"}, "TargetKeyId": {"Ref": "SigningKey"}})

    def test_nobody_outside_the_account_may_use_the_signing_key(self):
        (statement,) = self.resources["SigningKey"]["Properties"]["KeyPolicy"]["Statement"]
        root = "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"
        self.assertEqual(statement["Principal"], {"AWS": {"Fn::Sub": root}})

    def test_the_stack_makes_a_signing_key_unless_one_is_named(self):
        self.assertEqual(self.template["Conditions"]["MakesSigningKey"], {"Fn::Equals": [{"Ref": "SigningKeyArn"}, ""]})
        for name in ("SigningKey", "SigningKeyAlias"):
            self.assertEqual(self.resources[name]["Condition"], "MakesSigningKey", name)
        variables = self.function("VerifyApiFunction")["Environment"]["Variables"]
        self.assertEqual(variables["HEKATE_SIGNING_KEY"], SIGNING_KEY)
        self.assertEqual(variables["HEKATE_EARLIER_KEYS"], {"Ref": "EarlierKeys"})

    def test_peers_are_named_by_their_address_and_a_key(self):
        variables = self.function("VerifyApiFunction")["Environment"]["Variables"]
        self.assertEqual(variables["HEKATE_PEERS"], {"Ref": "Peers"})
        pattern = re.compile(self.parameters["Peers"]["AllowedPattern"])
        one, other = "https://one.example/#MFkw+/A==", "http://127.0.0.1:8080/hekate#MFkwEw"
        for text in ("", one, f"{one} {other}", f"{one}  {other} "):
            self.assertTrue(pattern.fullmatch(text), text)
        for text in ("https://one.example/", f"{one},{other}", f"{one}{other}", "one.example#MFkw", "https://one.example/#", "MFkw"):
            self.assertFalse(pattern.fullmatch(text), text)

    def test_a_signing_key_is_named_by_the_address_that_a_role_can_be_granted(self):
        pattern = re.compile(self.parameters["SigningKeyArn"]["AllowedPattern"])
        key = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
        for text in ("", key, key.replace("1234abcd-12ab-34cd-56ef", "mrk")):
            self.assertTrue(pattern.fullmatch(text), text)
        for text in ("*", "alias/hekate", key.replace("key/", "alias/"), key[:-4] + "*", "1234abcd-12ab-34cd-56ef-1234567890ab"):
            self.assertFalse(pattern.fullmatch(text), text)

    def test_what_an_operator_may_leave_out_is_empty_by_default(self):
        given = {name for name, parameter in self.parameters.items() if parameter["Default"] != ""}
        self.assertEqual(
            given,
            {
                "Architecture",
                "DatadogEnvironment",
                "DatadogSite",
                "DeletionProtection",
                "FreshAfter",
                "LogRetentionDays",
                "MaximumConcurrency",
                "SweepSchedule",
                "ThrottlingBurst",
                "ThrottlingRate",
            },
        )

    def test_no_upstream_host_is_written_in_the_template(self):
        text = TEMPLATE.read_text()
        self.assertEqual(re.findall(r"https?://", text), [])
        hosts = set(re.findall(r"\b(?:[a-z0-9-]+\.)+(?:com|org|dev|io|net)\b", text))
        self.assertEqual(
            hosts,
            # Where somebody sends logs to is no upstream.
            {
                "lambda.amazonaws.com",
                "apigateway.amazonaws.com",
                "scheduler.amazonaws.com",
                "cloudwatch.amazonaws.com",
                "datadoghq.com",
            },
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
            # What is deployed is what the lock file says.
            self.assertEqual(resource["Metadata"]["BuildProperties"], {"cargo_lambda_flags": ["--locked"]})
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

    def test_only_the_queues_of_work_may_use_the_dead_letter_queue_and_no_other_queue_is_one(self):
        queues = {name: queue["Properties"] for name, queue in self.of_type("AWS::SQS::Queue").items()}
        arn = "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:"
        named = {name: queue["QueueName"]["Fn::Sub"] for name, queue in queues.items() if "QueueName" in queue}
        self.assertEqual(named, {"WorkQueue": "${AWS::StackName}-work", "BatchQueue": "${AWS::StackName}-batches"})
        for name, queue in queues.items():
            if name == "WorkDeadLetterQueue":
                sources = [{"Fn::Sub": arn + name} for name in named.values()]
                self.assertEqual(queue["RedriveAllowPolicy"], {"redrivePermission": "byQueue", "sourceQueueArns": sources})
            else:
                self.assertEqual(queue["RedriveAllowPolicy"], {"redrivePermission": "denyAll"}, name)

    # Alarms

    def test_every_alarm_notifies_whoever_is_to_be_told(self):
        for name, alarm in self.alarms().items():
            self.assertNotIn("ActionsEnabled", alarm, name)
            self.assertEqual(
                alarm["AlarmActions"],
                [
                    {"Fn::If": ["HasAlarmTopic", {"Ref": "AlarmTopicArn"}, NOTHING]},
                    {"Fn::If": ["HasAlarmEmail", {"Ref": "AlarmTopic"}, NOTHING]},
                ],
                name,
            )

    def test_an_address_has_an_encrypted_topic_that_only_cloudwatch_publishes_to(self):
        created = {name for name, resource in self.resources.items() if resource.get("Condition") == "HasAlarmEmail"}
        self.assertEqual(created, {"AlarmTopic", "AlarmSubscription", "AlarmTopicPolicy", "AlarmKey"})
        self.assertEqual(self.only("AWS::SNS::Topic")["Properties"]["KmsMasterKeyId"], {"Ref": "AlarmKey"})
        subscription = self.only("AWS::SNS::Subscription")["Properties"]
        self.assertEqual(subscription, {"TopicArn": {"Ref": "AlarmTopic"}, "Protocol": "email", "Endpoint": {"Ref": "AlarmEmail"}})
        own_account = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
        (publishes,) = self.only("AWS::SNS::TopicPolicy")["Properties"]["PolicyDocument"]["Statement"]
        self.assertEqual(publishes["Principal"], {"Service": "cloudwatch.amazonaws.com"})
        self.assertEqual(publishes["Action"], "sns:Publish")
        self.assertEqual(publishes["Condition"], own_account)
        key = self.resources["AlarmKey"]["Properties"]
        self.assertIs(key["EnableKeyRotation"], True)
        uses = [s for s in key["KeyPolicy"]["Statement"] if "Service" in s["Principal"]]
        self.assertEqual([use["Principal"]["Service"] for use in uses], ["cloudwatch.amazonaws.com"])
        self.assertEqual(uses[0]["Action"], ["kms:Decrypt", "kms:GenerateDataKey"])
        self.assertEqual(uses[0]["Condition"], own_account)

    def test_the_runbook_takes_up_a_table_with_the_keys_of_the_template(self):
        (text,) = re.findall(r"^```yaml\n(AWSTemplateFormatVersion.*?)^```$", RUNBOOK.read_text(), re.DOTALL | re.MULTILINE)
        taken_up = yaml_parse(text)["Resources"]["Table"]
        table = self.resources["Table"]
        self.assertEqual((taken_up["Type"], taken_up["DeletionPolicy"]), (table["Type"], "Retain"))
        for name, value in taken_up["Properties"].items():
            self.assertEqual(value, table["Properties"][name], name)

    def alarms(self):
        return {name: alarm["Properties"] for name, alarm in self.of_type("AWS::CloudWatch::Alarm").items()}

    def test_everything_that_must_raise_an_alarm_raises_one(self):
        watched = {}
        for name, alarm in self.alarms().items():
            (dimension,) = alarm["Dimensions"]
            value = dimension["Value"]
            watched[alarm["Namespace"], alarm["MetricName"], value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0]] = name
        self.assertEqual(watched, ALARMS)
        dimensions = {"AWS/SQS": "QueueName", "AWS/Lambda": "FunctionName", "AWS/ApiGateway": "ApiId", "Hekate": "Function"}
        for name, alarm in self.alarms().items():
            self.assertEqual(alarm["Dimensions"][0]["Name"], dimensions[alarm["Namespace"]], name)

    def test_every_alarm_has_a_threshold_and_says_what_silence_means(self):
        for name, alarm in self.alarms().items():
            with self.subTest(alarm=name):
                self.assertGreater(alarm["Threshold"], 0)
                self.assertGreaterEqual(alarm["Period"], 60)
                self.assertGreaterEqual(alarm["EvaluationPeriods"], 1)
                self.assertIn(alarm["Statistic"], ("Average", "Maximum", "Sum"))
                operator = "LessThanThreshold" if name == "SweeperSilentAlarm" else "GreaterThanOrEqualToThreshold"
                self.assertEqual(alarm["ComparisonOperator"], operator)
                self.assertEqual(alarm["TreatMissingData"], "breaching" if name in SILENCE_IS_BAD else "notBreaching")

    def test_every_alarm_says_in_one_sentence_what_is_wrong_and_where_to_read_on(self):
        described = re.compile(r"[A-Z][^.]*\. See docs/runbook\.md#([a-z0-9-]+)")
        for name, alarm in self.alarms().items():
            matched = described.fullmatch(alarm["AlarmDescription"])
            self.assertTrue(matched, f"{name}: {alarm['AlarmDescription']}")
            self.assertEqual(matched[1], dashed(name))

    def test_the_runbook_has_a_section_for_every_alarm(self):
        self.assertEqual({dashed(name) for name in self.alarms()} - anchors(RUNBOOK.read_text()), set())

    def test_the_functions_own_metrics_are_documented(self):
        documented = OPERATIONS.read_text()
        for namespace, metric, _ in ALARMS:
            if namespace == "Hekate":
                self.assertIn(f"`{metric}`", documented)

    def test_a_batch_of_ten_thousand_raises_no_alarm_while_it_is_worked_on(self):
        # 5,000 requests an hour, eight for each version; then five deliveries of one that cannot be decided.
        queue = self.resources["BatchQueue"]["Properties"]
        longest = 10_000 * 8 / 5_000 * 3600 + queue["RedrivePolicy"]["maxReceiveCount"] * queue["VisibilityTimeout"]
        threshold = self.alarms()["BatchWaitsAlarm"]["Threshold"]
        self.assertGreater(threshold, longest)
        # Before the queue forgets what was handed in.
        self.assertLess(threshold, queue["MessageRetentionPeriod"])

    # Time

    def test_the_sweeper_runs_every_minute_and_a_lost_run_is_visible(self):
        schedule = self.only("AWS::Scheduler::Schedule")["Properties"]
        self.assertEqual(schedule["ScheduleExpression"], {"Ref": "SweepSchedule"})
        self.assertEqual(self.parameters["SweepSchedule"]["Default"], "rate(1 minute)")
        self.assertEqual(schedule["Name"], {"Fn::Sub": "${AWS::StackName}-sweeper"})
        target = schedule["Target"]
        self.assertEqual(target["Arn"], {"Fn::GetAtt": ["SweeperFunction", "Arn"]})
        self.assertEqual(target["RoleArn"], {"Fn::GetAtt": ["ScheduleRole", "Arn"]})
        self.assertEqual(target["DeadLetterConfig"], {"Arn": {"Fn::GetAtt": ["ScheduleDeadLetterQueue", "Arn"]}})
        self.assertIn("RetryPolicy", target)
        self.assertLess(self.function("SweeperFunction")["Timeout"], 60)
        self.assertEqual(self.resources["SweeperSilentAlarm"]["Properties"]["TreatMissingData"], "breaching")

    def test_the_outputs_are_the_names_that_others_rely_on(self):
        names = {
            "ApiUrl",
            "BatchQueueUrl",
            "DeadLetterQueueArn",
            "QueueUrl",
            "SigningKeyArn",
            "TableName",
            "VerifierDocumentUrl",
        }
        self.assertEqual(set(self.template["Outputs"]), names)


if __name__ == "__main__":
    unittest.main()
