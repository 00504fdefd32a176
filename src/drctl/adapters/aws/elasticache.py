"""
Moves the primary of an ElastiCache Global Datastore to the recovery region.

Of the calls of ElastiCache that move a primary this is the one that is made for a lost region.
Inside a region ElastiCache replaces a primary by itself (Multi-AZ), and nobody is to ask;
``TestFailover`` is for drills: its reference says that it is no tool for a real problem, allows
fifteen shards a day, and that it may be blocked in a large event, which is when one would want it.

Not promised: that everything written in the lost region is there. Copies are asynchronous, and the
control plane does not say how far behind they are; this is for data that can be made again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Cleared,
    Context,
    Debt,
    Done,
    Effect,
    NoParams,
    NotDone,
    Nothing,
    Observation,
    Outputs,
    Preview,
    Repeat,
)
from drctl.actions.errors import (
    ActionError,
    Conflict,
    OutcomeUnknown,
    Throttled,
    Unavailable,
)
from drctl.actions.targets import ElastiCacheGlobal
from drctl.adapters.aws.client import PATIENCE, Aws

_MODIFYING = "modifying"
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.3, 5.0


class FailedOver(Outputs):
    """Who is the primary now."""

    primary: str
    """Its replication group."""
    region: str
    endpoint: str
    """Where its writes go."""
    port: int
    previous: str
    """Who was the primary; empty when it was only read back."""
    previous_region: str
    changed: bool
    """False when it was so already."""
    followers: list[str]
    """Members that follow it."""
    apart: list[str]
    """Members that do not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    group: str
    region: str
    is_primary: bool
    is_associated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Datastore:
    status: str
    members: tuple[_Member, ...]
    ours: _Member

    @property
    def primary(self) -> _Member:
        return next(one for one in self.members if one.is_primary)

    @property
    def is_done(self) -> bool:
        return self.status in {"available", "primary-only"} and self.ours.is_primary


class FailoverDatastore(Action[ElastiCacheGlobal, NoParams, FailedOver]):
    """Asks for the failover, once, and waits until the roles have changed."""

    name: ClassVar[str] = "aws.elasticache.global.failover"
    summary: ClassVar[str] = "Make the recovery region's member of a Global Datastore the primary"
    effect: ClassVar[Effect] = Effect.TRAFFIC
    repeat: ClassVar[Repeat] = Repeat.CHECK_THEN_ACT
    targets = (ElastiCacheGlobal,)
    outputs = FailedOver

    def planes(self, target: ElastiCacheGlobal) -> tuple[str, ...]:
        """The recovery region's own; the lost one is not asked."""
        return (f"control-plane:{target.aws.region}",)

    async def observe(
        self, ctx: Context, target: ElastiCacheGlobal, params: NoParams | None
    ) -> Observation:
        seen = await _look(Aws(ctx, target.aws), target)
        primary = seen.primary
        return Observation(
            facts={"primary": f"{primary.region}/{primary.group}"},
            readings={"status": seen.status, "refuses": _refusal(seen)},
        )

    def preview(
        self, observation: Observation, target: ElastiCacheGlobal, params: NoParams | None
    ) -> Preview:
        now, wanted = (
            observation.facts["primary"],
            f"{target.aws.region}/{target.replication_group}",
        )
        if now == wanted:
            return Nothing(why=f"{wanted} is the primary")
        if observation.readings["refuses"]:
            return CannotTell(why=f"{target.label}: {observation.readings['refuses']}")
        return Change(before=f"primary {now}", after=f"primary {wanted}")

    async def perform(
        self, ctx: Context, target: ElastiCacheGlobal, params: NoParams
    ) -> FailedOver:
        """
        Fails over and waits; a primary that is there already is left alone.

        Raises:
            Conflict: It is being changed, our member does not follow, or another one became the
                primary since the plan was made. Nothing was changed.
            NotFound: No such datastore.
            OutcomeUnknown: Sent, and not seen to end.

        Changes:
            Which region of the datastore takes writes; all other members follow it.
        """
        aws = Aws(ctx, target.aws)
        before = await _look(aws, target)
        if before.is_done:
            return await _outputs(aws, target, before, None)
        if why := _refusal(before):
            raise Conflict(f"{target.label}: {why}")
        old = before.primary
        seen = (ctx.seen or {}).get("primary")
        if seen not in {None, f"{old.region}/{old.group}"}:
            raise Conflict(
                f"{target.label}: the primary was {seen} in the plan, and is {old.group}"
            )
        refused: Conflict | None = None
        try:
            await aws.mutate(
                "elasticache",
                "failover_global_replication_group",
                GlobalReplicationGroupId=target.datastore,
                PrimaryRegion=target.aws.region,
                PrimaryReplicationGroupId=target.replication_group,
            )
        except Conflict as error:
            # A network may repeat a request: then the second is refused because of the first.
            refused = error
        return await _until_done(ctx, aws, target, old, refused)

    async def settled(
        self, ctx: Context, target: ElastiCacheGlobal, params: NoParams
    ) -> Done[FailedOver] | NotDone | CannotTell:
        aws = Aws(ctx, target.aws)
        try:
            seen = await _look(aws, target)
            if seen.is_done:
                return Done(outputs=await _outputs(aws, target, seen, None))
        except ActionError as error:
            return CannotTell(why=str(error))
        if seen.status == "available":
            return NotDone(why=f"{seen.primary.group} ({seen.primary.region}) is the primary")
        return CannotTell(why=f'{target.label} is "{seen.status}"')

    def debts(
        self, target: ElastiCacheGlobal, params: NoParams, outputs: FailedOver
    ) -> tuple[Debt | Cleared, ...]:
        key = f"standby:{target.identities[0]}"
        if outputs.followers and not outputs.apart:
            return (Cleared(key=key),)
        what = f"{target.label} is followed by no other member"
        if outputs.apart:
            by = "all but" if outputs.followers else "no other member, not by"
            what = f"{target.label} is followed by {by} {', '.join(outputs.apart)}"
        return (Debt(key=key, what=what, remedy="make a member follow it in another region"),)


