"""
SQL on a PostgreSQL server, with every failure as one of drctl's own words.

The table goes by SQLSTATE class, which PostgreSQL keeps stable, and not by asyncpg's 250 error
classes. What a failure means depends on when it came: before the connection stands nothing can have
happened; afterwards a lost connection during a statement that changes something is
`OutcomeUnknown`, because the server may have committed and died before it said so.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from drctl.actions.contract import Context, NotPermittedError
from drctl.actions.errors import (
    ActionError,
    AuthRejected,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Unavailable,
)
from drctl.actions.targets import SqlAccess
from drctl.adapters import _resolver, _secret
from drctl.adapters._read_only import require_sql

Connection: TypeAlias = Any
"""An ``asyncpg.Connection``; the library has no types."""
Reason: TypeAlias = Literal["refused", "timeout", "read_only", "auth", "other"]

CONNECT_TIMEOUT = timedelta(seconds=5)

_FETCHES = {"execute", "fetch", "fetchrow", "fetchval"}
_STATEMENTS = {"execute", "executemany", "fetch", "fetchrow", "fetchval", "transaction"}

_Verdict: TypeAlias = tuple[type[ActionError], Reason]

_MAYBE: _Verdict = (OutcomeUnknown, "other")
_WRONG: _Verdict = (Rejected, "other")
_NOT_NOW: _Verdict = (Unavailable, "other")
_ABSENT: _Verdict = (NotFound, "other")
_AUTH: _Verdict = (AuthRejected, "auth")

_REQUEST_CLASSES = (
    "01 02 03 09 0A 0B 0F 0Z 10 20 21 22 23 24 25 26 27 2D 2F 34 38 39 3B 42 44 54 HV P0"
)
_BY_STATE: dict[str, _Verdict] = dict.fromkeys(_REQUEST_CLASSES.split(), _WRONG) | {
    "08": _MAYBE,
    "08001": _NOT_NOW,
    "08004": (Unavailable, "refused"),
    "08P01": _WRONG,
    "0L": _AUTH,
    "0P": _AUTH,
    "25006": (Conflict, "read_only"),
    "25P03": (Unavailable, "timeout"),
    "25P04": (Unavailable, "timeout"),
    "28": _AUTH,
    "2B": (Conflict, "other"),
    "3D": _ABSENT,
    "3F": _ABSENT,
    "40": (Conflict, "other"),
    "40003": _MAYBE,
    "42501": _AUTH,
    "42704": _ABSENT,
    "42883": _ABSENT,
    "42P01": _ABSENT,
    "53": _NOT_NOW,
    "55": (Conflict, "other"),
    # "database ... is not currently accepting connections" has this state.
    "55000": (Conflict, "refused"),
    "57": _MAYBE,
    # Rolled back, and the server says so.
    "57014": (Unavailable, "timeout"),
    # A transaction that has committed and waits for a synchronous standby is cut with it too.
    "57P01": (OutcomeUnknown, "refused"),
    "57P02": (OutcomeUnknown, "refused"),
    "57P03": (Unavailable, "refused"),
    "57P04": (NotFound, "refused"),
    "57P05": (Unavailable, "timeout"),
    "58": _NOT_NOW,
    "72": _NOT_NOW,
    "F0": _NOT_NOW,
    "XX": _NOT_NOW,
}
"""The longest prefix of the SQLSTATE wins."""
_BY_CLASS: dict[str, _Verdict] = {
    "ClientConfigurationError": _WRONG,
    "UnsupportedClientFeatureError": _WRONG,
    "UnsupportedServerFeatureError": _WRONG,
    "OutdatedSchemaCacheError": (Conflict, "other"),
    "TargetServerAttributeNotMatched": (Conflict, "other"),
    "InterfaceWarning": _WRONG,
    "InterfaceError": _MAYBE,
    "InternalClientError": _MAYBE,
    "PostgresError": _MAYBE,
    "ConnectionRefusedError": (Unavailable, "refused"),
    "TimeoutError": (OutcomeUnknown, "timeout"),
    "OSError": _MAYBE,
}
"""Errors without a SQLSTATE, by the name of the class or of its nearest base."""


@asynccontextmanager
async def connect(
    access: SqlAccess, ctx: Context, *, mutates: bool = False, database: str | None = None
) -> AsyncIterator[Connection]:
    """
    Opens one connection, and closes it, whatever happens; all within ``ctx.deadline``.

    Nothing ambient is used: no PG* variable, no password file, no service file. TLS is checked
    against the name in *access*, although the connection is made to a resolved address.

    Args:
        mutates: True when the body changes something: a failure whose outcome nobody told is then
            `OutcomeUnknown` instead of `Unavailable`.
        database: Another database of the same server.

    Raises:
        ActionError: The body's SQL failed, or it could not be connected; asyncpg's error is the
            cause, and `classify` reads it.
    """
    name = database or access.database
    where = f"{access.host}:{access.port}/{name}"
    with _mapped(where, mutates=False):
        connection = await _open(access, ctx, name)
    try:
        with _mapped(where, mutates=mutates):
            async with asyncio.timeout(ctx.deadline.left_s(ctx.clock)):
                yield _Permitted(connection, ctx) if mutates else _OnlyReads(connection)
    finally:
        await _close(connection)


class _Permitted:
    """A connection that asks for permission before each statement."""

    def __init__(self, connection: Connection, ctx: Context) -> None:
        self._connection, self._ctx = connection, ctx

    def __getattr__(self, name: str) -> Any:
        if name in _STATEMENTS:
            self._ctx.permit()
        return getattr(self._connection, name)


class _OnlyReads:
    """
    A connection that refuses every statement which does not read, and runs the others in
    transactions that only read: of its own, because a setting of the session would be left behind
    in a pooler.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._is_framed = False

    def __getattr__(self, name: str) -> Any:
        if name not in _FETCHES:
            if name in _STATEMENTS or name.startswith("copy_"):
                raise NotPermittedError(f"SQL: {name} is no read, and this session only reads")
            return getattr(self._connection, name)

        async def run(statement: str, *values: Any, **more: Any) -> Any:
            is_read = require_sql(statement)
            call = getattr(self._connection, name)
            if not is_read:
                self._is_framed = statement.lstrip()[:5].upper() == "BEGIN"
            if self._is_framed or not is_read:
                return await call(statement, *values, **more)
            async with self._connection.transaction(readonly=True):
                return await call(statement, *values, **more)

        return run


