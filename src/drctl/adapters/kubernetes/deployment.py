"""Scales, restarts and waits for a Deployment."""

from typing import ClassVar

from pydantic import Field

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
    Params,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, Conflict
from drctl.actions.targets import Deployment
from drctl.adapters.kubernetes.autoscaler import autoscaler_of
from drctl.adapters.kubernetes.client import Cluster, deployment_path
from drctl.adapters.kubernetes.rollout import RESTART_KEY, Rollout, look, wait_until


def _planes(target: Deployment) -> tuple[str, ...]:
    return (f"data-plane:{target.cluster.region}",)


class ScaleParams(Params):
    """How many."""

    replicas: int = Field(ge=1, le=1000)
    """At least one: taking the last pod away is not scaling."""
    at_least: bool = False
    """True: never fewer than there are, as in a recovery; nothing is sent when there are enough."""


class Scaled(Outputs):
    """Before and after."""

    previous_replicas: int | None
    """``None`` when it was only read back later that the scaling had happened."""
    replicas: int


class ScaleDeployment(Action[Deployment, ScaleParams, Scaled]):
    """Sets the number of replicas and waits until that many serve."""

    name: ClassVar[str] = "kubernetes.deployment.scale"
    summary: ClassVar[str] = "Set a Deployment's replicas and wait until they are available"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (Deployment,)
    params = ScaleParams
    outputs = Scaled

    def planes(self, target: Deployment) -> tuple[str, ...]:
        return _planes(target)

    async def observe(
        self, ctx: Context, target: Deployment, params: ScaleParams | None
    ) -> Observation:
        seen = await look(Cluster(ctx, target.cluster), target)
        found = await autoscaler_of(Cluster(ctx, target.cluster), target)
        why = found.would_override(_wanted(seen, params)) if found and params else ""
        return Observation(
            facts={"replicas": seen.desired, "autoscaler": found.name if found else None},
            readings={"available": seen.available, "overrides": why},
        )

    def preview(
        self, observation: Observation, target: Deployment, params: ScaleParams | None
    ) -> Preview:
        now = observation.facts["replicas"]
        if params is None:
            return CannotTell(why=f"now {now} replicas; the number is known during the run")
        if observation.readings.get("overrides"):
            return CannotTell(why=str(observation.readings["overrides"]))
        has_more = isinstance(now, int) and now > params.replicas
        if now == params.replicas or (params.at_least and has_more):
            return Nothing(why=f"{target.name} has {now} replicas")
        return Change(before=f"{now} replicas", after=f"{params.replicas} replicas")

    async def perform(self, ctx: Context, target: Deployment, params: ScaleParams) -> Scaled:
        """
        Scales and waits.

        Raises:
            Conflict: An autoscaler would set another number; nothing was changed. Or something else
                set another one meanwhile.
            Rejected: The controller gave up, or the Deployment is gone.
            OutcomeUnknown: Sent, and not seen to end.

        Changes:
            The Deployment's number of replicas.
        """
        cluster = Cluster(ctx, target.cluster)
        before = await look(cluster, target)
        wanted, found = _wanted(before, params), await autoscaler_of(cluster, target)
        if found and (why := found.would_override(wanted)):
            raise Conflict(why)
        if before.desired != wanted:
            await cluster.patch(f"{deployment_path(target)}/scale", {"spec": {"replicas": wanted}})

        def reached(seen: Rollout) -> bool:
            has_more = params.at_least and seen.desired > wanted
            if seen.desired != wanted and not has_more:
                raise Conflict(f"{target.label} was set to {seen.desired} by something else")
            return _serves(seen, wanted)

        await wait_until(ctx, cluster, target, reached, after_change=before.desired != wanted)
        return Scaled(previous_replicas=before.desired, replicas=wanted)

    async def settled(
        self, ctx: Context, target: Deployment, params: ScaleParams
    ) -> Done[Scaled] | NotDone | CannotTell:
        try:
            seen = await look(Cluster(ctx, target.cluster), target)
        except ActionError as error:
            return CannotTell(why=str(error))
        wanted = _wanted(seen, params)
        if seen.desired != wanted:
            return NotDone(why=f"{target.label} has {seen.desired} replicas")
        if _serves(seen, wanted):
            return Done(outputs=Scaled(previous_replicas=None, replicas=wanted))
        return CannotTell(why=f"{target.label} is scaled, but {seen}")

    def debts(
        self, target: Deployment, params: ScaleParams, outputs: Scaled
    ) -> tuple[Debt | Cleared, ...]:
        key, before = f"scaled:{target.identities[0]}", outputs.previous_replicas
        if before is None or outputs.replicas == before:
            return ()
        if outputs.replicas < before:
            return (Cleared(key=key),)
        what = f"{target.label} has {outputs.replicas} replicas instead of {before}"
        remedy = "scale it back once the traffic is as usual, and give its manifest the number"
        return (Debt(key=key, what=what, remedy=remedy),)


