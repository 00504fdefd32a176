"""
State to commands: ``decide(plan, state, now) -> commands``. Pure, deterministic.

Invariant: a step starts only when each of its needs has succeeded or was skipped, nothing blocks
    the run (an interrupt, a pause, a stop), and its ``when`` is true. Blocking never touches what
    runs: a change that has begun is waited for, because stopping to wait does not stop the change.
    Only an interrupt has a limit, `INTERRUPT_GRACE_S`: somebody wants this process to end. What is
    then still under way is left in the record as running, as a crash would leave it, and a resume
    looks for it.
    A promotion needs more than that: a fence that has succeeded in this run, none before it that
    has not, and a loss bound that is allowed. Lint demands the steps; that they *happened* is
    decided here. A person may force a run past the fence, never past the loss; then every gate on
    the way is asked once more. Nothing takes the proof's place: a run that has promoted ends well
    only when a step has shown afterwards that one primary takes writes, and is "unsafe" otherwise.
    Telling people is outside all of this: a notification starts when it may, and nobody waits for
    it longer than `NOTIFY_GRACE_S`. A run that is held by a person waits for that person; one that
    is undone never goes forward again.
"""

from collections.abc import Iterator

from drctl.actions.contract import Effect
from drctl.engine import commands as c
from drctl.engine.fold import loss_is_allowed, loss_refusal
from drctl.engine.orders import forced_in_words
from drctl.engine.outcome import at_work, result
from drctl.engine.state import State, StepState
from drctl.engine.undoing import undo_commands
from drctl.engine.values import values
from drctl.kernel.clock import Instant, length_between
from drctl.plan.model import Plan, PlannedStep
from drctl.plan.terms import test
from drctl.runbook.faults import ExpressionError
from drctl.runbook.values import UNKNOWN

NOTIFY_GRACE_S = 3.0
"""How long a finished recovery waits for messages under way: longer than a healthy answer of Slack
or Statuspage (about 0.5 s), short enough that nobody notices it when they hang."""
INTERRUPT_GRACE_S = 3.0
"""How long an interrupted run waits for what it has begun: a signal leaves a run that can be
resumed within 5 s, and machines that shut down wait for 10 s before they kill."""


def decide(plan: Plan, state: State, now: Instant) -> tuple[c.Command, ...]:
    """What to do next; empty when there is nothing but to wait for an event."""
    if state.finished is not None or state.start is None:
        return ()
    return tuple(_commands(plan, state, now))


def _commands(plan: Plan, state: State, now: Instant) -> Iterator[c.Command]:
    if state.undo is not None:
        if not state.running:
            yield from undo_commands(plan, state)
        return
    restored = _restored(plan, state)
    if restored is not None:
        yield restored
    yield from _passed_over(state)
    yield from _gates(state, now)
    wakes = []
    for name in state.ready:
        step = plan.by_id[name]
        if name in state.skips or not _may_start(step, state) or _is_behind(plan, name, state):
            continue
        left_s = _backoff_left_s(state.steps[name], now)
        if left_s > 0:
            wakes.append(now.boot_s + left_s)
            continue
        yield _begin(plan, step, state, now)
    yield from _messages(plan, state, now)
    yield from _ending(plan, state, now)
    if wakes:
        yield c.WakeAt(boot_s=min(wakes))


def _passed_over(state: State) -> Iterator[c.Command]:
    """What people said to go past; that starts nothing, so nothing holds it up."""
    for name in sorted(state.given_up & state.running):
        why = state.forced_for(name)
        yield c.GiveUp(step=name, why=f"FORCED by {why.by}: {why.reason}" if why else "FORCED")
    for name in state.ready:
        if name in state.skips:
            said = state.skips[name]
            yield c.Skip(step=name, why=f"skipped by {said.by}: {said.reason}")


def _is_behind(plan: Plan, name: str, state: State) -> bool:
    """True behind a gate that is asked, or a measurement that is taken, once more."""
    return bool(state.anew) and any(before.id in state.anew for before in plan.before(name))


def _left_s(length_s: float, since: Instant, now: Instant) -> float:
    """What is left of a length; nothing once it is below the microsecond that a record keeps."""
    left_s = length_s - length_between(since, now).seconds
    # Else a rounding error is left for ever: too small to move the clock by sleeping it.
    return left_s if left_s > 1e-6 else 0.0  # noqa: PLR2004 (see above)


def _backoff_left_s(step: StepState, now: Instant) -> float:
    if step.backoff_s is None or step.finished is None:
        return 0.0
    # A length, not a moment: a run that is resumed after a reboot counts from another boot.
    return _left_s(step.backoff_s, step.finished, now)


def _may_start(step: PlannedStep, state: State) -> bool:
    if not step.is_final:
        return not state.is_blocked
    # After a stop too: people are owed the news. Not after a pause: the run is not over.
    is_given_up = state.stop is not None or state.cancelled is not None
    is_over = state.open_work + state.open_messages == 0
    is_stopped = is_given_up and not at_work(state)
    # What was cancelled is over, whatever it was paused for.
    is_paused = state.pause is not None and state.cancelled is None
    is_held_up = bool(is_paused or state.held or state.interrupted or state.lapsed)
    return (is_over or is_stopped) and not is_held_up


