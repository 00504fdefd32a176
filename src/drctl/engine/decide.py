"""
State to commands: ``decide(plan, state, now) -> commands``. Pure, deterministic.

Invariant: a step starts only when each of its needs has succeeded or was skipped, nothing blocks
    the run (an interrupt, a pause, a stop), and its ``when`` is true. Blocking never touches what
    runs: a change that has begun is waited for, because stopping to wait does not stop the change.
    Telling people is outside all of this: a notification starts when it may, and nobody waits for
    it longer than `NOTIFY_GRACE_S`.
"""

from collections.abc import Iterator

from drctl.engine import commands as c
from drctl.engine.events import Result
from drctl.engine.state import State
from drctl.engine.values import values
from drctl.kernel.clock import Instant, length_between
from drctl.plan.model import Plan, PlannedStep
from drctl.plan.terms import test
from drctl.runbook.faults import ExpressionError
from drctl.runbook.values import UNKNOWN

NOTIFY_GRACE_S = 3.0
"""How long a finished recovery waits for messages under way: longer than a healthy answer of Slack
or Statuspage (about 0.5 s), short enough that nobody notices it when they hang."""


def decide(plan: Plan, state: State, now: Instant) -> tuple[c.Command, ...]:
    """What to do next; empty when there is nothing but to wait for an event."""
    if state.finished is not None or state.start is None:
        return ()
    return tuple(_commands(plan, state, now))


def _commands(plan: Plan, state: State, now: Instant) -> Iterator[c.Command]:
    restored = _restored(plan, state)
    if restored is not None:
        yield restored
    yield from _gates(state, now)
    wakes = []
    for name in state.ready:
        step = plan.by_id[name]
        if not _may_start(step, state):
            continue
        attempt = state.steps[name]
        if attempt.retry_at is not None and attempt.retry_at > now.boot_s:
            wakes.append(attempt.retry_at)
            continue
        yield _begin(plan, step, state, now)
    yield from _ending(plan, state, now, is_waiting=bool(wakes))
    if wakes:
        yield c.WakeAt(boot_s=min(wakes))


def _may_start(step: PlannedStep, state: State) -> bool:
    if not step.is_final:
        return not state.is_blocked
    # After a stop too: people are owed the news. Not after a pause: the run is not over.
    is_over = state.open_work + state.open_messages == 0
    is_stopped = state.stop is not None and not _at_work(state)
    return (is_over or is_stopped) and state.pause is None and not state.interrupted


def _at_work(state: State) -> frozenset[str]:
    """What runs and is not a gate."""
    return state.running - state.gates.keys()


def _begin(plan: Plan, step: PlannedStep, state: State, now: Instant) -> c.Command:
    if step.when is not None:
        try:
            verdict = test(plan, step.id, step.when, values(plan, state, now, text=step.when))
        except ExpressionError as error:
            return c.Refuse(step=step.id, why=f"when: {error}")
        if verdict is UNKNOWN:
            return c.Refuse(step=step.id, why=f"when: {step.when}: a value in it is unknown")
        if verdict is not True:
            return c.Skip(step=step.id, why=f"when: {step.when} is false")
    if step.gate is not None:
        return c.OpenGate(step=step.id)
    return c.Start(step=step.id, attempt=state.steps[step.id].attempt + 1)


def _gates(state: State, now: Instant) -> Iterator[c.Command]:
    for name, gate in state.gates.items():
        if name not in state.running:
            continue
        left_s = gate.expires_s - length_between(gate.opened, now).seconds
        yield c.ExpireGate(step=name) if left_s <= 0 else c.WakeAt(boot_s=now.boot_s + left_s)


def _restored(plan: Plan, state: State) -> c.Restored | None:
    """The clock stops when the last of the proving steps finished, not when we come to look."""
    ends = plan.objectives.stops_after
    if state.restored_s is not None or not ends:
        return None
    moments = []
    for name in ends:
        step = state.steps[name]
        if step.status != "succeeded" or step.finished is None:
            return None
        moments.append(state.elapsed(step.finished))
    latest = max(moments, key=lambda length: length.seconds)
    return c.Restored(rta_s=latest.seconds, is_certain=all(m.is_certain for m in moments))


def _ending(plan: Plan, state: State, now: Instant, *, is_waiting: bool) -> Iterator[c.Command]:
    at_work = _at_work(state)
    messages = sorted(name for name in at_work if plan.by_id[name].is_message)
    if len(at_work) > len(messages):
        return
    halted = state.pause is not None or state.interrupted
    if not halted and state.stop is None and (state.open_work > 0 or is_waiting):
        return
    for name in messages:
        step = state.steps[name]
        since = max((i for i in (step.started, state.work_done) if i), key=lambda i: i.boot_s)
        left_s = NOTIFY_GRACE_S - length_between(since, now).seconds
        yield c.Abandon(step=name) if left_s <= 0 else c.WakeAt(boot_s=now.boot_s + left_s)
    if not messages and (halted or not any(_may_start(plan.by_id[n], state) for n in state.ready)):
        yield _finish(state)


def _finish(state: State) -> c.Finish:
    result, why = _result(state)
    return c.Finish(result=result, why=why)


def _result(state: State) -> tuple[Result, str]:
    if state.pause is not None:
        if state.pause.kind == "unknown":
            return "unknown", state.pause.why
        if not state.changed:
            return "refused", state.pause.why
        return ("failed" if state.pause.kind == "failed" else "paused"), state.pause.why
    if state.stop is not None:
        return ("failed" if state.changed else "refused"), state.stop
    if state.interrupted and state.open_work > 0:
        return "interrupted", "interrupted; what was running has finished"
    return "succeeded", "every step is settled"
