"""Use case: what runs have left behind for people to put right, over all runs of this machine."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from drctl.app.compose import Parts, operator
from drctl.config.places import lab_root
from drctl.engine.debts import booked, paid, taken_back
from drctl.engine.events import DebtClosed, DebtsBooked, RunStarted, UndoFinished
from drctl.engine.state import Owed, Record
from drctl.journal.folder import Folder, Journal, all_folders
from drctl.kernel.errors import InvalidError, JournalError, Problem, RefusedError
from drctl.kernel.text import did_you_mean, sanitize


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDebt:
    """One that nobody has put right yet."""

    id: str
    """What a person types: the key's first word and a few letters of its digest."""
    key: str
    run: str
    environment: str
    step: str
    target: str
    what: str
    remedy: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Debts:
    """The list, and what it could not take into account."""

    open: Sequence[OpenDebt]
    """Oldest first."""
    unreadable: Sequence[str]
    """Runs whose records do not verify: what they owe is not known."""

    def of(self, environment: str) -> "Debts":
        """Only those of one environment."""
        mine = [debt for debt in self.open if debt.environment == environment]
        return Debts(open=mine, unreadable=self.unreadable)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A line of a journal that changes what is owed."""

    record: Record
    run: str
    environment: str


def open_debts(parts: Parts) -> Debts:
    """
    Reads the record of every run on this machine; changes nothing.

    The events of all runs are taken in the order in which they were written, so that whatever
    rebuilt the standby has cleared what used it up. A lab that is gone owes nothing.
    """
    entries: list[_Entry] = []
    unreadable = []
    for folder in all_folders(parts.runs):
        try:
            entries += _entries(folder)
        except JournalError:
            unreadable.append(folder.run_id)
    entries.sort(key=lambda entry: entry.record.at.wall)
    debts: dict[str, Owed] = {}
    by_run: dict[str, _Entry] = {}
    for entry in entries:
        event = entry.record.event
        if isinstance(event, UndoFinished):
            # Steps of other runs may be called the same: only what this run owes is taken back.
            mine = {key: owed for key, owed in debts.items() if by_run[key].run == entry.run}
            left = taken_back(mine, event.step)
            debts = {key: owed for key, owed in debts.items() if key not in mine or key in left}
            continue
        if isinstance(event, DebtsBooked):
            debts = dict(booked(debts, event, entry.record.at.wall))
            by_run |= {owed["key"]: entry for owed in event.owes}
        elif isinstance(event, DebtClosed):
            debts = dict(paid(debts, (event.key,)))
    found = [_shown(key, owed, by_run[key]) for key, owed in debts.items()]
    return Debts(open=sorted(found, key=lambda debt: debt.since), unreadable=unreadable)


def close_debt(parts: Parts, wanted: str, reason: str) -> OpenDebt:
    """
    Puts on record, in the journal of the run that owes it, that a person has put it right.

    Raises:
        InvalidError: No open debt has that id.
        RefusedError: The run is live; it may pay by itself yet.
        JournalError: The run's record does not verify.

    Changes:
        One line of a journal.
    """
    known = {debt.id: debt for debt in open_debts(parts).open}
    if wanted not in known:
        near = did_you_mean(wanted, known)
        problem = Problem(code="DR4010", what=f'no open debt is called "{wanted}"{near}',
                          do="drctl debt list")  # fmt: skip
        raise InvalidError((problem,))
    debt = known[wanted]
    folder = Folder(path=parts.runs / debt.run)
    if folder.is_held():
        problem = Problem(
            code="DR3014",
            what=f"run {debt.run} is live, and may put this right itself",
            do=f"drctl status {debt.run}",
        )
        raise RefusedError((problem,))
    journal, _chain = Journal.take_up(folder, parts.clock)
    try:
        journal.append(DebtClosed(key=debt.key, by=operator(), reason=sanitize(reason)))
    finally:
        journal.close()
    return debt


def _entries(folder: Folder) -> Iterator[_Entry]:
    records = folder.read().records
    start = records[0].event if records else None
    if not isinstance(start, RunStarted):
        return
    if start.world == "lab" and not _is_of_this_lab(records[0].at.wall):
        return
    for record in records:
        event = record.event
        is_undone = isinstance(event, UndoFinished) and event.outcome == "succeeded"
        if is_undone or isinstance(event, DebtsBooked | DebtClosed):
            yield _Entry(record=record, run=folder.run_id, environment=start.environment)


def _is_of_this_lab(at: datetime) -> bool:
    """True when the lab that is up was there already; its environment file is its birth."""
    try:
        born = (lab_root() / "environment.yaml").stat().st_mtime
    except OSError:
        return False
    return at >= datetime.fromtimestamp(born, UTC)


def _shown(key: str, owed: Owed, entry: _Entry) -> OpenDebt:
    return OpenDebt(
        id=debt_id(key),
        key=key,
        run=entry.run,
        environment=entry.environment,
        step=owed.step,
        target=owed.target,
        what=owed.what,
        remedy=owed.remedy,
        since=owed.since,
    )


def debt_id(key: str) -> str:
    """Short enough to be typed, the same in every run."""
    kind = key.partition(":")[0]
    return f"{kind}-{hashlib.sha256(key.encode()).hexdigest()[:6]}"
