"""The way a server is brought onto a primary's history: rewound, or copied anew."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Literal

from pydantic import Field

from drctl.actions.contract import Context, Params
from drctl.actions.errors import ActionError, Conflict, OutcomeUnknown, Rejected, Unavailable
from drctl.actions.targets import PostgresServer, SqlAccess, Text, Upstream
from drctl.adapters import _candidate, _sql
from drctl.adapters.postgres import divergence
from drctl.adapters.postgres.programs import Programs, slot_name
from drctl.adapters.postgres.server import State, look

EVERY_S = 0.2
_SLOT = "SELECT coalesce(wal_status, 'new') FROM pg_replication_slots WHERE slot_name = $1"
_DROP_SLOT = "SELECT pg_drop_replication_slot($1)"
_MAKE_SLOT = "SELECT slot_name FROM pg_create_physical_replication_slot($1, true)"
_OLD_CHECKPOINT = """
SELECT timeline_id < ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
FROM pg_control_checkpoint()
"""
_HAS_WAL = """
SELECT EXISTS (SELECT FROM pg_ls_waldir() WHERE name = pg_walfile_name($1::text::pg_lsn))
"""
_IS_SENDING = "SELECT active FROM pg_replication_slots WHERE slot_name = $1"
_DROP_IDLE_SLOT = """
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
WHERE slot_name = $1 AND NOT active
"""
_MOVED = "moved"
LAST_S = 1.0
_PATIENCE = 0.4
"""Of the time that is left, what a rewound server may take to start; the rest is for a copy."""


class RejoinParams(Params):
    """Whom it follows, and what may be lost by that."""

    primary: Text | None = None
    """Host of the new primary, one of the target's ``upstreams``; needed when there are several."""
    accept_discarded_commits: Annotated[int, Field(ge=0)] = 0
    """How many transactions that only this server has may be thrown away."""
    fallback: Literal["base_backup", "none"] = "base_backup"
    """What to do when it cannot be rewound."""
    admin_database: Text = "postgres"
    """How servers are reached whose database a fence may have closed."""


def upstream_of(target: PostgresServer, params: RejoinParams) -> Upstream:
    """
    Whom it shall follow.

    Raises:
        Rejected: The environment does not name it, or names several and the step none.
    """
    known = target.runs_on.upstreams if target.runs_on else ()
    fitting = [one for one in known if params.primary in {None, one.host}]
    if len(fitting) != 1:
        names = ", ".join(one.host for one in known) or "nobody"
        raise Rejected(f"{target.label} may follow {names}; name one of them as primary")
    return fitting[0]


def access_of(target: PostgresServer, upstream: Upstream) -> SqlAccess:
    """Copies share their roles."""
    return target.sql.model_copy(update={"host": upstream.host, "port": upstream.port})


async def primary_of(
    ctx: Context, target: PostgresServer, upstream: Upstream, params: RejoinParams
) -> _candidate.Seen:
    """
    Looks at whom it shall follow.

    Raises:
        Rejected: It is a standby.
        Conflict: It is another system.
        ActionError: It did not answer.
    """
    access = access_of(target, upstream)
    async with _sql.connect(access, ctx, database=params.admin_database) as connection:
        seen = await divergence.look_up(f"{upstream.host}:{upstream.port}", connection)
    if seen.system_identifier != target.system_identifier:
        raise Conflict(
            f"{upstream.host} is system {seen.system_identifier}, not {target.system_identifier}"
        )
    return seen


async def state_of(ctx: Context, target: PostgresServer, params: RejoinParams) -> State | None:
    """What the server says; ``None`` when it takes no sessions: it is dead, starting, or ending."""
    try:
        async with _sql.connect(target.sql, ctx, database=params.admin_database) as connection:
            return await look(connection)
    except Unavailable as error:
        if _sql.classify(error) == "refused":
            return None
        raise


async def is_sent_to(connection: _sql.Connection, target: PostgresServer) -> bool:
    """Whether the primary sends to this server: timelines and positions name nobody."""
    return bool(await connection.fetchval(_IS_SENDING, slot_name(target)))


@asynccontextmanager
async def slot(
    ctx: Context, target: PostgresServer, upstream: Upstream, params: RejoinParams
) -> AsyncIterator[None]:
    """
    A slot on the primary, so that no more WAL goes missing. One that was made here is dropped when
    the body fails: on the only primary it would keep WAL for nobody until the disk is full. One
    that was there before stays; so does one whose outcome is unknown, because it may be in use.
    """
    access, name = access_of(target, upstream), slot_name(target)
    admin = params.admin_database
    async with _sql.connect(access, ctx, mutates=True, database=admin) as connection:
        status = await connection.fetchval(_SLOT, name)
        if status == "lost":
            await connection.fetchval(_DROP_SLOT, name)
        is_ours = status in {None, "lost"}
        if is_ours:
            await connection.fetchval(_MAKE_SLOT, name)
    try:
        yield
    except OutcomeUnknown:
        raise
    except ActionError as error:
        if not is_ours:
            raise
        try:
            async with _sql.connect(access, ctx, mutates=True, database=admin) as connection:
                await connection.fetchval(_DROP_IDLE_SLOT, name)
        except ActionError as why:
            raise type(error)(
                f"{error}; and the slot {name} on {upstream.host}, which keeps WAL for nobody, is"
                f" to be dropped by hand: {why}"
            ) from error
        raise


