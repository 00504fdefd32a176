"""Every error that asyncpg can raise has a word of drctl's."""

import inspect
import ssl

import asyncpg
import pytest
from asyncpg import exceptions

from drctl.actions.errors import ActionError, AuthRejected, Conflict, OutcomeUnknown, Unavailable
from drctl.adapters import _sql

ALL = sorted(
    {
        found
        for found in vars(exceptions).values()
        if inspect.isclass(found)
        and issubclass(found, Exception)
        and found.__module__.startswith("asyncpg")
    },
    key=lambda found: found.__name__,
)


def test_the_list_of_errors_is_not_empty():
    assert len(ALL) > 200


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_is_in_the_table(kind):
    state = getattr(kind, "sqlstate", None)
    if state:
        assert state in _sql._BY_STATE or state[:2] in _sql._BY_STATE
    else:
        assert {base.__name__ for base in kind.__mro__} & set(_sql._BY_CLASS)


@pytest.mark.parametrize(
    "kind", [kind for kind in ALL if not issubclass(kind, Warning)], ids=lambda kind: kind.__name__
)
def test_a_read_is_never_of_unknown_outcome(kind):
    error = _sql.action_error(kind("said"), "db:5432/app", mutates=False)

    assert isinstance(error, ActionError)
    assert not isinstance(error, OutcomeUnknown)
    assert "said" in str(error)


@pytest.mark.parametrize(
    ("error", "word", "reason"),
    [
        (ConnectionRefusedError(111, "no"), Unavailable, "refused"),
        (ConnectionResetError(104, "cut"), OutcomeUnknown, "other"),
        (TimeoutError(), OutcomeUnknown, "timeout"),
        (ssl.SSLCertVerificationError("who"), OutcomeUnknown, "other"),
        (asyncpg.CannotConnectNowError("starting up"), Unavailable, "refused"),
        (asyncpg.AdminShutdownError("shutting down"), OutcomeUnknown, "refused"),
        (asyncpg.ObjectNotInPrerequisiteStateError("not accepting"), Conflict, "refused"),
        (asyncpg.ReadOnlySQLTransactionError("read-only"), Conflict, "read_only"),
        (asyncpg.InvalidPasswordError("no"), AuthRejected, "auth"),
        (asyncpg.InsufficientPrivilegeError("no"), AuthRejected, "auth"),
        (asyncpg.ConnectionDoesNotExistError("closed"), OutcomeUnknown, "other"),
        (asyncpg.QueryCanceledError("statement timeout"), Unavailable, "timeout"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_the_errors_that_decisions_hang_on(error, word, reason):
    mapped = _sql.action_error(error, "db:5432/app", mutates=True)
    mapped.__cause__ = error

    assert word is type(mapped)
    assert reason == _sql.classify(mapped) == _sql.classify(error)


def test_a_time_out_is_not_nobody_there():
    assert _sql.is_nobody_there(ConnectionRefusedError())
    assert not _sql.is_nobody_there(TimeoutError())
    assert not _sql.is_nobody_there(asyncpg.CannotConnectNowError("starting up"))
