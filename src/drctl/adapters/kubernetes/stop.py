"""Takes every pod of a Deployment away, waits for the last one, and brings them back."""

from typing import Any, ClassVar

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
from drctl.actions.errors import (
    ActionError,
    Conflict,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from drctl.actions.targets import Deployment
from drctl.adapters.kubernetes.client import (
    Cluster,
    beside,
    deployment_path,
    replica_sets_path,
    selector_of,
)
from drctl.adapters.kubernetes.rollout import (
    FIRST_POLL_S,
    LAST_POLL_S,
    Rollout,
    parse,
    wait_until,
)

STOPPED = "drctl.dev/stopped-replicas"
"""Annotation of a Deployment that was stopped: how many replicas it had."""


class Stopped(Outputs):
    """What it had."""

    previous_replicas: int
    """0 when it was stopped already, and nobody noted from what."""


class _Deployed(Action[Deployment, Any, Any]):
    """What both directions share."""

    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (Deployment,)

    def planes(self, target: Deployment) -> tuple[str, ...]:
        return (f"data-plane:{target.cluster.region}",)

    async def observe(self, ctx: Context, target: Deployment, params: Any) -> Observation:
        raw = await Cluster(ctx, target.cluster).get(deployment_path(target))
        seen = parse(raw)
        return Observation(
            facts={"replicas": seen.desired, "noted": _noted(raw)},
            readings={"available": seen.available},
        )


class StopDeployment(_Deployed):
    """
    Scales to zero and waits until the last pod is gone, not only told to go: a pod that ends may
    still write.
    """

    name: ClassVar[str] = "kubernetes.deployment.stop"
    summary: ClassVar[str] = "Scale a Deployment to zero and wait until its last pod is gone"
    outputs = Stopped

    def preview(self, observation: Observation, target: Deployment, params: Any) -> Preview:
        now = observation.facts["replicas"]
        if now == 0:
            return Nothing(why=f"{target.name} has no replicas")
        return Change(before=f"{now} replicas", after="0 replicas, no pod left")

    async def perform(self, ctx: Context, target: Deployment, params: NoParams) -> Stopped:
        """
        Stops and waits.

        Safe to repeat. The number of replicas is noted on the Deployment, for
        ``kubernetes.deployment.start``.

        Raises:
            Conflict: Something else, GitOps perhaps, set another number meanwhile.
            Rejected: A pod is still there when the time is over.
            OutcomeUnknown: Sent, and not seen to end.

        Changes:
            The Deployment's number of replicas and one annotation; with them every pod.
        """
        cluster = Cluster(ctx, target.cluster)
        raw = await cluster.get(deployment_path(target))
        had = parse(raw).desired
        if had:
            notes = {"annotations": {STOPPED: str(had)}}
            await cluster.patch(
                deployment_path(target), {"metadata": notes, "spec": {"replicas": 0}}
            )
        await _wait_gone(ctx, cluster, target)
        return Stopped(previous_replicas=had or _noted(raw) or 0)

    async def settled(
        self, ctx: Context, target: Deployment, params: NoParams
    ) -> Done[Stopped] | NotDone | CannotTell:
        cluster = Cluster(ctx, target.cluster)
        try:
            raw = await cluster.get(deployment_path(target))
            if now := parse(raw).desired:
                return NotDone(why=f"{target.label} has {now} replicas")
            if left := await _pods(cluster, target, raw):
                return CannotTell(why=f"{target.label} is being stopped: {left} pod(s) left")
        except ActionError as error:
            return CannotTell(why=str(error))
        return Done(outputs=Stopped(previous_replicas=_noted(raw) or 0))

    def debts(
        self, target: Deployment, params: NoParams, outputs: Stopped
    ) -> tuple[Debt | Cleared, ...]:
        return (
            Debt(
                key=f"stopped:{target.identities[0]}",
                what=f"{target.label} is stopped; it had {outputs.previous_replicas} replicas",
                remedy="start it with kubernetes.deployment.start",
            ),
        )


class StartParams(Params):
    """How many."""

    replicas: int | None = Field(default=None, ge=1, le=1000)
    """Absent: as many as it had when it was stopped."""


class Started(Outputs):
    """What it has now."""

    replicas: int


class StartDeployment(_Deployed):
    """Gives a stopped Deployment its replicas back and waits until they serve."""

    name: ClassVar[str] = "kubernetes.deployment.start"
    summary: ClassVar[str] = "Give a stopped Deployment its replicas back and wait for them"
    params = StartParams
    outputs = Started

    def preview(self, observation: Observation, target: Deployment, params: Any) -> Preview:
        now, noted = observation.facts["replicas"], observation.facts["noted"]
        wanted = (params.replicas if params else None) or noted
        if wanted is None:
            return CannotTell(why=f"{target.name} has {now} replicas; how many it had is not noted")
        if now == wanted:
            return Nothing(why=f"{target.name} has {now} replicas")
        return Change(before=f"{now} replicas", after=f"{wanted} replicas")

    async def perform(self, ctx: Context, target: Deployment, params: StartParams) -> Started:
        """
        Starts and waits.

        Raises:
            Conflict: How many it had is not noted and not given, or something else set another
                number meanwhile.
            Rejected: The controller gave up, or the pods do not serve when the time is over.
            OutcomeUnknown: Sent, and not seen to end.

        Changes:
            The Deployment's number of replicas; the note of how many it had is taken off.
        """
        cluster = Cluster(ctx, target.cluster)
        raw = await cluster.get(deployment_path(target))
        before, noted = parse(raw), _noted(raw)
        wanted = params.replicas or noted or before.desired
        if not wanted:
            raise Conflict(f"{target.label}: how many replicas it had is not noted; give replicas")
        if before.desired != wanted or noted is not None:
            notes = {"annotations": {STOPPED: None}}
            body = {"metadata": notes, "spec": {"replicas": wanted}}
            await cluster.patch(deployment_path(target), body)

        def reached(seen: Rollout) -> bool:
            if seen.desired != wanted:
                raise Conflict(f"{target.label} was set to {seen.desired} by something else")
            return seen.is_observed and seen.available >= wanted

        await wait_until(ctx, cluster, target, reached, after_change=True, stuck=Rejected)
        return Started(replicas=wanted)

    async def settled(
        self, ctx: Context, target: Deployment, params: StartParams
    ) -> Done[Started] | NotDone | CannotTell:
        try:
            raw = await Cluster(ctx, target.cluster).get(deployment_path(target))
        except ActionError as error:
            return CannotTell(why=str(error))
        seen, noted = parse(raw), _noted(raw)
        wanted = params.replicas or noted or seen.desired
        if noted is not None or seen.desired != wanted or not wanted:
            return NotDone(why=f"{target.label} has {seen.desired} replicas")
        if seen.is_observed and seen.available >= wanted:
            return Done(outputs=Started(replicas=wanted))
        return CannotTell(why=f"{target.label} is being started: {seen}")

    def debts(
        self, target: Deployment, params: StartParams, outputs: Started
    ) -> tuple[Debt | Cleared, ...]:
        return (Cleared(key=f"stopped:{target.identities[0]}"),)


def _noted(raw: dict[str, Any]) -> int | None:
    text = (raw["metadata"].get("annotations") or {}).get(STOPPED, "")
    return int(text) if text.isascii() and text.isdigit() else None


async def _pods(cluster: Cluster, target: Deployment, raw: dict[str, Any]) -> int:
    """How many pods of the target exist, those that are ending too."""
    uid = raw["metadata"]["uid"]
    owned = [one for one in await cluster.items(replica_sets_path(target)) if uid in _owners(one)]
    if any(_owners(one)[uid] != target.name for one in owned):
        raise Unavailable(f"{target.label}: the ReplicaSets told of are of another Deployment")
    sets = {one["metadata"]["uid"] for one in owned}
    pods = await cluster.items(beside(target, "v1", "pods"), selector=selector_of(raw))
    left = [pod for pod in pods if sets & _owners(pod).keys()]
    return sum(pod.get("status", {}).get("phase") not in {"Succeeded", "Failed"} for pod in left)


def _owners(one: dict[str, Any]) -> dict[str, str]:
    """UIDs with names."""
    return {each["uid"]: each["name"] for each in one["metadata"].get("ownerReferences") or []}


async def _wait_gone(ctx: Context, cluster: Cluster, target: Deployment) -> None:
    pause_s, said = FIRST_POLL_S, "it was not read"
    word: type[ActionError] = OutcomeUnknown
    while True:
        try:
            raw = await cluster.get(deployment_path(target))
            seen = parse(raw)
            left = await _pods(cluster, target, raw)
        except (Throttled, Unavailable) as error:
            said, word = str(error), OutcomeUnknown
        except ActionError as error:
            raise OutcomeUnknown(f"changed, and then not readable: {error}") from error
        else:
            if seen.desired:
                raise Conflict(f"{target.label} was set to {seen.desired} by something else")
            if seen.is_observed and not left:
                return
            said, word = f"{left} pod(s) are still there", Rejected
            ctx.say(f"{target.name}: {said}")
        if ctx.deadline.left_s(ctx.clock) < pause_s + 0.5:
            raise word(f"{target.label}: when the time was over, {said}")
        await ctx.clock.sleep(pause_s)
        pause_s = min(LAST_POLL_S, pause_s * 1.5)
