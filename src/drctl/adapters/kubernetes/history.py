"""
The revisions of a Deployment, from its ReplicaSets; never from text.

A revision is known to be good when its ReplicaSet carries `GOOD` with *its own* UID. The UID is the
point: a Deployment hands its annotations on to new ReplicaSets, and ``kubectl rollout undo`` copies
a ReplicaSet's annotations back to the Deployment. A mark without the owner's UID would wander to
the next revision, and bless it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from drctl.actions.errors import Conflict, Unavailable
from drctl.actions.targets import Deployment
from drctl.adapters.kubernetes.client import Cluster, deployment_path, replica_sets_path
from drctl.adapters.kubernetes.rollout import FIRST_POLL_S, REVISION, Rollout, parse

GOOD = "drctl.dev/known-good"
"""Annotation of a ReplicaSet: its own UID, written once this revision was seen to be healthy."""
GOOD_SINCE = "drctl.dev/known-good-since"
LAG = timedelta(seconds=3)
"""How long the controller may take to see a change before that is worth an error."""
HASH_LABEL = "pod-template-hash"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One template that the Deployment has had."""

    number: int
    name: str
    """Of its ReplicaSet."""
    uid: str
    images: tuple[str, ...]
    """Of its containers, in their order."""
    is_good: bool
    since: str
    """When it was marked; empty when it never was."""
    template: Mapping[str, Any]
    """As the Deployment had it: without the controller's own label."""

    @property
    def image(self) -> str:
        """Of the first container."""
        return self.images[0] if self.images else ""

    def __str__(self) -> str:
        return f"revision {self.number} ({', '.join(self.images)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A Deployment with all its revisions, read one right after the other."""

    deployment: Mapping[str, Any]
    rollout: Rollout
    current: Revision
    older: tuple[Revision, ...]
    """Newest first."""

    @property
    def good(self) -> Revision | None:
        """The newest of the older revisions that is known to be good."""
        return next((one for one in self.older if one.is_good), None)


async def history(cluster: Cluster, target: Deployment, good_images: Sequence[str] = ()) -> History:
    """
    Reads the Deployment and the ReplicaSets that it controls; waits a moment for the controller,
    which is behind a change by a round or two.

    Args:
        good_images: What a release ledger says is good, besides the marks: a revision counts when
            all its images are among these.

    Raises:
        Conflict: The controller has not made a ReplicaSet of the present template yet.
        Unavailable: The two answers do not fit each other.
        ActionError: It could not be read.
    """
    ctx = cluster.ctx
    end = ctx.deadline.at_most(ctx.clock, LAG)
    while True:
        try:
            return await _read(cluster, target, good_images)
        except Conflict:
            if end.left_s(ctx.clock) < FIRST_POLL_S:
                raise
        await ctx.clock.sleep(FIRST_POLL_S)


async def _read(cluster: Cluster, target: Deployment, good_images: Sequence[str]) -> History:
    deployment = await cluster.get(deployment_path(target))
    uid = deployment["metadata"]["uid"]
    found = await cluster.items(replica_sets_path(target))
    sets = [one for one in found if (owner := _owner(one)) and owner.get("uid") == uid]
    if any((_owner(one) or {}).get("name") != target.name for one in sets):
        raise Unavailable(f"{target.label}: the ReplicaSets told of are of another Deployment")
    revisions = sorted(
        (_revision(one, set(good_images)) for one in sets),
        key=lambda one: one.number,
        reverse=True,
    )
    rollout = parse(deployment)
    current = next((one for one in revisions if str(one.number) == rollout.revision), None)
    if current is None or not rollout.is_observed:
        raise Conflict(
            f"{target.label}: the controller has not taken up the present template yet, so which"
            " revision it is cannot be told"
        )
    older = tuple(one for one in revisions if one.number < current.number)
    return History(deployment=deployment, rollout=rollout, current=current, older=older)


def _owner(replica_set: Mapping[str, Any]) -> Mapping[str, Any] | None:
    references = (replica_set.get("metadata") or {}).get("ownerReferences") or []
    return next((one for one in references if one.get("controller")), None)


def _revision(raw: Mapping[str, Any], good_images: set[str]) -> Revision:
    meta, template = raw["metadata"], dict(raw["spec"]["template"])
    notes = meta.get("annotations") or {}
    number = notes.get(REVISION, "")
    images = tuple(one.get("image", "") for one in template["spec"].get("containers", []))
    is_marked = notes.get(GOOD) == meta["uid"]
    labels = dict((template.get("metadata") or {}).get("labels") or {})
    labels.pop(HASH_LABEL, None)
    template["metadata"] = {**(template.get("metadata") or {}), "labels": labels}
    return Revision(
        number=int(number) if number.isascii() and number.isdigit() else 0,
        name=meta["name"],
        uid=meta["uid"],
        images=images,
        is_good=is_marked or (bool(images) and good_images.issuperset(images)),
        since=notes.get(GOOD_SINCE, "") if is_marked else "",
        template=template,
    )
