"""
Makes an old primary a standby of the new one.

Problem: an old primary may have committed what nobody else has. A rewind throws that away, and the
data directory is the last place where it is. Invariants: only a server that does not take writes is
touched (dead, a standby, or fenced); it follows only whom the environment names, of its own system;
what it committed after the two parted is counted in its own WAL *before* anything is changed, and
more than was accepted refuses; success means that it streams and has replayed a position of the
primary that was read after it had started.

The way: stop it, ``pg_rewind`` (which also ends a crash's recovery), and a new base backup when the
WAL it needs is gone; the old data directory is then moved aside, never deleted. What a fence set on
it is taken back, because the files that say it may be its own.
"""

from typing import ClassVar, Literal, TypeAlias

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
from drctl.actions.errors import ActionError, AuthRejected, Rejected
from drctl.actions.targets import PostgresServer, Target, Upstream
from drctl.adapters import _candidate, _sql
from drctl.adapters._witness import lsn_to_int
from drctl.adapters.postgres import divergence, gate, owed, rewinding
from drctl.adapters.postgres.programs import Programs
from drctl.adapters.postgres.rewinding import RejoinParams
from drctl.adapters.postgres.server import State, look

_Method: TypeAlias = Literal["none", "started", "rewound", "copied"]


class RejoinOutputs(Outputs):
    """What it took."""

    method: _Method
    changed: bool
    timeline: int
    fork_lsn: str
    """Where the two had parted; empty when they had not."""
    discarded_commits: int | None
    """``None``: not known. There was a new copy, or an earlier attempt did it."""
    kept: str
    """Where the old data directory is now; empty when it was rewound in place."""
    replay_lsn: str


