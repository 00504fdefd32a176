"""Whether a Cloud SQL replica is the right one, by what the server itself says in SQL."""

from dataclasses import replace
from datetime import timedelta

from drctl.actions.contract import Context
from drctl.actions.errors import ActionError, OutcomeUnknown
from drctl.actions.targets import CloudSqlInstance, SqlAccess
from drctl.adapters import _candidate, _candidate_look, _http, _sql, _witness

FETCH = timedelta(seconds=5)
EVERY_S = 0.3


async def fetch_sighting(ctx: Context, url: str) -> bytes:
    """
    Gets the observer's document.

    Raises:
        ActionError: It did not come.
    """
    return (await _http.send_ok(ctx, "GET", url, label="the witness", timeout=FETCH)).body


async def plan_look(
    ctx: Context, target: CloudSqlInstance, timeline: int | None, *, accepts_silence: bool
) -> list[str]:
    """What speaks against it and will not pass by itself; none when it has no SQL to be asked."""
    if target.sql is None:
        return []
    async with _sql.connect(target.sql, ctx) as connection:
        first = await _candidate_look.read(connection)
        evidence, first = await _evidence(
            ctx, target, target.sql, first, timeline, accepts_silence=accepts_silence
        )
    return _candidate.lasting(_candidate.objections(first, evidence))


async def fit(
    ctx: Context, target: CloudSqlInstance, timeline: int | None, *, accepts_silence: bool
) -> _candidate.Seen | None:
    """
    Looks until nothing speaks against it; ``None`` when it cannot be asked by SQL.

    Raises:
        Conflict: Something does, and waiting does not mend it.
        Unavailable: The server does not answer; Google's word alone is not enough where SQL is
            given.
    """
    access = target.sql
    if access is None:
        return None

    async def look_again() -> _candidate_look.Looks:
        async with _sql.connect(access, ctx) as connection:
            first = await _candidate_look.read(connection)
            evidence, before = await _evidence(
                ctx, target, access, first, timeline, accepts_silence=accepts_silence
            )
            now_s = ctx.clock.now().boot_s
            after = await _candidate_look.read(connection)
        return _candidate_look.Looks(before=before, evidence=evidence, after=after, after_s=now_s)

    return await _candidate_look.choose(ctx, target.label, look_again)


async def until_out_of_recovery(ctx: Context, target: CloudSqlInstance) -> None:
    """
    Waits until the server itself says so, where we may ask it.

    Raises:
        OutcomeUnknown: It does not say so by the deadline.
    """
    if target.sql is None:
        return
    last = "the server was not asked"
    while not ctx.deadline.has_passed(ctx.clock):
        try:
            async with _sql.connect(target.sql, ctx) as connection:
                if not await connection.fetchval("SELECT pg_is_in_recovery()"):
                    return
            last = "the server says that it is still in recovery"
        except ActionError as error:
            last = str(error)
        await ctx.clock.sleep(EVERY_S)
    raise OutcomeUnknown(f"Cloud SQL calls {target.label} a primary, but {last}")


async def _evidence(
    ctx: Context,
    target: CloudSqlInstance,
    access: SqlAccess,
    first: _candidate.Seen,
    timeline: int | None,
    *,
    accepts_silence: bool,
) -> tuple[_candidate.Evidence, _candidate.Seen]:
    """What others say of the candidate, and the candidate with the observer's row that it has."""
    url = target.sightings_url
    sighting: _witness.Sighting | _witness.Missing = _witness.Missing("it has no sightings_url")
    if url is not None:
        sighting = await _witness.sighted(lambda: fetch_sighting(ctx, url))
    evidence = await _candidate_look.gather(
        ctx,
        access,
        first,
        database=access.database,
        pinned=target.system_identifier,
        siblings=target.siblings,
        sighting=sighting,
        from_timeline=timeline,
        accepts_silence=accepts_silence,
    )
    beat = None if url is None else await _candidate_look.last_beat(ctx, access)
    return evidence, replace(first, beat=beat)
