"""
Watches a primary for a while: who follows it and how far behind, sessions, errors.

The plan's ``kubectl logs -f | grep`` never ends (E18); this ends at its window or at its deadline,
and a threshold that is crossed in any sample is a failure.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from drctl.actions.contract import (
    Action,
    Context,
    Effect,
    Observation,
    Outputs,
    Params,
    Repeat,
)
from drctl.actions.errors import ActionError, Rejected
from drctl.actions.targets import CloudSqlInstance, PostgresServer, RdsInstance, Target
from drctl.adapters import _sql
from drctl.adapters.postgres.server import Database, access_of, look, region_of, require_identity
from drctl.kernel.duration import parse_duration

_SPARE_S = 1.0
_SAMPLE = """
SELECT (SELECT count(*) FROM pg_stat_replication
         WHERE state = 'streaming' AND application_name <> 'pg_basebackup') AS standbys,
       -- The least that the best of them is behind: one good standby is what is needed.
       (SELECT min(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), replay_lsn))::bigint
          FROM pg_stat_replication WHERE state = 'streaming') AS lag_bytes,
       (SELECT count(*) FROM pg_stat_activity
         WHERE datname = $1 AND backend_type = 'client backend') AS sessions,
       (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8
          FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'
           AND pid <> pg_backend_pid()) AS longest_s,
       xact_commit AS commits, xact_rollback AS rollbacks, deadlocks,
       coalesce(checksum_failures, 0) AS checksum_failures
