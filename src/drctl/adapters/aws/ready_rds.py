"""What a failover or a restore needs of RDS: a replica that follows, a fence, backups."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar

from drctl.actions.check import Asked, Check, Prerequisite, at_risk, broken, holds
from drctl.actions.contract import Context
from drctl.actions.errors import NotFound, Rejected
from drctl.actions.targets import RdsInstance
from drctl.adapters import _managed
from drctl.adapters.aws import fence_control
from drctl.adapters.aws.client import Aws
from drctl.adapters.aws.rds_api import AVAILABLE, DbInstance, describe
from drctl.adapters.aws.rds_lag import read_sighting
from drctl.adapters.aws.rds_window import read_window
from drctl.kernel.duration import format_duration

REPLICATES = {"", "replicating"}
MEASURES = "aws.rds.measure_lag"
REBUILD = "make a new replica: drctl runbook show region-reprotect"
SHIPPED_EVERY = timedelta(minutes=5)
"""How far behind now the newest moment that RDS can restore normally is."""
LATE = 3
"""So many times that is no backup that runs."""


class ReplicaAttached(Check[RdsInstance]):
    """What is to be promoted is a replica, fit for it, and follows."""

    name: ClassVar[str] = "aws.rds.replica"
    summary: ClassVar[str] = "The instance to promote is a replica that replicates"
    targets = (RdsInstance,)
    actions: ClassVar[tuple[str, ...]] = ("aws.rds.promote_replica", "aws.rds.measure_lag")

    def planes(self, target: RdsInstance) -> tuple[str, ...]:
        return (f"control-plane:{target.aws.region}", f"data-plane:{target.aws.region}")

    async def look(self, ctx: Context, asked: Asked[RdsInstance]) -> Sequence[Prerequisite]:
        target, label = asked.target, asked.target.label
        try:
            seen = await describe(Aws(ctx, target.aws), target.instance)
        except NotFound as error:
            return [broken(label, str(error), REBUILD)]
        if seen.source is None:
            why = f"RDS says that it is no replica of anything ({seen.status})"
            return [broken(label, why, REBUILD)]
        if seen.status != AVAILABLE:
            why = f'RDS reports "{seen.status}", and promotes what is available'
            say = broken if seen.is_terminal else at_risk
            return [say(label, why, REBUILD if seen.is_terminal else "wait until it is available")]
        objections = await _objections(ctx, target)
        if objections:
            return [broken(label, "; ".join(objections), "mend it, or make a new replica")]
        return [_attached(seen, asked)]


async def _objections(ctx: Context, target: RdsInstance) -> list[str]:
    """What the server itself says against its promotion."""
    witness = target.witness
    replica = _managed.Replica(
        label=target.label,
        vendor="RDS",
        sql=target.sql,
        system_identifier=target.system_identifier,
        siblings=target.siblings,
        sighting=None if witness is None else lambda: read_sighting(ctx, witness),
    )
    return await _managed.unfit(ctx, replica)


def _attached(seen: DbInstance, asked: Asked[RdsInstance]) -> Prerequisite:
    """
    A replica whose replication has stopped can be promoted all the same, and is just then, when its
    source is gone. What that would lose, who measures it says; and nobody where nobody does.
    """
    label, why = asked.target.label, f"replica of {seen.source}, available"
    if seen.replication in REPLICATES:
        return holds(label, why)
    why += f'; RDS says of its replication: "{seen.replication}"'
    if any(use.action == MEASURES for use in asked.uses):
        return holds(label, f"{why}, and what that costs is measured")
    return at_risk(label, why, "mend the replication, or make a new replica")


class FenceHolds(Check[RdsInstance]):
    """The security group that a fence swaps an instance into is there, and lets nobody in."""

    name: ClassVar[str] = "aws.rds.fence_group"
    summary: ClassVar[str] = "The fence's security group exists and lets nobody in"
    targets = (RdsInstance,)
    actions: ClassVar[tuple[str, ...]] = ("aws.rds.fence",)

    def planes(self, target: RdsInstance) -> tuple[str, ...]:
        return (f"control-plane:{target.aws.region}",)

    async def look(self, ctx: Context, asked: Asked[RdsInstance]) -> Sequence[Prerequisite]:
        target = asked.target
        subject = f"fence of {target.label}"
        if target.fence_security_group is None:
            why = "the environment gives no fence_security_group: only a dead instance is fenced"
            return [at_risk(subject, why, "make a group without ingress, and name it there")]
        try:
            ground = await fence_control.survey(ctx, target)
        except NotFound as error:
            return [broken(subject, str(error), "make the group, or mend the environment file")]
        group = ground.group
        if group.ingress_rules:
            why = f"{group.id} lets traffic in by {group.ingress_rules} rule(s): it is no fence"
            return [broken(subject, why, f"take the ingress rules of {group.id} away")]
        return [holds(subject, f"{group.id} lets nobody in")]


class BackupsFresh(Check[RdsInstance]):
    """What a restore is made from is there, and new enough."""

    name: ClassVar[str] = "aws.rds.backups"
    summary: ClassVar[str] = "Automated backups are on, and can restore until a moment ago"
    targets = (RdsInstance,)
    actions: ClassVar[tuple[str, ...]] = ("aws.rds.restore_window",)

    def planes(self, target: RdsInstance) -> tuple[str, ...]:
        return (f"control-plane:{target.aws.region}",)

    async def look(self, ctx: Context, asked: Asked[RdsInstance]) -> Sequence[Prerequisite]:
        target = asked.target
        subject = f"backups of {target.label}"
        on = f"turn them on: aws rds modify-db-instance --db-instance-identifier {target.instance}"
        try:
            _earliest, latest = await read_window(Aws(ctx, target.aws), target.instance)
        except (NotFound, Rejected) as error:
            return [broken(subject, str(error), f"{on} --backup-retention-period 7")]
        if latest is None:
            why = "nothing can be restored yet: no backup has ended"
            return [broken(subject, why, "wait for the first backup, or look why there is none")]
        behind = ctx.clock.now().wall - latest
        return [_fresh(subject, latest, behind)]


def _fresh(subject: str, latest: datetime, behind: timedelta) -> Prerequisite:
    behind_s = behind.total_seconds()
    why = f"the newest moment that can be restored is {format_duration(max(0.0, behind_s))} old"
    if behind > LATE * SHIPPED_EVERY:
        return broken(
            subject, f"{why} ({latest.isoformat()})", "look why RDS ships no more WAL to S3",
            behind_s=behind_s,
        )  # fmt: skip
    return holds(subject, why, behind_s=behind_s)