class RewindAndRejoin(Action[PostgresServer, RejoinParams, RejoinOutputs]):
    """Rewinds or copies a server onto the primary's history and starts it as its standby."""

    name: ClassVar[str] = "postgres.rewind_and_rejoin"
    no_way_back: ClassVar[str] = (
        "commits that this server alone has are gone, with the files that are copied over"
    )
    summary: ClassVar[str] = "Makes an old primary a streaming standby of the new one"
    effect: ClassVar[Effect] = Effect.DESTROY
    repeat: ClassVar[Repeat] = Repeat.CHECK_THEN_ACT
    targets: ClassVar[tuple[type[Target], ...]] = (PostgresServer,)
    params: ClassVar[type[Params]] = RejoinParams
    outputs: ClassVar[type[Outputs]] = RejoinOutputs

    def planes(self, target: PostgresServer) -> tuple[str, ...]:
        return (f"data-plane:{target.region}",)

    async def observe(
        self, ctx: Context, target: PostgresServer, params: RejoinParams | None
    ) -> Observation:
        """
        Reads the data directory and whether the server streams already.

        Raises:
            ActionError: The machine did not answer.
        """
        programs = Programs(ctx, target)
        control = await programs.control()
        given = params or RejoinParams()
        state = await rewinding.state_of(ctx, target, given)
        return Observation(
            facts={
                "system_identifier": control.system_identifier,
                "is_standby": state is not None and state.is_in_recovery,
            },
            readings={
                "state": control.state,
                "timeline": control.timeline,
                "is_receiving": state is not None and state.is_receiving,
            },
        )

    def preview(
        self, observation: Observation, target: PostgresServer, params: RejoinParams | None
    ) -> Preview:
        readings = observation.readings
        if observation.facts["is_standby"] and readings["is_receiving"]:
            return Nothing(why="it is a standby and streams; that it has everything is proven")
        return Change(
            before=f"{readings['state']}, timeline {readings['timeline']}",
            after="a standby that streams from the primary",
        )

    async def perform(
        self, ctx: Context, target: PostgresServer, params: RejoinParams
    ) -> RejoinOutputs:
        """
        Rejoins it, and waits until it streams and has what the primary had.

        Safe to repeat: a standby that streams is only proven; a rewind that was cut off ends in a
        new base backup.

        Raises:
            Rejected: It takes writes, has commits that were not accepted, cannot be rewound and no
                copy is allowed, or does not come to stream.
            Conflict: Another system's files or another system's primary, or a program is at work.
            OutcomeUnknown: The machine was lost in the middle.
            ActionError: The machine or the primary did not answer.

        Changes:
            The server's data directory, its role, a replication slot on the primary.
        """
        programs, upstream = Programs(ctx, target), rewinding.upstream_of(target, params)
        await rewinding.finish_copy(ctx, programs)
        await programs.require_pin()
        primary = await rewinding.primary_of(ctx, target, upstream, params)
        state = await rewinding.state_of(ctx, target, params)
        kept = await rewinding.found_kept(ctx, programs)
        if state is not None and await _follows(ctx, target, upstream, params, state, primary):
            return await _proven(ctx, target, upstream, params, method="none", kept=kept)
        if kept and state is None:
            async with rewinding.slot(ctx, target, upstream, params):
                if not await programs.is_running():
                    await programs.start()
                return await _started(ctx, target, upstream, params, method="copied", kept=kept)
        await _stop(ctx, target, programs, state, params)
        control = await programs.require_pin()
        parted = await divergence.measure(programs, control, primary)
        _require_accepted(target, parted, params)
        async with rewinding.slot(ctx, target, upstream, params):
            method, copied = await _brought(ctx, target, programs, upstream, parted, params)
            outputs = await _started(
                ctx, target, upstream, params, method=method, kept=copied or kept
            )
        return outputs.model_copy(
            update={"fork_lsn": parted.fork_lsn, "discarded_commits": parted.commits}
        )

    def debts(
        self, target: PostgresServer, params: RejoinParams, outputs: RejoinOutputs
    ) -> tuple[Debt | Cleared, ...]:
        """The standby is back; a data directory that was moved aside waits for a person."""
        paid = (owed.standby_is_back(target), owed.fence_is_gone(target))
        return (*paid, owed.kept(target, outputs.kept)) if outputs.kept else paid

    async def settled(
        self, ctx: Context, target: PostgresServer, params: RejoinParams
    ) -> Done[RejoinOutputs] | NotDone | CannotTell:
        """A program that is still at work holds its lock; otherwise the servers tell."""
        try:
            programs, upstream = Programs(ctx, target), rewinding.upstream_of(target, params)
            if await programs.is_busy():
                return CannotTell(why=f"a program is still at work on {programs.data}")
            primary = await rewinding.primary_of(ctx, target, upstream, params)
            state = await rewinding.state_of(ctx, target, params)
            if state is None or not await _follows(ctx, target, upstream, params, state, primary):
                return NotDone(why=f"{target.label} does not follow the primary")
            kept = await rewinding.found_kept(ctx, programs)
            return Done(
                outputs=await _proven(ctx, target, upstream, params, method="none", kept=kept)
            )
        except ActionError as error:
            return CannotTell(why=str(error))


async def _follows(
    ctx: Context,
    target: PostgresServer,
    upstream: Upstream,
    params: RejoinParams,
    state: State,
    primary: _candidate.Seen,
) -> bool:
    """Whether it streams, and from this primary: from another one of that timeline is not it."""
    if not (state.is_in_recovery and state.is_receiving and state.timeline == primary.timeline):
        return False
    access, admin = rewinding.access_of(target, upstream), params.admin_database
    async with _sql.connect(access, ctx, database=admin) as connection:
        return await rewinding.is_sent_to(connection, target)


async def _brought(
    ctx: Context,
    target: PostgresServer,
    programs: Programs,
    upstream: Upstream,
    parted: divergence.Divergence,
    params: RejoinParams,
) -> tuple[_Method, str]:
    """Rewinds it or copies it anew, and starts it; says how, and where the old files are."""
    has_wal = await rewinding.has_wal(ctx, target, upstream, parted, params)
    why = parted.said if has_wal else "the primary has recycled the WAL that it missed"
    method: _Method | None = None
    if has_wal and parted.commits is not None:
        method, why = await rewinding.rewind(ctx, target, programs, upstream, parted, params)
    if method is not None:
        return method, ""
    return "copied", await rewinding.copy_anew(ctx, target, programs, upstream, params, why)


