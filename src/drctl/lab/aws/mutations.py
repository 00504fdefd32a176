"""Which requests to AWS change something, what they are called, and what they are about."""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_READS: Final = re.compile(r"(Describe|List|Get|Lookup|Head|Assume|Test|Search|Simulate)")
_KEYS: Final = ("ClientToken", "ClientRequestToken", "CallerReference", "IdempotencyToken")
_NAMES: Final = (
    "DBInstanceIdentifier", "DBSnapshotIdentifier", "GroupId", "GroupName", "LoadBalancerArn",
    "LoadBalancerName", "TargetGroupArn", "ListenerArn", "Name",
)  # fmt: skip
_XML_KEY: Final = re.compile(rb"<CallerReference>([^<]*)</CallerReference>")
_XML_NAMES: Final = re.compile(rb"<Name>([^<]*)</Name>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """A request that would change something."""

    operation: str
    target: str
    request: Mapping[str, str]
    key: str


def mutation_of(environ: "WSGIEnvironment", service: str) -> Mutation | None:
    """
    Reads what a request asks for; ``None`` when it only reads. The request can be read again.
    """
    method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "/")
    if method in {"GET", "HEAD", "OPTIONS"}:
        return None
    body = _body(environ)
    whole = {"method": method, "path": path, "query": environ.get("QUERY_STRING", "")}
    form = dict(parse_qsl(body.decode("utf-8", "replace"))) if service not in _BY_PATH else {}
    action = form.get("Action") or environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    if action:
        if _READS.match(action):
            return None
        target = next((form[name] for name in _NAMES if name in form), path)
        key = next((form[name] for name in _KEYS if name in form), "")
        request = {name: value for name, value in form.items() if "Password" not in name}
        return Mutation(
            operation=f"{service}.{action}", target=target, request=whole | request, key=key
        )
    key_found = _XML_KEY.search(body)
    names = b" ".join(_XML_NAMES.findall(body)).decode("utf-8", "replace")
    return Mutation(
        operation=f"{service}.{method}",
        target=f"{path} {names}".strip(),
        request={**whole, "body": body.decode("utf-8", "replace")},
        key=key_found[1].decode("utf-8", "replace") if key_found else "",
    )


_BY_PATH: Final = frozenset({"s3", "route53"})
"""Services whose operations are methods on paths."""


def _body(environ: "WSGIEnvironment") -> bytes:
    stream = environ["wsgi.input"]
    length = environ.get("CONTENT_LENGTH") or ""
    if not length and not environ.get("wsgi.input_terminated"):
        return b""
    body: bytes = stream.read(int(length)) if length else stream.read()
    environ["wsgi.input"] = io.BytesIO(body)
    return body
