"""
How a run came out, as far as it has come: the worst that is true.

Invariant: nothing ends well that was not proven. A run that has promoted ends well only when a step
    has shown afterwards that one primary takes writes; when the proof failed, or a promotion went
    past a fence that did not hold, it is "unsafe", whatever else became of it.
"""

from drctl.actions.contract import Effect
from drctl.engine.events import Result
from drctl.engine.state import State
from drctl.plan.model import Plan, PlannedStep

TWO_PRIMARIES = "two primaries may take writes"


def at_work(state: State) -> frozenset[str]:
    """What runs and is not a gate."""
    return state.running - state.gates.keys()


def result(plan: Plan, state: State) -> tuple[Result, str]:  # noqa: PLR0911 (a table)
    """The worst that is true: unsafe, then by exit code: unknown, failed, paused."""
    unsafe = _unsafe(plan, state)
    if unsafe is not None:
        return "unsafe", f"{TWO_PRIMARIES}: {unsafe}"
    for name, step in state.steps.items():
        # What was passed over was decided on by a person, and is in the last words.
        if step.status == "unknown" and not step.is_settled:
            return "unknown", f"step {name} has an unknown outcome"
    left = ", ".join(sorted(at_work(state)))
    if left:
        return "interrupted", f"interrupted; still under way, to be looked for by a resume: {left}"
    ill: Result = "failed" if state.changed else "refused"
    if state.cancelled is not None:
        return "cancelled", f"cancelled by {state.cancelled.by}: {state.cancelled.reason}"
    if state.pause is not None:
        is_waiting = state.changed and state.pause.kind != "failed"
        is_waiting = is_waiting or state.pause.kind == "lease"
        return "paused" if is_waiting else ill, state.pause.why
    if state.interrupted and state.stop is None and state.open_work + state.open_final > 0:
        untold = "" if state.open_work else "; what comes last (finally) is still to be done"
        return "interrupted", f"interrupted; what was running has finished{untold}"
    why = state.stop or _unfinished(plan, state)
    unproven = None if why else _unproven(plan, state)
    if unproven is not None:
        return "unsafe", f"{TWO_PRIMARIES}: {unproven}"
    return (ill, why) if why else ("succeeded", "every step is settled")


def _unsafe(plan: Plan, state: State) -> str | None:
    """What speaks against there being one primary, whatever else became of the run."""
    unproven = _unproven(plan, state)
    if unproven is None:
        return None
    for step in plan.steps:
        if step.proves_one_primary and state.steps[step.id].status in {"failed", "unknown"}:
            return f"{step.id} did not prove that there is one ({state.steps[step.id].why})"
    for step in _promoted(plan, state):
        fences = [one.id for one in plan.before(step.id) if one.effect is Effect.FENCE]
        open_ = [name for name in fences if state.steps[name].status != "succeeded"]
        if open_ or not fences:
            return f"{step.id} went on without a fence ({', '.join(open_) or 'there is none'})"
    return None


def _unproven(plan: Plan, state: State) -> str | None:
    """Why nothing shows that one primary takes writes; ``None`` when nothing was promoted."""
    for step in _promoted(plan, state):
        proofs = [
            one.id for one in plan.steps if one.proves_one_primary and step in plan.before(one.id)
        ]
        if not any(state.steps[name].status == "succeeded" for name in proofs):
            return f"nothing after {step.id} has proven that there is one"
    return None


def _promoted(plan: Plan, state: State) -> list[PlannedStep]:
    return [
        step
        for step in plan.steps
        if step.effect is Effect.PROMOTE and state.steps[step.id].status in {"succeeded", "unknown"}
    ]


def _unfinished(plan: Plan, state: State) -> str | None:
    """What a run lacks that ends without a stop: nothing may end well that was not proven."""
    if state.open_work > 0:
        waiting = [name for name, step in state.steps.items() if step.status == "waiting"]
        return f"nothing can start: {', '.join(waiting)}"
    if state.restored_s is None and plan.objectives.stops_after:
        unproven = ", ".join(plan.objectives.stops_after)
        return f"every step is settled, and service was not proven: {unproven}"
    return None