def classify(error: BaseException) -> Reason:
    """
    Says in one word why SQL failed; reads an `ActionError` of `connect` by its cause.

    ``refused`` is definite: nothing listens, or the server says that it is not accepting.
    """
    seen: BaseException | None = error
    while isinstance(seen, ActionError):
        seen = seen.__cause__
    return "other" if seen is None else _verdict(seen)[1]


def is_nobody_there(error: BaseException) -> bool:
    """True when nothing listens at any address of the host; a server that says no is there."""
    seen: BaseException | None = error
    while isinstance(seen, ActionError):
        seen = seen.__cause__
    return isinstance(seen, ConnectionRefusedError)


def _verdict(error: BaseException) -> _Verdict:
    state = getattr(error, "sqlstate", None) or ""
    for length in (5, 2):
        if len(state) >= length and state[:length] in _BY_STATE:
            return _BY_STATE[state[:length]]
    for kind in type(error).__mro__:
        if kind.__name__ in _BY_CLASS:
            return _BY_CLASS[kind.__name__]
    return _MAYBE


def action_error(error: Exception, where: str, *, mutates: bool) -> ActionError:
    """Maps an error of asyncpg, a socket or TLS; *mutates* as in `connect`."""
    word, reason = _verdict(error)
    if word is OutcomeUnknown and not mutates:
        word = Unavailable
    said = str(error) or {"timeout": "no answer in time"}.get(reason, type(error).__name__)
    return word(f"{where}: {said}")


@contextlib.contextmanager
def _mapped(where: str, *, mutates: bool) -> Iterator[None]:
    import asyncpg

    try:
        yield
    except ActionError:
        raise
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        OSError,
        TimeoutError,
    ) as error:
        raise action_error(error, where, mutates=mutates) from error


async def _open(access: SqlAccess, ctx: Context, database: str) -> Connection:
    deadline = ctx.deadline.at_most(ctx.clock, CONNECT_TIMEOUT)
    left_s = deadline.left_s(ctx.clock)
    if left_s <= 0:
        raise Unavailable(f"{access.host}:{access.port}: no time left to connect")
    addresses = await _resolver.resolve(access.host, ctx.resolvers, timeout_s=left_s)
    errors: list[Exception] = []
    for untried, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        share_s = deadline.left_s(ctx.clock) / untried
        try:
            return await _open_at(address, access, ctx, database, max(0.001, share_s))
        except OSError as error:  # a TimeoutError is one
            errors.append(error)
    # "Refused" is only true of a name when it is true of each of its addresses.
    raise next((error for error in errors if classify(error) != "refused"), errors[0])


async def _open_at(
    address: str, access: SqlAccess, ctx: Context, database: str, timeout_s: float
) -> Connection:
    import asyncpg

    return await asyncpg.connect(
        host=address,
        port=access.port,
        user=access.user,
        password=_secret.reveal(ctx, access.password),
        database=database,
        ssl=_tls(access),
        direct_tls=False,
        target_session_attrs="any",
        timeout=timeout_s,
        command_timeout=max(0.001, ctx.deadline.left_s(ctx.clock)),
        statement_cache_size=0,  # a pooler in transaction mode has no prepared statements
        server_settings={"application_name": "drctl"},
    )


def _tls(access: SqlAccess) -> ssl.SSLContext | Literal[False]:
    if access.tls == "off":
        return False

    class Named(ssl.SSLContext):
        """Checks for the name in the environment file; asyncpg passes the address."""

        def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
            kwargs["server_hostname"] = access.host
            return super().wrap_bio(*args, **kwargs)

    context = Named(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if access.tls == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif access.ca_file is not None:
        context.load_verify_locations(cafile=access.ca_file)
    else:
        context.load_default_certs()
    return context


async def _close(connection: Connection) -> None:
    # A peer that is gone never answers the goodbye; the socket is dropped after a second.
    with contextlib.suppress(Exception):
        await connection.close(timeout=1)
    connection.terminate()
