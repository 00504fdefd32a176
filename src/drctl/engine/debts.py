"""
What runs leave behind for people to put right: pure folds, the same for one run and for all of
them.

A debt is known by its key, which is made of what the thing really is, so that the run that rebuilds
a standby clears what the run that used it up left, whatever their runbooks are called.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from drctl.engine.events import DebtsBooked
from drctl.engine.state import Owed


def booked(debts: Mapping[str, Owed], event: DebtsBooked, at: datetime) -> Mapping[str, Owed]:
    """Clears first: a step that replaces one thing by another owes what it says it owes."""
    left = dict(paid(debts, event.clears))
    for owed in event.owes:
        left[owed["key"]] = Owed(
            step=event.step,
            target=event.target,
            what=owed["what"],
            remedy=owed["remedy"],
            since=at,
            by_undo=event.undoes,
        )
    return left


def paid(debts: Mapping[str, Owed], keys: Iterable[str]) -> Mapping[str, Owed]:
    """Those that are left; a key that nobody owes is no error."""
    gone = frozenset(keys)
    return {key: owed for key, owed in debts.items() if key not in gone}


def taken_back(debts: Mapping[str, Owed], step: str) -> Mapping[str, Owed]:
    """Those that are left once a step was undone: what it owed is as if it had never been."""
    return {key: owed for key, owed in debts.items() if owed.step != step or owed.by_undo}
