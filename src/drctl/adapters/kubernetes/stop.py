"""Takes every pod of a Deployment away, and waits until the last one is gone."""

from datetime import timedelta
from typing import ClassVar
from urllib.parse import quote

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
    AuthRejected,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from drctl.actions.targets import Deployment
from drctl.adapters.kubernetes.client import Cluster, deployment_path
from drctl.adapters.kubernetes.rollout import FIRST_POLL_S, LAST_POLL_S, look


class Stopped(Outputs):
    """What was there."""

    previous_replicas: int
    """To be given to ``kubernetes.deployment.scale`` when it may run again; the number that it was
    asked for, not one that somebody remembers. 0 when it was stopped already."""
    pods: int
    """How many pods went."""


class StopDeployment(Action[Deployment, NoParams, Stopped]):
    """
    Scales to nothing, and waits for the pods themselves.

    A Deployment counts no pod that is on its way out, and that is the one which still writes. So
    the pods are listed, by the Deployment's own selector, until there is none.
    """

    name: ClassVar[str] = "kubernetes.deployment.stop"
    summary: ClassVar[str] = "Take every pod of a Deployment away and wait until the last is gone"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (Deployment,)
    outputs = Stopped

    def planes(self, target: Deployment) -> tuple[str, ...]:
        return (f"data-plane:{target.cluster.region}",)

    async def observe(
        self, ctx: Context, target: Deployment, params: NoParams | None
    ) -> Observation:
        cluster = Cluster(ctx, target.cluster)
        seen = await look(cluster, target)
        return Observation(
            facts={"replicas": seen.desired},
            readings={"pods": len(await _pods(cluster, target))},
        )

    def preview(
        self, observation: Observation, target: Deployment, params: NoParams | None
    ) -> Preview:
        replicas, pods = observation.facts["replicas"], observation.readings["pods"]
        if replicas == 0 and pods == 0:
            return Nothing(why=f"{target.name} has no pods")
        return Change(before=f"{replicas} replicas, {pods} pods", after="no pods")

    async def perform(self, ctx: Context, target: Deployment, params: NoParams) -> Stopped:
        """
        Scales to 0 and waits until no pod is left.

        Raises:
            Conflict: Something else, an autoscaler or a reconciler, scaled it up again.
            NotFound: No such Deployment.
            OutcomeUnknown: Sent, and a pod was still there at the deadline.

        Changes:
            The Deployment's number of replicas, and with it its pods.
        """
        cluster = Cluster(ctx, target.cluster)
        before = await look(cluster, target)
        pods = len(await _pods(cluster, target))
        if before.desired:
            await cluster.patch(f"{deployment_path(target)}/scale", {"spec": {"replicas": 0}})
        pause_s, last = FIRST_POLL_S, "it was not read"
        while True:
            try:
                seen = await look(cluster, target, patience=timedelta())
                left = await _pods(cluster, target, patience=timedelta())
            except (Throttled, Unavailable) as error:
                last = str(error)
            except (NotFound, AuthRejected, Rejected) as error:
                raise OutcomeUnknown(f"scaled to 0, and then not readable: {error}") from error
            else:
                if seen.desired:
                    raise Conflict(f"{target.label} was set to {seen.desired} by something else")
                if not left:
                    return Stopped(previous_replicas=before.desired, pods=pods)
                last = f"{len(left)} pod(s) left: {', '.join(sorted(left)[:3])}"
                ctx.say(f"{target.name}: {last}")
            await ctx.clock.sleep(min(pause_s, ctx.deadline.left_s(ctx.clock)))
            pause_s = min(LAST_POLL_S, pause_s * 1.5)
            if ctx.deadline.has_passed(ctx.clock):
                raise OutcomeUnknown(f"{target.label}: {last}")

    async def settled(
        self, ctx: Context, target: Deployment, params: NoParams
    ) -> Done[Stopped] | NotDone | CannotTell:
        """Never `Done` for a stop of our own: how many replicas there were is not seen any more."""
        cluster = Cluster(ctx, target.cluster)
        try:
            seen = await look(cluster, target)
            left = await _pods(cluster, target)
        except ActionError as error:
            return CannotTell(why=str(error))
        if seen.desired:
            return NotDone(why=f"{target.label} has {seen.desired} replicas")
        if ctx.seen is None or not isinstance(replicas := ctx.seen.get("replicas"), int):
            return CannotTell(why=f"{target.label} is stopped; how many it had was not recorded")
        if left:
            return CannotTell(why=f"{target.label} is scaled to 0, but {len(left)} pod(s) are left")
        return Done(outputs=Stopped(previous_replicas=replicas, pods=0))

    def debts(
        self, target: Deployment, params: NoParams, outputs: Stopped
    ) -> tuple[Debt | Cleared, ...]:
        if outputs.previous_replicas == 0:
            return ()
        return (
            Debt(
                key=f"scaled:{target.identities[0]}",
                what=f"{target.label} is scaled to 0; it had {outputs.previous_replicas}",
                remedy=f"scale it to {outputs.previous_replicas} once it may write again",
            ),
        )


async def _pods(
    cluster: Cluster, target: Deployment, *, patience: timedelta = timedelta(seconds=10)
) -> list[str]:
    """Names of the pods that its selector fits, those that are on their way out included."""
    deployment = await cluster.get(deployment_path(target), patience=patience)
    labels = deployment["spec"]["selector"].get("matchLabels") or {}
    if not labels or deployment["spec"]["selector"].get("matchExpressions"):
        raise Rejected(f"{target.label} selects its pods by more than labels: count them yourself")
    selector = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
    path = f"/api/v1/namespaces/{quote(target.namespace, safe='')}/pods"
    found = await cluster.items(path, selector=selector, patience=patience)
    return [str(pod["metadata"]["name"]) for pod in found if not _has_ended(pod)]


def _has_ended(pod: dict[str, object]) -> bool:
    status = pod.get("status")
    return isinstance(status, dict) and status.get("phase") in {"Succeeded", "Failed"}
