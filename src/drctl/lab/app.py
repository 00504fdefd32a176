"""The application of the estate: one pod's process, an HTTP API that writes rows to PostgreSQL."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import asyncpg

from drctl.lab.app_metrics import Metrics
from drctl.lab.cache.client import Cache, CacheError, CacheSettings
from drctl.lab.lookup import NameNotFound, look_up, parse_resolver
from drctl.lab.sql_errors import SQL_ERRORS

DATABASE_TIMEOUT_S = 2.0
_POOL_SIZE = 4
_NOTICE_S = 0.3  # the kubelet withdraws a pod and signals it at the same time, as everywhere
_REQUEST_LIMIT_BYTES = 64 * 1024

DIES_AT_START, FAILS_WRITES = "1.2.0", "1.2.1"
"""
Versions of this application that are broken, each in the way of its kind: one that its rollout
shows, one that passes every probe of the cluster and fails its customers.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a pod is told by its environment."""

    address: str
    port: int
    region: str
    resolver: tuple[str, int]
    host: str
    database_port: int
    database: str
    user: str
    password: str = field(repr=False)
    version: str = "1.0.0"
    cache: CacheSettings | None = None
    """``None``: it works without."""

    @staticmethod
    def from_environment(environment: Mapping[str, str]) -> "Settings":
        """
        Reads the pod's environment variables.

        Raises:
            KeyError: One is missing.
        """
        return Settings(
            address=environment["POD_IP"],
            port=int(environment["PORT"]),
            region=environment["REGION"],
            resolver=parse_resolver(environment["RESOLVER"]),
            host=environment["DATABASE_HOST"],
            database_port=int(environment["DATABASE_PORT"]),
            database=environment["DATABASE_NAME"],
            user=environment["DATABASE_USER"],
            password=environment["DATABASE_PASSWORD"],
            version=environment.get("VERSION", "1.0.0"),
            cache=CacheSettings.from_environment(environment),
        )


class Database:
    """
    A few connections that are thrown away at the first error.

    The host is looked up again for each new connection, so that a name that moved is followed. A
    connection on which anything went wrong is aborted, never given back: after a time-out nobody
    knows what is still on its way in it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._idle: list[asyncpg.Connection[Any]] = []
        self._slots = asyncio.Semaphore(_POOL_SIZE)

    async def write(self, pipeline: str) -> None:
        """Inserts a row and returns after its commit; repeats of the same id are one row."""
        async with self._connection() as connection:
            await connection.execute(
                "INSERT INTO pipelines (id, region, at) VALUES ($1, $2, now())"
                " ON CONFLICT (id) DO NOTHING",
                pipeline,
                self._settings.region,
            )

    async def can_write(self) -> bool:
        """True when a row can be written now; none is left behind."""
        try:
            async with self._connection() as connection:
                transaction = connection.transaction()
                await transaction.start()
                await connection.execute(
                    "INSERT INTO pipelines (id, region, at)"
                    " VALUES (gen_random_uuid()::text, '', now())"
                )
                await transaction.rollback()
        except SQL_ERRORS:
            return False
        return True

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator["asyncpg.Connection[Any]"]:
        async with asyncio.timeout(DATABASE_TIMEOUT_S), self._slots:
            connection = await self._take()
            try:
                yield connection
            except BaseException:
                connection.terminate()
                raise
            self._idle.append(connection)

    async def _take(self) -> "asyncpg.Connection[Any]":
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        settings = self._settings
        answer = await look_up(settings.host, settings.resolver, timeout_s=DATABASE_TIMEOUT_S)
        return await asyncpg.connect(
            host=answer.addresses[0],
            port=settings.database_port,
            database=settings.database,
            user=settings.user,
            password=settings.password,
            ssl=False,
            timeout=DATABASE_TIMEOUT_S,
            server_settings={"application_name": f"healing-guard {settings.region}"},
        )


