"""How long what is left would take, from the lengths of the plan's forecast."""

from collections.abc import Mapping
from dataclasses import dataclass

from drctl.plan.graph import longest_chain
from drctl.plan.model import Plan, PlannedStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is."""

    settled: frozenset[str] = frozenset()
    running_s: Mapping[str, float] | None = None
    """Seconds that running steps have taken so far."""


def left_s(step: PlannedStep, progress: Progress, length_s: float | None = None) -> float:
    """
    Seconds this step is still expected to take: nothing when settled or overdue.

    Args:
        length_s: What the plan's forecast gives it; ``None``: its estimate.
    """
    if step.id in progress.settled:
        return 0.0
    expected_s = step.estimate_s if length_s is None else length_s
    return max(0.0, expected_s - (progress.running_s or {}).get(step.id, 0.0))


def forecast_s(plan: Plan, progress: Progress) -> float:
    """Seconds from now until the incident clock is expected to stop."""
    length_s, _chain = chain_left(plan, progress)
    return length_s


def chain_left(plan: Plan, progress: Progress) -> tuple[float, tuple[str, ...]]:
    """The longest chain of what is left to the steps that prove service, and its steps."""
    steps = [step for step in plan.steps if not step.is_final]
    timed = plan.timed
    left = {
        step.id: left_s(step, progress, timed[step.id].p50_s if step.id in timed else None)
        for step in steps
    }
    return longest_chain(steps, left, plan.objectives.stops_after)
