"""Use case: what a run did is taken back, newest first."""

from collections.abc import Sequence

from drctl import __version__
from drctl.app.compose import Parts, host, operator
from drctl.app.reading import fold_run
from drctl.app.running import Watching, carry_on
from drctl.engine.events import RunFinished, UndoRequested
from drctl.engine.undoing import Undoing, undoing
from drctl.journal.folder import Folder, Journal
from drctl.kernel.errors import Problem, RefusedError
from drctl.kernel.text import did_you_mean, sanitize


def look_at_undo(folder: Folder, to: str) -> Undoing:
    """
    What an undo down to *to* would do; empty: down to the start. Changes nothing.

    Raises:
        RefusedError: The run is live, or nothing may or can be taken back.
        JournalError: The record does not verify.
    """
    run = folder.run_id
    if folder.is_held():
        what, do = f"run {run} is live", f'drctl cancel {run} --reason "WHY"   first'
        raise RefusedError((Problem(code="DR3001", what=what, do=do),))
    state, _chain = fold_run(folder)
    plan = folder.plan()
    if to and to not in plan.by_id:
        raise _refused(folder, f'no step is called "{to}"{did_you_mean(to, plan.by_id)}')
    found = undoing(plan, state, to)
    if found.refusal is not None:
        raise _refused(folder, found.refusal)
    if found.done and not found.steps and state.finished is not None:
        raise _refused(folder, "it is undone already", code="DR3005")
    if not found.steps and not found.done:
        stays = f"; {', '.join(found.stays)} changed something and has no undo"
        raise _refused(folder, f"there is nothing to undo{stays if found.stays else ''}")
    return found


def _refused(folder: Folder, why: str, code: str = "DR3009") -> RefusedError:
    return RefusedError(
        (
            Problem(
                code=code,
                what=f"run {folder.run_id} is not undone: {why}",
                now="nothing was changed by this command",
                do=f"drctl status {folder.run_id}",
            ),
        )
    )


async def undo_run(
    parts: Parts, folder: Folder, to: str, reason: str, views: Sequence[Watching]
) -> RunFinished:
    """
    Takes back what the run did, or goes on with that. What may have happened is looked at first;
    the first undo that does not come out well ends it, and the record says how far it came.

    Raises:
        RefusedError: As `look_at_undo`.
        JournalError: The run is live elsewhere, or its record does not verify.

    Changes:
        What the undo of each step changes.
    """
    look_at_undo(folder, to)
    journal, chain = Journal.take_up(folder, parts.clock)
    state, _chain = fold_run(folder)  # once more, now that nobody else can write
    first = UndoRequested(
        by=operator(),
        host=host(),
        version=__version__,
        reason=sanitize(reason),
        to=to,
        torn_bytes=chain.torn_bytes,
    )
    return await carry_on(parts, folder.plan(), state, journal, first, views)
