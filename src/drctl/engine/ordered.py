"""What an order that the run has taken means for its state: the fold of `OrderGiven`. Pure."""

from dataclasses import replace

from drctl.actions.contract import Effect
from drctl.engine import events as e
from drctl.engine.settling import (
    blamed_anew,
    gate_closed,
    is_passed_over,
    measured_anew,
    settle,
    unsettled,
    with_step,
    without,
)
from drctl.engine.state import Record, Said, State
from drctl.plan.model import Plan


def ordered(event: e.OrderGiven, plan: Plan, state: State, record: Record) -> State:  # noqa: PLR0911 (a case per order)
    """Takes an order in."""
    said = Said(by=event.by, reason=event.reason, step=event.step)
    match event.order:
        case "pause":
            return replace(state, held=said)
        case "continue":
            return _asked_again(replace(state, held=None))
        case "cancel":
            return replace(_gates_closed(state), cancelled=said, held=None)
        case "retry":
            return _retried(event.step, plan, state)
        case "skip":
            return _to_be_skipped(said, plan, state)
        case "force":
            return _forced(said, plan, state, record)
        case "note":
            return state


def _asked_again(state: State) -> State:
    """A gate that ran out, or was denied, is put to people once more."""
    is_gate = state.pause is not None and state.pause.kind == "gate"
    return replace(state, pause=None) if is_gate else state


def _gates_closed(state: State) -> State:
    for name in sorted(state.gates.keys() & state.running):
        state = gate_closed(name, state)
    return state


def _retried(name: str, plan: Plan, state: State) -> State:
    """
    Sends a failed step again; what may have happened is looked at first, as after a crash, so that
    nothing is repeated blindly.
    """
    before = state.steps[name]
    if before.status == "succeeded":  # a loss that was too large is measured again
        return measured_anew(plan, replace(state, pause=None), [name])
    fresh = replace(before, forgiven=before.attempt, backoff_s=None)
    if before.status == "unknown" or before.may_have_happened:
        state = with_step(state, name, replace(fresh, status="running", has_intent=True))
        state = replace(state, running=state.running | {name})
    else:
        state = with_step(state, name, replace(fresh, status="waiting"))
        state = replace(state, ready=(*without(state.ready, name), name))
    return blamed_anew(plan, state)


def _to_be_skipped(said: Said, plan: Plan, state: State) -> State:
    """It is passed over when it is its turn: what needs it also needs what comes before it."""
    name = said.step
    state = replace(state, skips={**state.skips, name: said})
    if name in state.gates and name in state.running:
        return gate_closed(name, state)
    if state.pause is not None and state.pause.kind == "gate" and state.pause.step == name:
        state = replace(state, pause=None)
    if state.steps[name].status in {"failed", "unknown"}:
        state = with_step(state, name, replace(state.steps[name], status="waiting"))
        state = replace(state, ready=(*without(state.ready, name), name))
    return blamed_anew(plan, state)


def _forced(said: Said, plan: Plan, state: State, record: Record) -> State:
    """
    Lets the run go on without a proven fence, once people have said so again: they said go to a
    fenced failover, and to numbers that are old.
    """
    waits = waiting_looks(plan, state, said.step)
    state = replace(state, forced=(*state.forced, said), given_up=state.given_up | waits)
    gates = [s.id for s in plan.steps if s.is_consent and s.id in plan.before_promotion]
    for name in gates:
        if name in state.running:
            state = gate_closed(name, state)
    passed = [name for name in gates if state.steps[name].status == "succeeded"]
    measured = [
        s.id
        for s in plan.steps
        if s.measures_loss
        and s.id in plan.before_promotion
        and state.steps[s.id].status == "succeeded"
    ]
    state = _asked_again(measured_anew(plan, unsettled(state, passed, plan), measured))
    for planned in plan.steps:
        step = state.steps[planned.id]
        is_ill = step.status in {"failed", "unknown"} and not step.is_settled
        if is_ill and is_passed_over(planned, state):
            state = settle(planned, state, record)
    return blamed_anew(plan, state)


def waiting_looks(plan: Plan, state: State, step: str) -> frozenset[str]:
    """
    Looks that run now and that a forced run does not wait for: the one that is named, or those
    that a promotion waits for. Never a measurement that is not behind a fence: without it nobody
    could say what the promotion would lose.
    """
    looks = {
        name
        for name in state.running - state.gates.keys()
        if plan.by_id[name].effect is Effect.READ
    }
    if step:
        return frozenset(looks & {step})
    return frozenset(
        name
        for name in looks & plan.before_promotion
        if not plan.by_id[name].measures_loss
        or any(before.effect is Effect.FENCE for before in plan.before(name))
    )
