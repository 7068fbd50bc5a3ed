"""The whole stack on an emulated AWS: template.yaml deployed with real bootstraps as host processes.

What it proves: the template deploys; routes, event source mapping, dead-letter queue and schedule are wired to the right
functions; the roles grant what the functions use (`enforce_permissions`). What it cannot prove: expiry, throttling, encryption,
point-in-time recovery and concurrency limits, which the emulator ignores: test_template.py asserts those on the template.

    emulator.py BINARIES       deploys the functions built in the folder BINARIES and prints the stack's outputs
"""

import io
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
import zipfile
from contextlib import contextmanager
from pathlib import Path

import boto3
from botocore.config import Config
from samtranslator.yaml_helper import yaml_parse

from loopback import free_port, stop_group

TEMPLATE = Path(__file__).resolve().parents[2] / "template.yaml"
REGION = "us-east-1"
FUNCTIONS = {
    "VerifyApiFunction": "verify-api",
    "BatchVerifierFunction": "batch-verifier",
    "SweeperFunction": "sweeper",
}
ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64"}


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
        """Status, headers and body of a request through the deployed API.

        The API is told by the host name of its own; the request goes to the loopback address whatever that name resolves to.
        """
        host = api_url.split("://", 1)[1].rstrip("/")
        request = urllib.request.Request(self.url + path, headers={"Host": host, "Accept": "application/json"})
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


def archive(binary):
    """A function's deployment package: the binary, named `bootstrap`."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as package:
        entry = zipfile.ZipInfo("bootstrap", date_time=(1980, 1, 1, 0, 0, 0))
        entry.external_attr = 0o755 << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        package.writestr(entry, Path(binary).read_bytes())
    return content.getvalue()


def deploy(emulator, binaries, parameters=None, stack="hekate", environment=None):
    """Deploys template.yaml with the binaries of a folder; returns the stack's outputs and its resources by logical name.

    `environment` adds variables to every function: what AWS sets by itself and an emulator does not, such as its own address.
    """
    template = yaml_parse(TEMPLATE.read_text())
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket="code")
    for name, binary in FUNCTIONS.items():
        s3.put_object(Bucket="code", Key=f"{binary}.zip", Body=archive(Path(binaries) / binary))
        template["Resources"][name]["Properties"]["CodeUri"] = {"Bucket": "code", "Key": f"{binary}.zip"}
    template["Globals"]["Function"]["Environment"]["Variables"].update(environment or {})
    name_batches_apart(template)
    values = {
        "Architecture": ARCHITECTURES[platform.machine()],
        "DeletionProtection": "false",
        **(parameters or {}),
    }
    cloudformation = emulator.client("cloudformation")
    cloudformation.create_stack(
        StackName=stack,
        TemplateBody=json.dumps(template),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[{"ParameterKey": key, "ParameterValue": str(value)} for key, value in values.items()],
    )
    wait_for_stack(cloudformation, stack)
    repair_concurrency(emulator)
    (description,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in description["Outputs"]}
    summaries = cloudformation.list_stack_resources(StackName=stack)["StackResourceSummaries"]
    return outputs, {summary["LogicalResourceId"]: summary["PhysicalResourceId"] for summary in summaries}


def name_batches_apart(template):
    """Lets whoever may send one message send several.

    On AWS `sqs:SendMessage` authorises `SendMessageBatch` as well, which has no action of its own; the emulator asks for one.
    """
    for resource in template["Resources"].values():
        for policy in resource.get("Properties", {}).get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                # A statement under a condition has no action of its own; none of those is about queues.
                if statement.get("Action") == "sqs:SendMessage":
                    statement["Action"] = ["sqs:SendMessage", "sqs:SendMessageBatch"]


def repair_concurrency(emulator):
    """Sets each event source's concurrency as a number.

    The emulator's CloudFormation leaves a parameter of type `Number` the string that it was given, and its poller then fails to
    compare it. CloudFormation itself converts.
    """
    functions = emulator.client("lambda")
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        maximum = int(mapping["ScalingConfig"]["MaximumConcurrency"])
        functions.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": maximum})


def wait_for_stack(cloudformation, stack, seconds=120):
    deadline = time.monotonic() + seconds
    status = "not looked at"
    while time.monotonic() < deadline:
        status = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
        if status == "CREATE_COMPLETE":
            return
        if "FAILED" in status or "ROLLBACK" in status:
            break
        time.sleep(0.3)
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    reasons = [f"{e['LogicalResourceId']}: {e.get('ResourceStatusReason', '')}" for e in events if "FAILED" in e["ResourceStatus"]]
    raise RuntimeError(f"stack {stack} is {status}\n" + "\n".join(reasons))


def main(arguments):
    if len(arguments) != 1:
        raise SystemExit(__doc__)
    with start() as emulator:
        outputs, resources = deploy(emulator, arguments[0])
        print(json.dumps({"outputs": outputs, "resources": resources}, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
