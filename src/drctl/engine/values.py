"""What an expression may see at a moment of a run, under its dotted names."""

from datetime import timedelta
from typing import Any

from drctl.engine.state import State
from drctl.kernel.clock import Instant
from drctl.plan.forecast import forecast_s
from drctl.plan.model import Plan
from drctl.plan.terms import inputs_of, outer


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
    scope = plan.by_id[step].scope if step else ""
    known = _inputs(plan, state, now, scope)
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
    known["steps"] = _steps(plan, state, scope, text)
    return known


def _inputs(plan: Plan, state: State, now: Instant, scope: str) -> dict[str, Any]:
    if not scope:
        return inputs_of(plan, "", {})
    text = str(plan.scopes[scope].inputs)
    around = outer(scope)
    known = _inputs(plan, state, now, around)
    # What an included runbook is given may be what a step of the runbook around it gave.
    known["steps"] = _steps(plan, state, around, text)
    known["env.name"] = plan.environment
    return inputs_of(plan, scope, known)


def _steps(plan: Plan, state: State, scope: str, text: str) -> dict[str, Any]:
    """The steps of one runbook that *text* mentions, by their own ids."""
    prefix = f"{scope}." if scope else ""
    found: dict[str, Any] = {}
    for name, step in state.steps.items():
        own = name.removeprefix(prefix)
        if plan.by_id[name].scope == scope and f"steps.{own}" in text:
            found[own] = {
                "status": step.status,
                "attempts": step.attempt,
                "outputs": step.outputs,
            }
    for inner in plan.scopes:
        own = inner.removeprefix(prefix)
        if outer(inner) == scope and f"steps.{own}" in text:
            found[own] = {"status": _status_of(plan, state, inner), "attempts": 1, "outputs": {}}
    return found


def _status_of(plan: Plan, state: State, scope: str) -> str:
    """How an included runbook stands: as its worst step; nobody waits for its messages."""
    inside = f"{scope}."
    statuses = {
        step.status
        for name, step in state.steps.items()
        if name.startswith(inside)
        and not (plan.by_id[name].is_final or plan.by_id[name].is_message)
    }
    worst = ("failed", "unknown", "undone", "running", "waiting", "succeeded", "skipped")
    return next(word for word in worst if word in statuses)
