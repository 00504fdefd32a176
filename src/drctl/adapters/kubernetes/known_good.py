"""Records that the present revision of a Deployment is healthy, and says which one would be."""

from datetime import timedelta
from typing import ClassVar

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
    Outputs,
    Params,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, Conflict, Rejected
from drctl.actions.targets import Deployment, Text
from drctl.adapters._duration import Duration
from drctl.adapters.kubernetes.client import Cluster, replica_sets_path
from drctl.adapters.kubernetes.history import GOOD, GOOD_SINCE, History, Revision, history
from drctl.adapters.kubernetes.rollout import Rollout, stay


class CheckParams(Params):
    """What counts as good."""

    good_images: tuple[Text, ...] = ()
    """Images that a release ledger says are good, besides the revisions that are marked."""


class Known(Outputs):
    """Where the Deployment is, and where it could go back to."""

    current: int
    """Number of the present revision."""
    current_image: str
    current_is_good: bool
    good: int
    """Number of the newest older revision that is known to be good."""
    good_image: str
    good_since: str
    """When it was marked; empty when only *good_images* says so."""
    skipped: int
    """Older revisions in between, which nobody knows to be good."""


class CheckRevision(Action[Deployment, CheckParams, Known]):
    """Says which revision a rollback would choose; fails when there is none."""

    name: ClassVar[str] = "kubernetes.revision.check"
    summary: ClassVar[str] = "Name the newest revision of a Deployment that is known to be good"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    is_prerequisite: ClassVar[bool] = True
    targets = (Deployment,)
    params = CheckParams
    outputs = Known
    may_be_empty: ClassVar[frozenset[str]] = frozenset({"good_images"})

    def planes(self, target: Deployment) -> tuple[str, ...]:
        return (f"data-plane:{target.cluster.region}",)

    async def observe(
        self, ctx: Context, target: Deployment, params: CheckParams | None
    ) -> Observation:
        images = params.good_images if params else ()
        return revision_facts(await history(Cluster(ctx, target.cluster), target, images))

    async def perform(self, ctx: Context, target: Deployment, params: CheckParams) -> Known:
        """
        Looks.

        Raises:
            Conflict: The present revision is known to be good itself, or no older one is.
            ActionError: It could not be read.
        """
        seen = await history(Cluster(ctx, target.cluster), target, params.good_images)
        good = chosen(seen, target)
        return Known(
            current=seen.current.number,
            current_image=seen.current.image,
            current_is_good=seen.current.is_good,
            good=good.number,
            good_image=good.image,
            good_since=good.since,
            skipped=sum(one.number > good.number for one in seen.older),
        )


def revision_facts(seen: History) -> Observation:
    """What a plan must still find at the run, for actions that choose a revision."""
    good = seen.good
    return Observation(
        facts={
            "current": seen.current.number,
            "current_is_good": seen.current.is_good,
            "good": good.number if good else None,
        },
        readings={
            "image": seen.current.image,
            "good_image": good.image if good else None,
            "state": str(seen.rollout),
        },
    )


def chosen(seen: History, target: Deployment) -> Revision:
    """
    The revision to go back to.

    Raises:
        Conflict: The present one is known to be good itself, or no older one is.
    """
    if seen.current.is_good:
        raise Conflict(
            f"{target.label}: {seen.current} is the present one and is known to be good: going"
            " back to an older one would be no repair"
        )
    if seen.good is None:
        raise Conflict(
            f"{target.label}: none of {len(seen.older)} older revisions is known to be good;"
            " mark good ones with kubernetes.deployment.mark_good, or name their images"
        )
    return seen.good


class MarkParams(Params):
    """What must be seen first."""

    stable_for: Duration = timedelta(seconds=10)
    """Every pod has to serve without a break for so long."""


class Marked(Outputs):
    """What is known to be good now."""

    revision: int
    image: str
    changed: bool
    """False when it was marked already."""


