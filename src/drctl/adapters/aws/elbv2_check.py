"""
Says whether a load balancer serves: it is active, something listens, and healthy targets stand
behind each port.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from drctl.actions.contract import Action, Context, Effect, Observation, Outputs, Params, Repeat
from drctl.actions.errors import Rejected
from drctl.actions.planes import Ask
from drctl.actions.targets import LoadBalancer
from drctl.actions.targets.balancers import BalancerName
from drctl.adapters.aws import elbv2_api as api
from drctl.adapters.aws.client import Aws


class CheckParams(Params):
    """Which one, and how well."""

    name: BalancerName | None = None
    """Another load balancer of the same account and region; the target itself when left out."""
    healthy_at_least: int = Field(default=1, ge=1, le=1000)
    """Targets that must be healthy behind each port that forwards."""


class Checked(Outputs):
    """What Elastic Load Balancing says."""

    is_serving: bool
    why: str
    """What is missing; empty when it serves."""
    state: str
    """``active``, ``provisioning``, ``active_impaired``, ``failed``; ``absent`` without one."""
    dns_name: str
    zone_id: str
    """The hosted zone of *dns_name*, for an alias record."""
    ports: tuple[int, ...]
    healthy: int
    """Targets that are healthy behind the port that has the fewest."""
    targets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One look at a load balancer and everything behind it."""

    balancer: api.Balancer | None
    listeners: tuple[api.Listener, ...] = ()
    health: tuple[tuple[int, tuple[api.TargetHealth, ...]], ...] = ()
    """Port to the targets of the groups that it forwards to."""

    def checked(self, wanted: int) -> Checked:
        """In the words of the outputs."""
        if self.balancer is None:
            return Checked(
                is_serving=False,
                why="there is no such load balancer",
                state="absent",
                dns_name="",
                zone_id="",
                ports=(),
                healthy=0,
                targets=0,
            )
        why = self._missing(self.balancer, wanted)
        return Checked(
            is_serving=not why,
            why=why,
            state=self.balancer.state,
            dns_name=self.balancer.dns_name,
            zone_id=self.balancer.zone_id,
            ports=tuple(listener.port for listener in self.listeners),
            healthy=min((_healthy(each) for _port, each in self.health), default=0),
            targets=max((len(each) for _port, each in self.health), default=0),
        )

    def _missing(self, balancer: api.Balancer, wanted: int) -> str:
        if balancer.state != api.ACTIVE:
            return f'it is "{balancer.state}"' + (f": {balancer.why}" if balancer.why else "")
        if not self.listeners:
            return "it has no listener"
        if not self.health:
            return "no listener forwards to targets"
        for port, targets in self.health:
            if (healthy := _healthy(targets)) < wanted:
                reasons = sorted({target.reason for target in targets if target.reason})
                said = f" ({', '.join(reasons)})" if reasons else ""
                return f"port {port} has {healthy} healthy targets of {wanted}{said}"
        return ""


def _healthy(targets: Iterable[api.TargetHealth]) -> int:
    return sum(target.state == "healthy" for target in targets)


async def look(aws: Aws, name: str) -> Seen:
    """
    Reads the load balancer of that name, its listeners and their targets.

    Raises:
        ActionError: Some of it could not be read.
    """
    balancer = await api.find(aws, name)
    if balancer is None:
        return Seen(balancer=None)
    found = await api.listeners(aws, balancer)
    health = []
    for listener in found:
        targets = [one for group in listener.groups for one in await api.health(aws, group)]
        if listener.groups:
            health.append((listener.port, tuple(targets)))
    return Seen(balancer=balancer, listeners=found, health=tuple(health))


class CheckBalancer(Action[LoadBalancer, CheckParams, Checked]):
    """Looks, and says; a load balancer that does not serve is an answer."""

    name: ClassVar[str] = "aws.elbv2.check"
    summary: ClassVar[str] = (
        "Say whether a load balancer is active, listens and has healthy targets"
    )
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (LoadBalancer,)
    params = CheckParams
    outputs = Checked

    def planes(self, target: LoadBalancer) -> tuple[str, ...]:
        return (f"control-plane:{target.aws.region}",)

    async def observe(
        self, ctx: Context, target: LoadBalancer, params: CheckParams | None
    ) -> Observation:
        seen = await self.perform(ctx, target, params or CheckParams())
        return Observation(
            facts={"dns_name": seen.dns_name},
            readings={"state": seen.state, "healthy": seen.healthy, "why": seen.why},
        )

    async def perform(self, ctx: Context, target: LoadBalancer, params: CheckParams) -> Checked:
        """
        Looks once.

        Raises:
            ActionError: It could not be read.
        """
        seen = await look(Aws(ctx, target.aws), params.name or target.name)
        return seen.checked(params.healthy_at_least)


class AssertServing(CheckBalancer):
    """Fails when a load balancer does not serve."""

    name: ClassVar[str] = "aws.elbv2.assert_serving"
    summary: ClassVar[str] = (
        "Fail unless a load balancer is active, listens and has healthy targets"
    )

    def asks_to_look(
        self, target: LoadBalancer, params: CheckParams | None = None
    ) -> tuple[Ask, ...]:
        return ()

    async def observe(
        self, ctx: Context, target: LoadBalancer, params: CheckParams | None
    ) -> Observation:
        return Observation()

    async def perform(self, ctx: Context, target: LoadBalancer, params: CheckParams) -> Checked:
        """
        Looks once.

        Raises:
            Rejected: It does not serve; says what is missing.
            ActionError: It could not be read.
        """
        seen = await super().perform(ctx, target, params)
        if not seen.is_serving:
            raise Rejected(f"{params.name or target.name} ({target.aws.region}): {seen.why}")
        return seen
