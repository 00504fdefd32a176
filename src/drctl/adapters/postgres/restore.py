"""
Brings a moment of a database back, as a new instance beside the one that has it no more.

Invariants: the source is never connected to, and nothing of it is written; the place of the new
instance must be empty, so nothing is overwritten; the instance archives nothing (it would put a
second history into its source's archive), follows nobody, and lets in only its operator, until
somebody has looked at the rows and `postgres.clients.admit` lets the application in. The end of the
recovery is PostgreSQL's own: it stops before the first transaction that committed after the moment,
and begins a timeline that nobody else has.
"""

import shlex
from datetime import datetime
from typing import ClassVar

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
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
    Restores,
)
from drctl.actions.errors import ActionError, Conflict, OutcomeUnknown, Rejected, Unavailable
from drctl.actions.targets import PostgresServer, Target, Text
from drctl.adapters import _sql
from drctl.adapters.postgres import exposure, owed, window
from drctl.adapters.postgres.programs import Programs
from drctl.adapters.postgres.server import State, look

_EVERY_S = 0.2
_LAST_S = 2.0
_KEY = "drctl.restore_key"
_REACHED = """
SELECT pg_last_xact_replay_timestamp() AS last_commit, current_setting('drctl.restore_key', true)
       AS key
"""


class RestoreParams(Params):
    """Which moment, and who may look at it."""

    target_time: Text
    """With an offset, as ``2026-11-22T14:30:00Z``. What had committed by then is there."""
    operators: tuple[Text, ...]
    """Addresses of single machines that may connect; nobody else may."""
    admin_database: Text = "postgres"
    """How the new instance is reached."""


class RestoreOutputs(Outputs):
    """The new instance."""

    endpoint: str
    port: int
    system_identifier: str
    timeline: int
    restored_to: str
    """The moment, in UTC."""
    last_commit: str
    """Of the last transaction that is in it; empty when none was replayed after the backup."""
    base_backup: str
    latest_restorable: str
    """What committed from the moment until then, and later, is not in it."""


class RestoreToTime(Action[PostgresServer, RestoreParams, RestoreOutputs]):
    """Restores a base backup and replays the archive up to a moment, into an empty place."""

    name: ClassVar[str] = "postgres.restore_to_time"
    summary: ClassVar[str] = "Brings a moment back as a new, private instance"
    makes_target: ClassVar[bool] = True
    effect: ClassVar[Effect] = Effect.CHANGE
    restores: ClassVar[Restores | None] = Restores()
    repeat: ClassVar[Repeat] = Repeat.CHECK_THEN_ACT
    targets: ClassVar[tuple[type[Target], ...]] = (PostgresServer,)
    params: ClassVar[type[Params]] = RestoreParams
    outputs: ClassVar[type[Outputs]] = RestoreOutputs

    def planes(self, target: PostgresServer) -> tuple[str, ...]:
        return (f"data-plane:{target.region}",)

    async def observe(
        self, ctx: Context, target: PostgresServer, params: RestoreParams | None
    ) -> Observation:
        """
        Reads what can be restored, and whether the place is empty.

        Raises:
            ActionError: The machine did not answer, or there is nothing to restore from.
        """
        seen = await window.read(ctx, target)
        refusal = None
        if params is not None:
            refusal = _refusal(seen, params.target_time, ctx.clock.now().wall)
        return Observation(
            facts={
                "is_empty": not await Programs(ctx, target).has_data(),
                "refusal": None if refusal is None else refusal.split(":", 1)[0],
            },
            readings={
                "earliest": seen.bases[0].ended.isoformat(),
                "latest": seen.last_commit.isoformat(),
                "refusal": refusal,
            },
        )

    def preview(
        self, observation: Observation, target: PostgresServer, params: RestoreParams | None
    ) -> Preview:
        if observation.readings["refusal"] is not None:
            return CannotTell(why=f"it would be refused: {observation.readings['refusal']}")
        if not observation.facts["is_empty"]:
            return CannotTell(why="it would be refused: something is in its place already")
        moment = params.target_time if params else "a moment"
        return Change(before="nothing", after=f"the database as of {moment}", creates=True)

    async def perform(
        self, ctx: Context, target: PostgresServer, params: RestoreParams
    ) -> RestoreOutputs:
        """
        Copies the backup, recovers it to the moment, and waits until it is a primary of its own.

        Raises:
            Rejected: The moment has no offset, is in the future or outside of the window (the
                message has the numbers).
            Conflict: Something is in the place already, or the backups are another system's.
            OutcomeUnknown: It is begun and has not arrived: the machine was lost, or the recovery
                goes on, or ended.
            ActionError: The machine did not answer.

        Changes:
            A new data directory and its server.
        """
        programs, only = Programs(ctx, target), exposure.operators(params.operators)
        seen = await window.read(ctx, target)
        refusal = _refusal(seen, params.target_time, ctx.clock.now().wall)
        if refusal is not None:
            raise Rejected(refusal)
        moment = window.parse_moment(params.target_time)
        base = seen.base_for(moment)
        if await programs.has_data():
            raise Conflict(f"{programs.data} is there already; a restore overwrites nothing")
        ctx.say(f"restoring {base.folder}, then the archive up to {moment.isoformat()}")
        rules = exposure.rules(target, only)
        # It is what makes sure that the place was empty; when it fails, nothing is there.
        await programs.change("mkdir", "-m", "700", programs.data)
        try:
            await _lay_out(ctx, target, programs, base.folder, moment, rules)
            await programs.start()
            return await _arrived(ctx, target, programs, params, seen)
        except ActionError as error:
            # The server goes on by itself, and a second attempt finds the place taken for ever.
            raise OutcomeUnknown(f"it is begun at {programs.data}: {error}") from error

    def debts(
        self, target: PostgresServer, params: RestoreParams, outputs: RestoreOutputs
    ) -> tuple[Debt | Cleared, ...]:
        """It has no standby and no backups, and does not go away by itself."""
        return (owed.restored(target, outputs.restored_to),)

    async def settled(
        self, ctx: Context, target: PostgresServer, params: RestoreParams
    ) -> Done[RestoreOutputs] | NotDone | CannotTell:
        """The instance carries the key of the restore that made it."""
        try:
            programs = Programs(ctx, target)
            if await programs.is_busy():
                return CannotTell(why=f"a program is still at work on {programs.data}")
            if not await programs.has_data():
                return NotDone(why=f"nothing is at {programs.data}")
            async with _sql.connect(target.sql, ctx, database=params.admin_database) as connection:
                row = await connection.fetchrow(_REACHED)
                state = await look(connection)
            if row["key"] != ctx.key or state.is_in_recovery:
                return CannotTell(why=f"what is at {programs.data} is not a finished restore")
            seen = await window.read(ctx, target)
            return Done(outputs=await _arrived(ctx, target, programs, params, seen))
        except ActionError as error:
            return CannotTell(why=str(error))


