"""
Order and time of a plan: waves, the longest chain, what is left of it.

Invariant: an edge is a ``needs``. The forecast is the length of the longest chain of estimates that
    ends in a step at which the incident clock stops; what runs beside it costs nothing, and what
    comes after it (telling people, tidying up) is not counted. A step that runs has at least its
    estimate minus the time it already took left, and never less than nothing: one that is overdue
    holds the forecast at "now".
"""

from collections.abc import Iterable, Mapping, Sequence
from graphlib import TopologicalSorter

from drctl.plan.model import PlannedStep


def in_order(needs: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Steps so that each comes after those that it needs."""
    if _is_in_order(needs):
        return tuple(needs)
    return tuple(TopologicalSorter(needs).static_order())


def _is_in_order(needs: Mapping[str, Sequence[str]]) -> bool:
    """Whether each is written after those that it needs, as in nearly every plan."""
    before: set[str] = set()
    for step, those in needs.items():
        if not before.issuperset(those):
            return False
        before.add(step)
    return True


def waves(steps: Sequence[PlannedStep]) -> tuple[tuple[str, ...], ...]:
    """
    Groups steps that may start together, in order.

    Example:
        a, b with no needs and c that needs both: ``(("a", "b"), ("c",))``
    """
    needs = {step.id: step.needs for step in steps}
    wave: dict[str, int] = {}
    for name in in_order(needs):
        wave[name] = 1 + max([wave[need] for need in needs[name]], default=0)
    groups: list[list[str]] = [[] for _ in range(max(wave.values(), default=0))]
    for name in needs:
        groups[wave[name] - 1].append(name)
    return tuple(tuple(group) for group in groups)


def longest_chain(
    steps: Sequence[PlannedStep], left_s: Mapping[str, float], ends: Iterable[str]
) -> tuple[float, tuple[str, ...]]:
    """
    Finds the longest chain of *left_s* that ends in one of *ends* (in any step when there are
    none).

    Returns:
        Its length in seconds, and its steps in order.
    """
    by_id = {step.id: step for step in steps}
    total: dict[str, float] = {}
    before: dict[str, str | None] = {}
    for name in in_order({step.id: step.needs for step in steps}):
        previous = max(by_id[name].needs, key=total.__getitem__, default=None)
        total[name] = left_s.get(name, 0.0) + (total[previous] if previous else 0.0)
        before[name] = previous
    last: str | None = max(
        (name for name in ends if name in total) if ends else total,
        key=total.__getitem__,
        default=None,
    )
    if last is None:
        return 0.0, ()
    length_s, chain = total[last], []
    while last is not None:
        chain.append(last)
        last = before[last]
    return length_s, tuple(reversed(chain))