async def _started(
    ctx: Context,
    target: PostgresServer,
    upstream: Upstream,
    params: RejoinParams,
    *,
    method: _Method,
    kept: str,
) -> RejoinOutputs:
    """Makes a server that has been started what a standby must be, and proves it."""
    await _lift_fence(ctx, target, params)
    outputs = await _proven(ctx, target, upstream, params, method=method, kept=kept)
    await _show_timeline(ctx, target, upstream, params)
    return outputs


async def _stop(
    ctx: Context,
    target: PostgresServer,
    programs: Programs,
    state: State | None,
    params: RejoinParams,
) -> None:
    if state is not None and not state.is_in_recovery:
        async with _sql.connect(target.sql, ctx, database=params.admin_database) as connection:
            if await gate.is_open(connection, target.sql.database):
                raise Rejected(f"{target.label} is a primary that takes writes: fence it first")
    if await programs.is_running():
        ctx.say(f"stopping {target.label}")
        await programs.stop()


def _require_accepted(
    target: PostgresServer, parted: divergence.Divergence, params: RejoinParams
) -> None:
    if parted.commits is None:
        if params.fallback == "none":
            raise Rejected(f"{target.label}: {parted.said}")
        return  # the copy keeps the old data directory: nothing is thrown away
    if parted.commits > params.accept_discarded_commits:
        raise Rejected(
            f"{target.label}: {parted.said}; nobody else has them. Save what is needed, or say"
            f" accept_discarded_commits: {parted.commits}"
        )


async def _lift_fence(ctx: Context, target: PostgresServer, params: RejoinParams) -> None:
    """A fence's read-only default is in the files of the server that was fenced."""
    admin = params.admin_database
    async with _sql.connect(target.sql, ctx, mutates=True, database=admin) as connection:
        await connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
        await connection.fetchval("SELECT pg_reload_conf()")


async def _show_timeline(
    ctx: Context, target: PostgresServer, upstream: Upstream, params: RejoinParams
) -> None:
    """
    Makes its control file tell the new timeline: until its first restart point it tells the old
    one, and were its primary lost before that, it would not be taken for a fit candidate.
    """
    admin, access = params.admin_database, rewinding.access_of(target, upstream)
    try:
        async with _sql.connect(access, ctx, mutates=True, database=admin) as connection:
            await connection.execute("CHECKPOINT")
        await _proven(ctx, target, upstream, params, method="none", kept="")
        async with _sql.connect(target.sql, ctx, mutates=True, database=admin) as connection:
            await connection.execute("CHECKPOINT")
    except AuthRejected:
        ctx.say("the role may not ask for a checkpoint; the next one tells the new timeline")


async def _proven(
    ctx: Context,
    target: PostgresServer,
    upstream: Upstream,
    params: RejoinParams,
    *,
    method: _Method,
    kept: str,
) -> RejoinOutputs:
    """
    Waits until the primary sends to it and it has replayed where that was after it had started.
    """
    admin, access = params.admin_database, rewinding.access_of(target, upstream)
    async with (
        _sql.connect(access, ctx, database=admin) as above,
        _sql.connect(target.sql, ctx, database=admin) as connection,
    ):
        wanted = await gate.position(above)
        primary = await look(above)
        while True:
            state = await look(connection)
            replayed = lsn_to_int(state.replay_lsn or "0/0")
            if (
                state.is_in_recovery
                and state.is_receiving
                and state.timeline == primary.timeline
                and replayed >= lsn_to_int(wanted)
                and await rewinding.is_sent_to(above, target)
            ):
                break
            if ctx.deadline.left_s(ctx.clock) <= rewinding.LAST_S:
                raise Rejected(
                    f"{target.label} does not stream from {upstream.host}: it has"
                    f" {state.replay_lsn} on timeline {state.timeline}, the primary {wanted} on"
                    f" {primary.timeline}"
                )
            await ctx.clock.sleep(rewinding.EVERY_S)
    return RejoinOutputs(
        method=method,
        changed=method != "none",
        timeline=state.timeline,
        fork_lsn="",
        discarded_commits=None,
        kept=kept,
        replay_lsn=state.replay_lsn or "",
    )
