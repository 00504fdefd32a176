"""Proves that a database takes writes, by writing."""

import secrets
from typing import ClassVar

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Context,
    Done,
    Effect,
    NoParams,
    NotDone,
    Observation,
    Outputs,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, OutcomeUnknown, Rejected
from drctl.actions.targets import CloudSqlInstance, PostgresServer, RdsInstance, Target
from drctl.adapters import _sql
from drctl.adapters.postgres.server import Database, access_of, look, region_of, require_identity

_INSERT = "INSERT INTO drctl.write_check(token) VALUES ($1) ON CONFLICT (token) DO NOTHING"
_READ = "SELECT EXISTS (SELECT FROM drctl.write_check WHERE token = $1)"
_SWEEP = "DELETE FROM drctl.write_check WHERE at < now() - interval '1 hour' AND token <> $1"
"""An hour is longer than any step that might still read its token back."""


class WritableOutputs(Outputs):
    """What was proven."""

    server_version: str
    latency_s: float
    """From before the first connection until the token was read back in a second one."""
    is_writable: bool


class AssertWritable(Action[Database, NoParams, WritableOutputs]):
    """Commits a token and reads it back in another connection."""

    name: ClassVar[str] = "postgres.primary.assert_writable"
    summary: ClassVar[str] = "Writes a token, and reads it back in a new connection"
    effect: ClassVar[Effect] = Effect.CHANGE
    leaves_mark: ClassVar[bool] = True
    repeat: ClassVar[Repeat] = Repeat.KEYED
    targets: ClassVar[tuple[type[Target], ...]] = (PostgresServer, RdsInstance, CloudSqlInstance)
    outputs: ClassVar[type[Outputs]] = WritableOutputs

    def planes(self, target: Database) -> tuple[str, ...]:
        return (f"data-plane:{region_of(target)}",)

    def preview(
        self, observation: Observation, target: Database, params: NoParams | None
    ) -> Preview:
        return Change(before="not proven", after="one row more in drctl.write_check", creates=True)

    async def perform(self, ctx: Context, target: Database, params: NoParams) -> WritableOutputs:
        """
        Writes and reads back.

        Raises:
            Rejected: It is a standby, begins transactions read-only, or lost the token.
            OutcomeUnknown: The token was committed, perhaps, and could not be read back.
            Conflict: Another system answers there.
            NotFound: There is no table ``drctl.write_check``.
            ActionError: See `drctl.adapters._sql`.

        Changes:
            One row in ``drctl.write_check``; rows older than an hour are deleted.
        """
        started_s = ctx.clock.now().boot_s
        token = ctx.key or f"verify-{secrets.token_hex(8)}"
        access = access_of(target)
        async with _sql.connect(access, ctx, mutates=True) as connection:
            state = await look(connection)
            require_identity(target, state)
            if state.is_in_recovery:
                raise Rejected(f"{target.label} is a standby in recovery; it takes no writes")
            if state.is_read_only:
                raise Rejected(f"{target.label} begins transactions read-only")
            await connection.execute(_INSERT, token)
            await connection.execute(_SWEEP, token)
        if not await _has(ctx, target, token):
            raise Rejected(f"{target.label} committed a token and does not have it")
        return WritableOutputs(
            server_version=state.version,
            latency_s=ctx.clock.now().boot_s - started_s,
            is_writable=True,
        )

    async def settled(
        self, ctx: Context, target: Database, params: NoParams
    ) -> Done[WritableOutputs] | NotDone | CannotTell:
        started_s = ctx.clock.now().boot_s
        try:
            async with _sql.connect(access_of(target), ctx) as connection:
                state = await look(connection)
                require_identity(target, state)
                has_token = await connection.fetchval(_READ, ctx.key)
        except ActionError as error:
            return CannotTell(why=str(error))
        if not has_token or state.is_in_recovery:
            return NotDone(why="the token is not there")
        latency_s = ctx.clock.now().boot_s - started_s
        return Done(
            outputs=WritableOutputs(
                server_version=state.version, latency_s=latency_s, is_writable=True
            )
        )


async def _has(ctx: Context, target: Database, token: str) -> bool:
    """Asks in a new connection, after the token was written: silence is then no failure."""
    try:
        async with _sql.connect(access_of(target), ctx) as connection:
            return bool(await connection.fetchval(_READ, token))
    except ActionError as error:
        raise OutcomeUnknown(f"committed, and then not readable: {error}") from error
