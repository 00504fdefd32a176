"""A run's folder: the plan, the journal, who holds it, and where answers are dropped."""

import fcntl
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from drctl.engine.events import Event, Result, RunFinished
from drctl.engine.state import Record
from drctl.journal.chain import GENESIS, Chain, decode, encode
from drctl.kernel import failpoints
from drctl.kernel.clock import Clock, Instant
from drctl.kernel.errors import JournalError, Problem
from drctl.kernel.ids import RunId
from drctl.plan.model import Plan

Standing: TypeAlias = Result | Literal["running"]

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
# A FIFO in a file's place must not hold up whoever reads.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


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
            plan = Plan.model_validate_json(_read(self.path / "plan.json"))
        except (OSError, ValueError) as error:
            raise _cannot(f"the plan of run {self.run_id} cannot be read", error) from error
        if not plan.is_whole:
            raise _cannot(f"the plan of run {self.run_id} was changed", None)
        return plan

    def read(self) -> Chain:
        """
        Reads and verifies the journal.

        Raises:
            JournalError: It cannot be read, or does not verify.
        """
        try:
            data = _read(self.journal)
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
            # Shared: to look must not look like holding to somebody else who looks.
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
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
        self._is_broken = False

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
            _check_owner(runs)
            folder.path.mkdir(mode=0o700)
            # Held before there is anything to read: who lists runs must not find it unheld.
            _write_new(folder.path / "lock", b"")
            lock = _hold(folder)
            folder.inbox.mkdir(mode=0o700)
            _write_new(folder.path / "plan.json", plan.model_dump_json(indent=1).encode())
            _write_new(folder.journal, b"")
            _sync_folder(folder.path)
            _sync_folder(runs)
            return cls(folder, clock, lock=lock, head=GENESIS, seq=0)
        except OSError as error:
            raise _cannot(f"the folder of run {run_id} cannot be made", error) from error

    @classmethod
    def take_up(cls, folder: Folder, clock: Clock) -> tuple["Journal", Chain]:
        """
        Takes over the journal of a run that nobody holds; a torn last line is cut off.

        Raises:
            JournalError: Somebody holds it, or it does not verify.
        """
        try:
            lock = _hold(folder)
            try:
                chain = folder.read()
                if chain.torn_bytes:
                    os.truncate(folder.journal, chain.size)
                last = chain.records[-1].seq if chain.records else 0
                return cls(folder, clock, lock=lock, head=chain.head, seq=last), chain
            except BaseException:
                os.close(lock)
                raise
        except OSError as error:
            raise _cannot(f"run {folder.run_id} cannot be taken up", error) from error

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
            raise _cannot(what, None)
        self._is_broken = True
        if not self._is_in_place():
            raise JournalError((lost(self.folder),))
        now = self._clock.now()
        # What a reader of the file will see: times rounded as they are written.
        at = Instant(wall=now.wall, boot_s=round(now.boot_s, 6), boot_id=now.boot_id)
        record = Record(seq=self._seq + 1, at=at, event=event)
        try:
            line, head = encode(record, self._head)
            failpoints.hit("journal.before_write")
            view = memoryview(line)
            while view:
                view = view[os.write(self._file, view) :]
            failpoints.hit("journal.after_write")
            os.fsync(self._file)
            failpoints.hit("journal.after_fsync")
        except (OSError, ValueError) as error:
            raise _cannot(what, error) from error
        self._is_broken = False
        self._head, self._seq = head, record.seq
        return record

    def is_ours(self) -> bool:
        """True while we can write, and what we hold are still the run's own lock and journal."""
        return not self._is_broken and self._is_in_place()

    def _is_in_place(self) -> bool:
        held = {self.folder.path / "lock": self._lock, self.folder.journal: self._file}
        try:
            return all(
                os.path.samestat(path.lstat(), os.fstat(handle)) for path, handle in held.items()
            )
        except OSError:
            return False

    def close(self) -> None:
        """Lets go of the run."""
        os.close(self._file)
        os.close(self._lock)


def all_folders(runs: Path) -> Sequence[Folder]:
    """Every run, newest first."""
    if not runs.is_dir():
        return ()
    entries = (entry for entry in runs.iterdir() if entry.is_dir() and not entry.is_symlink())
    names = sorted((entry.name for entry in entries), reverse=True)
    return [Folder(path=runs / name) for name in names]


def lost(folder: Folder) -> Problem:
    """What there is to say when the run is not ours any more."""
    return Problem(
        code="DR4002",
        what=f"run {folder.run_id} is no longer ours: its folder is gone or another process has it",
        now="nothing further was sent by this process",
        do="drctl runs list   (shows who runs it now)",
    )


def _check_owner(runs: Path) -> None:
    """Raises OSError when others could put their files in the place of ours."""
    there = runs.stat()
    if there.st_uid not in {os.geteuid(), 0} or there.st_mode & _OTHERS_WRITE:
        message = f"{runs} belongs to others or may be written by others; chmod go-w {runs}"
        raise PermissionError(message)


def _read(path: Path) -> bytes:
    handle = os.open(path, _READ)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            message = f"{path} is not a plain file"
            raise OSError(message)
        return file.read()


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
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
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
