"""
Looks at a candidate for promotion and asks those around it; what speaks against it is decided in
`drctl.adapters._candidate`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from drctl.actions.contract import Context
from drctl.actions.errors import ActionError, Conflict
from drctl.actions.targets import Sibling, SqlAccess
from drctl.adapters import _sql
from drctl.adapters._candidate import Evidence, Seen, lasting, objections
from drctl.adapters._witness import Missing, Sighting

FRESH_S = 5.0
"""How old the last look may be when the promotion is asked for."""
MEND_S = 10.0
"""What may pass by itself (replay that catches up) has passed within it, or is refused."""
MEND_EVERY_S = 0.2
NEIGHBOUR = timedelta(seconds=3)
"""A neighbour answers within it, or is silent."""

_LOOK = """
SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       pg_is_in_recovery() AS is_in_recovery,
       pg_last_wal_receive_lsn()::text AS receive_lsn,
       pg_last_wal_replay_lsn()::text AS replay_lsn,
       CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END AS is_paused,
       current_setting('recovery_min_apply_delay') AS apply_delay,
       -- One that is refused comes and goes; until the first message both times are its start, and
       -- a primary that is idle sends none for a while. Without pg_monitor only its pid is shown.
       EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status IS NULL
               OR last_msg_send_time <> last_msg_receipt_time
               OR clock_timestamp() - last_msg_receipt_time > interval '1 second') AS is_receiving,
       (SELECT sender_host FROM pg_stat_wal_receiver) AS sender_host,
       (SELECT sender_port FROM pg_stat_wal_receiver) AS sender_port,
       -- Only the address is taken out of it: it may hold a password.
       (SELECT substring(setting FROM 'host=''?([^'' ]+)') FROM pg_settings
         WHERE name = 'primary_conninfo') AS wanted_host,
       (SELECT substring(setting FROM 'port=''?([0-9]+)') FROM pg_settings
         WHERE name = 'primary_conninfo') AS wanted_port,
       -- After a change of timeline the checkpoint shows the old one until a restart point.
       CASE WHEN pg_is_in_recovery() THEN
         greatest((SELECT timeline_id FROM pg_control_checkpoint()),
                  (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
                  (SELECT received_tli FROM pg_stat_wal_receiver))
       ELSE (SELECT timeline_id FROM pg_control_checkpoint()) END AS timeline,
       CASE WHEN NOT pg_is_in_recovery() THEN
         ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
       END AS primary_timeline
"""
_MAY_READ = """
SELECT has_function_privilege('pg_read_file(text, bigint, bigint, boolean)', 'execute')
"""
_HISTORY = """
SELECT pg_read_file('pg_wal/' || lpad(upper(to_hex($1::int)), 8, '0') || '.history', 0, 65536, true)
"""
_BEAT = "SELECT seq FROM drctl.heartbeat WHERE id = 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """The candidate before and after everybody else was asked."""

    before: Seen
    """With the observer's row that it has."""
    evidence: Evidence
    after: Seen
    after_s: float
    """When the second look began, on the clock that never steps."""


async def read(connection: _sql.Connection) -> Seen:
    """Reads identity, timeline with its history, and replay, in one connection."""
    row = await connection.fetchrow(_LOOK)
    timeline = row["primary_timeline"] or row["timeline"]
    history = None
    if await connection.fetchval(_MAY_READ):
        history = await connection.fetchval(_HISTORY, timeline)
        # The first timeline has none; a later one that has lost its file tells nothing.
        history = "" if history is None and timeline == 1 else history
    host = row["sender_host"] or row["wanted_host"]
    port = row["sender_port"] if row["sender_host"] else row["wanted_port"]
    return Seen(
        system_identifier=row["system_identifier"],
        is_in_recovery=row["is_in_recovery"],
        timeline=timeline,
        receive_lsn=row["receive_lsn"],
        replay_lsn=row["replay_lsn"],
        is_paused=row["is_paused"],
        apply_delay=row["apply_delay"],
        is_receiving=row["is_receiving"],
        upstream=(host, int(port or 5432)) if host else None,
        history=history,
    )


async def ask(ctx: Context, access: SqlAccess, database: str) -> Seen | Missing:
    """Looks at a neighbour, quickly or not at all."""
    short = replace(ctx, deadline=ctx.deadline.at_most(ctx.clock, NEIGHBOUR))
    try:
        async with _sql.connect(access, short, database=database) as connection:
            return await read(connection)
    except ActionError as error:
        return Missing(str(error))


async def last_beat(ctx: Context, access: SqlAccess) -> int | None:
    """
    The observer's last row on a server. A database that a fence closed, or one without the table,
    gives none.
    """
    try:
        async with _sql.connect(access, ctx) as connection:
            seq: int | None = await connection.fetchval(_BEAT)
    except ActionError:
        return None
    return seq


async def gather(
    ctx: Context,
    access: SqlAccess,
    first: Seen,
    *,
    database: str,
    pinned: str | None,
    siblings: Sequence[Sibling],
    sighting: Sighting | Missing,
    from_timeline: int | None = None,
    accepts_silence: bool = False,
) -> Evidence:
    """
    Asks everybody but the candidate, at the same time.

    Args:
        access: The candidate's; its roles are those of every copy.
        first: An earlier look at the candidate; says whom it follows.
        database: One that a fence does not close.
    """

    def at(host: str, port: int) -> SqlAccess:
        return access.model_copy(update={"host": host, "port": port})

    async def whom_it_follows() -> Seen | Missing:
        if first.upstream is None:
            return Missing("whom it follows cannot be seen")
        return await ask(ctx, at(*first.upstream), database)

    upstream, *neighbours = await asyncio.gather(
        whom_it_follows(), *(ask(ctx, at(one.host, one.port), database) for one in siblings)
    )
    names = [f"{one.host}:{one.port}" for one in siblings]
    return Evidence(
        system_identifier=pinned,
        sighting=sighting,
        from_timeline=from_timeline,
        neighbours=tuple(zip(names, neighbours, strict=True)),
        accepts_silence=accepts_silence,
        upstream=upstream,
    )


async def choose(ctx: Context, label: str, look: Callable[[], Awaitable[Looks]]) -> Seen:
    """
    Looks until nothing speaks against the candidate. The last look is the one that counts, and is
    at most `FRESH_S` old when this returns.

    Raises:
        Conflict: Something speaks against it, and waiting does not mend it.
        ActionError: It did not answer.
    """
    end_s = ctx.clock.now().boot_s + min(MEND_S, ctx.deadline.left_s(ctx.clock) / 2)
    while True:
        looks = await look()
        # The observer's row is judged with the position that was read before it, never after.
        against = [
            *objections(looks.before, looks.evidence),
            *objections(looks.after, looks.evidence),
        ]
        now_s = ctx.clock.now().boot_s
        if against and (now_s >= end_s or lasting(against)):
            why = (lasting(against) or [against[0].why])[0]
            raise Conflict(f"{label} is not fit to be promoted: {why}")
        if not against and now_s - looks.after_s <= FRESH_S:
            return looks.after
        await ctx.clock.sleep(MEND_EVERY_S)
