"""What a restore needs of PostgreSQL: a base backup that has ended, an archive that still grows."""

from collections.abc import Sequence
from typing import ClassVar

from drctl.actions.check import Asked, Check, Prerequisite, at_risk, broken, holds
from drctl.actions.contract import Context
from drctl.actions.errors import Conflict, Rejected
from drctl.actions.targets import PostgresServer, Target
from drctl.adapters.postgres import window
from drctl.kernel.duration import format_duration


class BackupsFresh(Check[PostgresServer]):
    """
    A base backup has ended, and the newest commit in the archive is no older than the RPO.

    A database in which nobody commits has no younger one; so that is a risk, and no defect.
    """

    name: ClassVar[str] = "postgres.backups"
    summary: ClassVar[str] = "There is a base backup, and WAL in the archive until a moment ago"
    targets: ClassVar[tuple[type[Target], ...]] = (PostgresServer,)
    actions: ClassVar[tuple[str, ...]] = ("postgres.restore_to_time",)
    minds_absent: ClassVar[bool] = True

    def planes(self, target: PostgresServer) -> tuple[str, ...]:
        return (f"data-plane:{target.region}",)

    async def look(self, ctx: Context, asked: Asked[PostgresServer]) -> Sequence[Prerequisite]:
        subject = f"backups for {asked.target.label}"
        try:
            found = await window.read(ctx, asked.target)
        except (Conflict, Rejected) as error:
            return [broken(subject, str(error), "take a base backup, and look at the archive")]
        age_s = max(0.0, (ctx.clock.now().wall - found.last_commit).total_seconds())
        oldest = found.bases[0].ended.isoformat()
        why = (
            f"what can be restored begins at {oldest}; its newest commit is"
            f" {format_duration(age_s)} old"
        )
        if age_s > asked.rpo_s:
            rpo = format_duration(asked.rpo_s)
            return [
                at_risk(
                    subject, f"{why}, and the RPO is {rpo}",
                    "look at pg_stat_archiver on the primary: does archive_command fail?",
                    age_s=age_s,
                )
            ]  # fmt: skip
        return [holds(subject, why, age_s=age_s)]
