"""
Whether a replica that a vendor manages is the right one to promote, and whether it has left
recovery: by what the server itself says in SQL, beside what the vendor says.

The vendor's word alone is enough only where the environment gives no SQL to ask the server by.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from drctl.actions.contract import Context
from drctl.actions.errors import ActionError, OutcomeUnknown
from drctl.actions.targets import Sibling, SqlAccess
from drctl.adapters import _candidate, _candidate_look, _sql, _witness

_EVERY_S = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """A candidate, as its target describes it."""

    label: str
    vendor: str
    """Who calls it a primary, for people: ``RDS``."""
    sql: SqlAccess | None
    system_identifier: str | None
    siblings: tuple[Sibling, ...]
    sighting: Callable[[], Awaitable[bytes]] | None
    """Gets the observer's document; ``None``: there is no observer."""
    from_timeline: int | None = None
    accepts_silence: bool = False


async def unfit(ctx: Context, replica: Replica) -> list[str]:
    """What speaks against it and will not pass by itself, for a plan; empty without SQL."""
    if replica.sql is None:
        return []
    async with _sql.connect(replica.sql, ctx) as connection:
        first = await _candidate_look.read(connection)
        evidence, first = await _evidence(ctx, replica, replica.sql, first)
    return _candidate.lasting(_candidate.objections(first, evidence))


async def chosen(ctx: Context, replica: Replica) -> _candidate.Seen | None:
    """
    Looks until nothing speaks against it; ``None`` when it cannot be asked by SQL.

    Raises:
        Conflict: Something does, and waiting does not mend it.
        Unavailable: The server does not answer; the vendor's word is not enough where SQL is given.
    """
    access = replica.sql
    if access is None:
        return None

    async def look_again() -> _candidate_look.Looks:
        async with _sql.connect(access, ctx) as connection:
            first = await _candidate_look.read(connection)
            evidence, before = await _evidence(ctx, replica, access, first)
            now_s = ctx.clock.now().boot_s
            after = await _candidate_look.read(connection)
        return _candidate_look.Looks(before=before, evidence=evidence, after=after, after_s=now_s)

    return await _candidate_look.choose(ctx, replica.label, look_again)


async def until_out_of_recovery(ctx: Context, replica: Replica) -> None:
    """
    Waits until the server itself says so, where we may ask it.

    Raises:
        OutcomeUnknown: It does not say so by the deadline.
    """
    if replica.sql is None:
        return
    last = "the server was not asked"
    while not ctx.deadline.has_passed(ctx.clock):
        try:
            async with _sql.connect(replica.sql, ctx) as connection:
                if not await connection.fetchval("SELECT pg_is_in_recovery()"):
                    return
            last = "the server says that it is still in recovery"
        except ActionError as error:
            last = str(error)
        await ctx.clock.sleep(_EVERY_S)
    raise OutcomeUnknown(f"{replica.vendor} calls {replica.label} a primary, but {last}")


async def _evidence(
    ctx: Context, replica: Replica, access: SqlAccess, first: _candidate.Seen
) -> tuple[_candidate.Evidence, _candidate.Seen]:
    """What others say of the candidate, and the candidate with the observer's row that it has."""
    sighting: _witness.Sighting | _witness.Missing = _witness.Missing("it has no witness")
    if replica.sighting is not None:
        sighting = await _witness.sighted(replica.sighting)
    evidence = await _candidate_look.gather(
        ctx,
        access,
        first,
        database=access.database,
        pinned=replica.system_identifier,
        siblings=replica.siblings,
        sighting=sighting,
        from_timeline=replica.from_timeline,
        accepts_silence=replica.accepts_silence,
    )
    beat = None if replica.sighting is None else await _candidate_look.last_beat(ctx, access)
    return evidence, replace(first, beat=beat)
