"""
Makes a standby that its owner manages the primary.

Whether it is the right standby is decided by `drctl.adapters._candidate`, on a look that is made in
the very connection that then asks for the promotion, a moment before.
"""

import math
from dataclasses import replace
from typing import Annotated, ClassVar

from pydantic import Field

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Cleared,
    Context,
    Debt,
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
from drctl.actions.planes import Ask, data, places_needed
from drctl.actions.targets import PostgresServer, Target, Text, Url
from drctl.adapters import _candidate, _candidate_look, _sql, _witness
from drctl.adapters.postgres import gate, lag, owed
from drctl.adapters.postgres.server import State, look, require_identity

_EVERY_S = 0.1
_SPARE_S = 1.0
"""Kept of the deadline for reading the new timeline."""
_STILL_FOR_S = 3.0
"""A promotion that was asked for shows within it, or replay still moves."""


class PromoteParams(Params):
    """What must hold before."""

    sightings_url: Url | None = None
    """Where the observer publishes its last sighting of the primary, when the environment does not
    say it; see `drctl.adapters._witness`. The candidate must continue what the observer saw."""
    from_timeline: Annotated[int, Field(ge=1)] | None = None
    """The primary's timeline, as somebody else saw it; needed where there is no observer."""
    accept_silent_siblings: bool = False
    """True to promote although a sibling that does not answer may have more than this one."""
    admin_database: Text = "postgres"
    """How the standby is reached: a fence by SQL closes the application's database on it too."""


class PromoteOutputs(Outputs):
    """The new primary, and what it was when it was promoted."""

    endpoint: str
    """The host."""
    port: int
    timeline: int
    changed: bool
    """False when it was a primary already."""
    system_identifier: str = ""
    from_timeline: int | None = None
    """The timeline that it left."""
    lsn: str = ""
    """The end of what it had received, at the last look before the promotion."""


