"""Makes a replica of a primary, in the replica's region, and waits until it really follows."""

from typing import Any, ClassVar

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Cleared,
    Context,
    Done,
    Effect,
    NotDone,
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
)
from drctl.actions.errors import Conflict, Rejected
from drctl.actions.planes import Ask, control
from drctl.actions.targets import RdsInstance, Text
from drctl.adapters.aws import rds_made
from drctl.adapters.aws.client import Aws
from drctl.adapters.aws.rds_api import AVAILABLE, DbInstance
from drctl.adapters.aws.rds_debts import paid_standby
from drctl.adapters.aws.rds_settings import KEY_TAG, Settings, differences, read

_REPLICATING = "replicating"
_ARN_PARTS = 7


class ReplicaParams(Params):
    """Of what, and like what."""

    source: Text
    """ARN of the primary, as ``${{ steps.promote.outputs.arn }}``; in the same region its name will
    do."""
    like: Text | None = None
    """An instance of the replica's region whose class, parameter group, zones and protection it
    gets, normally the one whose place it takes; absent: RDS's defaults for a replica."""


class Replica(Outputs):
    """The replica, once it follows."""

    instance: str
    endpoint: str
    port: int
    source: str
    """As RDS names it."""
    replication: str


class CreateReplica(Action[RdsInstance, ReplicaParams, Replica]):
    """Asks for the replica, once; waits until RDS says that it is there and replicates."""

    name: ClassVar[str] = "aws.rds.create_replica"
    summary: ClassVar[str] = "Make an RDS read replica of a primary and wait until it follows"
    makes_target: ClassVar[bool] = True
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.KEYED
    targets = (RdsInstance,)
    params = ReplicaParams
    outputs = Replica

    def planes(self, target: RdsInstance) -> tuple[str, ...]:
        """The source's region too, but which one that is only the params say."""
        return (f"control-plane:{target.aws.region}",)

    def asks(self, target: RdsInstance, params: ReplicaParams | None = None) -> tuple[Ask, ...]:
        own = control(target.aws.region, "RDS")
        parts = params.source.split(":") if params else []
        if len(parts) != _ARN_PARTS or parts[3] == target.aws.region:
            return (own,)
        return own, control(parts[3], "RDS there copies the source")

    def asks_to_look(
        self, target: RdsInstance, params: ReplicaParams | None = None
    ) -> tuple[Ask, ...]:
        return (control(target.aws.region, "RDS"),)

    async def observe(
        self, ctx: Context, target: RdsInstance, params: ReplicaParams | None
    ) -> Observation:
        there = await read(Aws(ctx, target.aws), target.instance)
        return Observation(facts={"name_is_taken": there is not None})

    def preview(
        self, observation: Observation, target: RdsInstance, params: ReplicaParams | None
    ) -> Preview:
        if observation.facts["name_is_taken"]:
            return CannotTell(why=f"there is an instance named {target.instance}; it must go first")
        source = "a primary that is known during the run" if params is None else params.source
        return Change(
            before=f"no {target.instance}", after=f"replica of {source}, private", creates=True
        )

    async def perform(self, ctx: Context, target: RdsInstance, params: ReplicaParams) -> Replica:
        """
        Makes it, and waits until it replicates.

        Safe to repeat: an instance that carries this key is not asked for again, only waited for.

        Raises:
            Rejected: The environment names no security groups for it; it is in a terminal state, or
                is not as it must be; then it is left there.
            Conflict: The name is taken, or the source refuses in its present state.
            NotFound: No such source.
            OutcomeUnknown: No answer, or it does not replicate by the deadline.

        Changes:
            One more RDS instance; the source gets a replication slot.
        """
        aws = Aws(ctx, target.aws)
        groups = _groups(target)
        like = await _like(aws, params)
        if not await rds_made.is_ours(ctx, aws, target.instance):
            await rds_made.request(
                ctx,
                aws,
                target.instance,
                "create_db_instance_read_replica",
                DBInstanceIdentifier=target.instance,
                **_source(params.source, aws.region),
                **_asked(like, groups, ctx.key),
            )
        seen = await rds_made.until(ctx, aws, target.instance, _follows)
        made = await rds_made.settings_of(aws, target.instance)
        if wrong := _wrong(like, made, groups):
            raise Rejected(f"{target.label} is not as it must be: {'; '.join(wrong)}")
        return _replica(target, seen)

    async def settled(
        self, ctx: Context, target: RdsInstance, params: ReplicaParams
    ) -> Done[Replica] | NotDone | CannotTell:
        seen = await rds_made.settled_as(ctx, Aws(ctx, target.aws), target.instance)
        if isinstance(seen, str):
            return NotDone(why=seen) if seen.startswith("not done") else CannotTell(why=seen)
        if not _follows(seen):
            return CannotTell(why=f"{target.label} is there, and does not replicate yet")
        return Done(outputs=_replica(target, seen))

    def debts(
        self, target: RdsInstance, params: ReplicaParams, outputs: Replica
    ) -> tuple[Cleared, ...]:
        return (paid_standby(target),)


def _follows(seen: DbInstance) -> bool:
    if seen.status == AVAILABLE and seen.source is None:
        raise Conflict("it is a primary, not a replica")
    return seen.status == AVAILABLE and seen.replication == _REPLICATING


def _replica(target: RdsInstance, seen: DbInstance) -> Replica:
    return Replica(
        instance=target.instance,
        endpoint=seen.host,
        port=seen.port,
        source=seen.source or "",
        replication=seen.replication,
    )


def _groups(target: RdsInstance) -> tuple[str, ...]:
    if not target.security_groups:
        raise Rejected(
            f"the environment gives {target.label} no security_groups: RDS would put it into the"
            " network's default one"
        )
    return tuple(sorted(set(target.security_groups)))


async def _like(aws: Aws, params: ReplicaParams) -> Settings | None:
    if params.like is None:
        return None
    like = await read(aws, params.like)
    if like is None:
        raise Rejected(f"RDS in {aws.region} knows no instance named {params.like} to be like")
    return like


def _asked(like: Settings | None, groups: tuple[str, ...], key: str) -> dict[str, Any]:
    if like is not None:
        return like.request(security_groups=groups, key=key)
    return {
        "VpcSecurityGroupIds": list(groups),
        "PubliclyAccessible": False,
        "Tags": [{"Key": KEY_TAG, "Value": key}],
    }


def _source(source: str, own: str) -> dict[str, str]:
    """By name in the same region, else by ARN; the SDK signs for the region that it is told."""
    parts = source.split(":")
    if len(parts) < _ARN_PARTS:
        return {"SourceDBInstanceIdentifier": source}
    if parts[3] == own:
        return {"SourceDBInstanceIdentifier": parts[-1]}
    return {"SourceDBInstanceIdentifier": source, "SourceRegion": parts[3]}


def _wrong(like: Settings | None, made: Settings, groups: tuple[str, ...]) -> tuple[str, ...]:
    return differences(like if like is not None else made, made, groups)
