"""The errors AWS gives in front of all services, each in its service's own form."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error before any service looked at the request."""

    status: HTTPStatus
    code: str
    message: str
    extra: Mapping[str, str] = field(default_factory=dict)
    """More elements of S3's error document."""
    headers: Mapping[str, str] = field(default_factory=dict)


MISSING_TOKEN: Final = Refusal(
    HTTPStatus.FORBIDDEN, "MissingAuthenticationToken", "Request is missing Authentication Token"
)
INTERNAL_FAILURE: Final = Refusal(
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "InternalFailure",
    "The request processing has failed because of an unknown error, exception or failure.",
)


def unknown_key(service: str) -> Refusal:
    """Returns the refusal of an access key that does not exist."""
    if service == "s3":
        return Refusal(
            HTTPStatus.FORBIDDEN,
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
        )
    if service == "ec2":
        return Refusal(
            HTTPStatus.UNAUTHORIZED,
            "AuthFailure",
            "AWS was not able to validate the provided access credentials",
        )
    return Refusal(
        HTTPStatus.FORBIDDEN,
        "InvalidClientTokenId",
        "The security token included in the request is invalid.",
    )


def forbidden(service: str, why: str) -> Refusal:
    """Returns the refusal of what no policy of the caller allows."""
    code = "UnauthorizedOperation" if service == "ec2" else "AccessDenied"
    return Refusal(HTTPStatus.FORBIDDEN, code, why)


def wrong_region(service: str, claimed: str, expected: str) -> Refusal:
    """Returns the refusal of a signature that is made for another region."""
    if service == "s3":
        return Refusal(
            HTTPStatus.BAD_REQUEST,
            "AuthorizationHeaderMalformed",
            f"The authorization header is malformed; the region '{claimed}' is wrong;"
            f" expecting '{expected}'",
            extra={"Region": expected},
        )
    return Refusal(
        HTTPStatus.FORBIDDEN,
        "SignatureDoesNotMatch",
        f"Credential should be scoped to a valid region, not '{claimed}'.",
    )


def bucket_elsewhere(bucket: str, region: str) -> Refusal:
    """Returns the answer to a request for a bucket that lives in another region."""
    return Refusal(
        HTTPStatus.MOVED_PERMANENTLY,
        "PermanentRedirect",
        "The bucket you are attempting to access must be addressed using the specified endpoint.",
        extra={"Endpoint": f"s3.{region}.amazonaws.com", "Bucket": bucket},
        headers={"x-amz-bucket-region": region},
    )


def not_emulated(what: str) -> Refusal:
    """Returns the refusal of what this emulation does not have, as of an unknown action."""
    return Refusal(
        HTTPStatus.BAD_REQUEST,
        "InvalidAction",
        f"The action is not valid for this web service: {what}",
    )


def answer(
    refusal: Refusal, service: str, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    """
    Sends a refusal in the form that the service's clients can read.

    Args:
        refusal: What to say.
        service: As the signature names it.
        environ: The request.
        start_response: WSGI's.

    Returns:
        The body.
    """
    speaks_json = "json" in environ.get("CONTENT_TYPE", "") or "HTTP_X_AMZ_TARGET" in environ
    if speaks_json:
        kind = "application/x-amz-json-1.1"
        body = json.dumps({"__type": refusal.code, "message": refusal.message})
    else:
        kind = "text/xml"
        body = _xml(refusal, service)
    document = b"" if environ["REQUEST_METHOD"] == "HEAD" else body.encode()
    headers = {
        "Content-Type": kind,
        "Content-Length": str(len(document)),
        "x-amzn-errortype": refusal.code,
        **refusal.headers,
    }
    start_response(f"{refusal.status.value} {refusal.status.phrase}", list(headers.items()))
    return [document]


def _xml(refusal: Refusal, service: str) -> str:
    request_id = str(uuid.uuid4())
    extra = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in refusal.extra.items())
    error = f"<Code>{refusal.code}</Code><Message>{escape(refusal.message)}</Message>{extra}"
    if service == "s3":
        form = f"<Error>{error}<RequestId>{request_id}</RequestId></Error>"
    elif service == "ec2":
        form = (
            f"<Response><Errors><Error>{error}</Error></Errors>"
            f"<RequestID>{request_id}</RequestID></Response>"
        )
    else:
        fault = "Receiver" if refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "Sender"
        form = (
            f"<ErrorResponse><Error><Type>{fault}</Type>{error}</Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{form}'
