"""The AWS error table knows every error of the SDK, and every error of the calls that are made."""

import ssl

import botocore.eventstream
import botocore.exceptions
import botocore.parsers
import botocore.session
import pytest
from botocore.exceptions import ClientError

from drctl.actions.errors import (
    ActionError,
    AuthRejected,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from drctl.adapters.aws.errors import EXCEPTIONS, translate, word_of_code, words_of_exception

OPERATIONS = {
    "sts": ["GetCallerIdentity"],
    "rds": [
        "DescribeDBInstances",
        "ModifyDBInstance",
        "RebootDBInstance",
        "PromoteReadReplica",
        "DescribeDBInstanceAutomatedBackups",
        "CreateDBSnapshot",
        "DescribeDBSnapshots",
    ],
    "ec2": ["DescribeSecurityGroups"],
    "s3": [
        "PutObject",
        "GetObject",
        "HeadObject",
        "DeleteObject",
        "ListObjectVersions",
        "CopyObject",
        "GetBucketReplication",
        "GetBucketVersioning",
    ],
    "autoscaling": ["DescribeAutoScalingGroups", "SetDesiredCapacity"],
    "application-autoscaling": ["DescribeScalableTargets"],
    "ecs": ["DescribeServices", "UpdateService"],
    "service-quotas": ["GetServiceQuota", "GetAWSDefaultServiceQuota"],
    "cloudwatch": ["GetMetricStatistics"],
    "elasticache": [
        "DescribeGlobalReplicationGroups",
        "DescribeReplicationGroups",
        "FailoverGlobalReplicationGroup",
    ],
    "route53-recovery-cluster": ["GetRoutingControlState", "UpdateRoutingControlStates"],
    "ecr": ["DescribeImages"],
    "route53": [
        "ChangeResourceRecordSets",
        "GetChange",
        "ListResourceRecordSets",
        "GetHostedZone",
        "ListHostedZonesByName",
        "GetHealthCheck",
    ],
    "iam": ["SimulatePrincipalPolicy"],
    "elbv2": [
        "DescribeLoadBalancers",
        "DescribeLoadBalancerAttributes",
        "DescribeListeners",
        "DescribeListenerCertificates",
        "DescribeRules",
        "DescribeTags",
        "DescribeTargetGroups",
        "DescribeTargetHealth",
        "CreateLoadBalancer",
        "ModifyLoadBalancerAttributes",
        "CreateTargetGroup",
        "RegisterTargets",
        "DeregisterTargets",
        "CreateListener",
        "AddListenerCertificates",
        "DeleteLoadBalancer",
        "DeleteTargetGroup",
        "SetSecurityGroups",
        "AddTags",
    ],
    "secretsmanager": ["DescribeSecret", "PutSecretValue"],
}
"""Every call that the adapter makes; `test_the_adapter_calls_nothing_else` holds this."""

ROOTS = {botocore.exceptions.BotoCoreError, ClientError}


def sdk_exceptions():
    modules = (botocore.exceptions, botocore.parsers, botocore.eventstream)
    found = {
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, Exception)
        and not issubclass(kind, Warning)
        and kind.__module__.startswith("botocore")
    }
    return sorted(found - ROOTS, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", sdk_exceptions(), ids=lambda kind: kind.__name__)
def test_every_exception_of_the_sdk_is_mapped(kind):
    """A new SDK release with a new error must be looked at before it is trusted."""
    assert words_of_exception(kind) is not None


def test_the_table_names_no_exception_that_the_sdk_does_not_have():
    known = {base.__name__ for kind in sdk_exceptions() for base in kind.__mro__}
    assert set() == set(EXCEPTIONS) - known


def test_every_error_shape_of_the_calls_that_are_made_is_mapped():
    session = botocore.session.Session()
    unknown = []
    for service, operations in OPERATIONS.items():
        model = session.get_service_model(service)
        for operation in operations:
            for shape in model.operation_model(operation).error_shapes:
                code = shape.metadata.get("error", {}).get("code", shape.name)
                if word_of_code(code) is None:
                    unknown.append(f"{service}:{operation}: {code}")
    assert unknown == []


def test_the_adapter_calls_nothing_else():
    """The list above is what the code asks for, so no call escapes the walk over error shapes."""
    import re
    from pathlib import Path

    from botocore import xform_name

    import drctl.adapters.aws as package

    listed = {(s, xform_name(o)) for s, operations in OPERATIONS.items() for o in operations}
    called = set()
    for file in Path(package.__file__).parent.glob("*.py"):
        pattern = r'\.(?:read|mutate|once)\(\s*"([\w-]+)",\s*"(\w+)"'
        called |= set(re.findall(pattern, file.read_text()))
    assert listed == called


@pytest.mark.parametrize(
    ("code", "status", "read", "mutation"),
    [
        ("Throttling", 400, Throttled, Throttled),
        ("ThrottlingException", 400, Throttled, Throttled),
        ("RequestLimitExceeded", 503, Throttled, Throttled),
        ("SlowDown", 503, Throttled, Throttled),
        ("AccessDenied", 403, AuthRejected, AuthRejected),
        ("AccessDeniedException", 400, AuthRejected, AuthRejected),
        ("InvalidClientTokenId", 403, AuthRejected, AuthRejected),
        ("InvalidAccessKeyId", 403, AuthRejected, AuthRejected),
        ("ExpiredTokenException", 400, AuthRejected, AuthRejected),
        ("SignatureDoesNotMatch", 403, AuthRejected, AuthRejected),
        ("UnauthorizedOperation", 403, AuthRejected, AuthRejected),
        ("DBInstanceNotFound", 404, NotFound, NotFound),
        ("InvalidGroup.NotFound", 400, NotFound, NotFound),
        ("NoSuchKey", 404, NotFound, NotFound),
        ("NoSuchHostedZone", 404, NotFound, NotFound),
        ("404", 404, NotFound, NotFound),
        ("InvalidDBInstanceState", 400, Conflict, Conflict),
        ("PriorRequestNotComplete", 400, Conflict, Conflict),
        ("HostedZoneInUse", 400, Conflict, Conflict),
        ("InvalidParameterValue", 400, Rejected, Rejected),
        ("ValidationError", 400, Rejected, Rejected),
        ("InvalidChangeBatch", 400, Rejected, Rejected),
        ("NeverHeardOfIt", 418, Rejected, Rejected),
        ("InternalFailure", 500, Unavailable, OutcomeUnknown),
        ("ServiceUnavailable", 503, Unavailable, OutcomeUnknown),
        ("NeverHeardOfIt", 502, Unavailable, OutcomeUnknown),
        ("RequestTimeout", 400, Unavailable, OutcomeUnknown),
    ],
)
def test_an_answered_error_means_the_same_for_everybody(code, status, read, mutation):
    response = {
        "Error": {"Code": code, "Message": "m"},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "r-1"},
    }
    error = ClientError(response, "Operation")
    for mutates, word in ((False, read), (True, mutation)):
        translated = translate(error, "rds:Operation in us-west-2", mutates=mutates)
        assert word is type(translated)
        assert translated.request_id == "r-1"
        assert f"rds:Operation in us-west-2: {code}: m" == str(translated)


def test_a_certificate_that_is_not_trusted_is_a_matter_of_identity():
    """Decided in the handshake: nothing was sent, so nothing is unknown."""
    error = botocore.exceptions.SSLError(endpoint_url="https://x", error="bad")
    error.__cause__ = ssl.SSLCertVerificationError("self-signed")
    assert AuthRejected is type(translate(error, "x", mutates=True))


def test_an_exception_that_nobody_listed_is_unknown_after_a_mutation():
    class New(botocore.exceptions.BotoCoreError):
        """Of a later release."""

    assert OutcomeUnknown is type(translate(New(), "x", mutates=True))
    assert issubclass(type(translate(New(), "x", mutates=False)), ActionError)
