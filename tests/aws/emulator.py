"""The whole stack on an emulated AWS: what `sam build` left, deployed by `sam deploy`, with real bootstraps as host processes.

What it proves: the template deploys as it is; routes, event source mapping, dead-letter queue and schedule are wired to the right
functions; the roles grant what the functions themselves ask for (`enforce_permissions`). What it cannot prove: expiry, throttling,
encryption, point-in-time recovery and concurrency limits, which the emulator ignores, and what AWS needs a role for besides (an event
source to read its queue, the schedule to start its target, Lambda to write logs and traces), about which it asks no role:
test_template.py asserts those on the template. Nor does it know `StartMessageMoveTask`, with which a dead-letter queue is redriven.

    emulator.py BUILD SAM       deploys what `sam build` left in the folder BUILD and prints the stack's outputs
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config
from samtranslator.yaml_helper import yaml_parse

from loopback import free_port, stop_group

CONFIGURATION = Path(__file__).resolve().parents[2] / "samconfig.toml"
REGION = "us-east-1"
FUNCTIONS = {
    "VerifyApiFunction": "verify-api",
    "BatchVerifierFunction": "batch-verifier",
    "SweeperFunction": "sweeper",
}
ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64"}
# What a stack on this host differs in from a stack on AWS: it runs this host's instructions, and its table goes with the emulator.
HOST_PARAMETERS = {"Architecture": ARCHITECTURES[platform.machine()], "DeletionProtection": "false"}


class Emulator:
    def __init__(self, port, log):
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.log = log
        self.session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)

    def client(self, service):
        return self.session.client(service, endpoint_url=self.url, config=Config(retries={"max_attempts": 2}))

    def output(self):
        return Path(self.log).read_text(errors="replace")

    def get(self, api_url, path, timeout=60):
        """Status, headers and body of a reading request through the deployed API."""
        return self.ask(api_url, "GET", path, timeout=timeout)

    def ask(self, api_url, method, path, body=None, timeout=60):
        """Status, headers and body of a request through the deployed API, of which nobody says whose it is.

        The API is told by the host name of its own; the request goes to the loopback address whatever that name resolves to.
        """
        host = api_url.split("://", 1)[1].rstrip("/")
        headers = {"Host": host, "Accept": "application/json", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data=body, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return response.status, response.headers, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()


@contextmanager
def start(enforce_permissions=False):
    """An emulator of its own on a free loopback port, ended with everything it started."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "emulator.log"
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "BIND_HOST": "127.0.0.1",  # it listens on every interface otherwise
            "GATEWAY_PORT": str(port),
            "IOT_MTLS_ENABLED": "0",
            "MINISTACK_REGION": REGION,
            "AUTH": "true" if enforce_permissions else "false",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",  # which it hands on to the functions
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        executable = shutil.which("ministack", path=str(Path(sys.executable).parent))
        if executable is None:
            raise SystemExit("ministack is not installed in this environment")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [executable],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        emulator = Emulator(port, log)
        try:
            wait_until_ready(emulator, process)
            yield emulator
        finally:
            stop_group(process)


def wait_until_ready(emulator, process, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{emulator.url}/_ministack/ready", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the emulator did not start\n{emulator.output()}")


@dataclass(frozen=True)
class Build:
    """What `sam build` left in a folder, and the program that deploys it."""

    folder: Path
    sam: Path

    def bootstrap(self, name):
        """The built program of a function, by the name of its crate."""
        (logical,) = (logical for logical, crate in FUNCTIONS.items() if crate == name)
        return self.folder / logical / "bootstrap"

    def parameters(self):
        """The parameters of the template, in its order, in which `sam deploy --guided` asks for them."""
        return list(yaml_parse((self.folder / "template.yaml").read_text())["Parameters"])

    def command(self, emulator, *arguments, answers=None):
        """Runs `sam` against the emulator with the repository's own configuration, and returns what it printed.

        `answers` is what is typed. The configuration is a copy, since `--guided` writes into it.
        """
        with tempfile.TemporaryDirectory() as home:
            configuration = Path(home) / "samconfig.toml"
            shutil.copyfile(CONFIGURATION, configuration)
            environment = {
                "PATH": os.environ["PATH"],
                "HOME": home,
                "AWS_ENDPOINT_URL": emulator.url,
                "AWS_DEFAULT_REGION": REGION,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "SAM_CLI_TELEMETRY": "0",
            }
            ran = subprocess.run(
                [self.sam, *arguments, "--config-file", configuration],
                cwd=home,
                env=environment,
                input="".join(f"{answer}\n" for answer in answers or []),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=300,
                check=False,
            )
        # Progress is printed over itself; what is left of such a line is its last state.
        output = "\n".join(line.rsplit("\r", 1)[-1] for line in ran.stdout.splitlines())
        if ran.returncode != 0:
            raise RuntimeError(f"sam {arguments[0]} ended with {ran.returncode}\n{output}\n{emulator.output()[-4000:]}")
        return output


