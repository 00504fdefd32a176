"""
Events to state: ``fold(plan, state, record) -> state``. Total, pure; the same for a run, its resume
and its report.
"""

import hashlib
from dataclasses import replace
from functools import singledispatch

from drctl.actions.contract import Effect
from drctl.actions.loss import LossBound
from drctl.engine import events as e
from drctl.engine.debts import booked, paid, taken_back
from drctl.engine.ordered import ordered
from drctl.engine.settling import (
    AFTER_THE_EFFECT,
    NEVER_HAPPENED,
    NOT_OURS,
    gate_closed,
    measured_anew,
    paused,
    settle,
    with_step,
    without,
)
from drctl.engine.state import Anchor, GateState, Loss, Record, Said, State, Status, StepState
from drctl.engine.undone import forward_again, undo_finished, undo_started, undo_wished
from drctl.plan.model import Plan, PlannedStep

ANY_LOSS_S = 1e12
"""Stands for "any loss, known or not" in a consent: JSON has no infinity."""


def fold(plan: Plan, state: State, record: Record) -> State:
    """Takes one event in."""
    return _apply(record.event, plan, state.seen_at(record.at), record)


@singledispatch
def _apply(_event: e.Event, _plan: Plan, state: State, _record: Record) -> State:
    return state


@_apply.register
def _(event: e.RunStarted, _plan: Plan, state: State, record: Record) -> State:
    passed_s = max(0.0, event.elapsed_before_s)
    anchor = Anchor(at=record.at, passed_s=passed_s, is_certain=True)
    why = event.forced_reason
    is_forced = why is not None and why.strip() != ""
    forced = (Said(by=event.operator, reason=why or ""),) if is_forced else ()
    return replace(state, start=event, started=record.at, anchors=(anchor,), forced=forced)


@_apply.register
def _(event: e.PinChecked, _plan: Plan, state: State, _record: Record) -> State:
    if event.verdict != "match":
        return state
    seen = (event.name, event.subject, event.target)
    return replace(state, verified_pins=state.verified_pins | {seen})


@_apply.register
def _(event: e.StepStarted, _plan: Plan, state: State, record: Record) -> State:
    step = replace(
        state.steps[event.step],
        status="running",
        attempt=event.attempt,
        started=state.steps[event.step].started or record.at,
        backoff_s=None,
        has_intent=False,
        seq=0,
    )
    return replace(
        state,
        steps={**state.steps, event.step: step},
        ready=without(state.ready, event.step),
        running=state.running | {event.step},
    )


@_apply.register
def _(event: e.EffectIntended, _plan: Plan, state: State, record: Record) -> State:
    step = replace(state.steps[event.step], intended=record.at)
    if not event.undoes:
        step = replace(step, has_intent=True, was_intended=True)
    elif step.undo is not None:
        step = replace(step, undo=replace(step.undo, has_intent=True))
    return replace(
        state,
        steps={**state.steps, event.step: step},
        changed=state.changed or event.changes,
    )


@_apply.register
def _(event: e.FactsRead, _plan: Plan, state: State, _record: Record) -> State:
    step = replace(state.steps[event.step], facts=event.facts)
    return replace(state, steps={**state.steps, event.step: step})


@_apply.register
def _(event: e.DebtsBooked, _plan: Plan, state: State, record: Record) -> State:
    return replace(state, debts=booked(state.debts, event, record.at.wall))


@_apply.register
def _(event: e.DebtClosed, _plan: Plan, state: State, _record: Record) -> State:
    return replace(state, debts=paid(state.debts, (event.key,)))


@_apply.register
def _(_event: e.AnswerRefused, _plan: Plan, state: State, _record: Record) -> State:
    return replace(state, refused_answers=state.refused_answers + 1)


@_apply.register
def _(event: e.StepFinished, plan: Plan, state: State, record: Record) -> State:
    planned, before = plan.by_id[event.step], state.steps[event.step]
    backoff_s = _backoff_s(planned, event, state)
    after = replace(
        before,
        status="waiting" if backoff_s is not None else event.outcome,
        attempt=event.attempt,
        finished=record.at,
        outputs=event.outputs,
        error=event.error,
        why=event.why,
        backoff_s=backoff_s,
        was_intended=before.was_intended,
        facts=before.facts,
        forgiven=before.forgiven + (event.error == NEVER_HAPPENED),
        may_have_happened=_may_have_happened(event, before),
        remains=False,
        # A look at what was there keeps its place in the order.
        seq=before.seq or record.seq,
    )
    if state.undo is not None and event.outcome == "failed" and event.error == NEVER_HAPPENED:
        # There is nothing to undo, or only a part; why it had failed must still be told.
        status: Status = "failed" if before.error or event.remains else "waiting"
        after = replace(
            before,
            status=status,
            has_intent=False,
            may_have_happened=event.remains,
            remains=event.remains,
            outputs=event.outputs,
        )
    state = replace(
        state,
        steps={**state.steps, event.step: after},
        running=state.running - {event.step},
        ready=without(state.ready, event.step),
        skips={name: said for name, said in state.skips.items() if name != event.step},
        given_up=state.given_up - {event.step},
    )
    if before.is_settled or state.undo is not None:
        return state  # an undo looks at what was settled, or opens the way for nothing
    if backoff_s is not None:
        return replace(state, ready=(*state.ready, event.step))
    state = settle(planned, state, record)
    if event.outcome == "succeeded" and planned.measures_loss:
        state = _weigh_loss(plan, event, state)
    return state


