"""Use case: a run whose process ended before the run did is taken up again."""

from collections.abc import Sequence

from drctl import __version__
from drctl.app.compose import Parts, host, operator
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
    journal, _chain = Journal.take_up(folder, parts.clock)
    # Once more, now that nobody else can write.
    state, _chain = fold_run(folder)
    first = RunResumed(operator=operator(), host=host(), version=__version__)
    return await carry_on(parts, folder.plan(), state, journal, first, views)


def _refusal(folder: Folder, plan: Plan, state: State) -> Problem | None:
    show = f"drctl runs show {folder.run_id}"
    if state.start is None:
        return Problem(
            code="DR3009",
            what=f"run {folder.run_id} never began: its process died before the first event",
            now="nothing was sent",
            do="start a new run",
        )
    end = state.finished
    if end is not None and end.result == "succeeded":
        return Problem(code="DR3005", what=f"run {folder.run_id} is done", do=show)
    if state.denied:
        return Problem(
            code="DR3304",
            what=f"somebody has said no to run {folder.run_id}, and that is final for its plan",
            now="nothing was changed by this command",
            do=f"{show}   then plan again",
        )
    if state.pause is not None and state.pause.kind not in {"gate", "unknown", "lease"}:
        return Problem(
            code="DR3006",
            what=f"run {folder.run_id} waits for a decision, not for time: {state.pause.why}",
            now="nothing was changed by this command",
            do=f"{show}   then mend what it names, and start a new run",
        )
    ill = [
        name
        for name, step in state.steps.items()
        if step.status == "failed"
        and not plan.by_id[name].is_message
        and plan.by_id[name].on_failure != "continue"
    ]
    if ill:
        return Problem(
            code="DR3006",
            what=f"run {folder.run_id} waits for a decision on {', '.join(ill)}",
            now="nothing was changed by this command",
            do=show,
        )
    if state.stop is not None:
        return Problem(code="DR3006", what=f"run {folder.run_id} has ended: {state.stop}", do=show)
    return None
