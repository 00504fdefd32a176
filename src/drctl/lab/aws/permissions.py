"""
IAM as far as it decides: the policies of the lab's user, asked before every request, and simulated.

Moto keeps policies and lets everybody do everything. Here the lab's access key belongs to a user
with an inline policy that allows all; whoever denies something there, through IAM's own API, is
obeyed by every service. `SimulatePrincipalPolicy` answers from the same evaluation, which is what
makes it worth asking. Not emulated, and refused: conditions, boundaries, groups, policies of others
than users.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from moto.core.responses import ActionResult
from moto.iam.models import iam_backends
from moto.iam.responses import IamResponse

from drctl.lab.plan import ACCOUNT_ID

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from drctl.lab.aws.front import Scope

USER: Final = "drctl"
POLICY: Final = "everything"
_ALL: Final = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}
_S3: Final = {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
_ROUTE53: Final = (
    ("POST", "/rrset", "ChangeResourceRecordSets"),
    ("GET", "/rrset", "ListResourceRecordSets"),
    ("GET", "/healthcheck/", "GetHealthCheck"),
    ("GET", "/change/", "GetChange"),
)
_NAMES: Final = {
    "elasticloadbalancing": "elasticloadbalancing", "monitoring": "cloudwatch",
    "application-autoscaling": "application-autoscaling", "servicequotas": "servicequotas",
}  # fmt: skip
_FREE: Final = {"GetCallerIdentity"}
"""Nobody needs a permission to ask who they are."""


class Permissions:
    """The user behind the lab's access key, and what it may do; an overlay of the plane."""

    def __init__(self, key_id: str) -> None:
        self._key_id = key_id

    def install(self) -> Callable[[], None]:
        """
        Makes the user, and the missing verb.

        Returns:
            What takes the verb away.
        """
        backend = iam_backends[ACCOUNT_ID]["aws"]
        backend.create_user("aws", USER)
        backend.create_access_key(USER).access_key_id = self._key_id
        backend.put_user_policy(USER, POLICY, json.dumps(_ALL))
        setattr(IamResponse, "simulate_principal_policy", _simulate)  # noqa: B010 (it has none)

        def undo() -> None:
            delattr(IamResponse, "simulate_principal_policy")

        return undo

    def refusal(self, environ: WSGIEnvironment, scope: Scope) -> str | None:
        """Why IAM does not let a request through; ``None`` when it does."""
        asked = _asked(environ, scope)
        if asked is None or scope.key_id != self._key_id:
            return None
        action, resource = asked
        if decide(_policies(USER), action, resource) == "allowed":
            return None
        user = f"arn:aws:iam::{ACCOUNT_ID}:user/{USER}"
        return f"User: {user} is not authorized to perform: {action} on resource: {resource}"


def decide(policies: Iterator[Mapping[str, Any]], action: str, resource: str) -> str:
    """``allowed``, ``explicitDeny`` or ``implicitDeny``: IAM's own words."""
    decision = "implicitDeny"
    for policy in policies:
        for statement in _listed(policy["Statement"]):
            if not _concerns(statement, action, resource):
                continue
            if statement["Effect"] == "Deny":
                return "explicitDeny"
            decision = "allowed"
    return decision


def _concerns(statement: Mapping[str, Any], action: str, resource: str) -> bool:
    if "Condition" in statement or "NotResource" in statement:
        raise NotImplementedError("policies with conditions or NotResource")
    names = _listed(statement.get("Action", statement.get("NotAction", [])))
    # IAM's actions are not case-sensitive; its resources are.
    is_named = any(fnmatchcase(action.lower(), name.lower()) for name in names)
    is_about = any(fnmatchcase(resource, pattern) for pattern in _listed(statement["Resource"]))
    return is_about and is_named is ("Action" in statement)


def _policies(user: str) -> Iterator[Mapping[str, Any]]:
    backend = iam_backends[ACCOUNT_ID]["aws"]
    found = backend.get_user(user)
    for text in tuple(found.policies.values()):
        yield json.loads(text)
    for policy in tuple(found.managed_policies.values()):
        yield json.loads(next(each.document for each in policy.versions if each.is_default))


def _simulate(call: IamResponse) -> ActionResult:
    source = str(call._get_param("PolicySourceArn"))
    user = source.rpartition("/")[2]
    actions = call._get_param("ActionNames", [])
    resources = call._get_param("ResourceArns", []) or ["*"]
    results = [
        {
            "EvalActionName": action,
            "EvalResourceName": resource,
            "EvalDecision": decide(_policies(user), action, resource),
            "MatchedStatements": [],
            "MissingContextValues": [],
        }
        for action in actions
        for resource in resources
    ]
    return ActionResult({"EvaluationResults": results, "IsTruncated": False})


def _asked(environ: WSGIEnvironment, scope: Scope) -> tuple[str, str] | None:
    """The action and the resource of a request, as IAM names them; ``None``: not told apart."""
    method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "/")
    if scope.service == "s3":
        has_key = path.strip("/").count("/") > 0
        if not has_key or method not in _S3 or environ.get("QUERY_STRING"):
            return None
        return f"s3:{_S3[method]}", f"arn:aws:s3:::{path.lstrip('/')}"
    if scope.service == "route53":
        for verb, part, action in _ROUTE53:
            if method == verb and part in f"{path}/":
                return f"route53:{action}", "*"
        return None
    form = _form(environ)
    action = form.get("Action") or environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    if not action or action in _FREE:
        return None
    service = _NAMES.get(scope.service, scope.service)
    resource = "*"
    if service == "rds" and "DBInstanceIdentifier" in form:
        name = form["DBInstanceIdentifier"]
        resource = f"arn:aws:rds:{scope.region}:{ACCOUNT_ID}:db:{name}"
    return f"{service}:{action}", resource


def _form(environ: WSGIEnvironment) -> dict[str, str]:
    """The body as a form; it can be read again."""
    if "json" in environ.get("CONTENT_TYPE", ""):
        return {}
    stream, length = environ["wsgi.input"], environ.get("CONTENT_LENGTH") or ""
    if not length and not environ.get("wsgi.input_terminated"):
        return {}
    body: bytes = stream.read(int(length)) if length else stream.read()
    environ["wsgi.input"] = io.BytesIO(body)
    return dict(parse_qsl(body.decode("utf-8", "replace")))


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]
