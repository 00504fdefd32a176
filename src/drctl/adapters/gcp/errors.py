"""Google's errors in drctl's words."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

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
from drctl.adapters import _http

_TOO_OFTEN = frozenset(
    {"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "dailyLimitExceeded"}
)
"""Reasons of a 403 that are no question of rights."""
_EXISTS = frozenset({"alreadyExists", "instanceAlreadyExists"})
_LONGEST = 300


class AlreadyExists(Conflict):
    """Of that name there is something; whoever saw nothing a moment ago may have made it."""


@contextmanager
def after_sending(label: str) -> Iterator[None]:
    """
    Around reads that follow a change that may have arrived.

    Raises:
        OutcomeUnknown: One failed: nobody knows, whatever the reason.
    """
    try:
        yield
    except OutcomeUnknown:
        raise
    except ActionError as error:
        raise OutcomeUnknown(f"{label}: sent, and then: {error}") from error


def error_of(
    response: _http.Response, what: str, *, changes: bool, hidden: Sequence[str] = ()
) -> ActionError | None:
    """
    Maps an answer; ``None`` for success.

    412 is a *compare* that failed (``staleData``, ``conditionNotMet``): nothing happened, and the
    state is another one than was seen. A 403 with the reason of a quota is `Throttled`. 5xx is
    `Unavailable` when nothing could change, else `OutcomeUnknown`.
    """
    status = response.status
    if 200 <= status < 300:  # noqa: PLR2004 (HTTP's own classes)
        return None
    reasons, said = _read(response)
    text = _http.masked(said, hidden)[:_LONGEST]
    message = f"{what} answered {status}: {', '.join(reasons) or 'no reason'}: {text}"
    request_id = response.headers.get("x-request-id")
    wish_s = _http.retry_after_s(response.headers.get("retry-after"), response.headers)
    if status == 429 or (status == 403 and _TOO_OFTEN.intersection(reasons)):  # noqa: PLR2004
        return Throttled(message, request_id=request_id, retry_after_s=wish_s)
    word: type[ActionError]
    match status:
        case 401 | 403:
            word = AuthRejected
        case 404 | 410:
            word = NotFound
        case 409 | 412:
            word = AlreadyExists if _EXISTS.intersection(reasons) else Conflict
        case _ if status >= 500:  # noqa: PLR2004
            word = OutcomeUnknown if changes else Unavailable
        case _:
            word = Rejected
    return word(message, request_id=request_id)


def _read(response: _http.Response) -> tuple[list[str], str]:
    """Reasons and message of an error body, in any of the forms that Google uses."""
    plain = response.body.decode("utf-8", "replace").strip()
    try:
        body = json.loads(response.body)
    except (ValueError, RecursionError):
        return [], plain
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, str):  # the token endpoint's
        return [error], str(body.get("error_description", ""))
    if not isinstance(error, dict):
        return [], plain
    details = error.get("errors")
    listed = details if isinstance(details, list) else []
    reasons = [str(one["reason"]) for one in listed if isinstance(one, dict) and "reason" in one]
    if not reasons and error.get("status"):
        reasons = [str(error["status"])]
    return reasons, str(error.get("message", ""))
