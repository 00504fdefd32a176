"""The ReplicaSet controller: as many pods as were asked for."""

import copy
from collections.abc import Callable
from datetime import UTC, datetime

from drctl.lab.kubernetes.conditions import find_condition, is_true
from drctl.lab.kubernetes.defaults import fill
from drctl.lab.kubernetes.errors import Object
from drctl.lab.kubernetes.kinds import POD, REPLICA_SET, RESOURCE_QUOTA, Kind
from drctl.lab.kubernetes.records import Recorder, random_suffix
from drctl.lab.kubernetes.store import Store

_PHASES = ("Pending", "Unknown", "Running")


def owned_by(store: Store, kind: Kind, owner: Object) -> list[Object]:
    """Returns the objects of a kind that an object controls, oldest first."""
    metadata = owner["metadata"]
    found = [
        obj
        for obj in store.all_of(kind, metadata.get("namespace"))
        if any(
            reference["uid"] == metadata["uid"] and reference.get("controller")
            for reference in obj["metadata"].get("ownerReferences", [])
        )
    ]
    return sorted(
        found, key=lambda obj: (obj["metadata"]["creationTimestamp"], obj["metadata"]["name"])
    )


def owner_reference(kind: Kind, owner: Object) -> Object:
    """Makes the reference that ties an object to its controller."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_active(pod: Object) -> bool:
    """Says whether a pod counts: not ending and not ended."""
    ended = pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}
    return not ended and not pod["metadata"].get("deletionTimestamp")


def is_available(pod: Object, min_ready_s: int) -> bool:
    """Says whether a pod has been ready for long enough."""
    ready = find_condition(pod.get("status", {}).get("conditions", []), "Ready")
    if ready is None or ready["status"] != "True":
        return False
    if not min_ready_s:
        return True
    since = datetime.fromisoformat(ready["lastTransitionTime"])
    return (datetime.now(UTC) - since).total_seconds() >= min_ready_s


class ReplicaSets:
    """Brings the number of pods of every ReplicaSet to what its spec says."""

    def __init__(self, store: Store, on_delete_pod: Callable[[Object], None]) -> None:
        self._store = store
        self._delete_pod = on_delete_pod
        self._recorder = Recorder(store, "replicaset-controller")

    def sync(self) -> None:
        """Does one round over all ReplicaSets."""
        for replica_set in self._store.all_of(REPLICA_SET):
            if not replica_set["metadata"].get("deletionTimestamp"):
                self._sync(replica_set)

    def _sync(self, replica_set: Object) -> None:
        active = [pod for pod in owned_by(self._store, POD, replica_set) if is_active(pod)]
        wanted = replica_set["spec"]["replicas"]
        for _ in range(wanted - len(active)):
            if not self._create(replica_set):
                break
        for pod in sorted(active, key=_worth)[: max(0, len(active) - wanted)]:
            self._delete_pod(pod)
            name = pod["metadata"]["name"]
            self._recorder.normal(
                REPLICA_SET, replica_set, "SuccessfulDelete", f"Deleted pod: {name}"
            )
        self._report(replica_set)

    def _create(self, replica_set: Object) -> bool:
        """False when a quota of the namespace leaves no room."""
        refusal = _over_quota(self._store, replica_set["metadata"]["namespace"])
        if refusal:
            self._recorder.warning(REPLICA_SET, replica_set, "FailedCreate", refusal)
            return False
        template = copy.deepcopy(replica_set["spec"]["template"])
        owner = replica_set["metadata"]
        metadata = template.get("metadata", {})
        pod: Object = {
            "metadata": {
                "name": f"{owner['name']}-{random_suffix()}",
                "generateName": f"{owner['name']}-",
                "namespace": owner["namespace"],
                "labels": metadata.get("labels", {}),
                "ownerReferences": [owner_reference(REPLICA_SET, replica_set)],
            },
            "spec": template["spec"],
            "status": {"phase": "Pending", "qosClass": "BestEffort"},
        }
        if metadata.get("annotations"):
            pod["metadata"]["annotations"] = metadata["annotations"]
        fill(POD, pod)
        self._store.create(POD, pod)
        name = pod["metadata"]["name"]
        self._recorder.normal(REPLICA_SET, replica_set, "SuccessfulCreate", f"Created pod: {name}")
        return True

    def _report(self, replica_set: Object) -> None:
        active = [pod for pod in owned_by(self._store, POD, replica_set) if is_active(pod)]
        template_labels = replica_set["spec"]["template"]["metadata"].get("labels", {})
        min_ready_s = replica_set["spec"].get("minReadySeconds", 0)
        status = {
            "replicas": len(active),
            "fullyLabeledReplicas": sum(
                template_labels.items() <= pod["metadata"].get("labels", {}).items()
                for pod in active
            ),
            "readyReplicas": sum(is_true(pod, "Ready") for pod in active),
            "availableReplicas": sum(is_available(pod, min_ready_s) for pod in active),
            "observedGeneration": replica_set["metadata"]["generation"],
        }
        kept = {name: count for name, count in status.items() if count or name == "replicas"}
        self._store.replace(REPLICA_SET, {**replica_set, "status": kept})


def _over_quota(store: Store, namespace: str) -> str:
    """Why one more pod is too many; empty: it is not. Only numbers of pods are emulated."""
    active = [pod for pod in store.all_of(POD, namespace) if is_active(pod)]
    for quota in store.all_of(RESOURCE_QUOTA, namespace):
        hard = quota["spec"].get("hard", {}).get("pods")
        if hard is not None and len(active) >= int(hard):
            name = quota["metadata"]["name"]
            used = f"requested: pods=1, used: pods={len(active)}, limited: pods={hard}"
            return f"exceeded quota: {name}, {used}"
    return ""


def _worth(pod: Object) -> tuple[int, int, int, int]:
    """Orders pods by what would be lost with them, least first (``ActivePods``)."""
    status = pod.get("status", {})
    phase = status.get("phase", "Pending")
    restarts = sum(state["restartCount"] for state in status.get("containerStatuses", []))
    return (
        _PHASES.index(phase) if phase in _PHASES else 0,
        int(is_true(pod, "Ready")),
        -restarts,
        -int(pod["metadata"]["resourceVersion"]),
    )
