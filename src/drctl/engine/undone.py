"""What the undoing of a run means for its state: the folds of the three events of undo. Pure."""

from dataclasses import replace

from drctl.engine import events as e
from drctl.engine.settling import NEVER_HAPPENED, gate_closed, with_step
from drctl.engine.state import State, UndoState, UndoStatus, UndoWish
from drctl.engine.undoing import undoing
from drctl.plan.model import Plan


def undo_wished(event: e.UndoRequested, plan: Plan, state: State) -> State:
    """
    Turns the run round. What had no effect yet is given up; what may have had one is looked at
    first, a failed undo is tried again, and one under way when a process died is looked at.
    """
    for name in sorted(state.gates.keys() & state.running):
        state = gate_closed(name, state)
    wish = UndoWish(by=event.by, reason=event.reason, to=event.to, failed_of=_ended(state))
    state = replace(
        state, undo=wish, finished=None, interrupted=None, held=None, verified_pins=frozenset()
    )
    for name, step in state.steps.items():
        undo = step.undo
        if undo is not None and undo.status != "done":
            may_have_left = undo.status == "unknown" or (
                undo.status == "running" and undo.has_intent
            )
            status: UndoStatus = "running" if may_have_left else "waiting"
            state = with_step(state, name, replace(step, undo=replace(undo, status=status)))
        elif step.status == "running" and not step.has_intent:
            state = with_step(state, name, replace(step, status="waiting"))
    for name in undoing(plan, state, event.to).looks:
        looked = replace(state.steps[name], status="running", has_intent=True)
        state = with_step(state, name, looked)
    under_way = {
        name
        for name, step in state.steps.items()
        if step.status == "running" or (step.undo is not None and step.undo.status == "running")
    }
    return replace(state, running=frozenset(under_way))


def _ended(state: State) -> str:
    """How the run came to be undone."""
    if state.undo is not None:
        return state.undo.failed_of
    return state.finished.why if state.finished else "its process died"


def forward_again(state: State) -> State:
    """
    Nothing could be undone, so the run may go on. What the undo only looked at is looked at once
    more, this time with its checks.
    """
    steps = {
        name: replace(step, status="running", has_intent=True)
        if step.status == "succeeded" and not step.is_settled
        else step
        for name, step in state.steps.items()
    }
    under_way = {name for name, step in steps.items() if step.status == "running"}
    free = (
        name
        for name, step in steps.items()
        if step.status == "waiting" and state.unmet[name] == 0 and name not in state.ready
    )
    return replace(
        state, undo=None, steps=steps, running=frozenset(under_way), ready=(*state.ready, *free)
    )


def undo_started(event: e.UndoStarted, state: State) -> State:
    """An undo is under way."""
    step = replace(state.steps[event.step], undo=UndoState(attempt=event.attempt))
    state = with_step(state, event.step, step)
    return replace(state, running=state.running | {event.step})


def undo_finished(event: e.UndoFinished, state: State) -> State:
    """An undo has ended; one that a look did not find is to be started again."""
    step = state.steps[event.step]
    words: dict[str, UndoStatus] = {"succeeded": "done", "unknown": "unknown"}
    status = words.get(event.outcome, "failed")
    if status == "failed" and event.error == NEVER_HAPPENED:
        status = "waiting"
    undo = UndoState(status=status, attempt=event.attempt, error=event.error, why=event.why)
    step = replace(step, undo=undo, status="undone" if status == "done" else step.status)
    return replace(with_step(state, event.step, step), running=state.running - {event.step})
