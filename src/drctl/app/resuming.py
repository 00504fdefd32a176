"""Use case: a run whose process ended before the run did is taken up again."""

from collections.abc import Sequence

from drctl import __version__
from drctl.app.compose import Parts, host, operator
from drctl.app.ending import ill_steps, in_lines, what_next
from drctl.app.reading import fold_run
from drctl.app.running import Watching, carry_on
from drctl.engine.events import RunFinished, RunResumed
from drctl.engine.state import State
from drctl.journal.folder import Folder, Journal
from drctl.kernel.errors import Problem, RefusedError
from drctl.plan.model import Plan


async def resume_run(parts: Parts, folder: Folder, views: Sequence[Watching]) -> RunFinished:
    """
    Continues a run that was interrupted, killed, or paused at a gate.

    Every effect that may have left is looked for before anything starts, those too that could not
    be told when the run stopped; what had none is started over; open gates are asked again.

    Raises:
        RefusedError: There is nothing to resume, or a person must decide first.
        JournalError: The run is live elsewhere, or its record does not verify.
    """
    state, _chain = fold_run(folder)
    refusal = _refusal(folder, folder.plan(), state)
    if refusal is not None:
        raise RefusedError((refusal,))
    journal, chain = Journal.take_up(folder, parts.clock)
    # Once more, now that nobody else can write.
    state, _chain = fold_run(folder)
    first = RunResumed(
        operator=operator(), host=host(), version=__version__, torn_bytes=chain.torn_bytes
    )
    return await carry_on(parts, folder.plan(), state, journal, first, views)


def _refusal(folder: Folder, plan: Plan, state: State) -> Problem | None:  # noqa: PLR0911 (a table)
    run, end = folder.run_id, state.finished
    now = "nothing was changed by this command"
    if state.start is None:
        what = f"run {run} never began: its process died before the first event"
        return Problem(code="DR3010", what=what, now="nothing was sent", do="start a new run")
    do = in_lines(what_next(run, plan, state))
    if end is not None and end.result == "succeeded":
        return Problem(code="DR3005", what=f"run {run} is done", do=f"drctl runs show {run}")
    if state.is_turned_round:
        what = f"run {run} was turned round: it is undone, and goes forward no more"
        return Problem(code="DR3007", what=what, now=now, do=do)
    if state.cancelled is not None:
        what = f"run {run} was cancelled by {state.cancelled.by}: {state.cancelled.reason}"
        return Problem(code="DR3007", what=what, now=now, do=do)
    if state.denied:
        what = f"somebody has said no to run {run}, and that is final for its plan"
        return Problem(code="DR3304", what=what, now=now, do=f"{do}   then plan again")
    if state.pause is not None and state.pause.kind not in {"gate", "unknown", "lease"}:
        what = f"run {run} waits for a decision, not for time: {state.pause.why}"
        return Problem(code="DR3006", what=what, now=now, do=do)
    ill = ", ".join(ill_steps(state, "failed"))
    if ill:
        what = f"run {run} waits for a decision on {ill}"
        return Problem(code="DR3006", what=what, now=now, do=do)
    if state.stop is not None:
        return Problem(code="DR3006", what=f"run {run} has ended: {state.stop}", now=now, do=do)
    return None
