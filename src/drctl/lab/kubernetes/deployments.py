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
from datetime import UTC, datetime

from drctl.lab.kubernetes.conditions import find_condition, with_condition
from drctl.lab.kubernetes.errors import Object
from drctl.lab.kubernetes.kinds import DEPLOYMENT, REPLICA_SET
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

REVISION = "deployment.kubernetes.io/revision"
_HISTORY = "deployment.kubernetes.io/revision-history"
_DESIRED = "deployment.kubernetes.io/desired-replicas"
_MOST = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED = {
    REVISION,
    _HISTORY,
    _DESIRED,
    _MOST,
    "kubectl.kubernetes.io/last-applied-configuration",
}


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
        sets = owned_by(self._store, REPLICA_SET, deployment)
        spec = deployment["spec"]
        template = bare_template(spec["template"])
        new = next(
            (one for one in sets if bare_template(one["spec"]["template"]) == template), None
        )
        old = [one for one in sets if one is not new]
        allowed = limits(spec)
        if spec.get("paused") or _was_scaled(sets, allowed):
            self._scale(deployment, allowed, new, old)
            self._report(deployment, allowed, judged=False)
            return
        recreates = spec["strategy"]["type"] == "Recreate"
        if recreates and any(_wanted(one) or _running(one) for one in old):
            for one in old:
                self._resize(deployment, allowed, one, 0)
            self._report(deployment, allowed)
            return
        if new is None:
            new = self._create(deployment, allowed, old)
        else:
            new = self._number(deployment, new, old)
            everyone = [_size(one) for one in (*old, new)]
            new = self._resize(deployment, allowed, new, grow_new(allowed, _size(new), everyone))
        if not recreates:
            smaller = shrink_old(allowed, _size(new), [_size(one) for one in old])
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
        sizes = [_size(one) for one in old]
        wanted = grow_new(allowed, Size(0, 0), sizes)
        revision = str(_highest(old) + 1)
        replica_set: Object = {
            "metadata": {
                "name": f"{metadata['name']}-{name_hash}",
                "namespace": metadata["namespace"],
                "labels": dict(labels),
                "annotations": {
                    **_copied(metadata),
                    REVISION: revision,
                    _DESIRED: str(allowed.replicas),
                    _MOST: str(allowed.most),
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
        annotations = {**before, **_copied(deployment["metadata"])}
        present, highest = int(before.get(REVISION, 0)), _highest(old) + 1
        if present < highest:
            annotations[REVISION] = str(highest)
            if present:
                history = before.get(_HISTORY)
                annotations[_HISTORY] = f"{history},{present}" if history else str(present)
        changed = copy.deepcopy(new)
        changed["metadata"]["annotations"] = annotations
        min_ready_s = deployment["spec"].get("minReadySeconds")
        if min_ready_s:
            changed["spec"]["minReadySeconds"] = min_ready_s
        else:
            changed["spec"].pop("minReadySeconds", None)
        self._annotate(deployment, annotations[REVISION])
        return self._store.replace(REPLICA_SET, changed)

    def _annotate(self, deployment: Object, revision: str) -> None:
        present = self._latest(deployment)
        annotations = {**present["metadata"].get("annotations", {}), REVISION: revision}
        metadata = {**present["metadata"], "annotations": annotations}
        self._store.replace(DEPLOYMENT, {**present, "metadata": metadata})

    def _scale(
        self, deployment: Object, allowed: Limits, new: Object | None, old: list[Object]
    ) -> None:
        everyone = [*old, new] if new is not None else old
        active = [one for one in everyone if _wanted(one)]
        if len(active) <= 1:
            fallback = new if new is not None else (old[-1] if old else None)
            only = active[0] if active else fallback
            if only is not None:
                self._resize(deployment, allowed, only, allowed.replicas)
            return
        if new is not None and _is_saturated(new, allowed):
            for one in old:
                self._resize(deployment, allowed, one, 0)
            return
        if deployment["spec"]["strategy"]["type"] == "RollingUpdate":
            wanted = spread(allowed, [_size(one) for one in active])
            for one, size in zip(active, wanted, strict=True):
                self._resize(deployment, allowed, one, size)

    def _resize(
        self, deployment: Object, allowed: Limits, replica_set: Object, wanted: int
    ) -> Object:
        before = _wanted(replica_set)
        changed = copy.deepcopy(replica_set)
        changed["spec"]["replicas"] = wanted
        if wanted or before:
            annotations = changed["metadata"].setdefault("annotations", {})
            annotations[_DESIRED] = str(allowed.replicas)
            annotations[_MOST] = str(allowed.most)
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
        by_revision = sorted(old, key=_revision)
        for one in by_revision[: max(0, len(old) - limit)]:
            if not _wanted(one) and not _running(one):
                metadata = one["metadata"]
                self._store.delete(REPLICA_SET, metadata["namespace"], metadata["name"])

    def _latest(self, deployment: Object) -> Object:
        metadata = deployment["metadata"]
        return self._store.get(DEPLOYMENT, metadata["namespace"], metadata["name"])

    def _set_progressing(
        self, deployment: Object, *, holds: bool, reason: str, message: str
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

    def _report(self, deployment: Object, allowed: Limits, *, judged: bool = True) -> bool:
        """Writes the status; says whether the rollout is complete."""
        present = self._latest(deployment)
        sets = owned_by(self._store, REPLICA_SET, present)
        template = bare_template(present["spec"]["template"])
        new = next(
            (one for one in sets if bare_template(one["spec"]["template"]) == template), None
        )
        before = present.get("status", {})
        counts = {
            "replicas": sum(map(_running, sets)),
            "updatedReplicas": _running(new) if new is not None else 0,
            "readyReplicas": sum(map(_ready, sets)),
            "availableReplicas": sum(map(_available, sets)),
        }
        counts["unavailableReplicas"] = max(
            0, sum(map(_wanted, sets)) - counts["availableReplicas"]
        )
        enough = counts["availableReplicas"] >= allowed.least
        word, having = ("Available", "has") if enough else ("Unavailable", "does not have")
        conditions = with_condition(
            before.get("conditions", []),
            "Available",
            holds=enough,
            reason=f"MinimumReplicas{word}",
            message=f"Deployment {having} minimum availability.",
            stamped=True,
        )
        complete = all(
            counts[name] == allowed.replicas
            for name in ("updatedReplicas", "replicas", "availableReplicas")
        )
        if judged:
            conditions = _judge(present, new, counts, conditions, complete=complete)
        status: Object = {name: count for name, count in counts.items() if count}
        status["observedGeneration"] = deployment["metadata"]["generation"]
        status["conditions"] = conditions
        self._store.replace(DEPLOYMENT, {**present, "status": status})
        return complete


def _judge(
    deployment: Object,
    new: Object | None,
    counts: dict[str, int],
    conditions: list[Object],
    *,
    complete: bool,
) -> list[Object]:
    """Decides the ``Progressing`` condition (``syncRolloutStatus``)."""
    before = deployment.get("status", {})
    present = find_condition(conditions, "Progressing")
    settled = present is not None and present["reason"] == "NewReplicaSetAvailable"
    if settled and counts["replicas"] == counts["updatedReplicas"]:
        return conditions
    subject = f'ReplicaSet "{new["metadata"]["name"]}"' if new is not None else "Deployment"
    if complete:
        message = f"{subject} has successfully progressed."
        return with_condition(
            conditions,
            "Progressing",
            holds=True,
            reason="NewReplicaSetAvailable",
            message=message,
            stamped=True,
        )
    if _moved(before, counts):
        others = [one for one in conditions if one["type"] != "Progressing"]
        changed = with_condition(
            others,
            "Progressing",
            holds=True,
            reason="ReplicaSetUpdated",
            message=f"{subject} is progressing.",
            stamped=True,
        )
        if present is not None and present["status"] == "True":
            changed[-1]["lastTransitionTime"] = present["lastTransitionTime"]
        return changed
    if present is None or settled or present["reason"] == "ProgressDeadlineExceeded":
        return conditions
    since = datetime.fromisoformat(present["lastUpdateTime"])
    deadline_s = deployment["spec"]["progressDeadlineSeconds"]
    if (datetime.now(UTC) - since).total_seconds() <= deadline_s:
        return conditions
    return with_condition(
        conditions,
        "Progressing",
        holds=False,
        reason="ProgressDeadlineExceeded",
        message=f"{subject} has timed out progressing.",
        stamped=True,
    )


def _moved(before: Object, counts: dict[str, int]) -> bool:
    left = counts["replicas"] - counts["updatedReplicas"]
    left_before = before.get("replicas", 0) - before.get("updatedReplicas", 0)
    return left < left_before or any(
        counts[name] > before.get(name, 0)
        for name in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )


def _was_scaled(sets: list[Object], allowed: Limits) -> bool:
    return any(
        int(_annotations(one).get(_DESIRED, allowed.replicas)) != allowed.replicas
        for one in sets
        if _wanted(one)
    )


def _is_saturated(new: Object, allowed: Limits) -> bool:
    desired = _annotations(new).get(_DESIRED)
    return desired == str(allowed.replicas) and _wanted(new) == _available(new) == allowed.replicas


def _annotations(replica_set: Object) -> dict[str, str]:
    annotations: dict[str, str] = replica_set["metadata"].get("annotations", {})
    return annotations


def _copied(metadata: Object) -> dict[str, str]:
    annotations = metadata.get("annotations", {})
    return {name: value for name, value in annotations.items() if name not in _NOT_COPIED}


def _revision(replica_set: Object) -> int:
    return int(_annotations(replica_set).get(REVISION, 0))


def _highest(sets: list[Object]) -> int:
    return max(map(_revision, sets), default=0)


def _wanted(replica_set: Object) -> int:
    return int(replica_set["spec"]["replicas"])


def _running(replica_set: Object) -> int:
    return int(replica_set.get("status", {}).get("replicas", 0))


def _ready(replica_set: Object) -> int:
    return int(replica_set.get("status", {}).get("readyReplicas", 0))


def _available(replica_set: Object) -> int:
    return int(replica_set.get("status", {}).get("availableReplicas", 0))


def _size(replica_set: Object) -> Size:
    most = _annotations(replica_set).get(_MOST, 0)
    return Size(_wanted(replica_set), _available(replica_set), int(most))
