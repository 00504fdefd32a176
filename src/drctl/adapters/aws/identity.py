"""Who AWS says we are, and which zone an id stands for."""

from typing import ClassVar

from drctl.actions.contract import (
    Action,
    Context,
    Effect,
    NoParams,
    Observation,
    Outputs,
    Repeat,
)
from drctl.actions.errors import Conflict, Unavailable
from drctl.actions.pin import Identity, Pin
from drctl.actions.planes import Ask, control, data
from drctl.actions.targets import (
    AutoScalingGroup,
    AwsConnection,
    AwsRegion,
    DatabaseRole,
    DnsRecord,
    EcrRepository,
    EcsService,
    ElastiCacheGlobal,
    FailoverSwitch,
    LoadBalancer,
    RdsInstance,
    RoutingControls,
    S3Bucket,
    Target,
)
from drctl.adapters.aws.client import Aws

_REACHED = (
    RdsInstance,
    FailoverSwitch,
    DnsRecord,
    LoadBalancer,
    S3Bucket,
    EcrRepository,
    AutoScalingGroup,
    EcsService,
    AwsRegion,
    ElastiCacheGlobal,
    RoutingControls,
)
"""Targets that have an AWS connection of their own."""


class Caller(Outputs):
    """STS's answer."""

    account: str
    arn: str


async def caller(ctx: Context, connection: AwsConnection) -> Caller:
    """Asks the region's own STS; the global one lives in us-east-1."""
    answer = await Aws(ctx, connection).read("sts", "get_caller_identity")
    return Caller(account=answer["Account"], arn=answer["Arn"])


def connection_of(target: Target) -> AwsConnection | None:
    """The AWS connection of a target that has one."""
    if isinstance(target, _REACHED):
        return target.aws
    if isinstance(target, DatabaseRole) and target.kept_in is not None:
        return target.kept_in.aws
    return None


class CheckIdentity(Action[Target, NoParams, Caller]):
    """Fails when the credentials are not accepted in the target's region."""

    name: ClassVar[str] = "aws.sts.identity.check"
    summary: ClassVar[str] = "Ask AWS who the credentials of a target belong to"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    is_prerequisite: ClassVar[bool] = True
    targets = _REACHED
    outputs = Caller

    def planes(self, target: Target) -> tuple[str, ...]:
        connection = connection_of(target)
        return (f"data-plane:{connection.region}",) if connection else ()

    async def observe(self, ctx: Context, target: Target, params: NoParams | None) -> Observation:
        answer = await self.perform(ctx, target, params or NoParams())
        return Observation(facts={"account": answer.account, "arn": answer.arn})

    async def perform(self, ctx: Context, target: Target, params: NoParams) -> Caller:
        """
        Asks.

        Raises:
            Conflict: They belong to another account than the environment pins.
            ActionError: It did not say.
        """
        connection = connection_of(target)
        if connection is None:
            raise TypeError(f"{type(target).__name__} has no AWS connection")
        answer = await caller(ctx, connection)
        if answer.account != connection.account:
            raise Conflict(
                f"the credentials belong to {answer.account},"
                f" the environment pins {connection.account}"
            )
        return answer


class AccountPin(Pin):
    """The credentials belong to the account that the environment says, in each region in use."""

    name: ClassVar[str] = "aws.account"

    def identity(self, target: Target) -> Identity | None:
        connection = connection_of(target)
        if connection is None:
            return None
        return Identity(name=self.name, subject=connection.region, expected=connection.account)

    def asks(self, target: Target) -> tuple[Ask, ...]:
        connection = connection_of(target)
        return (data(connection.region, "STS"),) if connection else ()

    async def read(self, ctx: Context, target: Target) -> str:
        connection = connection_of(target)
        if connection is None:
            raise TypeError(f"{type(target).__name__} has no AWS connection")
        return (await caller(ctx, connection)).account


class ZonePin(Pin):
    """The zone id stands for the zone that the environment names."""

    name: ClassVar[str] = "aws.route53.zone"

    def identity(self, target: Target) -> Identity | None:
        if not isinstance(target, DnsRecord):
            return None
        return Identity(
            name=self.name,
            subject=target.zone_id,
            expected=target.zone_name.rstrip("."),
        )

    def asks(self, target: Target) -> tuple[Ask, ...]:
        return (control("us-east-1", "Route 53 zones"),)

    async def read(self, ctx: Context, target: Target) -> str:
        if not isinstance(target, DnsRecord):
            raise TypeError(f"{type(target).__name__} has no hosted zone")
        answer = await Aws(ctx, target.aws).read("route53", "get_hosted_zone", Id=target.zone_id)
        found = str(answer["HostedZone"]["Id"]).rsplit("/", 1)[-1]
        if found != target.zone_id:
            raise Unavailable(f"Route 53 was asked about {target.zone_id}, and told of {found}")
        name: str = answer["HostedZone"]["Name"]
        return name.rstrip(".")