def _refusal(seen: _Datastore) -> str:
    """Why it would not, or must not, fail over to us; empty when it would."""
    if seen.status not in {"available", "primary-only"}:
        return f'it is "{seen.status}"'
    if not seen.ours.is_associated:
        return f"{seen.ours.group} does not follow the primary: it has old data"
    return ""


async def _look(aws: Aws, target: ElastiCacheGlobal, patience: timedelta = PATIENCE) -> _Datastore:
    answer = await aws.read(
        "elasticache",
        "describe_global_replication_groups",
        patience=patience,
        GlobalReplicationGroupId=target.datastore,
        ShowMemberInfo=True,
    )
    found: Mapping[str, Any] = (answer.get("GlobalReplicationGroups") or [{}])[0]
    if found.get("GlobalReplicationGroupId") != target.datastore:
        raise Unavailable(f"ElastiCache was asked about {target.datastore}, and told of another")
    members = tuple(
        _Member(
            group=one["ReplicationGroupId"],
            region=one["ReplicationGroupRegion"],
            is_primary=one["Role"].upper() == "PRIMARY",
            is_associated=one.get("Status", "").lower() == "associated",
        )
        for one in found.get("Members", [])
    )
    wanted = (target.replication_group, target.aws.region)
    ours = next((one for one in members if (one.group, one.region) == wanted), None)
    if ours is None:
        raise Conflict(f"{target.replication_group} is no member of {target.label}")
    if sum(one.is_primary for one in members) != 1:
        raise Unavailable(f"ElastiCache does not say who is the primary of {target.datastore}")
    return _Datastore(status=str(found["Status"]), members=members, ours=ours)


async def _until_done(
    ctx: Context, aws: Aws, target: ElastiCacheGlobal, old: _Member, refused: Conflict | None
) -> FailedOver:
    """
    Looks until the roles have changed.

    Raises:
        Conflict: It was refused, and nothing is under way.
        OutcomeUnknown: Not seen to end by the deadline.
    """
    pause_s, last = _FIRST_PAUSE_S, "it was not looked at"
    while not ctx.deadline.has_passed(ctx.clock):
        try:
            seen = await _look(aws, target, timedelta())
            if seen.is_done:
                return await _outputs(aws, target, seen, old)
            if refused is not None and seen.status != _MODIFYING:
                raise refused
        except Conflict as error:
            raise (
                error if error is refused else OutcomeUnknown(f"sent, and then: {error}")
            ) from error
        except (Throttled, Unavailable) as error:
            last = str(error)
        except ActionError as error:
            raise OutcomeUnknown(f"sent, and then not readable: {error}") from error
        else:
            last = f'{target.label} is "{seen.status}", {seen.primary.group} is the primary'
            ctx.say(last)
        await ctx.clock.sleep(min(pause_s, ctx.deadline.left_s(ctx.clock)))
        pause_s = min(_LAST_PAUSE_S, pause_s * 1.5)
    raise OutcomeUnknown(last)


async def _outputs(
    aws: Aws, target: ElastiCacheGlobal, seen: _Datastore, old: _Member | None
) -> FailedOver:
    """Adds where the new primary is written to, which the datastore does not say."""
    answer = await aws.read(
        "elasticache",
        "describe_replication_groups",
        patience=timedelta(),
        ReplicationGroupId=target.replication_group,
    )
    group: Mapping[str, Any] = (answer.get("ReplicationGroups") or [{}])[0]
    if group.get("ReplicationGroupId") != target.replication_group:
        raise Unavailable(
            f"ElastiCache was asked about {target.replication_group}, and told of another"
        )
    nodes: list[Mapping[str, Any]] = group.get("NodeGroups") or [{}]
    at = group.get("ConfigurationEndpoint") or nodes[0].get("PrimaryEndpoint") or {}
    return FailedOver(
        primary=seen.primary.group,
        region=seen.primary.region,
        endpoint=str(at.get("Address", "")),
        port=int(at.get("Port", 0)),
        previous=old.group if old else "",
        previous_region=old.region if old else "",
        changed=old is not None,
        followers=[one.group for one in seen.members if one.is_associated and not one.is_primary],
        apart=[one.group for one in seen.members if not one.is_associated],
    )
