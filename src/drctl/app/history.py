"""What earlier runs on this machine say about a plan that is to be run now."""

from dataclasses import dataclass
from datetime import datetime

from drctl.app.compose import Parts
from drctl.engine.events import GateAnswered, RunStarted
from drctl.journal.folder import all_folders
from drctl.kernel.errors import JournalError

LOOKED_AT = 50
"""Newest runs whose journals are read. A plan lives a day at most, and this is read in 0.1 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A look back."""

    latest_wall: datetime | None
    """The highest wall time on record: a clock that was set back does not lower it."""
    denied: frozenset[str]
    """Seals of plans to which somebody has said no."""


def look_back(parts: Parts) -> History:
    """Reads the newest runs; one that cannot be read says nothing."""
    latest: datetime | None = None
    denied = set()
    for folder in all_folders(parts.runs)[:LOOKED_AT]:
        try:
            records = folder.read().records
        except JournalError:
            continue
        walls = [record.at.wall for record in records]
        latest = max([*walls, *([latest] if latest else [])], default=None)
        first = records[0].event if records else None
        said = (record.event for record in records)
        is_denied = any(isinstance(e, GateAnswered) and e.answer == "deny" for e in said)
        if isinstance(first, RunStarted) and is_denied:
            denied.add(first.plan_seal or first.plan_digest)
    return History(latest_wall=latest, denied=frozenset(denied))
