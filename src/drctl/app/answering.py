"""Use case: a person answers a gate from another terminal."""

from typing import Literal

from drctl.app.compose import Parts, operator
from drctl.app.reading import find_run, fold_run
from drctl.engine.ports import Answer
from drctl.journal.folder import Folder
from drctl.journal.inbox import drop
from drctl.kernel.errors import Problem, RefusedError
from drctl.kernel.text import did_you_mean


def answer_gate(
    parts: Parts, run: str, gate: str, answer: Literal["approve", "deny"], reason: str
) -> Folder:
    """
    Leaves an answer for a live run.

    Raises:
        RefusedError: The run is not live, or that gate is not open.
    """
    folder = find_run(parts, run)
    state, _chain = fold_run(folder)
    problem = None
    if not folder.is_held():
        problem = Problem(
            code="DR3003",
            what=f"run {folder.run_id} is not live: nobody would hear the answer",
            do=f"drctl runs show {folder.run_id}",
        )
    elif gate not in state.gates.keys() & state.running:
        open_now = sorted(state.gates.keys() & state.running)
        near = did_you_mean(gate, open_now)
        problem = Problem(
            code="DR3004",
            what=f'gate "{gate}" of run {folder.run_id} is not open{near}',
            why=f"open now: {', '.join(open_now) or 'none'}",
        )
    if problem is not None:
        raise RefusedError((problem,))
    drop(
        folder.inbox,
        Answer(gate=gate, answer=answer, by=operator(), via="drctl approve", reason=reason),
    )
    return folder
