"""Use case: what a person must know at the end of a run that did not end well."""

from drctl.actions.contract import Effect
from drctl.app.reading import fold_run
from drctl.engine.state import State
from drctl.journal.folder import Folder
from drctl.kernel.errors import Problem
from drctl.plan.model import Plan


def troubles(folder: Folder) -> tuple[Problem, ...]:
    """
    One problem for each step that failed or is unknown, or one for why the run stopped; none after
    a success. Each says what state the world is in.

    Raises:
        JournalError: The record does not verify.
    """
    state, _chain = fold_run(folder)
    plan, end = folder.plan(), state.finished
    if end is None or end.result == "succeeded":
        return ()
    now = _world(plan, state)
    waits = state.pause is not None and state.pause.kind in {"gate", "unknown", "lease"}
    may_resume = (end.result == "interrupted" or waits) and not state.denied
    do = f"drctl resume {folder.run_id}" if may_resume else f"drctl runs show {folder.run_id}"
    found = [_two_primaries(end.why, now)] if end.result == "unsafe" else []
    for planned in plan.steps:
        step = state.steps[planned.id]
        if step.status not in {"failed", "unknown"} or planned.is_message:
            continue
        target = planned.call.target if planned.call else None
        where = f"{planned.at}, attempt {step.attempt} of {planned.retry.attempts}"
        found.append(
            Problem(
                code="DR2002" if step.status == "unknown" else "DR2001",
                what=f"step {planned.id} {_said(step.status)} ({step.error})",
                at=f"{where}, target {target}" if target else where,
                why=step.why,
                now=now,
                do=do,
            )
        )
    if found:
        return tuple(found)
    return (Problem(code="DR2003", what=f"run {end.result}: {end.why}", now=now, do=do),)


def _two_primaries(why: str, now: str) -> Problem:
    return Problem(
        code="DR2004",
        what=f"UNSAFE: {why}",
        now=now,
        do="stop the application's writes on the old side, or stop the old primary; then compare"
        " what both took, before anything is told to be recovered",
    )


def _said(status: str) -> str:
    return "failed" if status == "failed" else "has an unknown outcome"


def _world(plan: Plan, state: State) -> str:
    """What has been changed, by what it means: who takes writes, where customers are sent."""
    done = {
        name: plan.by_id[name].effect
        for name, step in state.steps.items()
        if step.status == "succeeded" and plan.by_id[name].effect.changes_something
    }
    if not done and not state.changed:
        return "nothing was changed"
    effects = set(done.values())
    unknown = {plan.by_id[n].effect for n, step in state.steps.items() if step.status == "unknown"}
    if Effect.PROMOTE in unknown:
        data = "whether the standby was promoted is not known"
    elif Effect.PROMOTE in effects:
        data = "the standby was promoted and is the primary"
    elif Effect.FENCE in unknown:
        data = "whether the old primary is fenced is not known; nothing was promoted"
    elif Effect.FENCE in effects:
        data = "the old primary is fenced and nothing was promoted: nobody takes writes"
    else:
        data = "nothing was fenced and nothing was promoted"
    traffic = "traffic was moved" if Effect.TRAFFIC in effects else "traffic was not moved"
    if Effect.TRAFFIC in unknown:
        traffic = "whether traffic was moved is not known"
    return f"{data}; {traffic}; changed so far: {', '.join(done) or 'not known'}"
