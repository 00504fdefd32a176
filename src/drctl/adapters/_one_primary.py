"""
Proves that one primary takes writes and no other one does, the way clients see it.

Problem: after a promotion every part may report success while clients still write to the old side,
or to nobody. Invariant: `prove` returns only when a row that was written where clients write was
found on the new primary, every standby of it has that row, and during all of the watch no attempt
to write on the old primary was accepted and the last attempts from every place were refused
*definitely*. What a place that is silent would do is not known, so nothing is proven by it.

The watch is there because a fence is undone, if it is, by somebody who notices within seconds: a
supervisor that restarts what died, an operator's loop that reopens what was closed.

Not promised: that the old side stays so. When it is only dead, ``durable`` is false.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from drctl.actions.contract import Context, Outputs, Params
from drctl.actions.errors import Rejected, Unavailable
from drctl.actions.targets import ClientPath, SqlAccess, Text
from drctl.adapters import _http, _sql, _wal
from drctl.kernel.duration import parse_duration

ROUNDS = 3
"""So many times in a row every place must refuse, the last time at the end of the watch."""
PAUSE_S = 1.0
GRACE_S = 5.0
"""An unclear answer may become clear for so long after the watch."""
ENOUGH = 2
"""One place that refuses may be broken itself."""
WRITE_FOR = timedelta(seconds=10)

Verdict: TypeAlias = Literal["accepted", "refused", "unknown"]

_STATE = f"""
SELECT pg_is_in_recovery() AS is_in_recovery,
       (pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on')
         AS is_read_only,
       (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       {_wal.COLUMNS},
       ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int AS timeline
"""  # noqa: S608 (nothing of anybody's is in it)
_FOLLOWING = """
SELECT count(*) AS attached,
       count(*) FILTER (WHERE replay_lsn >= $1::text::pg_lsn) AS having,
       string_agg(coalesce(application_name, '?'), ', ')
         FILTER (WHERE replay_lsn IS NULL OR replay_lsn < $1::text::pg_lsn) AS behind
FROM pg_stat_replication WHERE application_name <> 'pg_basebackup'
"""


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


class ProofParams(Params):
    """Who must be the one primary now."""

    new_primary: Text
    """Host of the new primary, normally ``${{ steps.promote.outputs.endpoint }}``; it is asked with
    the old one's roles, which every copy has."""
    port: Annotated[int, Field(ge=1, le=65535)] = 5432
    replicas: Annotated[int, Field(ge=0)] = 0
    """How many standbys must follow it. Each one that follows must have the row."""
    watch: Annotated[timedelta, BeforeValidator(_duration), Field(ge=timedelta(seconds=1))] = (
        timedelta(seconds=5)
    )
    """How long the old primary is tried."""


class OnePrimary(Outputs):
    """What was proven."""

    new_primary: str
    timeline: int
    row: str
    """The id that was written through the clients' path, and is on the new primary."""
    replicas: int
    """How many standbys follow the new primary and have the row."""
    durable: bool
    """False: the old primary is only seen to be dead, and nothing keeps it from coming back."""
    proof: tuple[str, ...]
    """One sentence for each place at which a write on the old primary was tried and refused."""
    note: str = ""
    """What a person has to know or do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try to write on the old primary."""

    verdict: Verdict
    said: str
    row: str = ""
    """The id that it would have left, where it went through an application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OldSide:
    """The old primary, as its vendor lets it be tried."""

    access: SqlAccess
    attempt: Callable[[], Awaitable[Sequence[Attempt]]]
    """Tries to write once at every place."""
    is_durable: Callable[[], Awaitable[bool]]
    """Whether something keeps it as it is."""


async def prove(
    ctx: Context, old: OldSide, path: ClientPath | None, pinned: str | None, params: ProofParams
) -> OnePrimary:
    """
    Writes, reads back, and tries the old side for as long as it is watched.

    Raises:
        Rejected: It is not so, or it cannot be shown; the message says which.
        ActionError: The new primary or the clients' path did not answer.

    Changes:
        One row in the clients' table; it carries the id ``drctl-one-…``.
    """
    if path is None:
        raise Rejected(
            "the environment gives the old primary no client_path: nothing shows where"
            " clients write"
        )
    if (params.new_primary, params.port) == (old.access.host, old.access.port):
        raise Rejected("the new primary is the old one")
    row = f"drctl-one-{ctx.key or secrets.token_hex(8)}"
    await _write(ctx, path, row)
    new = old.access.model_copy(update={"host": params.new_primary, "port": params.port})
    timeline, replicas = await _arrived(ctx, new, path, row, pinned, params)
    ctx.say(f"clients write to {params.new_primary}; trying the old primary")
    proof = await _watch(ctx, old, new, path, params.watch)
    durable = await old.is_durable()
    return OnePrimary(
        new_primary=params.new_primary,
        timeline=timeline,
        row=row,
        replicas=replicas,
        durable=durable,
        proof=proof,
        note=""
        if durable
        else f"nothing keeps {old.access.host} from coming back: fence it as soon as it answers",
    )


async def _write(ctx: Context, path: ClientPath, row: str) -> None:
    answer = await _http.send(
        ctx, "POST", path.url, label="the clients' path", body={"id": row}, timeout=WRITE_FOR
    )
    if not 200 <= answer.status < 300:  # noqa: PLR2004 (HTTP's own class)
        raise Rejected(f"clients cannot write: {path.url} answered {answer.status}")


async def _arrived(
    ctx: Context,
    new: SqlAccess,
    path: ClientPath,
    row: str,
    pinned: str | None,
    params: ProofParams,
) -> tuple[int, int]:
    """The new primary's timeline, and how many standbys have the row."""
    where = f"{new.host}:{new.port}"
    async with _sql.connect(new, ctx) as connection:
        state = await connection.fetchrow(_STATE_OR_STANDBY)
        if pinned is not None and state["system_identifier"] != pinned:
            raise Rejected(f"{where} is system {state['system_identifier']}, not {pinned}")
        if state["is_in_recovery"]:
            raise Rejected(f"{where} is a standby; it takes no writes")
        if state["is_read_only"]:
            raise Rejected(f"{where} begins transactions read-only")
        if not await _has(connection, path, row):
            raise Rejected(
                f"clients write somewhere else: {path.url} took a row, and {where} does not have it"
            )
        state = await connection.fetchrow(_STATE)
        return state["timeline"], await _replicated(ctx, connection, _wal.end(state), where, params)


_STATE_OR_STANDBY = """
SELECT pg_is_in_recovery() AS is_in_recovery,
       (pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on')
         AS is_read_only,
       (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier
"""


async def _replicated(
    ctx: Context, connection: _sql.Connection, lsn: str, where: str, params: ProofParams
) -> int:
    """Waits until every standby that follows has the row."""
    end_s = ctx.clock.now().boot_s + params.watch.total_seconds() + GRACE_S
    while True:
        seen = await connection.fetchrow(_FOLLOWING, lsn)
        if seen["attached"] == seen["having"] >= params.replicas:
            having: int = seen["having"]
            return having
        if ctx.clock.now().boot_s >= end_s:
            if seen["attached"] < params.replicas:
                raise Rejected(
                    f"{seen['attached']} standby(s) follow {where}, wanted are {params.replicas}"
                )
            raise Rejected(f"{seen['behind']} follows {where} and does not have the row")
        await ctx.clock.sleep(PAUSE_S / 4)


async def _has(connection: _sql.Connection, path: ClientPath, row: str) -> bool:
    # Both names are patterns of the environment's schema: nothing in them needs quoting.
    table, column = path.table, path.column
    found: bool = await connection.fetchval(
        f"SELECT EXISTS (SELECT FROM {table} WHERE {column} = $1)",  # noqa: S608 (see above)
        row,
    )
    return found


async def _watch(
    ctx: Context, old: OldSide, new: SqlAccess, path: ClientPath, watch: timedelta
) -> tuple[str, ...]:
    """Tries to write on the old side until it has refused throughout."""
    end_s = ctx.clock.now().boot_s + watch.total_seconds()
    refused_in_a_row = 0
    while True:
        began_s = ctx.clock.now().boot_s
        attempts = await old.attempt()
        if len(attempts) < ENOUGH:
            raise Rejected(
                f"only {len(attempts)} place(s) to try the old primary from; it takes {ENOUGH}"
            )
        accepted = [one for one in attempts if one.verdict == "accepted"]
        for one in accepted:
            if not one.row or not await _is_on(ctx, new, path, one.row):
                raise Rejected(f"the old primary takes writes: {one.said}")
        unclear = [one for one in attempts if one.verdict == "unknown"]
        refused_in_a_row = 0 if unclear else refused_in_a_row + 1
        if began_s >= end_s and refused_in_a_row >= ROUNDS:
            return tuple(f"{one.said}, {refused_in_a_row} times" for one in attempts)
        is_late = began_s >= end_s + GRACE_S or ctx.deadline.left_s(ctx.clock) <= PAUSE_S
        if is_late:
            said = "; ".join(one.said for one in unclear) or "the watch was cut short"
            raise Rejected(f"that the old primary takes no writes is not proven: {said}")
        await ctx.clock.sleep(PAUSE_S)


async def _is_on(ctx: Context, new: SqlAccess, path: ClientPath, row: str) -> bool:
    """
    Whether a place of the old side leads to the new primary by now: then it is no second one.
    """
    try:
        async with _sql.connect(new, ctx) as connection:
            return await _has(connection, path, row)
    except Unavailable:
        return False