FROM pg_stat_database WHERE datname = $1
"""


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


_Length = Annotated[timedelta, BeforeValidator(_duration)]


class MonitorParams(Params):
    """How long, and what is too much."""

    window: Annotated[_Length, Field(ge=timedelta(seconds=1), le=timedelta(hours=1))] = timedelta(
        seconds=30
    )
    """How long it is watched."""
    every: Annotated[_Length, Field(ge=timedelta(milliseconds=100))] = timedelta(seconds=1)
    """Between two samples."""
    standbys: Annotated[int, Field(ge=0)] = 0
    """How many must stream in every sample."""
    max_lag_bytes: Annotated[int, Field(ge=0)] = 16 * 1024 * 1024
    """How much the best of them may have to replay."""
    max_sessions: Annotated[int, Field(ge=1)] | None = None
    """Clients' sessions in the database."""
    max_transaction_s: Annotated[float, Field(gt=0)] | None = None
    """Age of the oldest transaction of a client."""
    max_rollback_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Of all transactions in the window; errors of clients show as rollbacks."""
    max_deadlocks: Annotated[int, Field(ge=0)] = 0
    """New ones in the window."""


class MonitorOutputs(Outputs):
    """The worst that was seen."""

    samples: int
    standbys: int
    lag_bytes: int | None
    """``None``: nobody streamed in some sample, or it was not asked for."""
    sessions: int
    longest_transaction_s: float
    commits: int
    rollbacks: int
    deadlocks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    standbys: int
    lag_bytes: int | None
    sessions: int
    longest_s: float
    commits: int
    rollbacks: int
    deadlocks: int
    checksum_failures: int


class Monitor(Action[Database, MonitorParams, MonitorOutputs]):
    """Samples a primary until the window is over, or something crosses its threshold."""

    name: ClassVar[str] = "postgres.monitor"
    summary: ClassVar[str] = "Watches a primary for a while: replication, errors, sessions"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets: ClassVar[tuple[type[Target], ...]] = (PostgresServer, RdsInstance, CloudSqlInstance)
    params: ClassVar[type[Params]] = MonitorParams
    outputs: ClassVar[type[Outputs]] = MonitorOutputs

    def planes(self, target: Database) -> tuple[str, ...]:
        return (f"data-plane:{region_of(target)}",)

    async def observe(
        self, ctx: Context, target: Database, params: MonitorParams | None
    ) -> Observation:
        """
        Looks at the server once.

        Raises:
            ActionError: It did not answer.
        """
        async with _sql.connect(access_of(target), ctx) as connection:
            return (await look(connection)).observation()

    async def perform(
        self, ctx: Context, target: Database, params: MonitorParams
    ) -> MonitorOutputs:
        """
        Watches it.

        Raises:
            Rejected: A threshold was crossed, or the deadline came before the window was over.
            Conflict: Another system answers there.
            ActionError: A sample could not be taken.
        """
        end_s = ctx.clock.now().boot_s + params.window.total_seconds()
        first = worst = await _sample(ctx, target)
        samples = 1
        while True:
            _require(target, first, worst, params)
            now_s = ctx.clock.now().boot_s
            if now_s >= end_s:
                break
            if ctx.deadline.left_s(ctx.clock) <= _SPARE_S:
                raise Rejected(f"the step's time ended {end_s - now_s:.0f} s before the window did")
            ctx.say(f"{worst.standbys} standby(s), {worst.sessions} session(s)")
            await ctx.clock.sleep(min(params.every.total_seconds(), end_s - now_s))
            worst = _worse(worst, await _sample(ctx, target))
            samples += 1
        return MonitorOutputs(
            samples=samples,
            standbys=worst.standbys,
            lag_bytes=worst.lag_bytes,
            sessions=worst.sessions,
            longest_transaction_s=worst.longest_s,
            commits=worst.commits - first.commits,
            rollbacks=worst.rollbacks - first.rollbacks,
            deadlocks=worst.deadlocks - first.deadlocks,
        )


async def _sample(ctx: Context, target: Database) -> _Sample:
    access = access_of(target)
    try:
        async with _sql.connect(access, ctx) as connection:
            state = await look(connection)
            require_identity(target, state)
            if state.is_in_recovery:
                raise Rejected(f"{target.label} is a standby; a primary is watched")
            row = await connection.fetchrow(_SAMPLE, access.database)
    except ActionError as error:
        raise type(error)(f"a sample could not be taken: {error}") from error
    if row is None:
        raise Rejected(f"{target.label} has no statistics of {access.database}")
    return _Sample(
        standbys=row["standbys"],
        lag_bytes=row["lag_bytes"],
        sessions=row["sessions"],
        longest_s=round(row["longest_s"], 3),
        commits=row["commits"],
        rollbacks=row["rollbacks"],
        deadlocks=row["deadlocks"],
        checksum_failures=row["checksum_failures"],
    )


def _worse(one: _Sample, other: _Sample) -> _Sample:
    lags = (one.lag_bytes, other.lag_bytes)
    return _Sample(
        standbys=min(one.standbys, other.standbys),
        lag_bytes=None if None in lags else max(lag or 0 for lag in lags),
        sessions=max(one.sessions, other.sessions),
        longest_s=max(one.longest_s, other.longest_s),
        commits=other.commits,
        rollbacks=other.rollbacks,
        deadlocks=other.deadlocks,
        checksum_failures=other.checksum_failures,
    )


def _require(target: Database, first: _Sample, worst: _Sample, params: MonitorParams) -> None:
    """
    Refuses what is too much.

    Raises:
        Rejected: Something is; the message has the number and the threshold.
    """
    rollbacks = worst.rollbacks - first.rollbacks
    all_of_them = rollbacks + worst.commits - first.commits
    share = rollbacks / all_of_them if all_of_them else 0.0
    deadlocks = worst.deadlocks - first.deadlocks
    wanted, most = params.standbys, params.max_sessions
    oldest = params.max_transaction_s
    crossed = (
        (worst.standbys < wanted, f"{worst.standbys} standby(s) stream, wanted are {wanted}"),
        (
            wanted > 0 and (worst.lag_bytes is None or worst.lag_bytes > params.max_lag_bytes),
            f"{worst.lag_bytes} bytes to replay, at most {params.max_lag_bytes} may be",
        ),
        (most is not None and worst.sessions > most, f"{worst.sessions} sessions, at most {most}"),
        (
            oldest is not None and worst.longest_s > oldest,
            f"a transaction of {worst.longest_s} s, at most {oldest} s",
        ),
        (
            share > params.max_rollback_share,
            f"{rollbacks} of {all_of_them} transactions were rolled back",
        ),
        (deadlocks > params.max_deadlocks, f"{deadlocks} new deadlocks"),
        (
            worst.checksum_failures > first.checksum_failures,
            "data pages with a wrong checksum were read",
        ),
    )
    for is_crossed, said in crossed:
        if is_crossed:
            raise Rejected(f"{target.label}: {said}")
