"""A run's folder: the plan, the journal, who holds it, and where answers are dropped."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from drctl.engine.events import DebtClosed, Event, OrderGiven, Result, RunFinished
from drctl.engine.state import Record
from drctl.journal import files
from drctl.journal.chain import GENESIS, Chain, decode, encode
from drctl.journal.held import EVENTS, INBOX, PLAN, Held, is_held, make, take
from drctl.journal.problems import cannot, lost
from drctl.kernel import failpoints
from drctl.kernel.clock import Clock, Instant
from drctl.kernel.ids import RunId
from drctl.plan.model import Plan

Standing: TypeAlias = Result | Literal["running"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """Where one run lives. Making one touches nothing."""

    path: Path

    @property
    def run_id(self) -> RunId:
        """The folder's name."""
        return RunId(self.path.name)

    @property
    def journal(self) -> Path:
        """The events; for people to look at."""
        return self.path / EVENTS

    @property
    def inbox(self) -> Path:
        """Answers of people, one file each."""
        return self.path / INBOX

    def plan(self) -> Plan:
        """
        Reads the plan back.

        Raises:
            JournalError: It is missing, or not the plan that was put there.
        """
        try:
            with files.opened(self.path, ours=2) as home:
                data = files.read_file(home, PLAN, largest=files.PLAN_BYTES)
            plan = Plan.model_validate_json(data)
        except (OSError, ValueError) as error:
            raise cannot(f"the plan of run {self.run_id} cannot be read", error) from error
        if not plan.is_whole:
            raise cannot(f"the plan of run {self.run_id} was changed", None)
        return plan

    def plan_as_written(self) -> Any:
        """
        The plan as bare JSON, also of another version of drctl. Nothing is verified: for what only
        informs.

        Raises:
            JournalError: It is missing, or no JSON.
        """
        try:
            with files.opened(self.path, ours=2) as home:
                return json.loads(files.read_file(home, PLAN, largest=files.PLAN_BYTES))
        except (OSError, ValueError) as error:
            raise cannot(f"the plan of run {self.run_id} cannot be read", error) from error

    def read(self) -> Chain:
        """
        Reads and verifies the journal.

        Raises:
            JournalError: It cannot be read, or does not verify.
        """
        try:
            with files.opened(self.path, ours=2) as home:
                data = files.read_file(home, EVENTS, largest=files.JOURNAL_BYTES)
        except OSError as error:
            raise cannot(f"the journal of run {self.run_id} cannot be read", error) from error
        return decode(data, name=str(self.journal))

    def standing(self, chain: Chain) -> Standing:
        """How the run stands; one without an end that nobody holds was interrupted."""
        events = (record.event for record in reversed(chain.records))
        # A note, or the closing of a debt, may follow the end, and does not open the run again.
        last = next((event for event in events if not is_note(event)), None)
        if isinstance(last, RunFinished):
            return last.result
        return "running" if self.is_held() else "interrupted"

    def is_held(self) -> bool:
        """True while a live process has the run."""
        try:
            with files.opened(self.path, ours=2) as home:
                return is_held(home)
        except OSError:
            return False


class Journal:
    """The one writer of a run's events. Made by `create` or `take_up`."""

    def __init__(self, folder: Folder, clock: Clock, held: Held, after: Chain) -> None:
        self.folder = folder
        self._clock, self._held = clock, held
        self._head = after.head
        self._seq = after.records[-1].seq if after.records else 0
        self._is_broken = False

    @classmethod
    def create(cls, runs: Path, run_id: RunId, plan: Plan, clock: Clock) -> "Journal":
        """
        Makes the folder (0700) with the plan and an empty journal (0600), durable before it
        returns, with room on the disk for what is to come.

        Raises:
            JournalError: It cannot be made; then nothing may be run.
        """
        folder = Folder(path=runs / run_id)
        try:
            held = make(folder.path, plan.model_dump_json(indent=1).encode(), len(plan.steps))
        except OSError as error:
            raise cannot(f"the folder of run {run_id} cannot be made", error) from error
        return cls(folder, clock, held, Chain(records=(), head=GENESIS, torn_bytes=0, size=0))

    @classmethod
    def take_up(cls, folder: Folder, clock: Clock) -> tuple["Journal", Chain]:
        """
        Takes over the journal of a run that nobody holds; a torn last line is cut off, and
        ``torn_bytes`` of the chain says how long it was.

        Raises:
            JournalError: Somebody holds it, or it does not verify.
        """
        steps = len(folder.plan().steps)
        try:
            held, chain = take(folder.path, steps)
        except OSError as error:
            raise cannot(f"run {folder.run_id} cannot be taken up", error) from error
        return cls(folder, clock, held, chain), chain

    def append(self, event: Event) -> Record:
        """
        Writes the event and waits until the disk has it.

        Raises:
            JournalError: The disk refused, or the run is not ours any more. After that nothing can
                be appended again: half a line may be there, and of an fsync that failed nobody
                knows what the kernel has thrown away.
        """
        what = f"the journal of run {self.folder.run_id} cannot be written"
        if self._is_broken:
            raise cannot(what, None)
        self._is_broken = True
        if not self._held.is_in_place():
            raise lost(self.folder.path)
        now = self._clock.now()
        # What a reader of the file will see: times rounded as they are written.
        at = Instant(wall=now.wall, boot_s=round(now.boot_s, 6), boot_id=now.boot_id)
        record = Record(seq=self._seq + 1, at=at, event=event)
        try:
            line, head = encode(record, self._head)
            failpoints.hit("journal.before_write")
            files.write_all(self._held.file, line)
            failpoints.hit("journal.after_write")
            os.fsync(self._held.file)
            failpoints.hit("journal.after_fsync")
        except (OSError, ValueError) as error:
            raise cannot(what, error) from error
        self._is_broken = False
        self._head, self._seq = head, record.seq
        return record

    def is_ours(self) -> bool:
        """True while we can write, and what we hold are still the run's own lock and journal."""
        return not self._is_broken and self._held.is_in_place()

    def close(self) -> None:
        """Lets go of the run."""
        self._held.close()


def is_note(event: Event) -> bool:
    """True for what a person only wanted to have in the record."""
    is_note = isinstance(event, OrderGiven) and event.order == "note"
    return is_note or isinstance(event, DebtClosed)


def all_folders(runs: Path) -> Sequence[Folder]:
    """
    Every run, newest first.

    Raises:
        JournalError: Others may write where runs are kept.
    """
    try:
        with files.opened(runs, ours=1) as place, os.scandir(place) as entries:
            # A leading dot: a run whose folder was never finished.
            names = [
                entry.name
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
            ]
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise cannot(f"the runs in {runs} cannot be listed", error) from error
    return [Folder(path=runs / name) for name in sorted(names, reverse=True)]
