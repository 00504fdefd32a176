"""Sets how many instances an Auto Scaling group has, inside its own bounds."""

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
    NotDone,
    Nothing,
    Observation,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, Conflict, NotFound, Unavailable
from drctl.actions.targets import AutoScalingGroup
from drctl.adapters.aws import scaled
from drctl.adapters.aws.client import PATIENCE, Aws
from drctl.adapters.aws.scaled import DesiredParams, Scaled


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """As it was described. With weights, numbers are of capacity, not of machines."""

    desired: int
    least: int
    most: int
    running: int
    """In service, and healthy."""
    others: int
    """On their way in or out, standing by, or ill."""
    suspended: frozenset[str]
    is_leaving: bool

    @property
    def is_steady(self) -> bool:
        return self.running == self.desired and not self.others

    def refuses(self, wanted: int) -> str:
        """Why it would not have that many; empty when it would."""
        if self.is_leaving:
            return "it is being deleted"
        if not self.least <= wanted <= self.most:
            return f"it may have from {self.least} to {self.most}, not {wanted}"
        needed = "Launch" if wanted > self.running else "Terminate"
        if wanted != self.running and needed in self.suspended:
            return f"its process {needed} is suspended"
        return ""


class ScaleGroup(Action[AutoScalingGroup, DesiredParams, Scaled]):
    """Sets the desired capacity and waits until that many are in service."""

    name: ClassVar[str] = "aws.autoscaling.group.scale"
    summary: ClassVar[str] = "Set an Auto Scaling group's capacity and wait until it is in service"
    effect: ClassVar[Effect] = Effect.CHANGE
    alternative: ClassVar[str] = "capacity that is kept running where it will be needed"
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (AutoScalingGroup,)
    params = DesiredParams
    outputs = Scaled

    def planes(self, target: AutoScalingGroup) -> tuple[str, ...]:
        """Starting machines is a control plane's work, also in the region that is alive."""
        return (f"control-plane:{target.aws.region}",)

    async def observe(
        self, ctx: Context, target: AutoScalingGroup, params: DesiredParams | None
    ) -> Observation:
        seen = await _look(Aws(ctx, target.aws), target)
        why = "" if params is None else seen.refuses(params.desired)
        return Observation(
            facts={"desired": seen.desired, "least": seen.least, "most": seen.most},
            readings={"running": seen.running, "refuses": why},
        )

    def preview(
        self, observation: Observation, target: AutoScalingGroup, params: DesiredParams | None
    ) -> Preview:
        now = observation.facts["desired"]
        if params is None:
            return CannotTell(why=f"now {now}; the number is known during the run")
        if observation.readings["refuses"]:
            return CannotTell(why=f"{target.label}: {observation.readings['refuses']}")
        if now == params.desired:
            return Nothing(why=f"{target.name} shall have {now} already")
        return Change(before=f"{now} instances", after=f"{params.desired} instances")

    async def perform(
        self, ctx: Context, target: AutoScalingGroup, params: DesiredParams
    ) -> Scaled:
        """
        Scales and waits.

        Raises:
            Conflict: Outside its bounds, or it cannot start or end instances; nothing was changed.
                Or something else set another number meanwhile.
            NotFound: No such group.
            OutcomeUnknown: Sent, and not seen to end.

        Changes:
            The group's desired capacity, never its bounds.
        """
        aws = Aws(ctx, target.aws)
        before = await _look(aws, target)
        if why := before.refuses(params.desired):
            raise Conflict(f"{target.label}: {why}")
        if before.desired != params.desired:
            await aws.mutate(
                "autoscaling",
                "set_desired_capacity",
                AutoScalingGroupName=target.name,
                DesiredCapacity=params.desired,
                HonorCooldown=False,
            )
        seen = await scaled.until_steady(
            ctx,
            lambda patience: _look(aws, target, patience),
            desired=params.desired,
            label=target.label,
            old=None if before.desired == params.desired else before.desired,
        )
        return Scaled(
            previous_desired=scaled.before(ctx, before.desired),
            desired=seen.desired,
            running=seen.running,
        )

    async def settled(
        self, ctx: Context, target: AutoScalingGroup, params: DesiredParams
    ) -> Done[Scaled] | NotDone | CannotTell:
        try:
            seen = await _look(Aws(ctx, target.aws), target)
        except ActionError as error:
            return CannotTell(why=str(error))
        if seen.desired != params.desired:
            return NotDone(why=f"{target.label} shall have {seen.desired}")
        if not seen.is_steady:
            return CannotTell(
                why=f"{target.label}: {seen.running} of {seen.desired} are in service"
            )
        return Done(
            outputs=Scaled(
                previous_desired=scaled.before(ctx), desired=seen.desired, running=seen.running
            )
        )

    def debts(
        self, target: AutoScalingGroup, params: DesiredParams, outputs: Scaled
    ) -> tuple[Debt | Cleared, ...]:
        return scaled.debts(target, outputs)


async def _look(aws: Aws, target: AutoScalingGroup, patience: timedelta = PATIENCE) -> _Group:
    answer = await aws.read(
        "autoscaling",
        "describe_auto_scaling_groups",
        patience=patience,
        AutoScalingGroupNames=[target.name],
    )
    found = answer.get("AutoScalingGroups", [])
    if not found:
        raise NotFound(f"there is no {target.label}")
    group: Mapping[str, Any] = found[0]
    if group["AutoScalingGroupName"] != target.name or len(found) > 1:
        raise Unavailable(f"Auto Scaling was asked about {target.name}, and told of another")
    weights = [
        (one["LifecycleState"], one["HealthStatus"], int(one.get("WeightedCapacity") or 1))
        for one in group.get("Instances", [])
    ]
    running = sum(
        weight for state, health, weight in weights if (state, health) == ("InService", "Healthy")
    )
    return _Group(
        desired=group["DesiredCapacity"],
        least=group["MinSize"],
        most=group["MaxSize"],
        running=running,
        others=sum(weight for *_, weight in weights) - running,
        suspended=frozenset(one["ProcessName"] for one in group.get("SuspendedProcesses", [])),
        is_leaving="Status" in group and bool(group["Status"]),
    )