async def has_wal(
    ctx: Context,
    target: PostgresServer,
    upstream: Upstream,
    parted: divergence.Divergence,
    params: RejoinParams,
) -> bool:
    """
    Makes a checkpoint, which a rewind reads, and says whether what the server has missed can still
    be had.
    """
    access, admin = access_of(target, upstream), params.admin_database
    async with _sql.connect(access, ctx, mutates=True, database=admin) as connection:
        if await connection.fetchval(_OLD_CHECKPOINT):
            await connection.execute("CHECKPOINT")
        if not parted.fork_lsn or (target.runs_on and target.runs_on.restore_command):
            return True
        return bool(await connection.fetchval(_HAS_WAL, parted.fork_lsn))


async def rewind(
    ctx: Context,
    target: PostgresServer,
    programs: Programs,
    upstream: Upstream,
    parted: divergence.Divergence,
    params: RejoinParams,
) -> tuple[Literal["started", "rewound"] | None, str]:
    """Rewinds and starts it; ``None``, and why, when that does not lead anywhere."""
    method: Literal["started", "rewound"] = "started"
    settings = following(target, programs)
    if parted.fork_lsn:
        ctx.say(f"rewinding {target.label}")
        ran = await programs.change(
            *programs.postgres("pg_rewind", "--target-pgdata", programs.data),
            *("--source-server", programs.conninfo(upstream), "--write-recovery-conf"),
            *_config_file(programs),
            may_fail=True,
        )
        if ran.code != 0:
            return None, ran.said
        method = "started" if "no rewind required" in ran.err else "rewound"
    else:
        # A standby that died is not to be rewound, and cannot be: recovery is all that it needs.
        settings["primary_conninfo"] = programs.conninfo(upstream)
        await programs.change("touch", f"{programs.data}/standby.signal")
    await programs.set(settings)
    try:
        # It accepts connections only once it has what the rewind needs from the primary.
        await programs.start(share=_PATIENCE)
        await _wait_for_it(ctx, target, programs, params)
    except Rejected as error:
        if await programs.is_running():
            await programs.stop()
        return None, str(error)
    return method, ""


async def _wait_for_it(
    ctx: Context, target: PostgresServer, programs: Programs, params: RejoinParams
) -> None:
    """``pg_ctl`` may take a server for started that dies in its recovery a moment later."""
    while await state_of(ctx, target, params) is None:
        if not await programs.is_running():
            raise Rejected(f"{target.label} ended again: {await programs.last_words()}")
        if ctx.deadline.left_s(ctx.clock) <= LAST_S:
            raise Rejected(f"{target.label} runs and takes no sessions")
        await ctx.clock.sleep(EVERY_S)


async def copy_anew(
    ctx: Context,
    target: PostgresServer,
    programs: Programs,
    upstream: Upstream,
    params: RejoinParams,
    why: str,
) -> str:
    """
    Copies the primary beside the data directory, exchanges the two and starts the copy. The old one
    is moved aside only when the copy is whole: that it was, says so to a later attempt.
    """
    if params.fallback == "none":
        raise Rejected(f"{target.label} cannot be rewound: {why}")
    ctx.say(f"a new base backup, because it cannot be rewound: {why}")
    kept, new = kept_at(ctx, programs), _copy_at(ctx, programs)
    if await programs.has_data(kept):
        raise Rejected(f"{kept} is there already, and {programs.data} is the copy that replaced it")
    await programs.change("rm", "-rf", new)  # what an attempt that was cut off has left
    await programs.change(
        *programs.postgres("pg_basebackup", "-D", new, "-X", "stream", "-c", "fast"),
        *("-w", "-R", "-S", slot_name(target), "-d", programs.conninfo(upstream)),
    )
    await programs.set(following(target, programs), new)
    await programs.change("mv", "-n", "-T", programs.data, kept)
    await programs.change("mv", "-n", "-T", new, programs.data)
    await programs.start()
    return kept


def kept_at(ctx: Context, programs: Programs) -> str:
    """Where this effect moves the old data directory."""
    return f"{programs.data}.before-{(ctx.key or _MOVED)[:12]}"


def _copy_at(ctx: Context, programs: Programs) -> str:
    return f"{programs.data}.new-{(ctx.key or _MOVED)[:12]}"


async def found_kept(ctx: Context, programs: Programs) -> str:
    """Where an earlier attempt at this effect has moved the old one; empty: it has not."""
    kept = kept_at(ctx, programs)
    return kept if await programs.has_data(kept) else ""


async def finish_copy(ctx: Context, programs: Programs) -> None:
    """Brings the copy of an attempt that was cut off after it was whole into its place."""
    if not await programs.has_data() and await found_kept(ctx, programs):
        await programs.change("mv", "-n", "-T", _copy_at(ctx, programs), programs.data)


def following(target: PostgresServer, programs: Programs) -> dict[str, str]:
    """Settings of a standby that ``pg_rewind`` and ``pg_basebackup`` do not write."""
    settings = {"primary_slot_name": slot_name(target)}
    if programs.host.restore_command is not None:
        settings["restore_command"] = programs.host.restore_command
    return settings


def _config_file(programs: Programs) -> tuple[str, ...]:
    file = programs.host.server_options.get("config_file")
    return ("--config-file", file) if file else ()