def _may_have_happened(event: e.StepFinished, before: StepState) -> bool:
    """Whether the effect is there, or may be, as far as this attempt and those before it say."""
    if event.outcome == "failed" and event.error == NEVER_HAPPENED:
        return event.remains  # one key for all attempts: the look speaks for each of them
    is_there = event.outcome in {"succeeded", "unknown"} or event.error in AFTER_THE_EFFECT
    return before.may_have_happened or (before.has_intent and is_there)


def _weigh_loss(plan: Plan, event: e.StepFinished, state: State) -> State:
    """The RPO gate: a bound that is unknown, or larger than allowed, lets nothing further start."""
    loss = _measured(event)
    bound_s = loss.bound_s
    accepted_s = state.start.accepted_loss_s if state.start else None
    allowed = loss_is_allowed(bound_s, plan.objectives.rpo_s, accepted_s)
    why = loss_refusal(bound_s, plan.objectives.rpo_s, loss.source)
    state = replace(state, loss=loss)
    return state if allowed else paused(state, "loss", why, event.step)


def _measured(event: e.StepFinished) -> Loss:
    known = {name: event.outputs[name] for name in LossBound.model_fields if name in event.outputs}
    try:
        measured = LossBound.model_validate(known)
    except ValueError:
        why = "what was measured cannot be read"
        return Loss(bound_s=None, safe_until=None, source=why, step=event.step)
    bound_s = None if measured.bound is None else measured.bound.total_seconds()
    return Loss(
        # Less than nothing is not a bound; the evidence contradicts itself.
        bound_s=bound_s if bound_s is None or bound_s >= 0 else None,
        safe_until=measured.safe_until.isoformat() if measured.safe_until else None,
        source=measured.source,
        step=event.step,
    )


def loss_is_allowed(bound_s: float | None, rpo_s: float, accepted_s: float | None) -> bool:
    """
    True when the bound is known and within the objective, or within what a person accepted.

    With ``accepted_s`` at `ANY_LOSS_S` a person accepted a loss that nobody can bound.
    """
    if bound_s is None:
        return accepted_s is not None and accepted_s >= ANY_LOSS_S
    return bound_s <= max(rpo_s, accepted_s or 0.0)


def loss_refusal(bound_s: float | None, rpo_s: float, source: str) -> str:
    """Says why the RPO gate refuses."""
    size = "is unknown" if bound_s is None else f"is {bound_s:.1f}s"
    return f"the bound on lost writes {size}, the objective is {rpo_s:g}s ({source})"


def _backoff_s(planned: PlannedStep, event: e.StepFinished, state: State) -> float | None:
    """How long to wait before another try; ``None``: none. Unknown outcomes are never retried."""
    if event.outcome == "failed" and event.error in {NEVER_HAPPENED, NOT_OURS}:
        return 0.0
    retry = planned.retry
    used = event.attempt - state.steps[event.step].forgiven
    is_named = event.error is not None and event.error in retry.on_errors
    if event.outcome != "failed" or not is_named or used >= retry.attempts:
        return None
    longest_s = min(retry.max_backoff_s, retry.backoff_s * 2.0 ** (used - 1))
    run = state.start.run_id if state.start else ""
    # Full jitter without randomness in the core: the draw is a hash of who is asking.
    draw = hashlib.sha256(f"{run}/{planned.id}/{event.attempt}".encode()).digest()[0] / 255
    return max(float(longest_s * draw), event.retry_after_s or 0.0)


@_apply.register
def _(event: e.GateOpened, _plan: Plan, state: State, record: Record) -> State:
    gate = GateState(
        opened=record.at, expires_s=event.expires_s, quorum=event.quorum, show=event.show
    )
    step = replace(state.steps[event.step], status="running", attempt=1, started=record.at)
    return replace(
        state,
        gates={**state.gates, event.step: gate},
        steps={**state.steps, event.step: step},
        ready=without(state.ready, event.step),
        running=state.running | {event.step},
    )


