"""
Which orders a run can follow now; asked twice, by who gives one and by the run that takes it. Pure.

What no order can do: stop a change that has begun, send again what may have happened without
looking, pass a gate, promote what loses more than was accepted, or go on after a cancellation.
"""

from drctl.actions.contract import Effect
from drctl.engine.ports import Order
from drctl.engine.state import State, StepState
from drctl.kernel.text import did_you_mean
from drctl.plan.model import Plan, PlannedStep

NEEDS_REASON = frozenset({"cancel", "skip", "force", "note"})
NEEDS_STEP = frozenset({"retry", "skip"})


def refusal(plan: Plan, state: State, order: Order) -> str | None:
    """Why the order cannot be followed; ``None``: it can."""
    incomplete = _incomplete(plan, order)
    if incomplete is not None or order.order == "note":
        return incomplete
    return _over(state, order) or _not_now(plan, state, order)


def _incomplete(plan: Plan, order: Order) -> str | None:
    if order.order in NEEDS_REASON and not order.reason.strip():
        return "it needs a reason, which goes into the record"
    if order.order in NEEDS_STEP and not order.step:
        return "it needs a step"
    if order.step and order.step not in plan.by_id:
        return f'no step is called "{order.step}"{did_you_mean(order.step, plan.by_id)}'
    return None


def _over(state: State, order: Order) -> str | None:
    if state.is_turned_round or (state.undo is not None and state.finished is None):
        return "the run is being undone, or has been"
    if state.finished is not None and state.finished.result == "succeeded":
        return "the run is done"
    if state.cancelled is not None and not _only_looks(order, state):
        return f"the run was cancelled by {state.cancelled.by}: {state.cancelled.reason}"
    return None


def _not_now(plan: Plan, state: State, order: Order) -> str | None:  # noqa: PLR0911 (a case each)
    match order.order:
        case "pause":
            return f"the run is paused by {state.held.by} already" if state.held else None
        case "continue":
            return None if state.held else "nobody has paused the run"
        case "cancel":
            return None if state.open_work else "every step has ended already"
        case "retry":
            return _not_retried(plan.by_id[order.step], state)
        case "skip":
            return _not_skipped(plan.by_id[order.step], state)
        case "force":
            return _not_forced(plan, state, order.step)
        case "note":
            return None


def _only_looks(order: Order, state: State) -> bool:
    """A look changes nothing, and what is unknown stands in the way of an undo."""
    return order.order == "retry" and state.steps[order.step].status == "unknown"


def _not_retried(planned: PlannedStep, state: State) -> str | None:
    step, name = state.steps[planned.id], planned.id
    pause = state.pause
    if pause is not None and pause.kind == "loss" and pause.step == name:
        return None
    if step.status not in {"failed", "unknown"}:
        return f"step {name} {_standing(step)}; only what failed or is unknown is tried again"
    if step.is_settled:
        return f"step {name} {_standing(step)} and was passed over; what needed it has gone on"
    return None


def _not_skipped(planned: PlannedStep, state: State) -> str | None:
    step, name = state.steps[planned.id], planned.id
    if planned.is_consent:
        return f"{name} is a gate: people answer it, nobody skips it"
    is_task = name in state.gates and name in state.running
    if step.status not in {"failed", "unknown", "waiting"} and not is_task:
        return f"step {name} {_standing(step)}"
    if step.is_settled:
        return f"step {name} {_standing(step)} and was passed over already"
    if name in state.skips:
        return f"step {name} is to be skipped already"
    return None


def _not_forced(plan: Plan, state: State, name: str) -> str | None:
    before = state.forced_for(name) if name else next((s for s in state.forced if not s.step), None)
    if before is not None:
        return f"the run was forced already by {before.by}: {before.reason}"
    if name and plan.by_id[name].gate is not None:
        return f"{name} is a gate: people answer it, nobody forces it"
    for step in plan.steps:
        there = state.steps[step.id]
        if step.effect is Effect.PROMOTE and (there.may_have_happened or there.has_intent):
            return f"step {step.id} {_standing(there)}: there is nothing left to force"
    return None


def _standing(step: StepState) -> str:
    words = {
        "waiting": "has not run yet",
        "running": "runs now",
        "succeeded": "has succeeded",
        "failed": "failed",
        "unknown": "has an unknown outcome",
        "skipped": "was skipped",
        "undone": "was undone",
    }
    return words[step.status]


def forced_words(plan: Plan, state: State, gate: str) -> str | None:
    """What people must read first at a gate before a forced promotion; ``None``: not forced."""
    is_before = gate in plan.before_promotion
    return forced_in_words(plan, state) if state.forced and is_before else None


def forced_in_words(plan: Plan, state: State) -> str:
    """By whom and why the run was forced, and what that risks."""
    said = "; ".join(
        f"{one.by}{f' (step {one.step})' if one.step else ''}: {one.reason}" for one in state.forced
    )
    return f"FORCED by {said}; {what_forcing_risks(plan, state)}"


def what_forcing_risks(plan: Plan, state: State) -> str:
    """What nobody has proven, as far as it matters now."""
    fences = [step.id for step in plan.steps if step.effect is Effect.FENCE]
    promotes = [step.id for step in plan.steps if step.effect is Effect.PROMOTE]
    if not promotes:
        return "nothing here is promoted; what is graceful is not waited for"
    if fences and all(state.steps[name].status == "succeeded" for name in fences):
        return "the old primary is fenced"
    risk = "the old primary may still take writes"
    is_over = state.cancelled is not None or state.stop is not None
    if is_over and not any(state.steps[name].may_have_happened for name in promotes):
        return f"{risk}; nothing was promoted"
    return f"{risk}: both sides may accept data that cannot be merged"