class Promote(Action[PostgresServer, PromoteParams, PromoteOutputs]):
    """Ends recovery on a standby, so that it takes writes on a timeline of its own."""

    name: ClassVar[str] = "postgres.promote"
    no_way_back: ClassVar[str] = (
        "a new timeline begins: the old primary can only follow it, or be discarded"
    )
    summary: ClassVar[str] = "Promotes a standby and waits until it takes writes"
    effect: ClassVar[Effect] = Effect.PROMOTE
    repeat: ClassVar[Repeat] = Repeat.IRREVERSIBLE
    targets: ClassVar[tuple[type[Target], ...]] = (PostgresServer,)
    params: ClassVar[type[Params]] = PromoteParams
    outputs: ClassVar[type[Outputs]] = PromoteOutputs

    def planes(self, target: PostgresServer) -> tuple[str, ...]:
        return places_needed(self.asks(target))

    def asks(self, target: PostgresServer, params: PromoteParams | None = None) -> tuple[Ask, ...]:
        return (data(target.region, "PostgreSQL"), *self._witness(target, params))

    def asks_to_look(
        self, target: PostgresServer, params: PromoteParams | None = None
    ) -> tuple[Ask, ...]:
        if params is None:
            return (data(target.region, "PostgreSQL"),)
        how = "it is said to be unfit: nothing says which timeline the primary was on"
        return (data(target.region, "PostgreSQL"), *self._witness(target, params, copes=how))

    @staticmethod
    def _witness(
        target: PostgresServer, params: PromoteParams | None, *, copes: str = ""
    ) -> tuple[Ask, ...]:
        if params is not None and params.from_timeline is not None:
            copes = copes or "the step itself says which timeline the primary was on"
        return lag.saw(target, params.sightings_url if params else None, copes=copes)

    async def observe(
        self, ctx: Context, target: PostgresServer, params: PromoteParams | None
    ) -> Observation:
        """
        Reads the candidate and what speaks against it.

        Raises:
            ActionError: It did not answer.
        """
        given = params or PromoteParams()
        async with _sql.connect(target.sql, ctx, database=given.admin_database) as connection:
            seen = (await look(connection)).observation()
            unfit: list[str] = []
            if params is not None:
                first = await _candidate_look.read(connection)
                evidence, first = await _evidence(ctx, target, given, first)
                unfit = _candidate.lasting(_candidate.objections(first, evidence))
        return replace(seen, facts={**seen.facts, "unfit": list(unfit)})

    def preview(
        self, observation: Observation, target: PostgresServer, params: PromoteParams | None
    ) -> Preview:
        timeline = observation.facts["timeline"]
        unfit = observation.facts["unfit"]
        if isinstance(unfit, list) and unfit:
            return CannotTell(why=f"it is not fit to be promoted: {unfit[0]}")
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

        Safe to repeat: a primary that has left the old one's timeline after its last sighting
        returns at once with ``changed=False``. A promotion cannot be cancelled; on cancel we stop
        waiting and it goes on.

        Raises:
            Conflict: It is not the right candidate (`drctl.adapters._candidate`), or it is a fenced
                primary.
            AuthRejected: The role may not call ``pg_promote``, or not open the database.
            OutcomeUnknown: Asked, and not seen to end before the deadline.
            Unavailable: Not reached; nothing happened.

        Changes:
            The server's role, for good: a new timeline begins. The database's ALLOW_CONNECTIONS.
        """
        admin = params.admin_database
        async with _sql.connect(target.sql, ctx, mutates=True, database=admin) as connection:
            before = await look(connection)
            chosen = await _fit(ctx, connection, target, params)
            if not before.is_in_recovery:
                await _open(connection, target, before)
                return _outputs(target, before, chosen, changed=False)
            if not await gate.may_open(connection, target.sql.database):
                raise AuthRejected(f"{target.label}: the role may not open the database afterwards")
            wait_s = max(1, math.floor(ctx.deadline.left_s(ctx.clock) - _SPARE_S))
            ctx.say(f"promoting from timeline {chosen.timeline} at {chosen.replay_lsn}")
            if not await connection.fetchval("SELECT pg_promote(true, $1)", wait_s):
                raise OutcomeUnknown(f"{target.label} was asked and is still in recovery")
            while True:
                after = await look(connection)
                if not after.is_in_recovery and after.timeline > before.timeline:
                    await _open(connection, target, after)
                    return _outputs(target, after, chosen, changed=True)
                await ctx.clock.sleep(_EVERY_S)

    def debts(
        self, target: PostgresServer, params: PromoteParams, outputs: PromoteOutputs
    ) -> tuple[Debt | Cleared, ...]:
        """One database, and nothing that could take over from it."""
        return (owed.standby(target),)

    async def settled(
        self, ctx: Context, target: PostgresServer, params: PromoteParams
    ) -> Done[PromoteOutputs] | NotDone | CannotTell:
        """A request that arrived shows within seconds, unless there is much to replay."""
        try:
            admin = params.admin_database
            async with _sql.connect(target.sql, ctx, database=admin) as connection:
                first = state = await look(connection)
                require_identity(target, first)
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
            return Done(outputs=_outputs(target, state, None, changed=True))
        if state.is_receiving or state.replay_lsn == first.replay_lsn:
            return NotDone(why=f"{target.label} is still a standby and nothing is pending")
        return CannotTell(why=f"{target.label} is in recovery and still replays")


async def _evidence(
    ctx: Context, target: PostgresServer, params: PromoteParams, first: _candidate.Seen
) -> tuple[_candidate.Evidence, _candidate.Seen]:
    """What others say of the candidate, and the candidate with the observer's row that it has."""
    url = params.sightings_url or target.sightings_url
    sighting: _witness.Sighting | _witness.Missing = _witness.Missing("no sightings_url")
    if url is not None:
        sighting = await _witness.sighted(lambda: lag.fetch(ctx, url))
    evidence = await _candidate_look.gather(
        ctx,
        target.sql,
        first,
        database=params.admin_database,
        pinned=target.system_identifier,
        siblings=target.siblings,
        sighting=sighting,
        from_timeline=params.from_timeline,
        accepts_silence=params.accept_silent_siblings,
    )
    beat = None if url is None else await _candidate_look.last_beat(ctx, target.sql)
    return evidence, replace(first, beat=beat)


async def _fit(
    ctx: Context, connection: _sql.Connection, target: PostgresServer, params: PromoteParams
) -> _candidate.Seen:
    """
    Looks at the candidate until nothing speaks against it; the last look is the one that counts.

    Raises:
        Conflict: Something does, and waiting does not mend it.
    """

    async def look_again() -> _candidate_look.Looks:
        first = await _candidate_look.read(connection)
        evidence, before = await _evidence(ctx, target, params, first)
        now_s = ctx.clock.now().boot_s
        after = await _candidate_look.read(connection)
        return _candidate_look.Looks(before=before, evidence=evidence, after=after, after_s=now_s)

    return await _candidate_look.choose(ctx, target.label, look_again)


async def _open(connection: _sql.Connection, target: PostgresServer, state: State) -> None:
    """Opens what the WAL of the fence closed here; a server that was fenced itself stays closed."""
    if await gate.is_open(connection, target.sql.database):
        return
    # `gate.shut` sets it by ALTER SYSTEM, which is not in the WAL: only the fenced server has it.
    if state.is_read_only:
        raise Conflict(f"{target.label} is a fenced primary, not the standby of one")
    await gate.open_up(connection, target.sql.database)


def _outputs(
    target: PostgresServer, state: State, chosen: _candidate.Seen | None, *, changed: bool
) -> PromoteOutputs:
    return PromoteOutputs(
        endpoint=target.sql.host,
        port=target.sql.port,
        timeline=state.timeline,
        changed=changed,
        system_identifier=state.system_identifier,
        from_timeline=chosen.timeline if chosen and changed else None,
        lsn=_candidate.position(chosen) if chosen else "",
    )
