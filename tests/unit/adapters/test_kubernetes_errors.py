"""The Kubernetes error table knows every error of the client library and of its transport."""

import ssl

import kubernetes.client.exceptions
import pytest
import urllib3.exceptions

from drctl.actions.errors import (
    AuthRejected,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from drctl.adapters.kubernetes.errors import of_status, translate, words_of_exception


def library_exceptions():
    found = {
        kind
        for module in (kubernetes.client.exceptions, urllib3.exceptions)
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, Exception)
        and not issubclass(kind, Warning)
        and kind.__module__ == module.__name__
    }
    return sorted(found, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", library_exceptions(), ids=lambda kind: kind.__name__)
def test_every_exception_of_the_libraries_is_mapped(kind):
    """A new release with a new error must be looked at before it is trusted."""
    assert words_of_exception(kind) is not None


@pytest.mark.parametrize(
    ("status", "read", "mutation"),
    [
        (307, Rejected, Rejected),
        (400, Rejected, Rejected),
        (401, AuthRejected, AuthRejected),
        (403, AuthRejected, AuthRejected),
        (404, NotFound, NotFound),
        (409, Conflict, Conflict),
        (410, NotFound, NotFound),
        (422, Rejected, Rejected),
        (429, Throttled, Throttled),
        (500, Unavailable, OutcomeUnknown),
        (503, Unavailable, OutcomeUnknown),
        (504, Unavailable, OutcomeUnknown),
    ],
)
def test_the_status_decides_and_never_the_text(status, read, mutation):
    for mutates, word in ((False, read), (True, mutation)):
        error = of_status(status, "too many requests, not found", {}, "PATCH /x", mutates=mutates)
        assert word is type(error)


def test_the_servers_wish_to_wait_is_kept():
    error = of_status(429, "slow down", {"Retry-After": "7"}, "GET /x", mutates=False)
    assert isinstance(error, Throttled)
    assert error.retry_after_s == 7.0


def test_a_connection_that_was_never_made_is_not_an_unknown_outcome():
    error = urllib3.exceptions.NewConnectionError(None, "refused")
    assert Unavailable is type(translate(error, "PATCH /x", mutates=True))


def test_silence_after_a_patch_is_an_unknown_outcome():
    error = urllib3.exceptions.ReadTimeoutError(None, "/x", "timed out")
    assert OutcomeUnknown is type(translate(error, "PATCH /x", mutates=True))


def test_a_certificate_from_another_authority_is_a_matter_of_identity():
    error = kubernetes.client.exceptions.ApiException(status=0, reason="SSLError")
    error.__context__ = urllib3.exceptions.SSLError("bad")
    error.__context__.__context__ = ssl.SSLCertVerificationError("self-signed")
    assert AuthRejected is type(translate(error, "PATCH /x", mutates=True))
