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
    return tuple(TopologicalSorter(needs).static_order())


def waves(steps: Sequence[PlannedStep]) -> tuple[tuple[str, ...], ...]:
    """
    Groups steps that may start together, in order.

    Example:
        a, b with no needs and c that needs both: ``(("a", "b"), ("c",))``
    """
    sorter = TopologicalSorter({step.id: step.needs for step in steps})
    sorter.prepare()
    order = {step.id: index for index, step in enumerate(steps)}
    groups = []
    while sorter.is_active():
        ready = tuple(sorted(sorter.get_ready(), key=order.__getitem__))
        groups.append(ready)
        sorter.done(*ready)
    return tuple(groups)


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
