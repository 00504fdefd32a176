"""
Sends a highly available Cloud SQL instance into its other zone.

The other zone has the same disk, written synchronously, so nothing is lost and nothing is promoted;
sessions are cut for about a minute. The settings' version is compared by Google, and the zone by
us: a request that comes a second time would send the instance back.
"""

from typing import ClassVar

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
from drctl.actions.errors import ActionError, Conflict, OutcomeUnknown, Rejected
from drctl.actions.targets import CloudSqlInstance
from drctl.adapters._managed import until_out_of_recovery
from drctl.adapters.gcp.client import Gcp
from drctl.adapters.gcp.errors import after_sending
from drctl.adapters.gcp.operations import finish, is_under_way
from drctl.adapters.gcp.sql_api import RUNNABLE, Instance, describe, path_of, wait_until
from drctl.adapters.gcp.sql_fit import replica_of

KINDS = ("FAILOVER",)


class ZoneMove(Outputs):
    """Where it was and where it is."""

    from_zone: str
    zone: str
    changed: bool
    """False when it had left the zone that the plan saw already."""


class FailOver(Action[CloudSqlInstance, NoParams, ZoneMove]):
    """Fails over once, and waits until the instance serves from the other zone."""

    name: ClassVar[str] = "gcp.cloudsql.failover"
    summary: ClassVar[str] = "Send a highly available Cloud SQL instance into its other zone"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.CHECK_THEN_ACT
    targets = (CloudSqlInstance,)
    outputs = ZoneMove

    def planes(self, target: CloudSqlInstance) -> tuple[str, ...]:
        return (f"control-plane:{target.gcp.region}",)

    async def observe(
        self, ctx: Context, target: CloudSqlInstance, params: NoParams | None
    ) -> Observation:
        seen = await describe(Gcp(ctx, target.gcp), target.instance)
        return Observation(
            facts={
                "state": seen.state,
                "zone": seen.zone,
                "second_zone": seen.second_zone,
                "settings_version": seen.settings_version,
            }
        )

    def preview(
        self, observation: Observation, target: CloudSqlInstance, params: NoParams | None
    ) -> Preview:
        facts = observation.facts
        if not facts["second_zone"]:
            return CannotTell(why=f"{target.instance} is in one zone: it has nowhere to go")
        if facts["state"] != RUNNABLE:
            return CannotTell(why=f"{target.instance} is {facts['state']}")
        return Change(before=f"in {facts['zone']}", after=f"in {facts['second_zone']}")

    async def perform(self, ctx: Context, target: CloudSqlInstance, params: NoParams) -> ZoneMove:
        """
        Fails over, and waits until the instance and the server itself are back.

        Safe to repeat: an instance that has left the zone that the plan saw is left alone.

        Raises:
            Rejected: It is not highly available.
            Conflict: Its settings were changed since the plan, or it is busy.
            OutcomeUnknown: No answer, the operation failed, or it is not done by the deadline.

        Changes:
            The zone that the instance serves from; every session is cut.
        """
        gcp = Gcp(ctx, target.gcp)
        seen = await describe(gcp, target.instance)
        if not seen.second_zone or not seen.is_primary:
            raise Rejected(f"{target.label} is not highly available: it has nowhere to go")
        planned = ctx.seen or {}
        before = str(planned.get("zone") or seen.zone)
        version = str(planned.get("settings_version") or seen.settings_version)
        if seen.zone != before:
            return ZoneMove(from_zone=before, zone=seen.zone, changed=False)
        if seen.state != RUNNABLE:
            raise Conflict(f'Cloud SQL reports "{seen.state}" for {target.label}')
        try:
            answer = await gcp.mutate(
                "POST",
                "sqladmin",
                f"{path_of(gcp, target.instance)}/failover",
                {"failoverContext": {"kind": "sql#failoverContext", "settingsVersion": version}},
            )
        except (Conflict, Rejected) as error:
            with after_sending(target.label):
                now = await describe(gcp, target.instance)
                is_moving = await is_under_way(gcp, target.instance, KINDS)
            if now.zone != before or is_moving:
                # A network that delivers twice gives the answer to the second.
                raise OutcomeUnknown(f"{target.label} is moving, and: {error}") from error
            raise
        await finish(ctx, gcp, answer, target.instance, KINDS)

        def has_moved(now: Instance) -> bool:
            return now.state == RUNNABLE and now.zone != before

        seen = await wait_until(ctx, gcp, target.instance, has_moved, after_change=True)
        await until_out_of_recovery(ctx, replica_of(ctx, target))
        return ZoneMove(from_zone=before, zone=seen.zone, changed=True)

    async def settled(
        self, ctx: Context, target: CloudSqlInstance, params: NoParams
    ) -> Done[ZoneMove] | NotDone | CannotTell:
        """Told by the zone that the plan saw; without it one zone is like the other."""
        before = str((ctx.seen or {}).get("zone") or "")
        gcp = Gcp(ctx, target.gcp)
        try:
            seen = await describe(gcp, target.instance)
            is_moving = await is_under_way(gcp, target.instance, KINDS)
        except ActionError as error:
            return CannotTell(why=str(error))
        if is_moving or seen.state != RUNNABLE:
            return CannotTell(why=f"{target.label} is {seen.state}, and may be moving")
        if not before:
            return CannotTell(why=f"{target.label} is in {seen.zone}; where it was nobody has seen")
        if seen.zone != before:
            return Done(outputs=ZoneMove(from_zone=before, zone=seen.zone, changed=True))
        return NotDone(why=f"{target.label} is still in {before}")