@_apply.register
def _(event: e.GateAnswered, plan: Plan, state: State, record: Record) -> State:
    gate = state.gates.get(event.step)
    if gate is None or event.step not in state.running:
        # It was decided before this answer came: an answer counts once, or the steps behind the
        # gate would be opened twice.
        return state
    if (plan.people and event.person not in plan.people) or state.denied:
        return state  # nobody who is enrolled said it, or it comes after a no
    if event.nonce:
        state = replace(state, nonces=state.nonces | {event.nonce})
    if event.answer == "deny":
        state = replace(state, denied=True)
        return _not_passed(event.step, state, f"gate denied by {event.by}: {event.reason}")
    # Set semantics: one person twice is one approval, with however many keys.
    people = tuple(dict.fromkeys((*gate.approved_by, event.person or event.by)))
    state = replace(state, gates={**state.gates, event.step: replace(gate, approved_by=people)})
    if len(people) < gate.quorum:
        return state
    planned = plan.by_id[event.step]
    done = replace(
        state.steps[event.step],
        status="succeeded",
        finished=record.at,
        outputs={"confirmed": True},
        may_have_happened=planned.effect.changes_something,
        seq=record.seq,
    )
    state = replace(
        state,
        steps={**state.steps, event.step: done},
        running=state.running - {event.step},
        # A person's task is a change, and nobody but that person saw it happen.
        changed=state.changed or planned.effect.changes_something,
    )
    return settle(planned, state, record)


@_apply.register
def _(event: e.GateExpired, _plan: Plan, state: State, _record: Record) -> State:
    if event.step not in state.gates or event.step not in state.running:
        return state
    return _not_passed(event.step, state, "nobody answered the gate in time")


def _not_passed(name: str, state: State, why: str) -> State:
    state = gate_closed(name, state)
    state = with_step(state, name, replace(state.steps[name], why=why))
    return paused(state, "gate", why, name)


@_apply.register
def _(_event: e.LeaseHeld, _plan: Plan, state: State, _record: Record) -> State:
    return replace(state, lapsed=None)


@_apply.register
def _(event: e.LeaseLost, _plan: Plan, state: State, _record: Record) -> State:
    if event.for_good:
        why = f"the lease is lost: {event.why}"
        return paused(replace(state, lapsed=None), "lease", why, "")
    return replace(state, lapsed=event.why)


@_apply.register
def _(event: e.InterruptRequested, _plan: Plan, state: State, record: Record) -> State:
    return replace(state, interrupted=event.signal, interrupted_at=record.at)


@_apply.register
def _(_event: e.RunResumed, plan: Plan, state: State, record: Record) -> State:
    """
    Starts over what had no effect yet; what may have had one stays as it is, to be looked at. A
    gate is asked again: whoever said go said it to numbers that are old. While nothing is fenced
    the loss is measured anew, for the same reason. What died with its process counts as no failure.
    """
    if state.undo is not None and not state.is_turned_round:
        state = forward_again(state)
    anew = [name for name in state.running if not state.steps[name].has_intent]
    again = {
        name: replace(state.steps[name], status="waiting", forgiven=state.steps[name].forgiven + 1)
        for name in anew
    }
    # An unknown outcome may be known by now: it is looked at once more.
    unknown = [
        name
        for name, step in state.steps.items()
        if step.status == "unknown" and not step.is_settled
    ]
    again |= {name: replace(state.steps[name], status="running") for name in unknown}
    # Nobody waited for a message while no process was there to send it.
    again |= {
        name: replace(again.get(name, state.steps[name]), started=record.at)
        for name in plan.messages
        if state.steps[name].status in {"waiting", "running"} and state.steps[name].started
    }
    # While nothing is fenced more may be lost than was measured; after a promotion, nothing more.
    done = {name for name, step in state.steps.items() if step.status == "succeeded"}
    ends = {Effect.FENCE, Effect.PROMOTE}
    is_over = any(plan.by_id[name].effect in ends for name in done)
    stale = sorted(name for name in done if plan.by_id[name].measures_loss and not is_over)
    state = measured_anew(plan, state, stale)
    is_answerable = state.pause is not None and state.pause.kind in {"gate", "unknown", "lease"}
    return replace(
        state,
        steps={**state.steps, **again},
        ready=(*state.ready, *(name for name in sorted(anew) if state.unmet[name] == 0)),
        running=(state.running - set(anew)) | set(unknown),
        gates={name: gate for name, gate in state.gates.items() if name not in anew},
        verified_pins=frozenset(),
        interrupted=None,
        lapsed=None,
        held=None,
        interrupted_at=None,
        pause=None if is_answerable else state.pause,
        finished=None,
    )


@_apply.register
def _(event: e.OrderGiven, plan: Plan, state: State, record: Record) -> State:
    return ordered(event, plan, state, record)


@_apply.register
def _(event: e.UndoRequested, plan: Plan, state: State, _record: Record) -> State:
    return undo_wished(event, plan, state)


@_apply.register
def _(event: e.UndoStarted, _plan: Plan, state: State, _record: Record) -> State:
    return undo_started(event, state)


@_apply.register
def _(event: e.UndoFinished, _plan: Plan, state: State, _record: Record) -> State:
    state = undo_finished(event, state)
    if event.outcome != "succeeded":
        return state
    return replace(state, debts=taken_back(state.debts, event.step))


@_apply.register
def _(event: e.ServiceRestored, _plan: Plan, state: State, _record: Record) -> State:
    return replace(state, restored_s=event.rta_s, restored_is_certain=event.is_certain)


@_apply.register
def _(event: e.RunFinished, _plan: Plan, state: State, _record: Record) -> State:
    return replace(state, finished=event)
