"""The garbage collector: what belonged to a deleted object goes with it."""

from collections.abc import Callable

from drctl.lab.kubernetes.errors import Object
from drctl.lab.kubernetes.kinds import CRON_JOB, DEPLOYMENT, JOB, POD, REPLICA_SET
from drctl.lab.kubernetes.store import Store

_OWNERS = (DEPLOYMENT, REPLICA_SET, JOB, CRON_JOB)
_OWNED = (REPLICA_SET, JOB, POD)


def collect(store: Store, delete_pod: Callable[[Object], None]) -> None:
    """Deletes ReplicaSets and pods whose owner is gone."""
    alive = {obj["metadata"]["uid"] for kind in _OWNERS for obj in store.all_of(kind)}
    for kind in _OWNED:
        for obj in store.all_of(kind):
            metadata = obj["metadata"]
            owners = metadata.get("ownerReferences", [])
            if not owners or metadata.get("deletionTimestamp"):
                continue
            if any(owner["uid"] in alive for owner in owners):
                continue
            if kind is POD:
                delete_pod(obj)
            else:
                store.delete(kind, metadata["namespace"], metadata["name"])


def orphan(store: Store, owner: Object) -> None:
    """Cuts what an object owns loose, so that it outlives its owner."""
    uid = owner["metadata"]["uid"]
    for kind in _OWNED:
        for obj in store.all_of(kind, owner["metadata"].get("namespace")):
            references = obj["metadata"].get("ownerReferences", [])
            kept = [reference for reference in references if reference["uid"] != uid]
            if len(kept) != len(references):
                metadata = {**obj["metadata"], "ownerReferences": kept}
                store.replace(kind, {**obj, "metadata": metadata})
