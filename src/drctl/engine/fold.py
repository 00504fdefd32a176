"""
Events to state: ``fold(plan, state, record) -> state``. Total, pure; the same for a run, its resume
and its report.
"""

import hashlib
from dataclasses import replace
from functools import singledispatch
from typing import Literal

from drctl.actions.contract import Effect
from drctl.actions.loss import LossBound
from drctl.engine import events as e
from drctl.engine.state import GateState, Loss, Pause, Record, State, StepState
from drctl.plan.model import Plan, PlannedStep

ANY_LOSS_S = 1e12
"""Stands for "any loss, known or not" in a consent: JSON has no infinity."""

NEVER_HAPPENED = "interrupted"
"""The word for an effect that a dead process intended and that a look did not find: it is started
again, and counts as no failure."""


def fold(plan: Plan, state: State, record: Record) -> State:
    """Takes one event in."""
    return _apply(record.event, plan, replace(state, latest=record.at), record)


def _without(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    # At the speed of a copy: a thousand steps may be ready at once, and each event takes one out.
    if name not in names:
        return names
    index = names.index(name)
    return names[:index] + names[index + 1 :]


@singledispatch
def _apply(_event: e.Event, _plan: Plan, state: State, _record: Record) -> State:
    return state


@_apply.register
def _(event: e.RunStarted, _plan: Plan, state: State, record: Record) -> State:
    return replace(state, start=event, started=record.at)


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
    )
    return replace(
        state,
        steps={**state.steps, event.step: step},
        ready=_without(state.ready, event.step),
        running=state.running | {event.step},
    )


@_apply.register
def _(event: e.EffectIntended, _plan: Plan, state: State, _record: Record) -> State:
    step = replace(state.steps[event.step], has_intent=True)
    return replace(
        state,
        steps={**state.steps, event.step: step},
        changed=state.changed or event.changes,
    )


@_apply.register
def _(event: e.StepFinished, plan: Plan, state: State, record: Record) -> State:
    planned, before = plan.by_id[event.step], state.steps[event.step]
    backoff_s = _backoff_s(planned, event, state)
    after = StepState(
        status="waiting" if backoff_s is not None else event.outcome,
        attempt=event.attempt,
        started=before.started,
        finished=record.at,
        outputs=event.outputs,
        error=event.error,
        why=event.why,
        backoff_s=backoff_s,
        has_intent=before.has_intent,
        forgiven=before.forgiven + (event.error == NEVER_HAPPENED),
    )
    state = replace(
        state,
        steps={**state.steps, event.step: after},
        running=state.running - {event.step},
        ready=_without(state.ready, event.step),
    )
    if backoff_s is not None:
        return replace(state, ready=(*state.ready, event.step))
    state = _settle(planned, state, record)
    if event.outcome == "succeeded" and planned.measures_loss:
        state = _weigh_loss(plan, event, state)
    return state


def _settle(planned: PlannedStep, state: State, record: Record) -> State:
    """Counts a step that will not run again, and opens the way for those that need it."""
    outcome = state.steps[planned.id].status
    goes_on = outcome in {"succeeded", "skipped"} or planned.on_failure == "continue"
    if not (goes_on or planned.is_message):
        word: Literal["failed", "unknown"] = "unknown" if outcome == "unknown" else "failed"
        why = f"step {planned.id} {'failed' if word == 'failed' else 'has an unknown outcome'}"
        if planned.on_failure == "stop" and word == "failed":
            return replace(state, stop=why)
        return _pause(state, word, why)
    unmet, newly = dict(state.unmet), []
    for name in state.dependents[planned.id]:
        unmet[name] -= 1
        # What has run already waits for nothing: a resumed run measures again.
        if unmet[name] == 0 and state.steps[name].status == "waiting":
            newly.append(name)
    ready = (*state.ready, *newly)
    if planned.is_final:
        return replace(state, unmet=unmet, ready=ready, open_final=state.open_final - 1)
    if planned.is_message:
        return replace(state, unmet=unmet, ready=ready, open_messages=state.open_messages - 1)
    open_work = state.open_work - 1
    work_done = record.at if open_work == 0 else state.work_done
    return replace(state, unmet=unmet, ready=ready, open_work=open_work, work_done=work_done)


def _pause(state: State, kind: Literal["failed", "unknown", "gate", "loss"], why: str) -> State:
    return state if state.pause else replace(state, pause=Pause(kind=kind, why=why))


