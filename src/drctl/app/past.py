"""
What recorded runs say about how long a plan would take.

Only runs of the same runbook in the same environment of the same world count, and of those only
steps that did the same to the same: what a step is called is not enough.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from drctl.app.compose import Parts
from drctl.kernel.errors import JournalError
from drctl.plan.forecast_past import Past
from drctl.plan.model import Plan, PlannedStep

if TYPE_CHECKING:
    from drctl.engine.state import Record
    from drctl.journal.folder import Folder

Work: TypeAlias = tuple[str, str, str]
"""What a step does: action, target, gate."""
COUNTED = 50
"""Newest fitting runs that are counted: older ones say little about today."""
LOOKED_AT = 200
"""Newest runs of any kind among which they are looked for."""


def past_of(parts: Parts, plan: Plan) -> Past:
    """Reads the newest runs; one that cannot be read, or does not verify, says nothing."""
    try:
        if not parts.runs.is_dir():
            return Past()  # as in CI: what reads journals takes longer to import than to plan
    except OSError:
        return Past()
    from drctl.journal.folder import all_folders

    rows: list[Mapping[str, float]] = []
    try:
        folders = all_folders(parts.runs)[:LOOKED_AT]
    except JournalError:
        return Past()
    for folder in folders:
        row = _row(folder, plan)
        if row:
            rows.append(row)
        if len(rows) == COUNTED:
            break
    return Past(rows=tuple(reversed(rows)))


def row_of(records: "tuple[Record, ...]", did: Mapping[str, Work], plan: Plan) -> dict[str, float]:
    """Lengths of the steps of one run that did what they are to do now."""
    from drctl.engine.lengths import lengths_s

    took, now = lengths_s(records), plan.by_id
    return {
        step: length
        for step, length in took.items()
        if step in now and did.get(step) == work_of(now[step])
    }


def work_of(step: PlannedStep) -> Work:
    """What a step does."""
    return (
        step.call.uses if step.call else "",
        (step.call.target or "") if step.call else "",
        step.gate or "",
    )


def _row(folder: "Folder", plan: Plan) -> Mapping[str, float]:
    from drctl.engine.events import RunStarted

    try:
        records = folder.read().records
        first = records[0].event if records else None
        fits = isinstance(first, RunStarted) and (
            first.runbook,
            first.environment,
            first.world,
        ) == (
            plan.runbook,
            plan.environment,
            plan.world,
        )
        return row_of(records, _did(folder.plan_as_written()), plan) if fits else {}
    except (JournalError, KeyError, TypeError, AttributeError):
        return {}


def _did(written: Any) -> dict[str, Work]:
    return {
        step["id"]: (
            (step["call"] or {}).get("uses") or "",
            (step["call"] or {}).get("target") or "",
            step["gate"] or "",
        )
        for step in written["steps"]
    }
