"""The status of a Deployment: its counts, and what they say about availability and progress."""

from datetime import UTC, datetime

from drctl.lab.kubernetes import revisions
from drctl.lab.kubernetes.conditions import find_condition, with_condition
from drctl.lab.kubernetes.errors import Object
from drctl.lab.kubernetes.rollout import Limits


def count(sets: list[Object], new: Object | None) -> dict[str, int]:
    """Adds up the pods of all ReplicaSets of a Deployment (``calculateStatus``)."""
    available = sum(map(revisions.available, sets))
    return {
        "replicas": sum(map(revisions.running, sets)),
        "updatedReplicas": revisions.running(new) if new is not None else 0,
        "readyReplicas": sum(map(revisions.ready, sets)),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(map(revisions.wanted, sets)) - available),
    }


def is_complete(counts: dict[str, int], replicas: int) -> bool:
    """Says whether all pods are new and serve, and no old one is left (``DeploymentComplete``)."""
    names = ("updatedReplicas", "replicas", "availableReplicas")
    return all(counts[name] == replicas for name in names)


def judge_availability(deployment: Object, counts: dict[str, int], allowed: Limits) -> list[Object]:
    """Returns the conditions with ``Available`` decided."""
    enough = counts["availableReplicas"] >= allowed.least
    word, having = ("Available", "has") if enough else ("Unavailable", "does not have")
    return with_condition(
        deployment.get("status", {}).get("conditions", []),
        "Available",
        holds=enough,
        reason=f"MinimumReplicas{word}",
        message=f"Deployment {having} minimum availability.",
        stamped=True,
    )


def judge_progress(
    deployment: Object, new: Object | None, counts: dict[str, int], conditions: list[Object]
) -> list[Object]:
    """Returns the conditions with ``Progressing`` decided (``syncRolloutStatus``)."""
    before = deployment.get("status", {})
    present = find_condition(conditions, "Progressing")
    complete = is_complete(counts, deployment["spec"]["replicas"])
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