class MarkGood(Action[Deployment, MarkParams, Marked]):
    """
    Records on its ReplicaSet that the present revision is healthy.

    For the last step of a release, after the checks that the release itself makes: a rollback goes
    to revisions with this mark only.
    """

    name: ClassVar[str] = "kubernetes.deployment.mark_good"
    summary: ClassVar[str] = "Record that a Deployment's present revision is healthy"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (Deployment,)
    params = MarkParams
    outputs = Marked

    def planes(self, target: Deployment) -> tuple[str, ...]:
        return (f"data-plane:{target.cluster.region}",)

    async def observe(
        self, ctx: Context, target: Deployment, params: MarkParams | None
    ) -> Observation:
        seen = await history(Cluster(ctx, target.cluster), target)
        return Observation(
            facts={"current": seen.current.number, "current_is_good": seen.current.is_good},
            readings={"image": seen.current.image, "state": str(seen.rollout)},
        )

    def preview(
        self, observation: Observation, target: Deployment, params: MarkParams | None
    ) -> Preview:
        facts, image = observation.facts, observation.readings["image"]
        if facts["current_is_good"]:
            return Nothing(why=f"revision {facts['current']} ({image}) is marked already")
        return Change(
            before=f"revision {facts['current']} ({image}) not known to be good", after="known good"
        )

    async def perform(self, ctx: Context, target: Deployment, params: MarkParams) -> Marked:
        """
        Watches the rollout stay complete, then marks.

        Safe to repeat. A mark carries the UID of its ReplicaSet, so one that is copied to another
        counts for nothing.

        Raises:
            Rejected: It is not complete, has no pods, or did not stay complete.
            Conflict: Another revision came meanwhile.
            OutcomeUnknown: Sent, and no answer came.

        Changes:
            Two annotations of the ReplicaSet of the present revision.
        """
        cluster = Cluster(ctx, target.cluster)
        before = await history(cluster, target)
        _must_serve(before.rollout, target)
        if not before.current.is_good:
            await stay(ctx, cluster, target, params.stable_for)
            seen = await history(cluster, target)
            if seen.current.uid != before.current.uid:
                raise Conflict(f"{target.label}: {seen.current} came while {before.current} was")
            await self._mark(ctx, cluster, target, seen)
        return _marked(before, changed=not before.current.is_good)

    @staticmethod
    async def _mark(ctx: Context, cluster: Cluster, target: Deployment, seen: History) -> None:
        uid, now = seen.current.uid, ctx.clock.now().wall
        notes = {GOOD: uid, GOOD_SINCE: now.isoformat(timespec="seconds")}
        path = f"{replica_sets_path(target)}/{seen.current.name}"
        await cluster.patch(path, {"metadata": {"uid": uid, "annotations": notes}})

    async def settled(
        self, ctx: Context, target: Deployment, params: MarkParams
    ) -> Done[Marked] | NotDone | CannotTell:
        try:
            seen = await history(Cluster(ctx, target.cluster), target)
        except ActionError as error:
            return CannotTell(why=str(error))
        if not seen.current.is_good:
            return NotDone(why=f"{target.label}: {seen.current} has no mark")
        return Done(outputs=_marked(seen, changed=True))

    def debts(
        self, target: Deployment, params: MarkParams, outputs: Marked
    ) -> tuple[Debt | Cleared, ...]:
        # A release that is good is the way out of a rollback.
        return (Cleared(key=f"rollback:{target.identities[0]}"),) if outputs.changed else ()


def _must_serve(rollout: Rollout, target: Deployment) -> None:
    if rollout.desired == 0:
        raise Rejected(f"{target.label} has no pods: nothing shows that it is good")
    if not rollout.is_complete:
        raise Rejected(f"{target.label} is not complete: {rollout}")


def _marked(seen: History, *, changed: bool) -> Marked:
    return Marked(revision=seen.current.number, image=seen.current.image, changed=changed)
