"""What of a saved plan no longer holds."""

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
        facts, now = dict(before.prediction.facts), dict(after.prediction.facts)
        found += [
            f"{before.id}: {name} was {facts.get(name)!r}, is {now.get(name)!r}"
            for name in sorted(facts.keys() | now.keys())
            if facts.get(name) != now.get(name)
        ]
    return tuple(found)
