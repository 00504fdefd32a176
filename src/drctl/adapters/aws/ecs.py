"""Sets how many tasks an ECS service has, unless an autoscaler would set another number."""

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
from drctl.actions.targets import EcsService
from drctl.adapters.aws import scaled
from drctl.adapters.aws.client import PATIENCE, Aws
from drctl.adapters.aws.scaled import DesiredParams, Scaled

_DIMENSION = "ecs:service:DesiredCount"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Service:
    """As it was described."""

    desired: int
    running: int
    pending: int
    status: str
    is_daemon: bool

    @property
    def is_steady(self) -> bool:
        return self.running == self.desired and not self.pending


class ScaleService(Action[EcsService, DesiredParams, Scaled]):
    """Sets the desired count and waits until that many tasks run."""

    name: ClassVar[str] = "aws.ecs.service.scale"
    summary: ClassVar[str] = "Set an ECS service's number of tasks and wait until they run"
    effect: ClassVar[Effect] = Effect.CHANGE
    alternative: ClassVar[str] = "capacity that is kept running where it will be needed"
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (EcsService,)
    params = DesiredParams
    outputs = Scaled

    def planes(self, target: EcsService) -> tuple[str, ...]:
        """Starting tasks is a control plane's work, also in the region that is alive."""
        return (f"control-plane:{target.aws.region}",)

    async def observe(
        self, ctx: Context, target: EcsService, params: DesiredParams | None
    ) -> Observation:
        aws = Aws(ctx, target.aws)
        seen = await _look(aws, target)
        why = "" if params is None else await _refusal(aws, target, seen, params.desired)
        return Observation(
            facts={"desired": seen.desired},
            readings={"running": seen.running, "refuses": why},
        )

    def preview(
        self, observation: Observation, target: EcsService, params: DesiredParams | None
    ) -> Preview:
        now = observation.facts["desired"]
        if params is None:
            return CannotTell(why=f"now {now}; the number is known during the run")
        if observation.readings["refuses"]:
            return CannotTell(why=f"{target.label}: {observation.readings['refuses']}")
        if now == params.desired:
            return Nothing(why=f"{target.service} shall have {now} already")
        return Change(before=f"{now} tasks", after=f"{params.desired} tasks")

    async def perform(self, ctx: Context, target: EcsService, params: DesiredParams) -> Scaled:
        """
        Scales and waits.

        Raises:
            Conflict: An autoscaler would set another number, or it is not active; nothing was
                changed. Or something else set another number meanwhile.
            NotFound: No such service, or no such cluster.
            OutcomeUnknown: Sent, and not seen to end.

        Changes:
            The service's desired count, never an autoscaler's bounds.
        """
        aws = Aws(ctx, target.aws)
        before = await _look(aws, target)
        if why := await _refusal(aws, target, before, params.desired):
            raise Conflict(f"{target.label}: {why}")
        if before.desired != params.desired:
            await aws.mutate(
                "ecs",
                "update_service",
                cluster=target.cluster_name,
                service=target.service,
                desiredCount=params.desired,
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
        self, ctx: Context, target: EcsService, params: DesiredParams
    ) -> Done[Scaled] | NotDone | CannotTell:
        try:
            seen = await _look(Aws(ctx, target.aws), target)
        except ActionError as error:
            return CannotTell(why=str(error))
        if seen.desired != params.desired:
            return NotDone(why=f"{target.label} shall have {seen.desired}")
        if not seen.is_steady:
            return CannotTell(why=f"{target.label}: {seen.running} of {seen.desired} run")
        return Done(
            outputs=Scaled(
                previous_desired=scaled.before(ctx), desired=seen.desired, running=seen.running
            )
        )

    def debts(
        self, target: EcsService, params: DesiredParams, outputs: Scaled
    ) -> tuple[Debt | Cleared, ...]:
        return scaled.debts(target, outputs)


async def _look(aws: Aws, target: EcsService, patience: timedelta = PATIENCE) -> _Service:
    answer = await aws.read(
        "ecs",
        "describe_services",
        patience=patience,
        cluster=target.cluster_name,
        services=[target.service],
    )
    found = answer.get("services", [])
    if not found:
        reasons = ", ".join(str(one.get("reason")) for one in answer.get("failures", []))
        if reasons != "MISSING":
            raise Unavailable(f"ECS does not describe {target.label}: {reasons or 'no reason'}")
        raise NotFound(f"there is no {target.label}")
    service: Mapping[str, Any] = found[0]
    cluster = str(service["clusterArn"]).rsplit("/", 1)[-1]
    if (cluster, service["serviceName"]) != (target.cluster_name, target.service):
        raise Unavailable(f"ECS was asked about {target.service}, and told of another")
    return _Service(
        desired=service["desiredCount"],
        running=service["runningCount"],
        pending=service["pendingCount"],
        status=service["status"],
        is_daemon=service.get("schedulingStrategy") == "DAEMON",
    )


async def _refusal(aws: Aws, target: EcsService, seen: _Service, wanted: int) -> str:
    """Why it would not have, or not keep, that many; empty when it would."""
    if seen.status != "ACTIVE":
        return f"it is {seen.status}"
    if seen.is_daemon:
        return "it runs one task on each machine, not a number of them"
    resource = f"service/{target.cluster_name}/{target.service}"
    answer = await aws.read(
        "application-autoscaling",
        "describe_scalable_targets",
        ServiceNamespace="ecs",
        ResourceIds=[resource],
        ScalableDimension=_DIMENSION,
    )
    for one in answer.get("ScalableTargets", []):
        if one["ResourceId"] != resource:
            raise Unavailable(f"Auto Scaling was asked about {resource}, and told of another")
        if not one["MinCapacity"] <= wanted <= one["MaxCapacity"]:
            bounds = f"from {one['MinCapacity']} to {one['MaxCapacity']}"
            return f"its autoscaler keeps {bounds}, and would not leave it at {wanted}"
    return ""
