"""What an expression may see at a moment of a run, under its dotted names."""

from datetime import timedelta
from typing import Any

from drctl.engine.state import State
from drctl.kernel.clock import Instant
from drctl.plan.forecast import forecast_s
from drctl.plan.model import Plan


def values(
    plan: Plan, state: State, now: Instant, *, text: str = "", step: str = ""
) -> dict[str, Any]:
    """
    Collects inputs, the clock, and what finished steps gave.

    Args:
        text: What will be evaluated; what costs much is left out when it is not mentioned.
        step: For whom: one that a person has forced is ungraceful, whatever the run is.

    A name that is absent is unknown, not false: a skipped step has a status and no outputs.
    """
    # Once service is restored the clock stands.
    elapsed_s = state.elapsed(now).seconds if state.restored_s is None else state.restored_s
    rto_s = plan.objectives.rto_s
    known: dict[str, Any] = {f"inputs.{name}": value for name, value in plan.inputs.items()}
    known |= {
        "env.name": plan.environment,
        "rto.budget": timedelta(seconds=rto_s),
        "rto.elapsed": timedelta(seconds=elapsed_s),
        "rto.remaining": timedelta(seconds=max(0.0, rto_s - elapsed_s)),
        "rpo.budget": timedelta(seconds=plan.objectives.rpo_s),
        "run.id": state.start.run_id if state.start else "",
        "run.operator": state.start.operator if state.start else "",
        "run.mode": "ungraceful"
        if state.forced_for(step) is not None
        else str(plan.inputs.get("mode", "")),
        "run.drill": False,
        "run.succeeded": state.open_work == 0 and state.stop is None and state.cancelled is None,
    }
    if "rto.forecast" in text:
        # Walks the whole graph, so only for those who ask.
        left_s = forecast_s(plan, state.progress(now))
        known["rto.forecast"] = timedelta(seconds=elapsed_s + left_s)
    if state.loss is not None and state.loss.bound_s is not None:
        known["rpo.measured"] = timedelta(seconds=state.loss.bound_s)
    known["steps"] = {
        name: {"status": step.status, "attempts": step.attempt, "outputs": step.outputs}
        for name, step in state.steps.items()
        if f"steps.{name}" in text
    }
    return known
