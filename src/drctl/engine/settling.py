"""
What it means for the rest of a run that a step has ended: pure helpers of the folds.

Invariant: a step is counted once (`StepState.is_settled`). Counting it is what opens the way for
    the steps that need it, so counting it twice would open them before their other needs.
"""

from dataclasses import replace
from typing import Literal

from drctl.actions.contract import Effect
from drctl.engine.state import Pause, Record, State, StepState
from drctl.plan.model import Plan, PlannedStep

NEVER_HAPPENED = "interrupted"
"""The word for an effect that a dead process intended and that a look did not find, or that only
repeating it can find: it is started again, and counts as no failure."""

NOT_OURS = "lease"
"""The word for what was not sent because the lease was not held. It counts as no failure either."""

AFTER_THE_EFFECT = frozenset({"verify", "until", "unresolved"})
"""Words of failures that say nothing about the effect itself: with an intent on record, it may be
there. All other failures are an adapter's word that nothing happened."""

GIVEN_UP = frozenset({"forced", "unresolved"})
"""Words of failures of a look that a forced run goes past."""


def without(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    """Takes one out, at the speed of a copy: a thousand steps may be ready at once."""
    if name not in names:
        return names
    index = names.index(name)
    return names[:index] + names[index + 1 :]


def with_step(state: State, name: str, step: StepState) -> State:
    """The state with one step replaced."""
    return replace(state, steps={**state.steps, name: step})


def paused(
    state: State,
    kind: Literal["failed", "unknown", "gate", "loss", "lease"],
    why: str,
    step: str,
) -> State:
    """Pauses, unless it is paused already: the first reason is kept."""
    return state if state.pause else replace(state, pause=Pause(kind=kind, why=why, step=step))


def is_passed_over(planned: PlannedStep, state: State) -> bool:
    """
    True when a step has ended ill and does not hold up what follows: its runbook says so, or a
    person has forced the run, and it is the fence that they force, or a look that needs the fence.
    """
    if planned.on_failure == "continue":
        return True
    if state.forced_for(planned.id) is None:
        return False
    is_given_up = planned.effect is Effect.READ and state.steps[planned.id].error in GIVEN_UP
    return planned.effect is Effect.FENCE or is_given_up


def settle(planned: PlannedStep, state: State, record: Record) -> State:
    """Counts a step that will not run again, and opens the way for those that need it."""
    outcome = state.steps[planned.id].status
    goes_on = outcome in {"succeeded", "skipped"} or is_passed_over(planned, state)
    if not (goes_on or planned.is_message):
        return _held_up(planned, state)
    state = with_step(state, planned.id, replace(state.steps[planned.id], is_settled=True))
    state = replace(state, anew=state.anew - {planned.id})
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


def _held_up(planned: PlannedStep, state: State) -> State:
    """Stops or pauses the run for a step that has ended ill."""
    word: Literal["failed", "unknown"] = (
        "unknown" if state.steps[planned.id].status == "unknown" else "failed"
    )
    why = f"step {planned.id} {'failed' if word == 'failed' else 'has an unknown outcome'}"
    if planned.on_failure == "stop" and word == "failed":
        return replace(state, stop=state.stop or why)
    return paused(state, word, why, planned.id)


def blamed_anew(plan: Plan, state: State) -> State:
    """Why the run is paused or stopped, from what is ill now: a person has mended something."""
    keeps = state.pause is not None and state.pause.kind in {"gate", "loss", "lease"}
    was_stopped = state.stop is not None
    state = replace(state, pause=state.pause if keeps else None, stop=None)
    for name in sorted(state.steps, key=lambda name: state.steps[name].seq):
        if state.steps[name].status in {"failed", "unknown"} and not state.steps[name].is_settled:
            state = _held_up(plan.by_id[name], state)
    return finals_anew(plan, state) if was_stopped and state.stop is None else state


def finals_anew(plan: Plan, state: State) -> State:
    """``finally`` was told about a stop that is over: it is told again at the real end."""
    finals = [step for step in plan.steps if step.is_final]
    done = {step.id for step in finals if state.steps[step.id].is_settled}
    if not done:
        return state
    unmet, steps = dict(state.unmet), dict(state.steps)
    for step in finals:
        if step.id in done:
            steps[step.id] = StepState()
        unmet[step.id] += sum(need in done for need in step.needs)
    idle = [step.id for step in finals if steps[step.id].status == "waiting"]
    ready = tuple(name for name in state.ready if name not in idle)
    return replace(
        state,
        steps=steps,
        unmet=unmet,
        ready=(*ready, *(name for name in idle if unmet[name] == 0)),
        open_final=state.open_final + len(done),
    )


def unsettled(state: State, names: list[str], plan: Plan) -> State:
    """
    Puts steps that had succeeded back to waiting, and what waits for them behind them, however
    far: a step that failed further on can be tried again, and must wait for them too.
    """
    unmet, ready, steps = dict(state.unmet), state.ready, dict(state.steps)
    for name in names:
        steps[name] = replace(
            steps[name],
            status="waiting",
            finished=None,
            outputs={},
            is_settled=False,
            forgiven=steps[name].attempt,
        )
        for dependent in state.dependents[name]:
            unmet[dependent] += 1
            ready = without(ready, dependent)
    free = [name for name in names if unmet[name] == 0]
    work = [name for name in names if not plan.by_id[name].is_message]
    return replace(
        state,
        steps=steps,
        unmet=unmet,
        ready=(*ready, *free),
        open_work=state.open_work + len(work),
        work_done=None if work else state.work_done,
        anew=state.anew | set(names),
    )


def measured_anew(plan: Plan, state: State, names: list[str]) -> State:
    """Forgets these measurements of the loss, and takes them again."""
    state = unsettled(state, names, plan)
    return replace(state, loss=None) if names else state


def gate_closed(name: str, state: State) -> State:
    """Stops asking; the gate waits to be asked again, and who said go has said nothing."""
    return replace(
        with_step(state, name, replace(state.steps[name], status="waiting")),
        gates={gate: value for gate, value in state.gates.items() if gate != name},
        running=state.running - {name},
        ready=(*state.ready, name),
    )
