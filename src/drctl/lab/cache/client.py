"""The application's side of the cache: it asks the sentinels where to write, and writes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from drctl.lab.lookup import parse_resolver

TIMEOUT_S = 1.0
"""For one write, the way to the primary included."""
_SENTINEL_S = 0.3
_KEPT_S = 24 * 3600

Connection: TypeAlias = Any


class CacheError(Exception):
    """The cache did not take it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """Where the cache is."""

    sentinels: tuple[tuple[str, int], ...]
    group: str
    password_file: str
    """As a mounted secret; read again for each connection, so that a new password is followed."""

    @staticmethod
    def from_environment(environment: Mapping[str, str]) -> "CacheSettings | None":
        """Reads the pod's variables; ``None`` when it is told of no cache."""
        if "CACHE_SENTINELS" not in environment:
            return None
        return CacheSettings(
            sentinels=tuple(
                parse_resolver(one) for one in environment["CACHE_SENTINELS"].split(",")
            ),
            group=environment["CACHE_GROUP"],
            password_file=environment["CACHE_PASSWORD_FILE"],
        )


class Cache:
    """One connection to the primary, thrown away at the first error and found anew."""

    def __init__(self, settings: CacheSettings) -> None:
        self._settings = settings
        self._link: Connection | None = None
        self._turn = asyncio.Lock()

    async def write(self, key: str, value: str) -> None:
        """
        Keeps a value for a day.

        Raises:
            CacheError: No primary is known, or it did not take it.
        """
        async with self._primary() as link:
            await link.send_command("SET", key, value, "EX", _KEPT_S, check_health=False)
            said = await link.read_response()
        if said != "OK":
            raise CacheError(f"the cache said {said!r}")

    async def can_write(self) -> bool:
        """True when a value can be written now."""
        try:
            await self.write("health", "ok")
        except CacheError:
            return False
        return True

    @asynccontextmanager
    async def _primary(self) -> AsyncIterator[Connection]:
        from redis.exceptions import RedisError

        try:
            async with asyncio.timeout(TIMEOUT_S), self._turn:
                if self._link is None:
                    self._link = await self._find()
                yield self._link
        except (RedisError, OSError, TimeoutError) as error:
            link, self._link = self._link, None
            if link is not None:
                with contextlib.suppress(RedisError, OSError):
                    await link.disconnect(nowait=True)
            raise CacheError(f"{type(error).__name__}: {error}") from error

    async def _find(self) -> Connection:
        from redis.exceptions import RedisError

        password = Path(self._settings.password_file).read_text(encoding="utf-8")  # noqa: ASYNC240
        for address in self._settings.sentinels:
            try:
                async with asyncio.timeout(_SENTINEL_S):
                    sentinel = await _connect(address, password)
                    ask = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._settings.group)
                    await sentinel.send_command(*ask, check_health=False)
                    found = await sentinel.read_response()
                    await sentinel.disconnect(nowait=True)
            except (RedisError, OSError, TimeoutError):
                continue
            if isinstance(found, list):
                return await _connect((found[0], int(found[1])), password)
        raise CacheError("no sentinel knows the primary")


async def _connect(address: tuple[str, int], password: str) -> Connection:
    from redis.asyncio.connection import Connection as Link
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    # Any: the library says nothing of its arguments' types.
    make: Any = Link
    link = make(
        host=address[0],
        port=address[1],
        password=password,
        decode_responses=True,
        protocol=2,
        driver_info=None,
        retry=Retry(NoBackoff(), 0),
    )
    await link.connect()
    return link
