"""Conditions: the typed yes-or-no facts in a status."""

from collections.abc import Sequence

from drctl.lab.kubernetes.errors import Object
from drctl.lab.kubernetes.store import timestamp


def find_condition(conditions: Sequence[Object], name: str) -> Object | None:
    """Returns the condition of a type, or nothing."""
    return next((condition for condition in conditions if condition["type"] == name), None)


def is_true(obj: Object, name: str) -> bool:
    """Says whether an object's status has a condition that holds."""
    found = find_condition(obj.get("status", {}).get("conditions", []), name)
    return found is not None and found["status"] == "True"


def with_condition(
    conditions: Sequence[Object],
    name: str,
    *,
    holds: bool | None,
    reason: str = "",
    message: str = "",
    stamped: bool = False,
) -> list[Object]:
    """
    Returns the conditions with one of them set.

    The transition time moves only when the answer changes.

    Args:
        conditions: The present ones.
        name: Type of the condition.
        holds: Its answer; nothing when it cannot be said.
        reason: One word for machines.
        message: A sentence for people.
        stamped: Whether it carries ``lastUpdateTime``, which moves with every reason.
    """
    before = find_condition(conditions, name)
    status = "Unknown" if holds is None else str(holds)
    condition: Object = {"type": name, "status": status}
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    moved = before is None or before["status"] != status
    condition["lastTransitionTime"] = timestamp()
    if before is not None and not moved:
        condition["lastTransitionTime"] = before["lastTransitionTime"]
    if stamped:
        same = before is not None and not moved and before.get("reason") == reason
        condition["lastUpdateTime"] = (
            before["lastUpdateTime"] if before is not None and same else timestamp()
        )
    others = [other for other in conditions if other["type"] != name]
    if before is None:
        return [*others, condition]
    return [condition if other["type"] == name else other for other in conditions]
