"""On pace, behind, or will miss: the run against its budget."""

from drctl.engine.state import State
from drctl.kernel.clock import Instant
from drctl.kernel.duration import format_duration
from drctl.plan.forecast import Progress, forecast_s
from drctl.plan.model import Plan

_SLACK_S = 5.0
"""Estimates are no better than this; a smaller difference is not news."""


def pace(plan: Plan, state: State, now: Instant) -> str:
    """``on pace, 9m30s to spare``, ``behind by 1m10s, …`` or ``will miss by 2m30s``."""
    if state.restored_s is not None:
        return f"restored in {format_duration(state.restored_s)}"
    elapsed_s = state.elapsed(now).seconds
    total_s = elapsed_s + forecast_s(plan, state.progress(now))
    spare_s = plan.objectives.rto_s - total_s
    if spare_s < 0:
        return f"will miss by {format_duration(-spare_s)}"
    before_s = state.start.elapsed_before_s if state.start else 0.0
    behind_s = total_s - before_s - forecast_s(plan, Progress())
    spare = f"{format_duration(spare_s)} to spare"
    if behind_s > _SLACK_S:
        return f"behind by {format_duration(behind_s)}, {spare}"
    return f"on pace, {spare}"
