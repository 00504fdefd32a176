"""
The witness: an observer outside the primary's region, which keeps its last sighting of it in S3.

Problem: once the primary is gone nobody can ask it how far it was, and the standby only knows what
it received. Invariant: the heartbeat's time is read *before* its UPDATE is sent, so every write
that was acknowledged before that time lies before the heartbeat's commit; a standby that has
replayed the heartbeat has all of them. ``refused_since`` is set by definite refusals only: a
time-out says nothing, since a primary behind a partition may still be taking writes.
"""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import asyncpg

from drctl.lab.lookup import NameNotFound, look_up, parse_resolver
from drctl.lab.sql_errors import SQL_ERRORS

EVERY_S = 0.5
TRY_TIMEOUT_S = 1.5
_PUT_TIMEOUT_S = 1.0

_KEPT_IS_DEAD = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)

_SIGHTING = """
SELECT pg_current_wal_lsn()::text AS lsn,
       (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int AS timeline
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What one successful try saw."""

    system_identifier: str
    timeline: int
    lsn: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The document in S3; names as written there."""

    version: int = 1
    system_identifier: str | None = None
    timeline: int | None = None
    lsn: str | None = None
    seq: int | None = None
    last_ok_at: str | None = None
    checked_at: str | None = None
    refused_since: str | None = None
    last_error: str | None = None

    def seen(self, sighting: Sighting, *, beat_at: datetime, now: datetime) -> "State":
        """The state after a try that succeeded."""
        return State(
            **asdict(sighting),
            last_ok_at=_text(beat_at),
            checked_at=_text(now),
        )

    def failed(self, error: str, *, now: datetime) -> "State":
        """The state after a failed try; only an unbroken series of refusals keeps its start."""
        since = (self.refused_since or _text(now)) if error == "refused" else None
        return replace(self, checked_at=_text(now), refused_since=since, last_error=error)


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def name_error(error: BaseException) -> str:
    """Puts an error of a try into the document's words."""
    match error:
        case ConnectionRefusedError():
            return "refused"
        # 57P03 starting up or shutting down, 57P01/02 the session was cut by a shutdown or crash,
        # 55000 the database does not accept connections: nobody new gets a write acknowledged.
        case (
            asyncpg.CannotConnectNowError()
            | asyncpg.AdminShutdownError()
            | asyncpg.CrashShutdownError()
            | asyncpg.ObjectNotInPrerequisiteStateError()
        ):
            return "refused"
        case TimeoutError():
            return "timeout"
        case asyncpg.ReadOnlySQLTransactionError() | StandbyError():
            return "read_only"
        case NameNotFound():
            return "no_address"
        case _:
            return type(error).__name__


class StandbyError(OSError):
    """The server is in recovery: it takes no writes, and says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the witness is told by its environment."""

    resolver: tuple[str, int]
    hosts: tuple[str, ...]
    """Of which one is the primary."""
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    region: str
    endpoint: str
    bucket: str
    key: str
    access_key_id: str
    secret_access_key: str = field(repr=False)

    @staticmethod
    def from_environment(environment: Mapping[str, str]) -> "Settings":
        """
        Reads the process's environment variables.

        Raises:
            KeyError: One is missing.
        """
        return Settings(
            resolver=parse_resolver(environment["RESOLVER"]),
            hosts=tuple(environment["DATABASE_HOST"].split(",")),
            port=int(environment["DATABASE_PORT"]),
            database=environment["DATABASE_NAME"],
            user=environment["DATABASE_USER"],
            password=environment["DATABASE_PASSWORD"],
            region=environment["REGION"],
            endpoint=environment["S3_ENDPOINT"],
            bucket=environment["WITNESS_BUCKET"],
            key=environment["WITNESS_KEY"],
            access_key_id=environment["AWS_ACCESS_KEY_ID"],
            secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )


