"""What a request is, in one name, per vendor: what rules and counts go by."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import parse_qs

from drctl.lab.http_wire import Headers

_SCOPE: Final = re.compile(r"Credential=[^/]+/\d{8}/[^/]+/([^/]+)/aws4_request")
_ROUTE53: Final = (
    (re.compile(r"/hostedzone/[^/]+/rrset"), "rrset"),
    (re.compile(r"/change/"), "change"),
    (re.compile(r"/hostedzone/[^/?]+$"), "zone"),
)
_KUBERNETES: Final = re.compile(
    r"^/(?:api|apis/[^/]+)/v[a-z0-9]+/(?:namespaces/[^/]+/)?([a-z]+)(?:/[^/?]+)?(/[a-z]+)?"
)
_GCP: Final = (
    (re.compile(r"/token$"), "token"),
    (re.compile(r"/instances/[^/]+$"), "instance"),
    (re.compile(r"/operations/[^/]+$"), "operation"),
    (re.compile(r"/changes/[^/]+$"), "change"),
)
_STATUSPAGE: Final = re.compile(r"/incidents/(unresolved|[^/?]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A whole request, as it came in."""

    method: str
    target: str
    headers: Headers
    body: bytes

    def header(self, name: str) -> str:
        """The first header of that (lower-case) name; empty without one."""
        return next((value for key, value in self.headers if key.lower() == name), "")


NameOf: TypeAlias = Callable[[Request], str]


def aws(request: Request) -> str:
    """``rds:PromoteReadReplica``, ``s3:PUT``, ``route53:POST rrset``."""
    found = _SCOPE.search(request.header("authorization"))
    service = found[1] if found else "unsigned"
    if service == "s3":
        return f"s3:{request.method}"
    if service == "route53":
        path = request.target.partition("?")[0]
        kind = next((name for form, name in _ROUTE53 if form.search(path)), "other")
        return f"route53:{request.method} {kind}"
    action = parse_qs(request.body.decode("latin-1")).get(
        "Action", [request.header("x-amz-target")]
    )
    return f"{service}:{action[0]}"


def kubernetes(request: Request) -> str:
    """``PATCH deployments/scale``, ``GET version``, ``DRYRUN configmaps``: what stores nothing."""
    found = _KUBERNETES.match(request.target)
    what = f"{found[1]}{found[2] or ''}" if found else request.target.partition("?")[0].strip("/")
    verb = "DRYRUN" if "dryRun=All" in request.target else request.method
    return f"{verb} {what}"


def gcp(request: Request) -> str:
    """``gcp:POST token``, ``gcp:GET instance``, ``gcp:POST promoteReplica``."""
    path = request.target.partition("?")[0]
    last = path.rsplit("/", 1)[-1]
    what = next((name for form, name in _GCP if form.search(path)), last)
    return f"gcp:{request.method} {what}"


def messages(request: Request) -> str:
    """``slack:webhook``, ``slack:chat.postMessage``, ``statuspage:GET unresolved``."""
    path = request.target.partition("?")[0]
    if path.startswith("/services/"):
        return "slack:webhook"
    if path.startswith("/api/"):
        return f"slack:{path.removeprefix('/api/')}"
    found = _STATUSPAGE.search(path)
    what = "incidents" if found is None else found[1] if found[1] == "unresolved" else "incident"
    return f"statuspage:{request.method} {what}"


def plain(request: Request) -> str:
    """``http:GET``."""
    return f"http:{request.method}"


def by_path(names: Mapping[str, str]) -> NameOf:
    """Names by how a path ends; ``http:METHOD`` for others."""

    def name(request: Request) -> str:
        path = request.target.partition("?")[0]
        return next((it for end, it in names.items() if path.endswith(end)), plain(request))

    return name
