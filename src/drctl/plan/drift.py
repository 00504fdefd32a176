"""What of a saved plan no longer holds."""

from collections.abc import Iterator, Mapping
from typing import Any

from drctl.kernel.canonical import canonical
from drctl.plan.model import Plan


def drift(saved: Plan, fresh: Plan) -> tuple[str, ...]:
    """
    Compares what two looks at the world saw, step by step and identity by identity.

    A side that did not answer proves nothing either way, but a step that could be observed then and
    cannot be now is drift: the plan was made in another world.

    Returns:
        One sentence for each difference; empty: the saved plan may run.
    """
    found = []
    for old, new in zip(saved.pins, fresh.pins, strict=True):
        if old.found != new.found:
            found.append(f"{old.name} of {old.subject} was {old.found}, is {new.found}")
    for before in saved.steps:
        after = fresh.by_id[before.id]
        seen = differences(before.prediction.facts, after.prediction.facts)
        found += [f"{before.id}: {sentence}" for sentence in seen]
    return tuple(found)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """One sentence for each fact that two looks saw differently."""
    for name in sorted(before.keys() | now.keys()):
        # As they are written: to Python, 0 and false are the same fact.
        if canonical(before.get(name)) != canonical(now.get(name)):
            yield f"{name} was {before.get(name)!r}, is {now.get(name)!r}"