def deploy(emulator, build, parameters=None, stack="hekate"):
    """`sam deploy` of a new stack, or of the one that is there with other parameters; returns its outputs and its resources."""
    values = " ".join(f'{name}="{value}"' for name, value in (HOST_PARAMETERS | (parameters or {})).items())
    build.command(
        emulator,
        "deploy",
        *("--template-file", build.folder / "template.yaml"),
        *("--stack-name", stack),
        "--no-confirm-changeset",
        *("--parameter-overrides", values),
    )
    return settle(emulator, stack)


def deploy_guided(emulator, build, parameters=None, stack="hekate"):
    """The same as an operator does it the first time: `sam deploy --guided`, every question answered on standard input."""
    values = HOST_PARAMETERS | (parameters or {})
    build.command(
        emulator,
        "deploy",
        "--guided",
        *("--template-file", build.folder / "template.yaml"),
        answers=[
            stack,
            REGION,
            *(values.get(name, "") for name in build.parameters()),
            "y",  # confirm changes before they are made
            "y",  # allow roles
            "n",  # keep rollbacks
            "y",  # save the answers
            "",
            "",
            "y",  # make these changes
        ],
    )
    return settle(emulator, stack)


def delete(emulator, build, stack="hekate"):
    """`sam delete`."""
    build.command(emulator, "delete", "--stack-name", stack, "--region", REGION, "--no-prompts")


def settle(emulator, stack):
    """Repairs where the emulator differs from AWS, and returns the stack's outputs and its resources by logical name."""
    cloudformation = emulator.client("cloudformation")
    summaries = cloudformation.list_stack_resources(StackName=stack)["StackResourceSummaries"]
    resources = {summary["LogicalResourceId"]: summary["PhysicalResourceId"] for summary in summaries}
    roles = [summary["PhysicalResourceId"] for summary in summaries if summary["ResourceType"] == "AWS::IAM::Role"]
    name_batches_apart(emulator, roles)
    repair_concurrency(emulator)
    (description,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in description["Outputs"]}, resources


def name_batches_apart(emulator, roles):
    """Lets whoever may send one message send several.

    On AWS `sqs:SendMessage` authorises `SendMessageBatch` as well, which has no action of its own; the emulator asks for one.
    """
    iam = emulator.client("iam")
    for role in roles:
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for statement in document["Statement"]:
                if statement["Action"] == "sqs:SendMessage":
                    statement["Action"] = ["sqs:SendMessage", "sqs:SendMessageBatch"]
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))


@contextmanager
def taken_away(emulator, role, action):
    """Takes an action away from a role, wherever its policies grant it, for as long as the context lasts."""
    iam = emulator.client("iam")
    granted, found = [], False
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        granted.append((name, json.dumps(document)))
        left = []
        for statement in document["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            found = found or action in actions
            if rest := [granted_action for granted_action in actions if granted_action != action]:
                left.append(statement | {"Action": rest})
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document | {"Statement": left}))
    if not found:
        raise RuntimeError(f"{role} has no {action} that could be taken away")
    try:
        yield
    finally:
        for name, document in granted:
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=document)


def repair_concurrency(emulator):
    """Sets each event source's concurrency as a number.

    The emulator's CloudFormation leaves a parameter of type `Number` the string that it was given, and its poller then fails to
    compare it. CloudFormation itself converts.
    """
    functions = emulator.client("lambda")
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        maximum = int(mapping["ScalingConfig"]["MaximumConcurrency"])
        functions.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": maximum})


def main(arguments):
    if len(arguments) != 2:
        raise SystemExit(__doc__)
    with start() as emulator:
        outputs, resources = deploy(emulator, Build(*map(Path, arguments)))
        print(json.dumps({"outputs": outputs, "resources": resources}, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
