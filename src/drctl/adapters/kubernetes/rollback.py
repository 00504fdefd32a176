"""Puts a Deployment back to the newest revision that is known to be good."""

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
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, Conflict, OutcomeUnknown, Rejected
from drctl.actions.targets import Deployment, Text
from drctl.adapters._duration import Duration
from drctl.adapters.kubernetes.client import JSON_PATCH, Cluster, deployment_path
from drctl.adapters.kubernetes.history import History, Revision, history
from drctl.adapters.kubernetes.known_good import chosen, revision_facts
from drctl.adapters.kubernetes.rollout import look, stay, wait_until

ROLLBACK = "drctl.dev/rollback"
"""Annotation of a Deployment: the key of the rollback that wrote the template, and from where."""
_POINTER = "/metadata/annotations/" + ROLLBACK.replace("/", "~1")


class RollbackParams(Params):
    """What was looked at, and what counts as good."""

    image: Text | None = None
    """The image that must come back, as a check of the registry or a person saw it; another choice
    is refused. Absent: whatever the newest good revision has."""
    good_images: tuple[Text, ...] = ()
    """As for ``kubernetes.revision.check``."""
    stable_for: Duration = timedelta(seconds=5)
    """The rollout has to stay complete for so long: a crash loop is complete for a moment."""


class RolledBack(Outputs):
    """What it was and what it is."""

    from_revision: int
    """The number of the bad revision."""
    to_revision: int
    """The number that the good revision had."""
    revision: int
    """The number that it has now: a rollback is a new revision with an old template."""
    image: str
    replicas: int


class RollBackDeployment(Action[Deployment, RollbackParams, RolledBack]):
    """
    Rolls back to the newest known-good revision and waits for the true end of that rollout.

    Not to the previous one: that may be the first bad one. Revisions are read from ReplicaSets, and
    the template is compared and set, so that a release that comes in between is not overwritten.
    """

    name: ClassVar[str] = "kubernetes.deployment.rollback"
    summary: ClassVar[str] = "Roll a Deployment back to its newest known-good revision"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.KEYED
    targets = (Deployment,)
    params = RollbackParams
    outputs = RolledBack
    may_be_empty: ClassVar[frozenset[str]] = frozenset({"good_images"})

    def planes(self, target: Deployment) -> tuple[str, ...]:
        return (f"data-plane:{target.cluster.region}",)

    async def observe(
        self, ctx: Context, target: Deployment, params: RollbackParams | None
    ) -> Observation:
        images = params.good_images if params else ()
        return revision_facts(await history(Cluster(ctx, target.cluster), target, images))

    def preview(
        self, observation: Observation, target: Deployment, params: RollbackParams | None
    ) -> Preview:
        facts, readings = observation.facts, observation.readings
        before = f"revision {facts['current']} ({readings['image']})"
        if facts["current_is_good"]:
            return CannotTell(why=f"{before} is known to be good: the rollback would refuse")
        if facts["good"] is None:
            return CannotTell(why=f"no revision older than {before} is known to be good")
        return Change(before=before, after=f"revision {facts['good']} ({readings['good_image']})")

    async def perform(self, ctx: Context, target: Deployment, params: RollbackParams) -> RolledBack:
        """
        Rolls back and waits.

        Safe to repeat: a Deployment that carries this key is not changed again, only waited for.

        Raises:
            Conflict: The present revision is known to be good, no older one is, the Deployment is
                paused, or somebody released meanwhile: nothing was changed. Or something else put
                another template in the place of the good one.
            Rejected: The good revision has another image than was checked. Or the template is back,
                and the rollout is stuck: the controller gave up, or the time was over first.
            OutcomeUnknown: Sent, and not seen to end.

        Changes:
            The Deployment's pod template and one annotation, and with it every pod.
        """
        cluster = Cluster(ctx, target.cluster)
        note = _note_of((await cluster.get(deployment_path(target)))["metadata"])
        if note[0] != ctx.key:
            seen = await history(cluster, target, params.good_images)
            good = _checked(seen, target, params)
            note = (ctx.key, seen.current.number, good.number, good.uid)
            await self._write(cluster, target, seen, good, note)
        await wait_until(
            ctx,
            cluster,
            target,
            lambda seen: seen.is_complete and seen.desired > 0,
            after_change=True,
            stuck=Rejected,
        )
        await stay(ctx, cluster, target, params.stable_for)
        seen = await history(cluster, target)
        if why := _replaced(seen, note):
            raise Conflict(f"{target.label}: {why}")
        return _rolled(seen, note)

    @staticmethod
    async def _write(
        cluster: Cluster, target: Deployment, seen: History, good: Revision, note: "_Note"
    ) -> None:
        generation = seen.deployment["metadata"]["generation"]
        patch = [
            # The generation moves with every change of the spec and with none of the status: a
            # crash-looping Deployment's resourceVersion would never hold still.
            {"op": "test", "path": "/metadata/generation", "value": generation},
            {"op": "replace", "path": "/spec/template", "value": good.template},
            {"op": "add", "path": _POINTER, "value": " ".join(map(str, note))},
        ]
        try:
            await cluster.patch(deployment_path(target), patch, kind=JSON_PATCH)
        except (Rejected, Conflict) as error:
            # A network that delivers twice gives the answer to the second: look what is there.
            try:
                found = await cluster.get(deployment_path(target))
            except ActionError as unread:
                raise OutcomeUnknown(f"refused, and then not readable: {unread}") from unread
            if _note_of(found["metadata"])[0] == note[0]:
                return
            if found["metadata"]["generation"] != generation:
                why = f"{target.label} was changed by somebody else meanwhile: {error}"
                raise Conflict(why) from error
            raise

    async def settled(
        self, ctx: Context, target: Deployment, params: RollbackParams
    ) -> Done[RolledBack] | NotDone | CannotTell:
        cluster = Cluster(ctx, target.cluster)
        try:
            note = _note_of((await cluster.get(deployment_path(target)))["metadata"])
            if note[0] != ctx.key:
                return NotDone(why=f"{target.label} does not carry this rollback's key")
            rollout = await look(cluster, target)
            if not rollout.is_complete or rollout.desired == 0:
                return CannotTell(why=f"{target.label} is being rolled back: {rollout}")
            seen = await history(cluster, target)
            if why := _replaced(seen, note):
                return CannotTell(why=f"{target.label}: {why}")
            return Done(outputs=_rolled(seen, note))
        except ActionError as error:
            return CannotTell(why=str(error))

    def debts(
        self, target: Deployment, params: RollbackParams, outputs: RolledBack
    ) -> tuple[Debt | Cleared, ...]:
        return (
            Debt(
                key=f"rollback:{target.identities[0]}",
                what=f"{target.label} runs {outputs.image}; what releases it still names the bad"
                " version, and the next deploy brings that back",
                remedy="revert the release at its source, deploy, and mark the result good with"
                " kubernetes.deployment.mark_good",
            ),
        )