def _weigh_loss(plan: Plan, event: e.StepFinished, state: State) -> State:
    """The RPO gate: a bound that is unknown, or larger than allowed, lets nothing further start."""
    loss = _measured(event)
    bound_s = loss.bound_s
    accepted_s = state.start.accepted_loss_s if state.start else None
    allowed = loss_is_allowed(bound_s, plan.objectives.rpo_s, accepted_s)
    why = loss_refusal(bound_s, plan.objectives.rpo_s, loss.source)
    state = replace(state, loss=loss)
    return state if allowed else _pause(state, "loss", why)


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
    if event.outcome == "failed" and event.error == NEVER_HAPPENED:
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
    gate = GateState(opened=record.at, expires_s=event.expires_s, quorum=event.quorum)
    step = replace(state.steps[event.step], status="running", attempt=1, started=record.at)
    return replace(
        state,
        gates={**state.gates, event.step: gate},
        steps={**state.steps, event.step: step},
        ready=_without(state.ready, event.step),
        running=state.running | {event.step},
    )


@_apply.register
def _(event: e.GateAnswered, plan: Plan, state: State, record: Record) -> State:
    gate = state.gates.get(event.step)
    if gate is None or event.step not in state.running:
        # It was decided before this answer came: an answer counts once, or the steps behind the
        # gate would be opened twice.
        return state
    if event.answer == "deny":
        return _close_gate(event.step, state, f"gate denied by {event.by}: {event.reason}")
    # Set semantics: one person twice is one approval.
    people = tuple(dict.fromkeys((*gate.approved_by, event.by)))
    state = replace(state, gates={**state.gates, event.step: replace(gate, approved_by=people)})
    if len(people) < gate.quorum:
        return state
    planned = plan.by_id[event.step]
    done = replace(
        state.steps[event.step],
        status="succeeded",
        finished=record.at,
        outputs={"confirmed": True},
    )
    state = replace(
        state,
        steps={**state.steps, event.step: done},
        running=state.running - {event.step},
        # A person's task is a change, and nobody but that person saw it happen.
        changed=state.changed or planned.effect.changes_something,
    )
    return _settle(planned, state, record)


@_apply.register
def _(event: e.GateExpired, _plan: Plan, state: State, _record: Record) -> State:
    if event.step not in state.gates or event.step not in state.running:
        return state
    return _close_gate(event.step, state, "nobody answered the gate in time")


def _close_gate(name: str, state: State, why: str) -> State:
    step = replace(state.steps[name], status="waiting", why=why)
    state = replace(
        state,
        steps={**state.steps, name: step},
        gates={gate: value for gate, value in state.gates.items() if gate != name},
        running=state.running - {name},
        ready=(*state.ready, name),
    )
    return _pause(state, "gate", why)


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
    anew = [name for name in state.running if not state.steps[name].has_intent]
    again = {
        name: replace(state.steps[name], status="waiting", forgiven=state.steps[name].forgiven + 1)
        for name in anew
    }
    # An unknown outcome may be known by now: it is looked at once more.
    unknown = [
        name
        for name, step in state.steps.items()
        if step.status == "unknown" and not plan.by_id[name].is_message
    ]
    again |= {name: replace(state.steps[name], status="running") for name in unknown}
    # Nobody waited for a message while no process was there to send it.
    again |= {
        name: replace(again.get(name, state.steps[name]), started=record.at)
        for name in plan.messages
        if state.steps[name].status in {"waiting", "running"} and state.steps[name].started
    }
    state = _measured_anew(plan, state)
    is_answerable = state.pause is not None and state.pause.kind in {"gate", "unknown"}
    return replace(
        state,
        steps={**state.steps, **again},
        ready=(*state.ready, *(name for name in sorted(anew) if state.unmet[name] == 0)),
        running=(state.running - set(anew)) | set(unknown),
        gates={name: gate for name, gate in state.gates.items() if name not in anew},
        verified_pins=frozenset(),
        interrupted=None,
        interrupted_at=None,
        pause=None if is_answerable else state.pause,
        finished=None,
    )


def _measured_anew(plan: Plan, state: State) -> State:
    """Puts measurements of the loss back to waiting, and what waits for them behind them."""
    succeeded = {name for name, step in state.steps.items() if step.status == "succeeded"}
    if any(plan.by_id[name].effect is Effect.FENCE for name in succeeded):
        return state
    unmet, ready, steps = dict(state.unmet), state.ready, dict(state.steps)
    stale = [name for name in sorted(succeeded) if plan.by_id[name].measures_loss]
    for name in stale:
        steps[name] = replace(steps[name], status="waiting", finished=None, outputs={})
        for dependent in state.dependents[name]:
            unmet[dependent] += 1
            ready = _without(ready, dependent)
    return replace(
        state,
        steps=steps,
        unmet=unmet,
        ready=(*ready, *stale),
        open_work=state.open_work + len(stale),
        work_done=None if stale else state.work_done,
        loss=None if stale else state.loss,
    )


@_apply.register
def _(event: e.ServiceRestored, _plan: Plan, state: State, _record: Record) -> State:
    return replace(state, restored_s=event.rta_s)


@_apply.register
def _(event: e.RunFinished, _plan: Plan, state: State, _record: Record) -> State:
    return replace(state, finished=event)
