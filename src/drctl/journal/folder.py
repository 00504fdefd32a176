"""A run's folder: the plan, the journal, who holds it, and where answers are dropped."""

import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from drctl.engine.events import Event, RunFinished
from drctl.engine.state import Record
from drctl.journal.chain import GENESIS, Chain, decode, encode
from drctl.kernel.clock import Clock, Instant
from drctl.kernel.errors import JournalError, Problem
from drctl.kernel.ids import RunId
from drctl.plan.model import Plan

Standing: TypeAlias = Literal[
    "running", "interrupted", "succeeded", "failed", "paused", "refused", "unknown"
]

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


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
        """The events."""
        return self.path / "events.jsonl"

    @property
    def inbox(self) -> Path:
        """Answers of people, one file each."""
        return self.path / "inbox"

    def plan(self) -> Plan:
        """
        Reads the plan back.

        Raises:
            JournalError: It is missing, or not the plan that was put there.
        """
        try:
            plan = Plan.model_validate_json((self.path / "plan.json").read_bytes())
        except (OSError, ValueError) as error:
            raise _cannot(f"the plan of run {self.run_id} cannot be read", error) from error
        if plan.computed_digest() != plan.digest:
            raise _cannot(f"the plan of run {self.run_id} was changed", None)
        return plan

    def read(self) -> Chain:
        """
        Reads and verifies the journal.

        Raises:
            JournalError: It cannot be read, or does not verify.
        """
        try:
            data = self.journal.read_bytes()
        except OSError as error:
            raise _cannot(f"the journal of run {self.run_id} cannot be read", error) from error
        return decode(data, name=str(self.journal))

    def standing(self, chain: Chain) -> Standing:
        """How the run stands; one without an end that nobody holds was interrupted."""
        last = chain.records[-1].event if chain.records else None
        if isinstance(last, RunFinished):
            return last.result
        return "running" if self.is_held() else "interrupted"

    def is_held(self) -> bool:
        """True while a live process has the run."""
        try:
            handle = os.open(self.path / "lock", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False


class Journal:
    """The one writer of a run's events."""

    def __init__(self, folder: Folder, clock: Clock, *, lock: int, head: str, seq: int) -> None:
        self.folder = folder
        self._clock, self._lock, self._head, self._seq = clock, lock, head, seq
        self._file = os.open(folder.journal, _APPEND)

    @classmethod
    def create(cls, runs: Path, run_id: RunId, plan: Plan, clock: Clock) -> "Journal":
        """
        Makes the folder (0700) with the plan and an empty journal (0600), durable before it
        returns.

        Raises:
            JournalError: It cannot be made; then nothing may be run.
        """
        folder = Folder(path=runs / run_id)
        try:
            runs.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.path.mkdir(mode=0o700)
            folder.inbox.mkdir(mode=0o700)
            _write_new(folder.path / "plan.json", plan.model_dump_json(indent=1).encode())
            _write_new(folder.journal, b"")
            _write_new(folder.path / "lock", b"")
            _sync_folder(folder.path)
            _sync_folder(runs)
        except OSError as error:
            raise _cannot(f"the folder of run {run_id} cannot be made", error) from error
        return cls(folder, clock, lock=_hold(folder), head=GENESIS, seq=0)

    @classmethod
    def take_up(cls, folder: Folder, clock: Clock) -> tuple["Journal", Chain]:
        """
        Takes over the journal of a run that nobody holds; a torn last line is cut off.

        Raises:
            JournalError: Somebody holds it, or it does not verify.
        """
        lock = _hold(folder)
        chain = folder.read()
        if chain.torn_bytes:
            os.truncate(folder.journal, chain.size)
        last = chain.records[-1].seq if chain.records else 0
        return cls(folder, clock, lock=lock, head=chain.head, seq=last), chain

    def append(self, event: Event) -> Record:
        """
        Writes the event and waits until the disk has it.

        Raises:
            JournalError: The disk refused. An fsync that failed is never tried again: what the
                kernel held may be gone.
        """
        now = self._clock.now()
        # What a reader of the file will see: times rounded as they are written.
        at = Instant(wall=now.wall, boot_s=round(now.boot_s, 6), boot_id=now.boot_id)
        record = Record(seq=self._seq + 1, at=at, event=event)
        line, head = encode(record, self._head)
        try:
            view = memoryview(line)
            while view:
                view = view[os.write(self._file, view) :]
            os.fsync(self._file)
        except OSError as error:
            raise _cannot(
                f"the journal of run {self.folder.run_id} cannot be written", error
            ) from error
        self._head, self._seq = head, record.seq
        return record

    def is_ours(self) -> bool:
        """True while the lock file we hold is still the run's lock file."""
        try:
            there, held = (self.folder.path / "lock").stat(), os.fstat(self._lock)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)

    def close(self) -> None:
        """Lets go of the run."""
        os.close(self._file)
        os.close(self._lock)


def all_folders(runs: Path) -> Sequence[Folder]:
    """Every run, newest first."""
    if not runs.is_dir():
        return ()
    names = sorted((entry.name for entry in runs.iterdir() if entry.is_dir()), reverse=True)
    return [Folder(path=runs / name) for name in names]


def _hold(folder: Folder) -> int:
    lock = os.open(folder.path / "lock", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise JournalError(
            (
                Problem(
                    code="DR3001",
                    what=f"run {folder.run_id} is live in another process",
                    do=f"drctl runs show {folder.run_id}",
                ),
            )
        ) from error
    return lock


def _write_new(path: Path, data: bytes) -> None:
    handle = os.open(path, _NEW_FILE, 0o600)
    try:
        os.write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _cannot(what: str, error: Exception | None) -> JournalError:
    return JournalError(
        (
            Problem(
                code="DR4003",
                what=what,
                why=str(error) if error else None,
                now="nothing is sent that is not on disk first",
            ),
        )
    )
