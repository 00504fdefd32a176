"""
One connection to a Redis or Valkey server or sentinel, with every failure as one of drctl's words.

The library's connection is used, and neither its pool nor its client: those send a command again
after a lost connection, three times by default. What a failure means depends on when it came.
Before the connection stands nothing can have happened. An error reply is definite: the server read
the command and refused it. A connection that is lost between a command that changes something and
its reply is `OutcomeUnknown`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeAlias

from drctl.actions.contract import Context
from drctl.actions.errors import (
    ActionError,
    AuthRejected,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Unavailable,
)
from drctl.actions.targets import Endpoint, RedisAccess
from drctl.adapters import _resolver, _secret
from drctl.adapters._read_only import require_redis

CONNECT_TIMEOUT = timedelta(seconds=3)
ANSWER_TIMEOUT = timedelta(seconds=3)
"""Longer than a command that does little takes; a server that hangs is not waited for."""

Reply: TypeAlias = Any
"""Text, a number, nothing, or a list of these."""

_REFUSALS: dict[str, type[ActionError]] = {
    "NOAUTH": AuthRejected,
    "WRONGPASS": AuthRejected,
    "NOPERM": AuthRejected,
    "DENIED": AuthRejected,
    "READONLY": Conflict,
    "MISCONF": Conflict,
    "EXECABORT": Conflict,
    "INPROG": Conflict,
    "NOGOODSLAVE": Conflict,
    "UNKILLABLE": Conflict,
    "LOADING": Unavailable,
    "BUSY": Unavailable,
    "OOM": Unavailable,
    "TRYAGAIN": Unavailable,
    "CLUSTERDOWN": Unavailable,
    "MASTERDOWN": Unavailable,
    "NOREPLICAS": Unavailable,
}
"""The first word of an error reply; every one of them says that the command was not carried out."""
_UNKNOWN_GROUP = "No such master with that name"


class Link:
    """A connection that stands."""

    def __init__(self, ctx: Context, connection: Any, where: str) -> None:
        self._ctx, self._connection, self._where = ctx, connection, where

    async def ask(self, *words: str | int) -> Reply:
        """
        Sends a command that only reads.

        Raises:
            Unavailable: No answer, or not now.
            ActionError: The server refused it; see `refusal`.
        """
        require_redis(*words)
        return await self._exchange(words, mutates=False, within=ANSWER_TIMEOUT)

    async def change(self, *words: str | int, within: timedelta = ANSWER_TIMEOUT) -> Reply:
        """
        Sends a command that changes something, once.

        Args:
            within: How long its answer may take; the context's deadline ends it sooner.

        Raises:
            OutcomeUnknown: It may have arrived, and nothing was answered.
            ActionError: The server refused it; see `refusal`.
        """
        self._ctx.permit()
        return await self._exchange(words, mutates=True, within=within)

    async def _exchange(
        self, words: tuple[str | int, ...], *, mutates: bool, within: timedelta
    ) -> Reply:
        from redis.exceptions import (
            AuthenticationError,
            AuthorizationError,
            BusyLoadingError,
            RedisError,
            ResponseError,
        )

        left = self._ctx.deadline.at_most(self._ctx.clock, within)
        try:
            async with asyncio.timeout(left.left_s(self._ctx.clock)):
                await self._connection.send_command(*words, check_health=False)
                return await self._connection.read_response()
        except ResponseError as error:
            raise refusal(error, self._where) from error
        except (AuthenticationError, AuthorizationError) as error:
            raise AuthRejected(f"{self._where}: {error}") from error
        except BusyLoadingError as error:
            raise Unavailable(f"{self._where}: {error}") from error
        except (RedisError, OSError, TimeoutError, ValueError, TypeError, IndexError) as error:
            # ValueError and its like: what came is no answer of this protocol.
            lost = OutcomeUnknown if mutates else Unavailable
            said = "no answer in time" if _is_slow(error) else f"{type(error).__name__}: {error}"
            raise lost(f"{self._where}: {said}") from error


@asynccontextmanager
async def connect(
    ctx: Context, at: Endpoint, access: RedisAccess, *, db: int | None = None
) -> AsyncIterator[Link]:
    """
    Opens one connection, and closes it, whatever happens; all within ``ctx.deadline``.

    Args:
        db: Which database to select; ``None`` where there are none, as at a sentinel.

    Raises:
        Unavailable: Not reached, or not now; nothing was sent but the password.
        AuthRejected: The password is wrong or missing.
        NotFound: The host's name does not exist.
        ActionError: See `Link`.
    """
    connection = await _open(ctx, at, access)
    link = Link(ctx, connection, at.text)
    try:
        if db:
            await link.ask("SELECT", db)
        yield link
    finally:
        with contextlib.suppress(Exception):
            # A peer that is gone never answers the goodbye.
            async with asyncio.timeout(1):
                await connection.disconnect(nowait=True)


def refusal(error: Exception, where: str) -> ActionError:
    """What a server's error reply means; the reply is definite, nothing was done."""
    text = str(error)
    if _UNKNOWN_GROUP in text:
        return NotFound(f"{where}: {text}")
    return _REFUSALS.get(code_of(error), Rejected)(f"{where}: {text}")