def _wanted(seen: Rollout, params: ScaleParams) -> int:
    return max(seen.desired, params.replicas) if params.at_least else params.replicas


def _serves(seen: Rollout, replicas: int) -> bool:
    return seen.is_observed and seen.available >= replicas


class Rolled(Outputs):
    """The finished rollout."""

    replicas: int
    revision: str


class RestartDeployment(Action[Deployment, NoParams, Rolled]):
    """Replaces every pod by a new one and waits until the last old one is gone."""

    name: ClassVar[str] = "kubernetes.deployment.restart"
    summary: ClassVar[str] = "Restart a Deployment and wait for the true end of the rollout"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.KEYED
    targets = (Deployment,)
    outputs = Rolled

    def planes(self, target: Deployment) -> tuple[str, ...]:
        return _planes(target)

    async def observe(
        self, ctx: Context, target: Deployment, params: NoParams | None
    ) -> Observation:
        seen = await look(Cluster(ctx, target.cluster), target)
        return Observation(
            facts={"is_paused": seen.is_paused},
            readings={"replicas": seen.desired, "revision": seen.revision, "state": str(seen)},
        )

    def preview(
        self, observation: Observation, target: Deployment, params: NoParams | None
    ) -> Preview:
        if observation.facts["is_paused"]:
            return CannotTell(why=f"{target.name} is paused: a restart would not roll out")
        readings = observation.readings
        return Change(
            before=f"revision {readings['revision']}, {readings['state']}",
            after=f"the same template in {readings['replicas']} new pod(s)",
        )

    async def perform(self, ctx: Context, target: Deployment, params: NoParams) -> Rolled:
        """
        Restarts and waits.

        Safe to repeat: a template that carries this key already is not changed again, only waited
        for.

        Raises:
            Conflict: The Deployment is paused, or has no replicas: nothing would be restarted.
            Rejected: The rollout's progress deadline passed, or the Deployment is gone.
            OutcomeUnknown: Sent, and not seen to end.

        Changes:
            The Deployment's pod template (one annotation) and with it every pod.
        """
        cluster = Cluster(ctx, target.cluster)
        before = await look(cluster, target)
        if before.is_paused or before.desired == 0:
            why = "is paused" if before.is_paused else "has no replicas"
            raise Conflict(f"{target.label} {why}: nothing would be restarted")
        if before.restart_key != ctx.key:
            annotations = {"annotations": {RESTART_KEY: ctx.key}}
            body = {"spec": {"template": {"metadata": annotations}}}
            await cluster.patch(deployment_path(target), body)
        seen = await wait_until(
            ctx,
            cluster,
            target,
            lambda seen: seen.restart_key == ctx.key and seen.is_complete,
            after_change=True,
        )
        return _rolled(seen)

    async def settled(
        self, ctx: Context, target: Deployment, params: NoParams
    ) -> Done[Rolled] | NotDone | CannotTell:
        try:
            seen = await look(Cluster(ctx, target.cluster), target)
        except ActionError as error:
            return CannotTell(why=str(error))
        if seen.restart_key != ctx.key:
            return NotDone(why=f"the pods of {target.label} do not carry this restart's key")
        if seen.is_complete:
            return Done(outputs=_rolled(seen))
        return CannotTell(why=f"{target.label} is being restarted: {seen}")


class WaitParams(Params):
    """What to wait for."""

    replicas: int | None = Field(default=None, ge=1)
    """At least so many available; absent: as many as the Deployment wants."""


class Waited(Outputs):
    """The rollout once it was complete."""

    replicas: int
    available: int
    revision: str


class WaitForDeployment(Action[Deployment, WaitParams, Waited]):
    """Waits for the true end of a rollout that something else started."""

    name: ClassVar[str] = "kubernetes.deployment.wait"
    summary: ClassVar[str] = "Wait until a Deployment's rollout is complete"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (Deployment,)
    params = WaitParams
    outputs = Waited

    def planes(self, target: Deployment) -> tuple[str, ...]:
        return _planes(target)

    async def observe(
        self, ctx: Context, target: Deployment, params: WaitParams | None
    ) -> Observation:
        seen = await look(Cluster(ctx, target.cluster), target)
        return Observation(readings={"state": str(seen)})

    async def perform(self, ctx: Context, target: Deployment, params: WaitParams) -> Waited:
        """
        Waits.

        Raises:
            Rejected: The rollout's progress deadline passed, or the Deployment is gone.
            Unavailable: Not complete by the deadline.
        """
        seen = await wait_until(
            ctx,
            Cluster(ctx, target.cluster),
            target,
            lambda seen: seen.is_complete and seen.available >= (params.replicas or 1),
            after_change=False,
        )
        return Waited(replicas=seen.replicas, available=seen.available, revision=seen.revision)


def _rolled(seen: Rollout) -> Rolled:
    return Rolled(replicas=seen.replicas, revision=seen.revision)