def _refusal(seen: window.Window, text: str, now: datetime) -> str | None:
    try:
        return seen.refusal(window.parse_moment(text), now)
    except Rejected as error:
        return str(error)


async def _lay_out(
    ctx: Context,
    target: PostgresServer,
    programs: Programs,
    base: str,
    moment: datetime,
    rules: str,
) -> None:
    """The files of the new instance."""
    archive = window.backups_of(target).wal_archive.rstrip("/")
    data = programs.data
    await programs.change("cp", "-a", "--reflink=auto", "-T", base, data)
    await programs.change("tee", f"{data}/{exposure.FILE}", given=rules)
    # What the source had set for itself would lead to its own archive and its own primary.
    await programs.change("rm", "-f", f"{data}/postgresql.auto.conf", f"{data}/standby.signal")
    await programs.set(
        {
            "restore_command": f"cp {shlex.quote(archive).replace('%', '%%')}/%f %p",
            "recovery_target_time": moment.isoformat(sep=" "),
            "recovery_target_inclusive": "on",
            "recovery_target_timeline": "latest",
            "recovery_target_action": "promote",
            "archive_mode": "off",
            "primary_conninfo": "",
            "primary_slot_name": "",
            "hba_file": f"{data}/{exposure.FILE}",
            _KEY: ctx.key or "none",
        }
    )
    await programs.change("touch", f"{data}/recovery.signal")


async def _state(ctx: Context, target: PostgresServer, admin: str) -> tuple[State, str] | None:
    try:
        async with _sql.connect(target.sql, ctx, database=admin) as connection:
            state = await look(connection)
            if state.is_in_recovery:
                return state, ""
            await exposure.require_private(connection, target)
            last = (await connection.fetchrow(_REACHED))["last_commit"]
            return state, last.isoformat() if last else ""
    except Unavailable as error:
        if _sql.classify(error) == "refused":
            return None
        raise


async def _arrived(
    ctx: Context,
    target: PostgresServer,
    programs: Programs,
    params: RestoreParams,
    seen: window.Window,
) -> RestoreOutputs:
    """Waits until recovery is over; a server that ended says why in its log."""
    backups, moment = window.backups_of(target), window.parse_moment(params.target_time)
    base = seen.base_for(moment)
    while True:
        found = await _state(ctx, target, params.admin_database)
        if found is not None and not found[0].is_in_recovery:
            break
        if found is None and not await programs.is_running():
            raise Rejected(f"the recovery ended: {await programs.last_words()}")
        if ctx.deadline.left_s(ctx.clock) <= _LAST_S:
            raise Rejected(f"{target.label} is still in recovery")
        await ctx.clock.sleep(_EVERY_S)
    state, last_commit = found
    if state.system_identifier != backups.system_identifier:
        raise Conflict(f"{target.label} is system {state.system_identifier}")
    before = (await programs.control(base.folder)).timeline
    if state.timeline <= before:
        raise Rejected(f"{target.label} is on timeline {state.timeline}, its backup on {before}")
    return RestoreOutputs(
        endpoint=target.sql.host,
        port=target.sql.port,
        system_identifier=state.system_identifier,
        timeline=state.timeline,
        restored_to=moment.isoformat(),
        last_commit=last_commit,
        base_backup=base.folder,
        latest_restorable=seen.last_commit.isoformat(),
    )
