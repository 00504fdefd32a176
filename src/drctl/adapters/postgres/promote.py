"""Makes a standby that its owner manages the primary."""

import math
from typing import Annotated, ClassVar

from pydantic import Field

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Context,
    Done,
    Effect,
    NotDone,
    Nothing,
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, AuthRejected, Conflict, OutcomeUnknown
from drctl.actions.targets import PostgresServer, Target, Text
from drctl.adapters import _sql
from drctl.adapters.postgres import gate
from drctl.adapters.postgres.server import State, look, require_identity

_EVERY_S = 0.1
_SPARE_S = 1.0
"""Kept of the deadline for reading the new timeline."""
_STILL_FOR_S = 3.0
"""A promotion that was asked for shows within it, or replay still moves."""


class PromoteParams(Params):
    """What must hold before."""

    from_timeline: Annotated[int, Field(ge=1)] | None = None
    """The primary's timeline, as somebody else saw it; a standby on another one has forked off."""
    admin_database: Text = "postgres"
    """How the standby is reached: a fence by SQL closes the application's database on it too."""


class PromoteOutputs(Outputs):
    """The new primary."""

    endpoint: str
    """The host."""
    port: int
    timeline: int
    changed: bool
    """False when it was a primary already."""


class Promote(Action[PostgresServer, PromoteParams, PromoteOutputs]):
    """Ends recovery on a standby, so that it takes writes on a timeline of its own."""

    name: ClassVar[str] = "postgres.promote"
    summary: ClassVar[str] = "Promotes a standby and waits until it takes writes"
    effect: ClassVar[Effect] = Effect.PROMOTE
    repeat: ClassVar[Repeat] = Repeat.IRREVERSIBLE
    targets: ClassVar[tuple[type[Target], ...]] = (PostgresServer,)
    params: ClassVar[type[Params]] = PromoteParams
    outputs: ClassVar[type[Outputs]] = PromoteOutputs

    def planes(self, target: PostgresServer) -> tuple[str, ...]:
        return (f"data-plane:{target.region}",)

    async def observe(
        self, ctx: Context, target: PostgresServer, params: PromoteParams | None
    ) -> Observation:
        """
        Reads the candidate.

        Raises:
            ActionError: It did not answer.
        """
        admin = (params or PromoteParams()).admin_database
        async with _sql.connect(target.sql, ctx, database=admin) as connection:
            return (await look(connection)).observation()

    def preview(
        self, observation: Observation, target: PostgresServer, params: PromoteParams | None
    ) -> Preview:
        timeline = observation.facts["timeline"]
        if observation.facts["role"] == "primary":
            return Nothing(why=f"it is a primary already, on timeline {timeline}")
        return Change(
            before=f"standby on timeline {timeline}", after="primary on the next timeline"
        )

    async def perform(
        self, ctx: Context, target: PostgresServer, params: PromoteParams
    ) -> PromoteOutputs:
        """
        Checks the candidate, promotes it, waits until it has left recovery, and opens the
        application's database when it inherited a fence's closing.

        Safe to repeat: a primary returns at once with ``changed=False``. A promotion cannot be
        cancelled; on cancel we stop waiting and it goes on.

        Raises:
            Conflict: It is of another system or timeline, its replay is paused or delayed, or it
                is a fenced primary.
            AuthRejected: The role may not call ``pg_promote``, or not open the database.
            OutcomeUnknown: Asked, and not seen to end before the deadline.
            Unavailable: Not reached; nothing happened.

        Changes:
            The server's role, for good: a new timeline begins. The database's ALLOW_CONNECTIONS.
        """
        admin = params.admin_database
        async with _sql.connect(target.sql, ctx, mutates=True, database=admin) as connection:
            before = await look(connection)
            require_identity(target, before)
            if not before.is_in_recovery:
                await _open(connection, target, before)
                return _outputs(target, before, changed=False)
            _require_fit(target, before, params)
            if not await gate.may_open(connection, target.sql.database):
                raise AuthRejected(f"{target.label}: the role may not open the database afterwards")
            wait_s = max(1, math.floor(ctx.deadline.left_s(ctx.clock) - _SPARE_S))
            ctx.say(f"promoting from timeline {before.timeline}")
            if not await connection.fetchval("SELECT pg_promote(true, $1)", wait_s):
                raise OutcomeUnknown(f"{target.label} was asked and is still in recovery")
            while True:
                after = await look(connection)
                if not after.is_in_recovery and after.timeline > before.timeline:
                    await _open(connection, target, after)
                    return _outputs(target, after, changed=True)
                await ctx.clock.sleep(_EVERY_S)

    async def settled(
        self, ctx: Context, target: PostgresServer, params: PromoteParams
    ) -> Done[PromoteOutputs] | NotDone | CannotTell:
        """A request that arrived shows within seconds, unless there is much to replay."""
        try:
            admin = params.admin_database
            async with _sql.connect(target.sql, ctx, database=admin) as connection:
                first = state = await look(connection)
                end_s = ctx.clock.now().boot_s + _STILL_FOR_S
                while state.is_in_recovery and ctx.clock.now().boot_s < end_s:
                    await ctx.clock.sleep(_EVERY_S)
                    state = await look(connection)
                is_open = await gate.is_open(connection, target.sql.database)
        except ActionError as error:
            return CannotTell(why=str(error))
        if not state.is_in_recovery and not is_open:
            return NotDone(why=f"{target.label} is a primary, and its database is closed")
        if not state.is_in_recovery:
            return Done(outputs=_outputs(target, state, changed=True))
        if state.is_receiving or state.replay_lsn == first.replay_lsn:
            return NotDone(why=f"{target.label} is still a standby and nothing is pending")
        return CannotTell(why=f"{target.label} is in recovery and still replays")


async def _open(connection: _sql.Connection, target: PostgresServer, state: State) -> None:
    """Opens what the WAL of the fence closed here; a server that was fenced itself stays closed."""
    if await gate.is_open(connection, target.sql.database):
        return
    # `gate.shut` sets it by ALTER SYSTEM, which is not in the WAL: only the fenced server has it.
    if state.is_read_only:
        raise Conflict(f"{target.label} is a fenced primary, not the standby of one")
    await gate.open_up(connection, target.sql.database)


def _require_fit(target: PostgresServer, state: State, params: PromoteParams) -> None:
    """Paused or delayed replay makes the moment of promotion, and what it keeps, unpredictable."""
    wanted = params.from_timeline
    reasons = [
        (state.is_paused, "its replay is paused"),
        (state.apply_delay != "0", f"its replay is delayed by {state.apply_delay}"),
        (
            wanted is not None and wanted != state.timeline,
            f"it is on timeline {state.timeline}, the primary was on {wanted}",
        ),
    ]
    for is_so, why in reasons:
        if is_so:
            raise Conflict(f"{target.label} is not fit to be promoted: {why}")


def _outputs(target: PostgresServer, state: State, *, changed: bool) -> PromoteOutputs:
    return PromoteOutputs(
        endpoint=target.sql.host,
        port=target.sql.port,
        timeline=state.timeline,
        changed=changed,
    )
