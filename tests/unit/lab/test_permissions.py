"""The lab's IAM and RBAC decide as the real ones do, as far as they go."""

import pytest

from drctl.lab.aws.permissions import decide
from drctl.lab.kubernetes.kinds import CLUSTER_ROLE, DEPLOYMENT
from drctl.lab.kubernetes.rights import Rights, first_role
from drctl.lab.kubernetes.store import Store

ALL = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
OBJECT = "arn:aws:s3:::switch/engaged"


def deny(action, resource="*"):
    return {"Statement": {"Effect": "Deny", "Action": action, "Resource": resource}}


@pytest.mark.parametrize(
    ("policies", "action", "decision"),
    [
        ([], "s3:PutObject", "implicitDeny"),
        ([ALL], "s3:PutObject", "allowed"),
        ([ALL, deny("s3:putobject")], "s3:PutObject", "explicitDeny"),
        ([deny("s3:*"), ALL], "s3:PutObject", "explicitDeny"),
        ([ALL, deny("s3:PutObject", "arn:aws:s3:::other/*")], "s3:PutObject", "allowed"),
        ([ALL, deny(["rds:Promote*", "s3:Put*"])], "s3:PutObject", "explicitDeny"),
    ],
)
def test_a_denial_wins_and_what_nobody_allows_is_denied(policies, action, decision):
    assert decision == decide(iter(policies), action, OBJECT)


def test_a_condition_is_refused_and_not_ignored():
    policy = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {}}]}
    with pytest.raises(NotImplementedError):
        decide(iter([policy]), "s3:PutObject", OBJECT)


def test_a_right_to_a_resource_is_none_to_its_part_and_a_review_says_what_a_request_hears():
    store = Store()
    store.create(CLUSTER_ROLE, first_role())
    rights = Rights(store)
    rights.require("patch", DEPLOYMENT, "scale", "web")
    rule = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"]}
    store.replace(CLUSTER_ROLE, {**store.get(CLUSTER_ROLE, "", "drctl"), "rules": [rule]})
    rights.require("patch", DEPLOYMENT, "", "web")
    with pytest.raises(Exception, match="cannot patch resource"):
        rights.require("patch", DEPLOYMENT, "scale", "web")
    asked = {"group": "apps", "resource": "deployments", "verb": "patch", "subresource": "scale"}
    answer = rights.review({"spec": {"resourceAttributes": asked}})
    assert answer["status"]["allowed"] is False
    rights.require("patch", CLUSTER_ROLE, "", "drctl")
