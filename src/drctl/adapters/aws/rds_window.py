"""What an RDS instance can be restored to, now."""

from datetime import datetime
from typing import Any, ClassVar

from drctl.actions.contract import Action, Context, Effect, Observation, Outputs, Params, Repeat
from drctl.actions.errors import Rejected
from drctl.actions.targets import RdsInstance
from drctl.adapters._moment import Moment, parse, refusal, text
from drctl.adapters.aws.client import Aws
from drctl.adapters.aws.rds_api import require_same


class WindowParams(Params):
    """Which moment is meant."""

    time: Moment | None = None
    """With its offset, as ``2026-11-22T14:03:00Z``; absent: only the window is wanted."""


class RestoreWindow(Outputs):
    """The window, and how the moment lies to it."""

    earliest: str
    """Empty, as ``latest``, while there is no finished backup."""
    latest: str
    """Everything that was committed before it can be brought back."""
    covers: bool
    """Whether the moment can be restored; true when none was given and there is a backup."""
    why: str
    """Why it cannot; empty when it can."""


class ReadWindow(Action[RdsInstance, WindowParams, RestoreWindow]):
    """Reads the earliest and latest restorable time from the automated backups."""

    name: ClassVar[str] = "aws.rds.restore_window"
    summary: ClassVar[str] = "Say what an RDS instance can be restored to, and whether a time is"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (RdsInstance,)
    params = WindowParams
    outputs = RestoreWindow

    def planes(self, target: RdsInstance) -> tuple[str, ...]:
        return (f"control-plane:{target.aws.region}",)

    async def observe(
        self, ctx: Context, target: RdsInstance, params: WindowParams | None
    ) -> Observation:
        earliest, latest = await read_window(Aws(ctx, target.aws), target.instance)
        return Observation(
            readings={
                "earliest": text(earliest) if earliest else "",
                "latest": text(latest) if latest else "",
            }
        )

    async def perform(
        self, ctx: Context, target: RdsInstance, params: WindowParams
    ) -> RestoreWindow:
        """
        Reads it. A moment that is only too new is no error: the window moves towards it.

        Raises:
            Rejected: The moment is in the future, or before the window: waiting does not help.
        """
        earliest, latest = await read_window(Aws(ctx, target.aws), target.instance)
        now = ctx.clock.now().wall
        moment = parse(params.time) if params.time else latest or now
        why = refusal(moment, earliest, latest, now)
        if moment > now or (earliest is not None and moment < earliest):
            raise Rejected(f"{target.label}: {why}")
        return RestoreWindow(
            earliest=text(earliest) if earliest else "",
            latest=text(latest) if latest else "",
            covers=why is None,
            why=why or "",
        )


async def read_window(aws: Aws, instance: str) -> tuple[datetime | None, datetime | None]:
    """
    Reads earliest and latest restorable time; both ``None`` while there is no finished backup.

    Raises:
        Rejected: The instance keeps no automated backups.
        ActionError: It could not be read.
    """
    answer = await aws.read(
        "rds", "describe_db_instance_automated_backups", DBInstanceIdentifier=instance
    )
    found: list[dict[str, Any]] = answer.get("DBInstanceAutomatedBackups", [])
    if len(found) != 1:
        raise Rejected(f"{instance} ({aws.region}) keeps no automated backups")
    require_same(found[0], instance, otherwise=Rejected)
    window = found[0].get("RestoreWindow") or {}
    return window.get("EarliestTime"), window.get("LatestTime")
