"""
The Deployment controller: from one pod template to the next, through ReplicaSets.

A ReplicaSet is the memory of a revision. Going back to an older template finds its old ReplicaSet
again and gives it a *new*, highest revision number; its former number goes to the history
annotation. So revision numbers only ever grow, and ``rollout history`` has gaps.

``observedGeneration`` is written here and nowhere else, after the spec of that generation has been
acted on. Between a client's request and this controller's next round the status is old, and says
so.
"""

import copy

from drctl.lab.kubernetes import revisions
from drctl.lab.kubernetes.conditions import find_condition, with_condition
from drctl.lab.kubernetes.errors import Object
from drctl.lab.kubernetes.kinds import DEPLOYMENT, REPLICA_SET
from drctl.lab.kubernetes.progress import (
    count,
    is_complete,
    judge_availability,
    judge_progress,
)
from drctl.lab.kubernetes.records import Recorder
from drctl.lab.kubernetes.replicasets import owned_by, owner_reference
from drctl.lab.kubernetes.rollout import (
    HASH_LABEL,
    Limits,
    Size,
    bare_template,
    grow_new,
    limits,
    shrink_old,
    spread,
    template_hash,
)
from drctl.lab.kubernetes.store import Store


class Deployments:
    """Moves every Deployment one small step towards its spec per round."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._recorder = Recorder(store, "deployment-controller")

    def sync(self) -> None:
        """Does one round over all Deployments."""
        for deployment in self._store.all_of(DEPLOYMENT):
            if not deployment["metadata"].get("deletionTimestamp"):
                self._sync(deployment)

    def _sync(self, deployment: Object) -> None:
        self._note_pause(deployment)
        sets = owned_by(self._store, REPLICA_SET, deployment)
        spec = deployment["spec"]
        new = _of_template(sets, deployment)
        old = [one for one in sets if one is not new]
        allowed = limits(spec)
        if spec.get("paused") or revisions.was_scaled(sets, allowed):
            self._scale(deployment, allowed, new, old)
            self._report(deployment, allowed, judged=False)
            return
        recreates = spec["strategy"]["type"] == "Recreate"
        if recreates and any(revisions.wanted(one) or revisions.running(one) for one in old):
            for one in old:
                self._resize(deployment, allowed, one, 0)
            self._report(deployment, allowed)
            return
        if new is None:
            new = self._create(deployment, allowed, old)
        else:
            new = self._number(deployment, new, old)
            everyone = [revisions.size(one) for one in (*old, new)]
            new = self._resize(
                deployment, allowed, new, grow_new(allowed, revisions.size(new), everyone)
            )
        if not recreates:
            smaller = shrink_old(allowed, revisions.size(new), [revisions.size(one) for one in old])
            for one, wanted in zip(old, smaller, strict=True):
                self._resize(deployment, allowed, one, wanted)
        if self._report(deployment, allowed):
            self._forget(spec["revisionHistoryLimit"], old)

    def _create(self, deployment: Object, allowed: Limits, old: list[Object]) -> Object:
        metadata, spec = deployment["metadata"], deployment["spec"]
        name_hash = template_hash(spec["template"])
        template = copy.deepcopy(spec["template"])
        labels = template.setdefault("metadata", {}).setdefault("labels", {})
        labels[HASH_LABEL] = name_hash
        selector = copy.deepcopy(spec["selector"])
        selector.setdefault("matchLabels", {})[HASH_LABEL] = name_hash
        sizes = [revisions.size(one) for one in old]
        wanted = grow_new(allowed, Size(0, 0), sizes)
        revision = str(revisions.highest(old) + 1)
        replica_set: Object = {
            "metadata": {
                "name": f"{metadata['name']}-{name_hash}",
                "namespace": metadata["namespace"],
                "labels": dict(labels),
                "annotations": {
                    **revisions.copied(metadata),
                    revisions.REVISION: revision,
                    revisions.DESIRED: str(allowed.replicas),
                    revisions.MOST: str(allowed.most),
                },
                "ownerReferences": [owner_reference(DEPLOYMENT, deployment)],
            },
            "spec": {"replicas": wanted, "selector": selector, "template": template},
            "status": {"replicas": 0},
        }
        if spec.get("minReadySeconds"):
            replica_set["spec"]["minReadySeconds"] = spec["minReadySeconds"]
        created = self._store.create(REPLICA_SET, replica_set)
        name = created["metadata"]["name"]
        self._annotate(deployment, revision)
        self._set_progressing(
            deployment,
            holds=True,
            reason="NewReplicaSetCreated",
            message=f'Created new replica set "{name}"',
        )
        self._tell_scaled(deployment, name, 0, wanted)
        return created

    def _number(self, deployment: Object, new: Object, old: list[Object]) -> Object:
        """Gives the ReplicaSet in use the highest revision (``SetNewReplicaSetAnnotations``)."""
        before = new["metadata"].get("annotations", {})
        annotations = {**before, **revisions.copied(deployment["metadata"])}
        present, highest = int(before.get(revisions.REVISION, 0)), revisions.highest(old) + 1
        if present < highest:
            annotations[revisions.REVISION] = str(highest)
            if present:
                history = before.get(revisions.HISTORY)
                annotations[revisions.HISTORY] = f"{history},{present}" if history else str(present)
        changed = copy.deepcopy(new)
        changed["metadata"]["annotations"] = annotations
        min_ready_s = deployment["spec"].get("minReadySeconds")
        if min_ready_s:
            changed["spec"]["minReadySeconds"] = min_ready_s
        else:
            changed["spec"].pop("minReadySeconds", None)
        self._annotate(deployment, annotations[revisions.REVISION])
        return self._store.replace(REPLICA_SET, changed)

    def _annotate(self, deployment: Object, revision: str) -> None:
        present = self._latest(deployment)
        annotations = {**present["metadata"].get("annotations", {}), revisions.REVISION: revision}
        metadata = {**present["metadata"], "annotations": annotations}
        self._store.replace(DEPLOYMENT, {**present, "metadata": metadata})

    def _scale(
        self, deployment: Object, allowed: Limits, new: Object | None, old: list[Object]
    ) -> None:
        everyone = [*old, new] if new is not None else old
        active = [one for one in everyone if revisions.wanted(one)]
        if len(active) <= 1:
            fallback = new if new is not None else (old[-1] if old else None)
            only = active[0] if active else fallback
            if only is not None:
                self._resize(deployment, allowed, only, allowed.replicas)
            return
        if new is not None and revisions.is_saturated(new, allowed):
            for one in old:
                self._resize(deployment, allowed, one, 0)
            return
        if deployment["spec"]["strategy"]["type"] == "RollingUpdate":
            wanted = spread(allowed, [revisions.size(one) for one in active])
            for one, size in zip(active, wanted, strict=True):
                self._resize(deployment, allowed, one, size)

    def _resize(
        self, deployment: Object, allowed: Limits, replica_set: Object, wanted: int
    ) -> Object:
        before = revisions.wanted(replica_set)
        changed = copy.deepcopy(replica_set)
        changed["spec"]["replicas"] = wanted
        if wanted or before:
            annotations = changed["metadata"].setdefault("annotations", {})
            annotations[revisions.DESIRED] = str(allowed.replicas)
            annotations[revisions.MOST] = str(allowed.most)
        stored = self._store.replace(REPLICA_SET, changed)
        if wanted != before:
            self._tell_scaled(deployment, stored["metadata"]["name"], before, wanted)
        return stored

    def _tell_scaled(self, deployment: Object, name: str, before: int, wanted: int) -> None:
        direction = "up" if wanted > before else "down"
        self._recorder.normal(
            DEPLOYMENT,
            deployment,
            "ScalingReplicaSet",
            f"Scaled {direction} replica set {name} from {before} to {wanted}",
        )

    def _forget(self, limit: int, old: list[Object]) -> None:
        """Deletes the oldest unused revisions (``cleanupDeployment``)."""
        by_revision = sorted(old, key=revisions.revision)
        for one in by_revision[: max(0, len(old) - limit)]:
            if not revisions.wanted(one) and not revisions.running(one):
                metadata = one["metadata"]
                self._store.delete(REPLICA_SET, metadata["namespace"], metadata["name"])

    def _latest(self, deployment: Object) -> Object:
        metadata = deployment["metadata"]
        return self._store.get(DEPLOYMENT, metadata["namespace"], metadata["name"])

    def _set_progressing(
        self, deployment: Object, *, holds: bool | None, reason: str, message: str
    ) -> None:
        present = self._latest(deployment)
        status = present.get("status", {})
        conditions = with_condition(
            status.get("conditions", []),
            "Progressing",
            holds=holds,
            reason=reason,
            message=message,
            stamped=True,
        )
        self._store.replace(DEPLOYMENT, {**present, "status": {**status, "conditions": conditions}})

    def _note_pause(self, deployment: Object) -> None:
        """Says in the status that nothing is expected to move, or that it is again."""
        progressing = find_condition(
            deployment.get("status", {}).get("conditions", []), "Progressing"
        )
        reason = progressing["reason"] if progressing is not None else ""
        is_paused = bool(deployment["spec"].get("paused"))
        if reason == "ProgressDeadlineExceeded" or is_paused == (reason == "DeploymentPaused"):
            return
        word = "paused" if is_paused else "resumed"
        self._set_progressing(
            deployment,
            holds=None,
            reason=f"Deployment{word.title()}",
            message=f"Deployment is {word}",
        )

    def _report(self, deployment: Object, allowed: Limits, *, judged: bool = True) -> bool:
        """Writes the status; says whether the rollout is complete."""
        present = self._latest(deployment)
        sets = owned_by(self._store, REPLICA_SET, present)
        new = _of_template(sets, present)
        counts = count(sets, new)
        conditions = judge_availability(present, counts, allowed)
        if judged:
            conditions = judge_progress(present, new, counts, conditions)
        status: Object = {name: number for name, number in counts.items() if number}
        status["observedGeneration"] = deployment["metadata"]["generation"]
        status["conditions"] = conditions
        self._store.replace(DEPLOYMENT, {**present, "status": status})
        return is_complete(counts, allowed.replicas)


def _of_template(sets: list[Object], deployment: Object) -> Object | None:
    """Finds the ReplicaSet of the present template (``FindNewReplicaSet``)."""
    template = bare_template(deployment["spec"]["template"])
    return next((one for one in sets if bare_template(one["spec"]["template"]) == template), None)
