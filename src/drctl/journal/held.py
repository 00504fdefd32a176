"""The open handles of a run's one writer: its folder, its lock, its journal."""

import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from drctl.journal import files
from drctl.journal.chain import Chain, decode
from drctl.journal.problems import live, lost
from drctl.journal.space import release, reserve
from drctl.kernel import failpoints

PLAN, EVENTS, LOCK, INBOX = "plan.json", "events.jsonl", "lock", "inbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A run that is ours while its lock is."""

    path: Path
    home: int
    lock: int
    file: int

    def is_in_place(self) -> bool:
        """True while what we hold are still the run's own folder, lock and journal."""
        try:
            return os.path.samestat(self.path.lstat(), os.fstat(self.home)) and all(
                os.path.samestat(
                    os.stat(name, dir_fd=self.home, follow_symlinks=False), os.fstat(handle)
                )
                for name, handle in ((LOCK, self.lock), (EVENTS, self.file))
            )
        except OSError:
            return False

    def close(self) -> None:
        """Lets go of the run, and of the room on the disk that it did not need."""
        release(self.file)
        _close((self.home, self.file, self.lock))


def make(path: Path, plan: bytes, steps: int) -> Held:
    """
    Makes a run's folder with its plan and an empty journal, durable before it returns. It appears
    whole: a process that dies in here leaves nothing that could be taken for a run.

    Args:
        steps: How many the plan has; room for their record is claimed.

    Raises:
        OSError: It cannot be made, or is there already.
    """
    half = f".{path.name}.new"
    with files.opened(path.parent, ours=1, make=True) as place:
        files.make_folder(place, half)
        held = [os.open(half, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)]
        try:
            lock, file = _fill(path, held, plan, steps)
            # A rename would take an empty folder's place.
            if path.name in os.listdir(place):
                message = f"{path} is there already"
                raise FileExistsError(message)  # noqa: TRY301 (cleaned up below)
            files.rename(place, half, path.name)
            files.sync(place)
        except BaseException:
            _give_up(place, path.name, half, held[0])
            _close(held)
            raise
    return Held(path=path, home=held[0], lock=lock, file=file)


def _fill(path: Path, held: list[int], plan: bytes, steps: int) -> tuple[int, int]:
    home = held[0]
    os.fchmod(home, 0o700)
    files.write_new(home, LOCK, b"")
    # Held before there is anything to read: who lists runs must not find it unheld.
    held.append(lock := _hold(home, path))
    files.make_folder(home, INBOX)
    files.write_new(home, PLAN, plan)
    files.write_new(home, EVENTS, b"")
    held.append(file := files.open_file(home, EVENTS, os.O_RDWR | os.O_APPEND))
    reserve(file, steps)
    files.sync(home)
    return lock, file


def _give_up(place: int, name: str, half: str, home: int) -> None:
    """
    Removes what there is of a folder that could not be made; what cannot be removed stays. It is
    taken out of sight first: half of a run must never look like one.
    """
    failpoints.hit("folder.give_up")
    try:
        is_in_sight = os.path.samestat(os.stat(name, dir_fd=place), os.fstat(home))
        if is_in_sight:
            files.rename(place, name, half)
    except FileNotFoundError:
        pass
    except OSError:
        return  # it is whole, and its record empty: a resume says that it never began
    with suppress(OSError):
        os.rmdir(INBOX, dir_fd=home)
    for inside in (LOCK, PLAN, EVENTS):
        with suppress(OSError):
            files.remove(home, inside)
    with suppress(OSError):
        os.rmdir(half, dir_fd=place)


def take(path: Path, steps: int) -> tuple[Held, Chain]:
    """
    Takes a run that nobody holds; a torn last line of its journal is cut off.

    Raises:
        JournalError: Somebody holds it, or its journal does not verify.
        OSError: It cannot be read or written.
    """
    handles = [files.open_folder(path, ours=2)]
    try:
        handles.append(lock := _hold(handles[0], path))
        handles.append(file := files.open_file(handles[0], EVENTS, os.O_RDWR | os.O_APPEND))
        held = Held(path=path, home=handles[0], lock=lock, file=file)
        if not held.is_in_place():
            raise lost(path)  # noqa: TRY301 (cleaned up below)
        data = files.read_handle(file, EVENTS, largest=files.JOURNAL_BYTES)
        chain = decode(data, name=str(path / EVENTS))
        if chain.torn_bytes:
            _cut_off(file, chain.size)
        reserve(file, steps)
    except BaseException:
        _close(handles)
        raise
    return held, chain


def _hold(home: int, path: Path) -> int:
    lock = files.open_file(home, LOCK, os.O_RDWR)
    try:
        failpoints.hit("lock.before")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        failpoints.hit("lock.after")
    except BlockingIOError as error:
        os.close(lock)
        raise live(path) from error
    except BaseException:
        os.close(lock)
        raise
    return lock


def is_held(home: int) -> bool:
    """True while a live process has the run whose folder is open as *home*."""
    failpoints.hit("lock.look")
    try:
        handle = files.open_file(home, LOCK, os.O_RDWR)
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


def _cut_off(file: int, size: int) -> None:
    """Drops a torn line, and waits until it is gone: what is appended next must not mix with it."""
    failpoints.hit("journal.before_cut")
    os.ftruncate(file, size)
    failpoints.hit("journal.after_cut")
    os.fsync(file)


def _close(handles: Sequence[int]) -> None:
    for handle in handles:
        os.close(handle)
