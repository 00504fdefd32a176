"""
Makes certain that a primary takes no more writes from clients, by SQL, and proves it.

Problem: two primaries lose data without anybody noticing. Invariant: when `Fence.perform` returns
with ``method="sql"``, no client session of the application's database exists, none can begin, also
after a restart of the server, and every write that was acknowledged lies before ``final_lsn``.

Why this order. ``ALTER DATABASE … ALLOW_CONNECTIONS false`` first: it stops the inflow, superusers
included, so that what is terminated afterwards does not come back. A backend that passed that check
a moment earlier holds a lock on the database until its start-up is over, and may not be visible in
``pg_stat_activity`` yet; hence "none left" means no backend *and* none of the locks that were held
just after the closing. The read-only
default comes last, because it would make this very session read-only and the ALTER DATABASE fail;
it is soft (a client may ask for READ WRITE) and is never counted as the fence, it only spares the
server's other databases careless writes. The position is read last, when nothing moves any more.

The ALTER DATABASE is in the WAL: a standby that replays it closes its database too. That is why
whatever is asked of a standby after the fence goes through the admin database, and why `Promote`
opens the database of the new primary; the old one stays closed, it does not replay that.

The argument for ``observed_dead``: when nothing listens at any address of the server (the kernel of
its host answers that), at three looks over two seconds, and every place where clients write refuses
too, then nothing takes writes *now*. It says nothing about later: ``durable`` is false.

Not promised: that ``walsender`` sessions end (the standby needs the rest of the WAL), that other
databases of the same server are closed, that somebody with superuser rights does not undo it.
"Cannot reach" is not a fence.
"""

import secrets
from collections.abc import Mapping
from typing import Any, ClassVar

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
from drctl.actions.errors import ActionError, Conflict, Rejected, Unavailable
from drctl.actions.planes import Ask, data
from drctl.actions.targets import PostgresServer, Target, Text
from drctl.adapters import _sql
from drctl.adapters.postgres import gate, owed, vantage
from drctl.adapters.postgres.server import look, require_identity

_LOOKS = 3
_PAUSE_S = 1.0
"""A server that its supervisor restarts is back within the two pauses."""
_EVERY_S = 0.1
_STARTING_S = 3.0
_PROOF_S = 15.0
"""A pool of dead sessions gives an application's last 500s within it; after that it is no proof."""


class FenceParams(Params):
    """How the server is reached while its database is closed."""

    admin_database: Text = "postgres"
    """Another database of the same server; the fence is made through it."""


class FenceOutputs(Outputs):
    """What was done, and what proves it."""

    method: str
    """
    ``sql``, or ``observed_dead``: nothing is there, which was looked at and not brought about.
    """
    durable: bool
    """True when it survives a restart of the server."""
    final_lsn: str
    """Every acknowledged write lies before it; empty when nobody could be asked."""
    proof: tuple[str, ...]
    """One sentence for each place at which a write was tried and refused."""


class Fence(Action[PostgresServer, FenceParams, FenceOutputs]):
    """Closes the application's database of a primary for good, and proves it from outside."""

    name: ClassVar[str] = "postgres.fence"
    summary: ClassVar[str] = "Stops all client writes to a primary, and proves it"
    effect: ClassVar[Effect] = Effect.FENCE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets: ClassVar[tuple[type[Target], ...]] = (PostgresServer,)
    params: ClassVar[type[Params]] = FenceParams
    outputs: ClassVar[type[Outputs]] = FenceOutputs

    def planes(self, target: PostgresServer) -> tuple[str, ...]:
        """None: a server at whose address nothing listens can be proven dead."""
        return ()

    def asks(self, target: PostgresServer, params: FenceParams | None = None) -> tuple[Ask, ...]:
        how = "a server that refuses at every vantage point is seen to be dead"
        return (data(target.region, "PostgreSQL", copes=how, only_when_dead=True),)

    def asks_to_look(
        self, target: PostgresServer, params: FenceParams | None = None
    ) -> tuple[Ask, ...]:
        return (data(target.region, "PostgreSQL"),)

    def without(
        self, target: PostgresServer, params: FenceParams | None, lost: tuple[Ask, ...]
    ) -> Mapping[str, Any]:
        return {"method": "observed_dead", "durable": False, "final_lsn": ""}

    async def observe(
        self, ctx: Context, target: PostgresServer, params: FenceParams | None
    ) -> Observation:
        """
        Reads whether the database is open.

        Raises:
            ActionError: The server did not answer.
        """
        admin = (params or FenceParams()).admin_database
        async with _sql.connect(target.sql, ctx, database=admin) as connection:
            state = await look(connection)
            is_open = await gate.is_open(connection, target.sql.database)
        return Observation(
            facts={
                "system_identifier": state.system_identifier,
                "role": state.role,
                "is_open": is_open,
            }
        )

    def preview(
        self, observation: Observation, target: PostgresServer, params: FenceParams | None
    ) -> Preview:
        if not observation.facts["is_open"]:
            return Nothing(why="the database is closed already; it is only proven")
        return Change(before="takes client connections", after="refuses every client")

    async def perform(
        self, ctx: Context, target: PostgresServer, params: FenceParams
    ) -> FenceOutputs:
        """
        Fences, and proves it by writes that are refused.

        Safe to repeat; a repetition finishes what an earlier one began. When it raises, the server
        may be fenced in part, and nothing may be promoted.

        Raises:
            Rejected: A write was accepted afterwards or its refusal is not certain, a backend does
                not end, or the server cannot be reached and is not certainly dead.
            Conflict: Another system answers there, or it is a standby.
            AuthRejected: The role lacks the rights; it needs a superuser's for ALTER SYSTEM.
            OutcomeUnknown: The connection was lost in the middle.

        Changes:
            The database's ALLOW_CONNECTIONS, the server's default_transaction_read_only, and all
            client sessions. `Unfence` undoes the first two.
        """
        if params.admin_database == target.sql.database:
            raise Rejected(f"admin_database must be another one than {target.sql.database}")
        try:
            final_lsn = await _close(ctx, target, params.admin_database)
        except Unavailable as error:
            if not _sql.is_nobody_there(error):
                raise Rejected(f"cannot reach is not a fence: {error}") from error
            return await _observe_dead(ctx, target)
        proof = await _prove(ctx, target)
        return FenceOutputs(method="sql", durable=True, final_lsn=final_lsn, proof=proof)

    def debts(
        self, target: PostgresServer, params: FenceParams, outputs: FenceOutputs
    ) -> tuple[Debt | Cleared, ...]:
        """Somebody has to decide what becomes of it."""
        return (owed.fence(target, durable=outputs.durable),)

    async def settled(
        self, ctx: Context, target: PostgresServer, params: FenceParams
    ) -> Done[FenceOutputs] | NotDone | CannotTell:
        """A server that does not answer cannot tell; `perform` is safe to repeat, and can."""
        try:
            admin = params.admin_database
            async with _sql.connect(target.sql, ctx, database=admin) as connection:
                database = target.sql.database
                require_identity(target, await look(connection))
                if await gate.is_open(connection, database):
                    return NotDone(why="the database is open")
                if not await _is_empty(ctx, connection, database):
                    why = "the database is closed, and sessions may be left in it"
                    return NotDone(why=why, remains=True)
                final_lsn = await gate.position(connection)
            if target.client_write_urls:
                # Only a write proves it there, and whoever looks back may not write.
                return NotDone(
                    why="the database is closed and empty, and that clients are refused is not"
                    " proven yet; fencing again is safe",
                    remains=True,
                )
            proof = await _prove(ctx, target)
        except ActionError as error:
            return CannotTell(why=str(error), again_tells=isinstance(error, Unavailable))
        return Done(
            outputs=FenceOutputs(method="sql", durable=True, final_lsn=final_lsn, proof=proof)
        )