def _begin(plan: Plan, step: PlannedStep, state: State, now: Instant) -> c.Command:
    # A retry is the same decision carried on; else a step that failed could still turn "skipped".
    if step.when is not None and state.steps[step.id].attempt == 0:
        try:
            known = values(plan, state, now, text=step.when, step=step.id)
            verdict = test(plan, step.id, step.when, known)
        except ExpressionError as error:
            return c.Refuse(step=step.id, why=f"when: {error}")
        # Forced past the fence that would say: a look is tried, since it can do no harm.
        is_tried = step.effect is Effect.READ and state.forced_for(step.id) is not None
        if verdict is UNKNOWN and is_tried:
            verdict = True
        if verdict is UNKNOWN:
            return c.Refuse(step=step.id, why=f"when: {step.when}: a value in it is unknown")
        if verdict is not True:
            return c.Skip(step=step.id, why=f"when: {step.when} is false")
    if step.gate is not None:
        return c.OpenGate(step=step.id)
    danger = _danger(plan, step, state)
    if danger is not None:
        return c.Refuse(step=step.id, why=danger, error="guard")
    return c.Start(step=step.id, attempt=state.steps[step.id].attempt + 1)


def _danger(plan: Plan, step: PlannedStep, state: State) -> str | None:
    """Why this promotion would be unsafe."""
    if step.effect is not Effect.PROMOTE:
        return None
    wished = state.start.forced_reason if state.start else None
    if wished is not None and not wished.strip():
        return "a promotion is not forced without a reason"
    fences = [one.id for one in plan.before(step.id) if one.effect is Effect.FENCE]
    unfenced = [
        name
        for name in fences
        if state.steps[name].status != "succeeded" and state.forced_for(name) is None
    ]
    if (unfenced or not fences) and state.forced_for(step.id) is None:
        return f"no promotion without a fence: {', '.join(unfenced) or 'no step before it'} has not"
    loss, accepted_s = state.loss, state.start.accepted_loss_s if state.start else None
    bound_s, rpo_s = loss.bound_s if loss else None, plan.objectives.rpo_s
    if loss_is_allowed(bound_s, rpo_s, accepted_s):
        return None
    return loss_refusal(bound_s, rpo_s, loss.source if loss else "nothing has measured it")


def _gates(state: State, now: Instant) -> Iterator[c.Command]:
    for name, gate in state.gates.items():
        if name not in state.running:
            continue
        left_s = _left_s(gate.expires_s, gate.opened, now)
        yield c.ExpireGate(step=name) if left_s <= 0 else c.WakeAt(boot_s=now.boot_s + left_s)


def _restored(plan: Plan, state: State) -> c.Restored | None:
    """
    The clock stops when the last of the proving steps finished, not when we come to look. One that
    was skipped proves nothing, and does not keep another from proving it.
    """
    if state.restored_s is not None:
        return None
    moments = []
    for name in plan.objectives.stops_after:
        step = state.steps[name]
        if step.status not in {"succeeded", "skipped"}:
            return None
        if step.status == "succeeded" and step.finished is not None:
            moments.append(state.elapsed(step.finished))
    if not moments:
        return None
    latest = max(moments, key=lambda length: length.seconds)
    return c.Restored(rta_s=latest.seconds, is_certain=all(m.is_certain for m in moments))


def _messages(plan: Plan, state: State, now: Instant) -> Iterator[c.Command]:
    """Gives up on messages that the recovery, or its end, would have to wait for."""
    # Not while a person holds the run: it is not over, and nobody waits.
    is_over = (state.is_blocked and state.held is None) or state.open_work == 0
    for name in plan.messages:
        step = state.steps[name]
        if step.started is None:
            continue
        if step.status != "running" and not (step.status == "waiting" and name in state.ready):
            continue
        if not is_over and not _holds_up(plan, name, state):
            continue
        begun = [step.started] + ([state.work_done] if state.work_done else [])
        # Counted from the later of the two, which is the shorter length; boots may differ.
        left_s = max(_left_s(NOTIFY_GRACE_S, since, now) for since in begun)
        yield c.Abandon(step=name) if left_s <= 0 else c.WakeAt(boot_s=now.boot_s + left_s)


def _holds_up(plan: Plan, message: str, state: State) -> bool:
    """True when a step that is no message has nothing else to wait for than messages."""
    return any(
        not plan.by_id[name].is_message
        and all(
            plan.by_id[need].is_message
            for need in plan.by_id[name].needs
            if state.steps[need].status in {"waiting", "running"}
        )
        for name in state.dependents[message]
    )


def _ending(plan: Plan, state: State, now: Instant) -> Iterator[c.Command]:
    if at_work(state):
        if state.interrupted_at is None:
            return
        left_s = _left_s(INTERRUPT_GRACE_S, state.interrupted_at, now)
        yield c.WakeAt(boot_s=now.boot_s + left_s) if left_s > 0 else _finish(plan, state)
    elif state.interrupted or not _waits(plan, state):
        yield _finish(plan, state)


def _waits(plan: Plan, state: State) -> bool:
    """True while this process has something to wait for, although nothing is at work."""
    if state.held is not None and state.open_work + state.open_messages + state.open_final > 0:
        return True  # for the person who holds it
    if state.pause is not None and state.cancelled is None:
        return False
    if state.lapsed is not None:
        return True  # the lease is renewed, or it is lost
    if any(_may_start(plan.by_id[name], state) for name in state.ready):
        return True
    is_given_up = state.stop is not None or state.cancelled is not None
    return not is_given_up and state.open_work > 0 and bool(state.running)  # an open gate


def _finish(plan: Plan, state: State) -> c.Finish:
    word, why = result(plan, state)
    forced = f"; {forced_in_words(plan, state)}" if state.forced else ""
    return c.Finish(result=word, why=f"{why}{forced}")