class Api:
    """The routes."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._cache = Cache(settings.cache) if settings.cache else None
        self._metrics = Metrics()
        self._busy = 0

    async def finish(self) -> None:
        """Waits for the answers under way, for as long as the slowest of them may take."""
        deadline = asyncio.get_running_loop().time() + DATABASE_TIMEOUT_S
        while (  # noqa: ASYNC110 (at the end of the process only, for a moment)
            self._busy and asyncio.get_running_loop().time() < deadline
        ):
            await asyncio.sleep(0.01)

    async def respond(self, method: str, path: str, body: bytes) -> tuple[HTTPStatus, Any]:
        """Answers one request; never raises for what a client sent or a database refused."""
        match method, path.partition("?")[0]:
            case "GET", "/healthz":
                return HTTPStatus.OK, {"status": "ok", "served_by": self._settings.region}
            case "GET", "/metrics":
                return HTTPStatus.OK, str(self._metrics)
            case "GET", "/health":
                return await self._health()
            case "POST", "/api/v1/pipelines":
                return await self._create(body)
            case _:
                return HTTPStatus.NOT_FOUND, {"error": "no such route"}

    async def _health(self) -> tuple[HTTPStatus, Any]:
        is_broken = self._settings.version == FAILS_WRITES
        can_write, can_cache = await asyncio.gather(self._database.can_write(), self._can_cache())
        is_healthy = can_write and can_cache and not is_broken
        status = HTTPStatus.OK if is_healthy else HTTPStatus.SERVICE_UNAVAILABLE
        return status, {
            "status": "healthy" if is_healthy else "unhealthy",
            "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "served_by": self._settings.region,
            "version": self._settings.version,
            "checks": {
                "database": can_write,
                "redis": can_cache,
                "external_apis": True,
                "disk_space": True,
                "memory": True,
            },
        }

    async def _can_cache(self) -> bool:
        return self._cache is None or await self._cache.can_write()

    async def _create(self, body: bytes) -> tuple[HTTPStatus, Any]:
        try:
            pipeline = json.loads(body)["id"]
        except (ValueError, KeyError, TypeError):
            pipeline = None
        if not isinstance(pipeline, str) or not pipeline:
            return HTTPStatus.BAD_REQUEST, {"error": 'expected {"id": "..."}'}
        if self._settings.version == FAILS_WRITES:
            error = "TypeError: create() got an unexpected keyword argument 'tenant'"
            return HTTPStatus.INTERNAL_SERVER_ERROR, {"error": error}
        try:
            await self._database.write(pipeline)
            if self._cache is not None:
                await self._cache.write(f"pipeline:{pipeline}", self._settings.region)
        except CacheError as error:
            return HTTPStatus.SERVICE_UNAVAILABLE, {"error": f"cache: {error}"}
        except NameNotFound as error:
            return HTTPStatus.SERVICE_UNAVAILABLE, {"error": str(error)}
        except SQL_ERRORS as error:
            message = f"{type(error).__name__}: {error}"
            return HTTPStatus.SERVICE_UNAVAILABLE, {"error": message}
        return HTTPStatus.CREATED, {
            "id": pipeline,
            "served_by": self._settings.region,
            "database": self._settings.host,
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speaks HTTP/1.1 with keep-alive on one connection until it ends."""
        try:
            while request := await _read_request(reader):
                method, path, body, keeps_alive = request
                self._busy += 1
                try:
                    status, document = await self.respond(method, path, body)
                    self._metrics.count(method, path, status)
                    writer.write(_encode(status, document, keeps_alive=keeps_alive))
                    await writer.drain()
                finally:
                    self._busy -= 1
                if not keeps_alive:
                    break
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return  # the other side went away or does not speak HTTP: nobody is left to be told
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _encode(status: HTTPStatus, document: Any, *, keeps_alive: bool) -> bytes:
    kind = "text/plain" if isinstance(document, str) else "application/json"
    payload = (document if isinstance(document, str) else json.dumps(document)).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(payload)}\r\n"
        f"Connection: {'keep-alive' if keeps_alive else 'close'}\r\n\r\n"
    )
    return head.encode() + payload


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, str, bytes, bool] | None:
    head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not head:
        return None
    request_line, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, path, version = request_line.split(" ")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= _REQUEST_LIMIT_BYTES:
        raise ValueError("the request is too large")
    body = await reader.readexactly(length)
    asked = headers.get("connection", "").lower()
    keeps_alive = asked != "close" and (version == "HTTP/1.1" or asked == "keep-alive")
    return method, path, body, keeps_alive


async def run(settings: Settings) -> None:
    """Serves until SIGTERM, then goes on until balancers have noticed and accepted work is done."""
    if settings.version == DIES_AT_START:
        raise SystemExit("KeyError: 'FEATURE_FLAGS_URL' is not set")
    api = Api(settings, Database(settings))
    server = await asyncio.start_server(api.serve, settings.address, settings.port)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await asyncio.sleep(_NOTICE_S)
    server.close()
    await api.finish()


if __name__ == "__main__":
    asyncio.run(run(Settings.from_environment(os.environ)))
