"""One emergency load balancer under construction, part by part; each part once."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from drctl.actions.contract import Context
from drctl.actions.errors import (
    ActionError,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from drctl.actions.targets import LoadBalancer
from drctl.adapters.aws import elbv2_api as api
from drctl.adapters.aws.client import Aws
from drctl.adapters.aws.elbv2_pattern import Pattern, name_of

TAG = "drctl:stands-in-for"
INTERVAL_S, TIMEOUT_S, SUCCESSES = 5, 2, 2
"""
The vendor's defaults are 30 s and 5 successes, which is two and a half minutes of the objective.
"""
FIRST_POLL_S, LAST_POLL_S = 0.3, 2.0
_OURS = frozenset({"deletion_protection.enabled"})
"""Attributes that are not copied: the stand-in must be easy to take away."""


class Build:
    """The parts of one stand-in."""

    def __init__(
        self, ctx: Context, aws: Aws, target: LoadBalancer, pattern: Pattern | None
    ) -> None:
        self._ctx, self._aws, self._target = ctx, aws, target
        self._name = name_of(target)
        self._given = pattern
        self.has_created = False
        self._has_sent = False

    @property
    def _pattern(self) -> Pattern:
        if self._given is None:
            raise TypeError("nothing is built without a pattern")
        return self._given

    async def balancer(self) -> api.Balancer:
        """
        The load balancer, made when there is none.

        Raises:
            Conflict: Its name is somebody else's, or its settings are others than the lost one's.
            OutcomeUnknown: Sent, and no answer came.
        """
        lost = self._pattern.balancer
        made = await api.find(self._aws, self._name)
        if made is None:
            answer = self._sent(
                await self._aws.mutate(
                    "elbv2",
                    "create_load_balancer",
                    Name=self._name,
                    Subnets=list(lost.subnets),
                    SecurityGroups=list(lost.security_groups),
                    Scheme=lost.scheme,
                    IpAddressType=lost.ip_address_type,
                    Type="application",
                    Tags=[{"Key": TAG, "Value": self._target.name}],
                )
            )
            made = api.about(answer["LoadBalancers"][0], self._name, otherwise=OutcomeUnknown)
            self.has_created = True
        else:
            await self.require_ours(made.arn, self._name)
            for what in ("subnets", "security_groups", "scheme", "ip_address_type"):
                if getattr(made, what) != getattr(lost, what):
                    raise Conflict(f"{self._name} is there, and its {what} are not those of today")
        have = await api.attributes(self._aws, made)
        differing = {
            key: value
            for key, value in self._pattern.attributes.items()
            if key not in _OURS and have.get(key) != value
        }
        if differing:
            pairs = [{"Key": key, "Value": value} for key, value in sorted(differing.items())]
            self._sent(
                await self._aws.mutate(
                    "elbv2",
                    "modify_load_balancer_attributes",
                    LoadBalancerArn=made.arn,
                    Attributes=pairs,
                )
            )
        return made

    async def group(self) -> str:
        """
        The target group's ARN; made when there is none.

        Raises:
            Conflict: Its name is somebody else's.
            OutcomeUnknown: Sent, and no answer came.
        """
        there = await api.group_named(self._aws, self._name)
        if there is not None:
            await self.require_ours(there["TargetGroupArn"], self._name)
            return str(there["TargetGroupArn"])
        source = self._pattern.group
        answer = self._sent(
            await self._aws.mutate(
                "elbv2",
                "create_target_group",
                Name=self._name,
                TargetType="ip",  # the API's default takes instances, and refuses a pod
                Protocol=source["Protocol"],
                Port=source["Port"],
                VpcId=self._pattern.balancer.vpc,
                HealthCheckProtocol=source["HealthCheckProtocol"],
                HealthCheckPath=source["HealthCheckPath"],
                HealthCheckIntervalSeconds=INTERVAL_S,
                HealthCheckTimeoutSeconds=TIMEOUT_S,
                HealthyThresholdCount=SUCCESSES,
                UnhealthyThresholdCount=SUCCESSES,
                Matcher={"HttpCode": (source.get("Matcher") or {}).get("HttpCode", "200")},
                Tags=[{"Key": TAG, "Value": self._target.name}],
            )
        )
        made = answer["TargetGroups"][0]
        if made.get("TargetGroupName") != self._name:
            raise OutcomeUnknown(f"ELB was asked for the target group {self._name}, told another")
        return str(made["TargetGroupArn"])

    async def register(self, group: str, addresses: Sequence[str]) -> tuple[str, ...]:
        """
        Registers the addresses that are not registered; returns those.

        Raises:
            Rejected: An address cannot be a target there.
            OutcomeUnknown: Sent, and no answer came.
        """
        known = {target.id for target in await api.health(self._aws, group)}
        missing = tuple(sorted(set(addresses) - known))
        if missing:
            targets = [{"Id": address} for address in missing]
            self._sent(
                await self._aws.mutate(
                    "elbv2", "register_targets", TargetGroupArn=group, Targets=targets
                )
            )
        return missing

    async def listeners(self, balancer: api.Balancer, group: str) -> None:
        """
        Makes each port that the lost one had and this one has not.

        Raises:
            Conflict: A port is there and leads elsewhere.
            Rejected: A certificate is gone.
            OutcomeUnknown: Sent, and no answer came.
        """
        have = {each.port: each for each in await api.listeners(self._aws, balancer)}
        for wanted in self._pattern.listeners:
            there = have.get(wanted.port)
            if there is not None:
                if wanted.groups and there.groups != (group,):
                    raise Conflict(f"port {wanted.port} of {self._name} leads elsewhere")
                continue
            default, *named = self._pattern.certificates[wanted.port] or (None,)
            tls: dict[str, Any] = {}
            if default is not None:
                tls["Certificates"] = [{"CertificateArn": default}]
                tls |= {"SslPolicy": wanted.ssl_policy} if wanted.ssl_policy else {}
            forward = [{"Type": "forward", "TargetGroupArn": group}]
            answer = self._sent(
                await self._aws.mutate(
                    "elbv2",
                    "create_listener",
                    LoadBalancerArn=balancer.arn,
                    Protocol=wanted.protocol,
                    Port=wanted.port,
                    DefaultActions=forward if wanted.groups else list(wanted.actions),
                    **tls,
                )
            )
            made = answer["Listeners"][0]
            if made.get("LoadBalancerArn") != balancer.arn:
                raise OutcomeUnknown(f"ELB was asked for a listener of {self._name}, told another")
            if named:
                self._sent(
                    await self._aws.mutate(
                        "elbv2",
                        "add_listener_certificates",
                        ListenerArn=made["ListenerArn"],
                        Certificates=[{"CertificateArn": arn} for arn in named],
                    )
                )

    async def wait(self, group: str, addresses: Sequence[str], wanted: int) -> int:
        """
        Waits until it is active and *wanted* of the addresses are healthy; returns how many are.

        Raises:
            Rejected: It has failed.
            OutcomeUnknown: Not within the deadline.
        """
        ctx, pause_s, last = self._ctx, FIRST_POLL_S, "nothing yet"
        late: type[ActionError] = OutcomeUnknown if self._has_sent else Unavailable
        while True:
            try:
                balancer = await self._living()
                seen = await api.health(self._aws, group, patience=timedelta())
            except (Throttled, Unavailable) as error:
                last = str(error)
            except (NotFound, Rejected):
                raise
            except ActionError as error:
                raise late(f"{self._name}: {error}") from error
            else:
                mine = {each.id: each for each in seen if each.id in set(addresses)}
                healthy = sum(each.state == "healthy" for each in mine.values())
                if balancer.state == api.ACTIVE and healthy >= wanted:
                    return healthy
                reasons = {each.reason or each.state for each in mine.values()}
                last = f"{balancer.state}, {healthy} of {wanted} targets are healthy"
                last += f" ({', '.join(sorted(reasons - {'healthy'}))})"
                ctx.say(f"{self._name}: {last}")
            await ctx.clock.sleep(min(pause_s, ctx.deadline.left_s(ctx.clock)))
            pause_s = min(LAST_POLL_S, pause_s * 1.5)
            if ctx.deadline.has_passed(ctx.clock):
                raise late(f"{self._name}: {last}")

    async def _living(self) -> api.Balancer:
        balancer = await api.require(self._aws, self._name, patience=timedelta())
        if balancer.state in api.LOST_STATES:
            raise Rejected(f'{self._name} is "{balancer.state}": {balancer.why}')
        return balancer

    async def drop(self, group: str, addresses: Sequence[str]) -> tuple[str, ...]:
        """
        Takes out what is registered and is no ready pod's address; returns those.

        Raises:
            OutcomeUnknown: Sent, and no answer came.
        """
        known = {target.id for target in await api.health(self._aws, group)}
        stale = tuple(sorted(known - set(addresses)))
        if stale:
            targets = [{"Id": address} for address in stale]
            self._sent(
                await self._aws.mutate(
                    "elbv2", "deregister_targets", TargetGroupArn=group, Targets=targets
                )
            )
        return stale

    async def delete_group(self, group: str) -> None:
        """
        Deletes the target group once its listeners are gone.

        Raises:
            Conflict: It is in use until the deadline.
            OutcomeUnknown: Sent, and no answer came.
        """
        ctx = self._ctx
        while True:
            try:
                self._sent(
                    await self._aws.mutate("elbv2", "delete_target_group", TargetGroupArn=group)
                )
            except NotFound:
                return
            except Conflict:  # the listeners go a moment after their load balancer
                await ctx.clock.sleep(min(LAST_POLL_S, ctx.deadline.left_s(ctx.clock)))
                if ctx.deadline.has_passed(ctx.clock):
                    raise
            else:
                return

    async def require_ours(self, arn: str, name: str) -> None:
        """
        Checks that drctl made it, for this very load balancer.

        Raises:
            Conflict: Somebody else did.
        """
        found = (await api.tags(self._aws, arn)).get(TAG)
        if found != self._target.name:
            raise Conflict(
                f"{name} ({self._aws.region}) was not made to stand in for {self._target.name}:"
                f" its tag {TAG} is {found or 'missing'}"
            )

    def _sent(self, answer: dict[str, Any]) -> dict[str, Any]:
        self._has_sent = True
        return answer