def code_of(error: BaseException) -> str:
    """The first word of an error reply, as ``NOGOODSLAVE``; empty when it is something else."""
    from redis.exceptions import ResponseError

    seen = error.__cause__ if isinstance(error, ActionError) else error
    if not isinstance(seen, ResponseError):
        return ""
    # The library cuts some codes off the text, and makes them classes.
    by_class = {
        "ReadOnlyError": "READONLY",
        "NoPermissionError": "NOPERM",
        "OutOfMemoryError": "OOM",
        "ExecAbortError": "EXECABORT",
        "MasterDownError": "MASTERDOWN",
        "ClusterDownError": "CLUSTERDOWN",
        "TryAgainError": "TRYAGAIN",
        "AuthenticationWrongNumberOfArgsError": "NOAUTH",
    }
    return by_class.get(type(seen).__name__) or str(seen).partition(" ")[0]


def is_nobody_there(error: ActionError) -> bool:
    """True when nothing listens at any address of the host."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ConnectionRefusedError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


async def _open(ctx: Context, at: Endpoint, access: RedisAccess) -> Any:
    deadline = ctx.deadline.at_most(ctx.clock, CONNECT_TIMEOUT)
    left_s = deadline.left_s(ctx.clock)
    if left_s <= 0:
        raise Unavailable(f"{at.text}: no time left to connect")
    addresses = await _resolver.resolve(at.host, ctx.resolvers, timeout_s=left_s)
    errors: list[ActionError] = []
    for untried, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        share_s = max(0.001, deadline.left_s(ctx.clock) / untried)
        try:
            return await _open_at(ctx, at, address, access, share_s)
        except ActionError as error:
            errors.append(error)
    # "Refused" is only true of a name when it is true of each of its addresses.
    raise next((error for error in errors if not is_nobody_there(error)), errors[0])


async def _open_at(
    ctx: Context, at: Endpoint, address: str, access: RedisAccess, timeout_s: float
) -> Any:
    from redis.exceptions import AuthenticationError, AuthorizationError, RedisError, ResponseError

    connection = _connection(ctx, at, address, access)
    try:
        async with asyncio.timeout(timeout_s):
            await connection.connect()
    except (AuthenticationError, AuthorizationError) as error:
        raise AuthRejected(f"{at.text}: {error}") from error
    except ResponseError as error:
        raise refusal(error, at.text) from error
    except (RedisError, OSError, TimeoutError, ValueError, TypeError, IndexError) as error:
        said = "no answer in time" if _is_slow(error) else f"{error}"
        raise Unavailable(f"{at.text}: {said}") from error
    return connection


def _connection(ctx: Context, at: Endpoint, address: str, access: RedisAccess) -> Any:
    from redis.asyncio.connection import Connection, SSLConnection
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    given: dict[str, Any] = {
        "host": address,
        "port": at.port,
        "username": access.user,
        "password": _secret.reveal(ctx, access.password) if access.password else None,
        "decode_responses": True,
        "encoding_errors": "replace",
        "protocol": 2,  # the same answers from a sentinel of 2014 and a Valkey of today
        "driver_info": None,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None,  # `asyncio.timeout` bounds each exchange
        "socket_connect_timeout": None,
    }
    if access.tls == "off":
        return Connection(**given)

    class Named(SSLConnection):
        """Checks for the name in the environment file; the connection is made to an address."""

        def _connection_arguments(self) -> Any:
            return {**super()._connection_arguments(), "server_hostname": at.host}

    is_checked = access.tls == "verify-full"
    return Named(
        **given,
        ssl_cert_reqs="required" if is_checked else "none",
        ssl_check_hostname=is_checked,
        ssl_ca_certs=access.ca_file,
    )


def _is_slow(error: BaseException) -> bool:
    import redis.exceptions

    return isinstance(error, TimeoutError | redis.exceptions.TimeoutError)
