"""Use case: where a run stands now, and what can be done about it."""

from drctl.app.compose import Parts
from drctl.app.ending import what_next
from drctl.app.reading import fold_run
from drctl.engine.state import State
from drctl.journal.folder import Folder
from drctl.view.status import Standing


def standing_of(parts: Parts, folder: Folder) -> Standing:
    """
    Reads a run's folder, live or not; changes nothing.

    Raises:
        JournalError: The record does not verify.
    """
    state, chain = fold_run(folder)
    plan, stands = folder.plan(), folder.standing(chain)
    is_live = folder.is_held()
    do = _while_live(folder.run_id, state) if is_live else what_next(folder.run_id, plan, state)
    return Standing(
        run=folder.run_id,
        standing="running" if is_live else stands,
        plan=plan,
        state=state,
        now=parts.clock.now(),
        do=do,
    )


def _while_live(run: str, state: State) -> tuple[str, ...]:
    found = [
        line
        for gate in sorted(state.gates.keys() & state.running)
        for line in (f"drctl approve {run} {gate}", f'drctl deny {run} {gate} --reason "WHY"')
    ]
    for name, step in state.steps.items():
        if step.status in {"failed", "unknown"} and not step.is_settled:
            found += [f"drctl retry {run} {name}", f'drctl skip {run} {name} --reason "WHY"']
    if state.undo is not None:
        return tuple(found)
    if state.held is not None:
        found.append(f"drctl resume {run}")
    elif state.cancelled is None:
        found.append(f"drctl pause {run}")
    if state.cancelled is None:
        found.append(f'drctl cancel {run} --reason "WHY"')
    return tuple(found)