async def _close(ctx: Context, target: PostgresServer, admin_database: str) -> str:
    """The order of the module's argument; returns the last position."""
    database = target.sql.database
    async with _sql.connect(target.sql, ctx, mutates=True, database=admin_database) as connection:
        state = await look(connection)
        require_identity(target, state)
        if state.is_in_recovery:
            raise Conflict(f"{target.label} is a standby; there is no primary to fence")
        await gate.shut(connection, database)
        ctx.say(f"{database} takes no new connections")
        at_the_door = await gate.starting(connection, database)
        while await gate.cut(connection, database, at_the_door):
            if ctx.deadline.left_s(ctx.clock) <= 1.0:
                kinds = await gate.left(connection, database)
                raise Rejected(f"{target.label} still has sessions: {kinds}")
            await ctx.clock.sleep(_EVERY_S)
        return await gate.position(connection)


async def _is_empty(ctx: Context, connection: _sql.Connection, database: str) -> bool:
    """Gives those at the door a moment to be turned away."""
    at_the_door = await gate.starting(connection, database)
    end_s = ctx.clock.now().boot_s + _STARTING_S
    while await gate.count_left(connection, database, at_the_door):
        if ctx.clock.now().boot_s >= end_s:
            return False
        await ctx.clock.sleep(_EVERY_S)
    return True


async def _prove(ctx: Context, target: PostgresServer) -> tuple[str, ...]:
    """Tries to write from every place; an acceptance is final, an unclear answer is asked again."""
    end_s = ctx.clock.now().boot_s + min(_PROOF_S, ctx.deadline.left_s(ctx.clock) - 1.0)
    while True:
        attempts = await _try_everywhere(ctx, target)
        if all(attempt.verdict == "refused" for attempt in attempts):
            return tuple(str(attempt) for attempt in attempts)
        accepted = [str(attempt) for attempt in attempts if attempt.verdict == "accepted"]
        if accepted:
            raise Rejected(f"the fence does not hold: {'; '.join(accepted)}")
        if ctx.clock.now().boot_s >= end_s:
            unclear = [str(attempt) for attempt in attempts if attempt.verdict == "unknown"]
            raise Rejected(f"the fence is not proven: {'; '.join(unclear)}")
        await ctx.clock.sleep(_EVERY_S * 5)


async def _observe_dead(ctx: Context, target: PostgresServer) -> FenceOutputs:
    proof: tuple[str, ...] = ()
    for number in range(_LOOKS):
        if number:
            await ctx.clock.sleep(_PAUSE_S)
        database, *clients = await _try_everywhere(ctx, target)
        unsure = [each for each in clients if each.verdict != "refused"]
        if not database.is_dead or unsure:
            said = "; ".join(str(each) for each in (database, *unsure))
            raise Rejected(f"cannot reach is not a fence: {said}")
        proof = tuple(f"{each}, {_LOOKS} times" for each in (database, *clients))
    return FenceOutputs(method="observed_dead", durable=False, final_lsn="", proof=proof)


async def _try_everywhere(ctx: Context, target: PostgresServer) -> list[vantage.Attempt]:
    token = secrets.token_hex(4)
    by_http = [await vantage.by_http(ctx, url, token) for url in target.client_write_urls]
    return [await vantage.by_sql(ctx, target.sql), *by_http]
