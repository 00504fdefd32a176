"""What a ReplicaSet remembers of its Deployment: sizes, numbers, annotations."""

from drctl.lab.kubernetes.errors import Object
from drctl.lab.kubernetes.rollout import Limits, Size

REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MOST = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED = {
    REVISION,
    HISTORY,
    DESIRED,
    MOST,
    "kubectl.kubernetes.io/last-applied-configuration",
}


def was_scaled(sets: list[Object], allowed: Limits) -> bool:
    """Says whether a rollout in progress was begun for another number of replicas."""
    return any(
        int(annotations_of(one).get(DESIRED, allowed.replicas)) != allowed.replicas
        for one in sets
        if wanted(one)
    )


def is_saturated(new: Object, allowed: Limits) -> bool:
    """Says whether the new ReplicaSet has all pods, and all of them serve."""
    desired = annotations_of(new).get(DESIRED)
    return desired == str(allowed.replicas) and wanted(new) == available(new) == allowed.replicas


def annotations_of(replica_set: Object) -> dict[str, str]:
    """Returns the annotations of a ReplicaSet."""
    annotations: dict[str, str] = replica_set["metadata"].get("annotations", {})
    return annotations


def copied(metadata: Object) -> dict[str, str]:
    """Returns the annotations that a Deployment hands on to its ReplicaSets."""
    annotations = metadata.get("annotations", {})
    return {name: value for name, value in annotations.items() if name not in _NOT_COPIED}


def revision(replica_set: Object) -> int:
    """Returns the number of the revision; zero when it has none."""
    return int(annotations_of(replica_set).get(REVISION, 0))


def highest(sets: list[Object]) -> int:
    """Returns the highest revision among ReplicaSets."""
    return max(map(revision, sets), default=0)


def wanted(replica_set: Object) -> int:
    """Returns how many pods it should have."""
    return int(replica_set["spec"]["replicas"])


def running(replica_set: Object) -> int:
    """Returns how many pods it has."""
    return int(replica_set.get("status", {}).get("replicas", 0))


def ready(replica_set: Object) -> int:
    """Returns how many of its pods are ready."""
    return int(replica_set.get("status", {}).get("readyReplicas", 0))


def available(replica_set: Object) -> int:
    """Returns how many of its pods have been ready for long enough."""
    return int(replica_set.get("status", {}).get("availableReplicas", 0))


def size(replica_set: Object) -> Size:
    """Returns what the arithmetic of a rollout needs to know."""
    most = annotations_of(replica_set).get(MOST, 0)
    return Size(wanted(replica_set), available(replica_set), int(most))