_Note = tuple[str, int, int, str]
"""Key, number of the bad revision, number of the good one, UID of the good one's ReplicaSet."""


def _note_of(metadata: dict[str, object]) -> _Note:
    notes = metadata.get("annotations")
    words = str(notes.get(ROLLBACK, "")).split() if isinstance(notes, dict) else []
    if len(words) != 4 or not (words[1].isdigit() and words[2].isdigit()):  # noqa: PLR2004
        return ("", 0, 0, "")
    return (words[0], int(words[1]), int(words[2]), words[3])


def _replaced(seen: History, note: _Note) -> str:
    """What runs in the good one's place, as when GitOps puts its own back; empty: nothing does."""
    if seen.current.uid == note[3]:
        return ""
    return f"it was rolled back to revision {note[2]}, and something put {seen.current} there since"


def _checked(seen: History, target: Deployment, params: RollbackParams) -> Revision:
    if seen.rollout.is_paused:
        raise Conflict(f"{target.label} is paused: a rollback would not roll out")
    if seen.rollout.desired == 0:
        raise Conflict(f"{target.label} has no replicas: a rollback could not show that it works")
    good = chosen(seen, target)
    if params.image is not None and params.image != good.image:
        raise Rejected(
            f"{target.label}: the newest good one is {good}, and {params.image} was checked"
        )
    return good


def _rolled(seen: History, note: _Note) -> RolledBack:
    return RolledBack(
        from_revision=note[1],
        to_revision=note[2],
        revision=seen.current.number,
        image=seen.current.image,
        replicas=seen.rollout.desired,
    )
