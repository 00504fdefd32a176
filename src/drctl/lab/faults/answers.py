"""What each vendor says when it says no, in its own wire form."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from drctl.lab.faults.rules import Deed


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Status, headers and body."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


AnswerOf: TypeAlias = Callable[[Deed, str], Answer]
"""Deed and operation to the vendor's answer."""

_AWS: Final[Mapping[Deed, tuple[int, str, str]]] = {
    Deed.THROTTLED: (400, "Throttling", "Rate exceeded"),
    Deed.ERROR_500: (500, "InternalFailure", "An internal error has occurred."),
    Deed.ERROR_AFTER: (500, "InternalFailure", "An internal error has occurred."),
    Deed.ERROR_503: (503, "ServiceUnavailable", "Service is unable to handle request."),
    Deed.EXPIRED: (403, "ExpiredToken", "The security token included in the request is expired"),
}
_S3: Final[Mapping[Deed, tuple[int, str]]] = {
    Deed.THROTTLED: (503, "SlowDown"),
    Deed.EXPIRED: (400, "ExpiredToken"),
    Deed.ERROR_500: (500, "InternalError"),
    Deed.ERROR_AFTER: (500, "InternalError"),
}
_EC2: Final[Mapping[Deed, tuple[int, str]]] = {
    Deed.THROTTLED: (503, "RequestLimitExceeded"),
    Deed.EXPIRED: (400, "RequestExpired"),
    Deed.ERROR_500: (500, "InternalError"),
    Deed.ERROR_AFTER: (500, "InternalError"),
}
_KUBERNETES: Final[Mapping[Deed, tuple[int, str]]] = {
    Deed.THROTTLED: (429, "TooManyRequests"),
    Deed.EXPIRED: (401, "Unauthorized"),
    Deed.ERROR_500: (500, "InternalError"),
    Deed.ERROR_AFTER: (500, "InternalError"),
    Deed.ERROR_503: (503, "ServiceUnavailable"),
}
_GCP: Final[Mapping[Deed, tuple[int, str]]] = {
    Deed.THROTTLED: (403, "rateLimitExceeded"),
    Deed.EXPIRED: (401, "authError"),
    Deed.ERROR_500: (500, "internalError"),
    Deed.ERROR_AFTER: (500, "internalError"),
    Deed.ERROR_503: (503, "backendError"),
}
_PLAIN: Final[Mapping[Deed, int]] = {
    Deed.THROTTLED: 429,
    Deed.EXPIRED: 401,
    Deed.ERROR_500: 500,
    Deed.ERROR_AFTER: 500,
    Deed.ERROR_503: 503,
}


def aws(deed: Deed, operation: str) -> Answer:
    """The query protocol's, EC2's, S3's or REST-XML's error, each as the service writes it."""
    service = operation.partition(":")[0]
    status, code, message = _AWS[deed]
    status, code = {"s3": _S3, "ec2": _EC2}.get(service, {}).get(deed, (status, code))
    error = f"<Code>{code}</Code><Message>{message}</Message>"
    if service == "s3":
        body = f"<Error>{error}<RequestId>fault</RequestId></Error>"
    elif service == "ec2":
        body = (
            f"<Response><Errors><Error>{error}</Error></Errors><RequestID>f</RequestID></Response>"
        )
    else:
        body = f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error></ErrorResponse>"
    kind = {"Content-Type": "text/xml", "x-amzn-requestid": "fault"}
    return Answer(status=status, body=body.encode(), headers=kind)


def aws_json(deed: Deed, _operation: str) -> Answer:
    """The JSON protocols' error."""
    status, code, message = _AWS[deed]
    body = json.dumps({"__type": f"com.amazonaws#{code}Exception", "message": message})
    kind = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-requestid": "fault"}
    return Answer(status=status, body=body.encode(), headers=kind)


def kubernetes(deed: Deed, _operation: str) -> Answer:
    """A ``Status`` object; ``Retry-After`` where the API server gives one."""
    status, reason = _KUBERNETES[deed]
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "message": f"made by the fault proxy: {reason}",
        "code": status,
    }
    wait = {"Retry-After": "1"} if status in {429, 503} else {}
    kind = {"Content-Type": "application/json", "Audit-Id": "fault", **wait}
    return Answer(status=status, body=json.dumps(body).encode(), headers=kind)


def gcp(deed: Deed, operation: str) -> Answer:
    """Google's error body, and OAuth's where a token is asked for."""
    status, reason = _GCP[deed]
    kind = {"Content-Type": "application/json"}
    if operation.endswith(" token"):
        status = {Deed.THROTTLED: 429, Deed.EXPIRED: 400}.get(deed, status)
        word = "invalid_grant" if deed is Deed.EXPIRED else "internal_failure"
        body: dict[str, object] = {"error": word, "error_description": "made by the fault proxy"}
        return Answer(status=status, body=json.dumps(body).encode(), headers=kind)
    message = f"made by the fault proxy: {reason}"
    one = {"message": message, "domain": "global", "reason": reason}
    body = {"error": {"code": status, "message": message, "errors": [one]}}
    return Answer(status=status, body=json.dumps(body).encode(), headers=kind)


def messages(deed: Deed, operation: str) -> Answer:
    """Slack's and Statuspage's; Slack says most of it with 200, Statuspage throttles with 420."""
    status = _PLAIN[deed]
    kind = {"Content-Type": "application/json"}
    if operation.startswith("statuspage:"):
        status = 420 if deed is Deed.THROTTLED else status
        body = json.dumps({"error": f"status {status}"})
        return Answer(status=status, body=body.encode(), headers=kind)
    wait = {"Retry-After": "1"} if deed is Deed.THROTTLED else {}
    words = {Deed.THROTTLED: "ratelimited", Deed.EXPIRED: "token_expired"}
    word = words.get(deed, "internal_error")
    if operation == "slack:webhook":
        status = 403 if deed is Deed.EXPIRED else status
        return Answer(status=status, body=word.encode(), headers=wait)
    status = 200 if deed is Deed.EXPIRED else status
    body = json.dumps({"ok": False, "error": word})
    return Answer(status=status, body=body.encode(), headers=kind | wait)


def plain(deed: Deed, _operation: str) -> Answer:
    """A status and nothing else."""
    wait = {"Retry-After": "1"} if deed is Deed.THROTTLED else {}
    return Answer(status=_PLAIN[deed], body=b"", headers=wait)
