"""
What a Kubernetes API server and its client library can say, in the words of `drctl.actions.errors`.

The server's HTTP status decides, never its text. Below HTTP, what decides is whether the request
may have left: see `drctl.adapters.aws.errors` for the same argument.
"""

import ssl
from collections.abc import Iterator, Mapping

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

STATUSES: dict[int, type[ActionError]] = {
    401: AuthRejected,
    403: AuthRejected,
    404: NotFound,
    409: Conflict,
    410: NotFound,
    429: Throttled,
}
"""Other 3xx and 4xx are `Rejected`; a 5xx after a mutation is `OutcomeUnknown`."""

_UNSENT = (Unavailable, Unavailable)
_UNANSWERED = (Unavailable, OutcomeUnknown)
_WHAT = (Rejected, Rejected)

EXCEPTIONS: dict[str, tuple[type[ActionError], type[ActionError]]] = {
    # urllib3: never connected.
    "NewConnectionError": _UNSENT,
    "ConnectTimeoutError": _UNSENT,
    "ProxyError": _UNSENT,
    "EmptyPoolError": _UNSENT,
    "FullPoolError": _UNSENT,
    "ClosedPoolError": _UNSENT,
    # urllib3: may have left. A TLS error can also come after the request.
    "TimeoutError": _UNANSWERED,
    "ProtocolError": _UNANSWERED,
    "SSLError": _UNANSWERED,
    "MaxRetryError": _UNANSWERED,
    "ResponseError": _UNANSWERED,
    "DecodeError": _UNANSWERED,
    "ResponseNotChunked": _UNANSWERED,
    "BodyNotHttplibCompatible": _UNANSWERED,
    "InvalidHeader": _UNANSWERED,
    "UnrewindableBodyError": _UNANSWERED,
    "HTTPError": _UNANSWERED,
    # Refused by a library before anything was sent.
    "LocationValueError": _WHAT,
    "ProxySchemeUnknown": _WHAT,
    "ProxySchemeUnsupported": _WHAT,
    "OpenApiException": _WHAT,
    # The client wraps TLS errors in this; answers never come as one, they are read by status.
    "ApiException": _UNANSWERED,
}
"""
Library exception by name, nearest ancestor first: (meaning for a read, meaning for a mutation).
"""

_SERVER_ERROR = 500


def words_of_exception(
    kind: type[BaseException],
) -> tuple[type[ActionError], type[ActionError]] | None:
    """The words for a library's exception, for a read or a mutation; ``None`` when not known."""
    names = (base.__name__ for base in kind.__mro__)
    return next((EXCEPTIONS[name] for name in names if name in EXCEPTIONS), None)


def translate(error: Exception, what: str, *, mutates: bool) -> ActionError:
    """Turns a library's exception into ours; *what* names the call."""
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
        # Decided in the handshake, before the request.
        return AuthRejected(f"{what}: the server's certificate is not from ca_file")
    words = words_of_exception(type(error)) or _UNANSWERED
    return words[mutates](f"{what}: {type(error).__name__}: {error}")


def of_status(
    status: int, said: str, headers: Mapping[str, str], what: str, *, mutates: bool
) -> ActionError:
    """Turns an answer that is not 2xx into ours; *said* is the server's own message."""
    message = f"{what}: {status}: {said}"
    request_id = headers.get("Audit-Id")
    word = STATUSES.get(status, Rejected)
    if status >= _SERVER_ERROR:
        word = _UNANSWERED[mutates]
    if word is Throttled:
        wish = headers.get("Retry-After", "")
        wish_s = float(wish) if wish.isascii() and wish.isdigit() else None
        return Throttled(message, request_id=request_id, retry_after_s=wish_s)
    return word(message, request_id=request_id)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