class Observer:
    """Keeps a connection to the primary and beats its heart."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: asyncpg.Connection[Any] | None = None

    async def beat(self) -> tuple[Sighting, datetime]:
        """
        Writes the heartbeat and reads where the primary is.

        A kept connection that turns out to be dead is replaced within the same try: only a new
        connection can be refused, and that is what tells "gone" from "slow".

        Raises:
            Any of `SQL_ERRORS`: It failed, or took longer than a try may; see `name_error`.
        """
        async with asyncio.timeout(TRY_TIMEOUT_S):
            if self._connection is not None and not self._connection.is_closed():
                try:
                    return await self._beat_once(self._connection)
                except _KEPT_IS_DEAD:
                    self.drop()
            self._connection = await self._connect()
            return await self._beat_once(self._connection)

    def drop(self) -> None:
        """Aborts the connection; the next try makes a new one."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _beat_once(self, connection: "asyncpg.Connection[Any]") -> tuple[Sighting, datetime]:
        beat_at = datetime.now(UTC)  # before the UPDATE: see the module's invariant
        seq = await connection.fetchval(
            "UPDATE drctl.heartbeat SET at = $1, seq = seq + 1 WHERE id = 1 RETURNING seq", beat_at
        )
        row = await connection.fetchrow(_SIGHTING)
        return Sighting(seq=seq, **dict(row)), beat_at

    async def _connect(self) -> "asyncpg.Connection[Any]":
        """
        The first host that is a primary. When none is, the error that leaves the most open: only
        when every host has refused definitely is the primary gone.
        """
        errors: list[Exception] = []
        for host in self._settings.hosts:
            try:
                return await self._connect_to(host)
            except SQL_ERRORS as error:
                errors.append(error)
        unclear = [one for one in errors if name_error(one) not in {"refused", "read_only"}]
        refused = [one for one in errors if name_error(one) == "refused"]
        raise (unclear or refused or errors)[0]

    async def _connect_to(self, host: str) -> "asyncpg.Connection[Any]":
        settings = self._settings
        answer = await look_up(host, settings.resolver, timeout_s=TRY_TIMEOUT_S)
        connection: asyncpg.Connection[Any] = await asyncpg.connect(
            host=answer.addresses[0],
            port=settings.port,
            database=settings.database,
            user=settings.user,
            password=settings.password,
            ssl=False,
            timeout=TRY_TIMEOUT_S,
            server_settings={"application_name": "drctl witness"},
        )
        if len(settings.hosts) > 1 and await connection.fetchval("SELECT pg_is_in_recovery()"):
            connection.terminate()
            raise StandbyError(f"{host} is a standby")
        return connection


def _bucket_writer(settings: Settings) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        region_name=settings.region,
        endpoint_url=settings.endpoint,
        aws_access_key_id=settings.access_key_id,
        aws_secret_access_key=settings.secret_access_key,
        config=Config(
            connect_timeout=_PUT_TIMEOUT_S,
            read_timeout=_PUT_TIMEOUT_S,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
        ),
    )


async def watch(settings: Settings, stopped: asyncio.Event) -> None:
    """Tries every half second and stores the outcome of each try, until *stopped*."""
    from botocore.exceptions import BotoCoreError, ClientError

    observer, state, bucket = Observer(settings), State(), _bucket_writer(settings)
    loop = asyncio.get_running_loop()
    due = loop.time()
    while not stopped.is_set():
        try:
            sighting, beat_at = await observer.beat()
        except SQL_ERRORS as error:
            observer.drop()
            state = state.failed(name_error(error), now=datetime.now(UTC))
        else:
            state = state.seen(sighting, beat_at=beat_at, now=datetime.now(UTC))
        # A lost PUT is made good by the next one; readers see its age in checked_at.
        with contextlib.suppress(BotoCoreError, ClientError):
            await asyncio.to_thread(
                bucket.put_object,
                Bucket=settings.bucket,
                Key=settings.key,
                Body=json.dumps(asdict(state)).encode(),
                ContentType="application/json",
            )
        due = max(due + EVERY_S, loop.time())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), due - loop.time())


async def run(settings: Settings) -> None:
    """Watches until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await watch(settings, stopped)


if __name__ == "__main__":
    asyncio.run(run(Settings.from_environment(os.environ)))
