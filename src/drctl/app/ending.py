"""Use case: what a person must know at the end of a run that did not end well."""

from drctl.actions.contract import Effect
from drctl.app.reading import fold_run
from drctl.engine.state import State
from drctl.engine.undoing import undoing
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
    if end is None or end.result in {"succeeded", "undone"}:
        return ()
    now, do = _world(plan, state), in_lines(what_next(folder.run_id, plan, state))
    found = [_two_primaries(end.why, now)] if end.result == "unsafe" else []
    found += _undo_troubles(plan, state, now, do)
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


def _undo_troubles(plan: Plan, state: State, now: str, do: str) -> list[Problem]:
    """An undo that came out ill; the failure that it was to mend is told beside it."""
    return [
        Problem(
            code="DR2006" if undo.status == "unknown" else "DR2005",
            what=f"undo of step {planned.id} {_said(undo.status)} ({undo.error})",
            at=f"{planned.at}, attempt {undo.attempt}",
            why=undo.why,
            now=now,
            do=do,
        )
        for planned in plan.steps
        if (undo := state.steps[planned.id].undo) is not None
        and undo.status in {"failed", "unknown"}
    ]


def ill_steps(state: State, *statuses: str) -> list[str]:
    """Steps that hold up the run, in the order in which they ended."""
    ill = [
        name
        for name, step in state.steps.items()
        if step.status in statuses and not step.is_settled
    ]
    return sorted(ill, key=lambda name: state.steps[name].seq)


def what_next(run: str, plan: Plan, state: State) -> tuple[str, ...]:
    """The commands that make sense now for a run without a process, the best one first."""
    back = f'drctl undo {run} --reason "WHY"'
    if state.finished is not None and state.finished.result in {"succeeded", "undone"}:
        return (f"drctl runs show {run}",)
    if state.is_turned_round:
        return (f"{back}   (looks, and goes on)", f"drctl runs show {run}")
    unknown, failed = ill_steps(state, "unknown"), ill_steps(state, "failed")
    found = []
    if state.cancelled is not None:
        found += [f"drctl retry {run} {name}   (only looks)" for name in unknown]
    elif unknown:
        found = [
            f"drctl resume {run}   (looks once more; never sends again blindly)",
            *(f'drctl skip {run} {name} --reason "WHY"' for name in unknown),
        ]
    elif failed:
        found = _for_a_failed(run, failed[0], plan)
    elif state.pause is not None and state.pause.kind == "loss":
        found = [f"drctl retry {run} {state.pause.step}   (measures once more)"]
    elif state.stop is None and not state.denied:
        found = [f"drctl resume {run}"]
    now = undoing(plan, state, "")
    if now.refusal is None and now.steps:
        found.append(f"{back}   (takes back {', '.join(now.steps)})")
    return tuple(found) or (f"drctl runs show {run}",)


def _for_a_failed(run: str, name: str, plan: Plan) -> list[str]:
    found = [f"drctl retry {run} {name}", f'drctl skip {run} {name} --reason "WHY"']
    if plan.by_id[name].effect is Effect.FENCE:
        # A promotion never follows a fence that was skipped; that is what forcing is for.
        found[1] = (
            f'drctl force-ungraceful {run} --reason "WHY"   (the old primary may still take writes)'
        )
    return found


def in_lines(commands: tuple[str, ...]) -> str:
    """Alternatives, one a line."""
    return "\n    or ".join(commands)


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
    undone = ", ".join(name for name, step in state.steps.items() if step.status == "undone")
    taken_back = f"; undone: {undone}" if undone else ""
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
    return f"{data}; {traffic}; changed so far: {', '.join(done) or 'not known'}{taken_back}"
