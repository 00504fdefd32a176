"""The network half of the RDS fence: into a security group that lets nothing in, and out again."""

from dataclasses import dataclass
from datetime import timedelta

from drctl.actions.contract import Context
from drctl.actions.errors import Conflict, NotFound, OutcomeUnknown, Rejected, Unavailable
from drctl.actions.targets import RdsInstance
from drctl.adapters.aws.client import Aws
from drctl.adapters.aws.rds_api import AVAILABLE, DbInstance, describe, wait_until

QUICK_S = 3.0
"""
A region's control plane that says nothing for this long is not there: the proof goes on without it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceGroup:
    """The security group of the environment file, as EC2 knows it."""

    id: str
    ingress_rules: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the region's control plane says before anything is done."""

    instance: DbInstance
    group: FenceGroup


async def survey(ctx: Context, target: RdsInstance) -> Ground:
    """
    Reads the instance and the fence group, quickly or not at all.

    Raises:
        Unavailable: The control plane does not answer.
        Conflict: The environment names no fence group, so this half of the fence cannot be used.
        ActionError: It answers something else.
    """
    if target.fence_security_group is None:
        raise Conflict(f"the environment gives {target.label} no fence_security_group")
    aws = Aws(ctx, target.aws, call_s=QUICK_S)
    instance = await describe(aws, target.instance, patience=timedelta())
    group = await _fence_group(aws, target.fence_security_group, instance.vpc)
    return Ground(instance=instance, group=group)


async def _fence_group(aws: Aws, name: str, vpc: str | None) -> FenceGroup:
    wanted: dict[str, object] = {"GroupIds": [name]}
    if not name.startswith("sg-"):
        filters = [{"Name": "group-name", "Values": [name]}]
        filters += [{"Name": "vpc-id", "Values": [vpc]}] if vpc else []
        wanted = {"Filters": filters}
    answer = await aws.read("ec2", "describe_security_groups", patience=timedelta(), **wanted)
    found = answer.get("SecurityGroups", [])
    if len(found) != 1:
        raise NotFound(f"EC2 in {aws.region} knows {len(found)} security groups named {name}")
    if name not in {found[0]["GroupId"], found[0].get("GroupName")}:
        raise Unavailable(f"EC2 was asked about {name}, and told of {found[0]['GroupId']}")
    return FenceGroup(id=found[0]["GroupId"], ingress_rules=len(found[0].get("IpPermissions", [])))


async def quarantine(ctx: Context, target: RdsInstance, ground: Ground) -> tuple[str, ...]:
    """
    Puts the instance into the fence group alone, and waits until RDS says that this is in force.

    Security groups are asked for new connections only; sessions that stand are not cut by this.

    Returns:
        The groups it was in before; empty when it was in quarantine already.

    Raises:
        Rejected: The group lets something in, so it is no fence.
        Conflict: RDS refuses in the instance's present state.
        OutcomeUnknown: Sent, and not seen in force.

    Changes:
        The security groups of the RDS instance.
    """
    group = ground.group
    if group.ingress_rules:
        raise Rejected(
            f"{target.fence_security_group} has {group.ingress_rules} ingress rule(s):"
            " it is no fence"
        )
    if ground.instance.is_only_in(group.id):
        return ()
    before = tuple(sorted(ground.instance.groups))
    await put_into(ctx, target, (group.id,))
    return tuple(name for name in before if name != group.id)


async def put_into(ctx: Context, target: RdsInstance, groups: tuple[str, ...]) -> DbInstance:
    """
    Sets the security groups, and waits until they are in force.

    Raises:
        Conflict: RDS refuses in the instance's present state.
        OutcomeUnknown: Sent, and not seen in force.

    Changes:
        The security groups of the RDS instance.
    """
    aws = Aws(ctx, target.aws)
    try:
        await aws.mutate(
            "rds",
            "modify_db_instance",
            DBInstanceIdentifier=target.instance,
            VpcSecurityGroupIds=list(groups),
            ApplyImmediately=True,
        )
    except OutcomeUnknown as error:
        # Reading back is enough here: the same groups are the same groups, whoever set them.
        ctx.say(f"{target.instance}: {error}; looking whether it arrived")
    except Conflict:
        # A network that delivers twice gives the answer to the second: it refuses what the first
        # began.
        seen = await describe(aws, target.instance)
        if not set(groups) <= {name for name, state in seen.groups.items() if state != "removing"}:
            raise
    wanted = dict.fromkeys(groups, "active")
    return await wait_until(
        ctx,
        aws,
        target.instance,
        lambda seen: dict(seen.groups) == wanted,
        after_change=True,
        allowed=("storage-full", "stopped", "failed", "incompatible-*"),
    )


async def reboot(ctx: Context, target: RdsInstance) -> None:
    """
    Restarts the instance, which cuts every session, and waits until it is back.

    Raises:
        Conflict: RDS refuses in the instance's present state.
        OutcomeUnknown: Sent, and not seen to end.

    Changes:
        The sessions of the instance, and settings that waited for a restart.
    """
    aws = Aws(ctx, target.aws)
    answer = await aws.mutate("rds", "reboot_db_instance", DBInstanceIdentifier=target.instance)
    seen_down = answer["DBInstance"]["DBInstanceStatus"] != AVAILABLE

    def is_back(seen: DbInstance) -> bool:
        nonlocal seen_down
        seen_down = seen_down or seen.status != AVAILABLE
        return seen_down and seen.status == AVAILABLE

    await wait_until(ctx, aws, target.instance, is_back, after_change=True)
