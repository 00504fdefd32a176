"""
Makes a backup of a Cloud SQL instance now.

The API has no request id; the backup's description carries ours, so that one that was made and not
heard of is found instead of made again.
"""

from typing import Any, ClassVar

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Context,
    Done,
    Effect,
    NoParams,
    NotDone,
    Observation,
    Outputs,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, Conflict, OutcomeUnknown, Rejected, Unavailable
from drctl.actions.targets import CloudSqlInstance
from drctl.adapters.gcp.client import Gcp
from drctl.adapters.gcp.errors import after_sending
from drctl.adapters.gcp.operations import finish
from drctl.adapters.gcp.sql_api import RUNNABLE, describe, path_of

KINDS = ("BACKUP_VOLUME", "SNAPSHOT", "BACKUP")
SUCCESSFUL = "SUCCESSFUL"
_FINAL_FAILURES = frozenset({"FAILED", "SKIPPED", "DELETED", "DELETION_PENDING"})


class BackupRun(Outputs):
    """The backup, by which it can be restored."""

    id: str
    """Unique among the backups of the instance."""
    ended_at: str
    """RFC 3339, as Google says it."""


class CreateBackup(Action[CloudSqlInstance, NoParams, BackupRun]):
    """Asks for a backup, and waits until Cloud SQL says that it was successful."""

    name: ClassVar[str] = "gcp.cloudsql.backup.create"
    summary: ClassVar[str] = "Back up a Cloud SQL instance now and wait until that has succeeded"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.CHECK_THEN_ACT
    targets = (CloudSqlInstance,)
    outputs = BackupRun

    def planes(self, target: CloudSqlInstance) -> tuple[str, ...]:
        return (f"control-plane:{target.gcp.region}",)

    async def observe(
        self, ctx: Context, target: CloudSqlInstance, params: NoParams | None
    ) -> Observation:
        gcp = Gcp(ctx, target.gcp)
        seen = await describe(gcp, target.instance)
        runs = await _runs(gcp, target.instance)
        last = next((one.get("endTime") for one in runs if one.get("status") == SUCCESSFUL), None)
        return Observation(facts={"state": seen.state}, readings={"last_backup": last})

    def preview(
        self, observation: Observation, target: CloudSqlInstance, params: NoParams | None
    ) -> Preview:
        state = observation.facts["state"]
        if state != RUNNABLE:
            return CannotTell(why=f"{target.instance} is {state}")
        last = observation.readings["last_backup"] or "none"
        return Change(before=f"last backup: {last}", after="a backup of now", creates=True)

    async def perform(self, ctx: Context, target: CloudSqlInstance, params: NoParams) -> BackupRun:
        """
        Backs up.

        Safe to repeat with the same key: a backup of it that is there is the answer.

        Raises:
            Conflict: Cloud SQL is busy with the instance.
            Rejected: It does not run, or the backup failed.
            OutcomeUnknown: No answer, or it is not done by the deadline.

        Changes:
            Creates one backup, which costs money until somebody deletes it.
        """
        gcp = Gcp(ctx, target.gcp)
        if (ours := await _ours(ctx, gcp, target)) and ours.get("status") == SUCCESSFUL:
            return _output(ours)
        try:
            answer = await gcp.mutate(
                "POST",
                "sqladmin",
                f"{path_of(gcp, target.instance)}/backupRuns",
                {"description": _description(ctx)},
            )
        except (Conflict, Rejected) as error:
            with after_sending(target.label):
                is_there = await _ours(ctx, gcp, target) is not None
            if is_there:
                # A network that delivers twice gives the answer to the second.
                raise OutcomeUnknown(f"a backup of {target.label} runs, and: {error}") from error
            raise
        await finish(ctx, gcp, answer, target.instance, KINDS)
        with after_sending(target.label):
            made = await _ours(ctx, gcp, target)
        if made is None or made.get("status") != SUCCESSFUL:
            raise OutcomeUnknown(f"{target.label}: the operation is done, and the backup is {made}")
        return _output(made)

    async def settled(
        self, ctx: Context, target: CloudSqlInstance, params: NoParams
    ) -> Done[BackupRun] | NotDone | CannotTell:
        try:
            ours = await _ours(ctx, Gcp(ctx, target.gcp), target)
        except ActionError as error:
            return CannotTell(why=str(error))
        if ours is None:
            return NotDone(why=f"{target.label} has no backup of this step")
        status = str(ours.get("status"))
        if status == SUCCESSFUL:
            return Done(outputs=_output(ours))
        if status in _FINAL_FAILURES:
            return NotDone(why=f"the backup of {target.label} is {status}")
        return CannotTell(why=f"the backup of {target.label} is {status}")


def _description(ctx: Context) -> str:
    return f"drctl {ctx.key}"


async def _ours(ctx: Context, gcp: Gcp, target: CloudSqlInstance) -> dict[str, Any] | None:
    runs = await _runs(gcp, target.instance)
    return next((one for one in runs if one.get("description") == _description(ctx)), None)


async def _runs(gcp: Gcp, instance: str) -> list[dict[str, Any]]:
    answer = await gcp.read(
        "sqladmin", f"{path_of(gcp, instance)}/backupRuns", {"maxResults": "50"}
    )
    listed: list[dict[str, Any]] = answer.get("items", [])
    if any(one.get("instance") != instance for one in listed):
        raise Unavailable(f"Cloud SQL was asked about backups of {instance}, and told of others")
    return listed


def _output(run: dict[str, Any]) -> BackupRun:
    return BackupRun(id=str(run["id"]), ended_at=str(run.get("endTime", "")))
