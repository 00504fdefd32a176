"""
Conditional writes as S3 makes them: atomic.

The emulator looks at the condition and stores in two steps, in one thread for each request: of two
that look at the same time, both store. S3 lets the first one to finish succeed and answers 412 to
the others; 409 ``ConditionalRequestConflict`` when the object was deleted while a conditional write
was under way; 404 to ``If-Match`` on an object that does not exist; 501 to any other value of
``If-None-Match`` than ``*``. See "How to prevent object overwrites with conditional writes" in the
S3 user guide, and ``PutObject`` in its API reference.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

from drctl.lab.aws import refusals
from drctl.lab.aws.front import scope_of
from drctl.lab.aws.refusals import Refusal

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_CONFLICT = Refusal(
    HTTPStatus.CONFLICT,
    "ConditionalRequestConflict",
    "The conditional request cannot succeed due to a conflicting operation against this resource.",
)
_NOT_IMPLEMENTED = Refusal(
    HTTPStatus.NOT_IMPLEMENTED,
    "NotImplemented",
    "A header you provided implies functionality that is not implemented.",
)


def atomic_conditions(app: WSGIApplication) -> WSGIApplication:
    """
    Wraps the emulator: writes to one object happen one after the other.

    Args:
        app: The emulator.

    Returns:
        The same, strict about conditional writes.
    """
    guard = threading.Lock()
    locks: dict[str, threading.Lock] = {}
    deleted: Counter[str] = Counter()

    def strict(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "/")
        scope = scope_of(environ)
        is_write = method in {"PUT", "DELETE"} and path.count("/") > 1
        if scope is None or scope.service != "s3" or not is_write:
            return app(environ, start_response)
        is_conditional = "HTTP_IF_MATCH" in environ or "HTTP_IF_NONE_MATCH" in environ
        if environ.get("HTTP_IF_NONE_MATCH", "*") != "*":
            return refusals.answer(_NOT_IMPLEMENTED, "s3", environ, start_response)
        with guard:
            lock, before = locks.setdefault(path, threading.Lock()), deleted[path]
        with lock:
            if is_conditional and method == "PUT" and deleted[path] != before:
                return refusals.answer(_CONFLICT, "s3", environ, start_response)
            # Read whole, so that the emulator has stored before the next one may look.
            answer = list(app(environ, start_response))
            if method == "DELETE":
                with guard:
                    deleted[path] += 1
            return answer

    return strict
