"""Google's REST manners: error bodies, strict bodies and queries, timestamps."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

_STATUS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
}
_ALWAYS_ALLOWED: Final = frozenset({"alt", "fields", "prettyPrint", "quotaUser"})


class Refusal(Exception):
    """A request that is refused, as Google words it."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message

    def response(self) -> web.Response:
        """The error body that Google's APIs share."""
        error = {
            "code": self.code,
            "message": self.message,
            "errors": [{"message": self.message, "domain": "global", "reason": self.reason}],
            "status": _STATUS.get(self.code, "UNKNOWN"),
        }
        return web.json_response({"error": error}, status=self.code)


def not_found(what: str) -> Refusal:
    """The answer about what is not there."""
    return Refusal(404, "notFound", f"The requested entity was not found: {what}.")


def require_query(request: web.Request, *known: str) -> Mapping[str, str]:
    """
    Returns the query of a request.

    Raises:
        Refusal: It has a parameter that the method does not know.
    """
    for name in request.query:
        if name not in known and name not in _ALWAYS_ALLOWED:
            message = (
                f'Invalid JSON payload received. Unknown name "{name}": '
                "Cannot bind query parameter."
            )
            raise Refusal(400, "invalid", message)
    return request.query


async def body_of(request: web.Request, known: Mapping[str, Any]) -> dict[str, Any]:
    """
    Reads a JSON body; a body of no bytes is an empty object.

    Args:
        known: Field names to the fields inside, or to None for what holds anything.

    Raises:
        Refusal: It is no JSON object, or has a field that is not known.
    """
    text = await request.text()
    if not text:
        return {}
    if request.content_type != "application/json":
        raise Refusal(400, "badRequest", f"Unsupported content type {request.content_type}.")
    try:
        body = json.loads(text)
    except ValueError:
        raise Refusal(400, "parseError", "Parse Error") from None
    if not isinstance(body, dict):
        raise Refusal(400, "parseError", "Root element must be a message.")
    _require_known(body, known, "")
    return body


def _require_known(body: Mapping[str, Any], known: Mapping[str, Any], at: str) -> None:
    for name, value in body.items():
        if name not in known:
            where = f" at '{at}'" if at else ""
            message = f'Invalid JSON payload received. Unknown name "{name}"{where}: no such field.'
            raise Refusal(400, "invalid", message)
        inside = known[name]
        if isinstance(inside, Mapping):
            if not isinstance(value, dict):
                raise Refusal(400, "invalid", f"Invalid value at '{name}', not an object.")
            _require_known(value, inside, f"{at}.{name}".lstrip("."))


def timestamp(at: datetime | None = None) -> str:
    """RFC 3339, as Google writes it: UTC with milliseconds."""
    moment = (at or datetime.now(UTC)).astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_timestamp(text: Any, field: str) -> datetime:
    """
    Reads RFC 3339.

    Raises:
        Refusal: It is something else, or has no offset.
    """
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Refusal(400, "invalid", f"Invalid value at '{field}' (TYPE_STRING), {text!r}.")
    return moment
