"""Every call that the AWS adapter makes needs a permission that its table has."""

import ast
from pathlib import Path

import drctl.adapters.aws
from drctl.adapters.aws import ADAPTER
from drctl.adapters.aws.permissions import NEEDS
from drctl.adapters.kubernetes import ADAPTER as KUBERNETES
from drctl.adapters.kubernetes.permissions import NEEDS as RULES

SOURCE = Path(drctl.adapters.aws.__file__).parent
SERVICES = {"elbv2": "elasticloadbalancing", "service-quotas": "servicequotas"}
ANOTHER_NAME = {
    # The permission is called otherwise than the call.
    "s3:HeadObject": "s3:GetObject",
    "s3:CopyObject": "s3:GetObjectVersion",
    "s3:ListObjectVersions": "bucket:ListBucketVersions",
    "s3:GetBucketReplication": "bucket:GetReplicationConfiguration",
    "s3:GetBucketVersioning": "bucket:GetBucketVersioning",
}
NOT_OF_AN_ACTION = {
    "sts:GetCallerIdentity",  # nobody needs a permission to ask who they are
    "route53:GetHostedZone",  # the pin's
}
SPOKEN = {"DbInstance": "DBInstance", "DbSnapshot": "DBSnapshot", "Aws": "AWS"}


def operations(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if not is_call or node.func.attr not in {"read", "mutate", "once"} or len(node.args) < 2:
            continue
        service, name = node.args[:2]
        if isinstance(service, ast.Constant) and isinstance(name, ast.Constant):
            words = "".join(word.title() for word in name.value.split("_"))
            for said, spoken in SPOKEN.items():
                words = words.replace(said, spoken)
            yield f"{SERVICES.get(service.value, service.value)}:{words}"


def test_every_call_has_its_permission():
    known = {name for names in NEEDS.values() for name in names}
    made = {
        name for path in SOURCE.glob("*.py") if not path.stem.startswith("ready_")
        for name in operations(path)
    }  # fmt: skip
    assert len(made) > 40
    missing = {ANOTHER_NAME.get(name, name) for name in made - NOT_OF_AN_ACTION} - known
    assert set() == missing


def test_every_action_is_in_the_table_and_no_other():
    assert set(ADAPTER.actions) == set(NEEDS)
    assert set(RULES) <= set(KUBERNETES.actions)
