"""
A cell in a folder of this machine, without a lock.

Problem: a lock file is where local locks go wrong. A child inherits the descriptor and holds the
lock after its parent's death; somebody unlinks the file and makes it anew, and two processes hold
"the" lock; a stopped process holds it for ever. So there is none. Invariant: version *n* of the
document is the file ``n``, it appears whole and for ever by link(2), and link(2) lets exactly one
process make a name. Whoever wants to replace version *n* links ``n+1``; who comes second is told so
by the kernel. The document is the highest number.

Old versions are removed, but not the last `KEPT`. A writer that was stopped between its look and
its link may find a name free again that was taken and removed meanwhile; so it looks once more
after its link. If fewer than `KEPT` versions follow its own, its name had never been removed, and
it was first.

`is_in_place` sees at once when the folder was removed or made anew under a holder (two holders
otherwise, until the first one renews): the version it saw last must be the same file still, or so
old that it was tidied away. So a version is named by its number *and* its file: in a
folder made anew the numbers begin at one again.

What is not promised: machines that share the folder through NFS with attribute caching, and anybody
who may write the folder: it is 0700.
"""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from drctl.actions.cell import Cell, Reading
from drctl.actions.contract import Context
from drctl.actions.errors import Conflict, OutcomeUnknown, Unavailable
from drctl.kernel import failpoints

KEPT = 64
"""Versions that stay: two minutes of one run's renewals, and more than a crowd writes in one go."""
LARGEST = 1 << 20

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class FileCell(Cell):
    """The document in one folder. Safe for any number of processes of one user."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def label(self) -> str:
        return f"{self._folder} (this machine only)"

    async def read(self, ctx: Context) -> Reading:
        try:
            handle = self._open()
        except OSError as error:
            raise Unavailable(f"{self._folder}: {error}") from error
        try:
            return self._newest(handle)
        except OSError as error:
            raise Unavailable(f"{self._folder}: {error}") from error
        finally:
            os.close(handle)

    async def write(self, ctx: Context, data: bytes, expected: str | None) -> str:
        number = _number(expected) + 1
        name = f".{secrets.token_hex(8)}"
        has_linked = False
        try:
            handle = self._open()
            try:
                if _version(handle, _highest(handle)) != expected:
                    raise Conflict(f"{self._folder}: somebody else has written")
                _write_new(handle, name, data)
                failpoints.hit("lease.before_link")
                has_linked = True
                os.link(name, str(number), src_dir_fd=handle, dst_dir_fd=handle)
                failpoints.hit("lease.after_link")
                if _highest(handle) - number >= KEPT:
                    os.unlink(str(number), dir_fd=handle)
                    raise Conflict(f"{self._folder}: others have written long since")
                os.fsync(handle)
                version = _version(handle, number)
                self._tidy(handle, number)
            finally:
                with suppress(OSError):
                    os.unlink(name, dir_fd=handle)
                os.close(handle)
        except FileExistsError as error:
            raise Conflict(f"{self._folder}: somebody else was faster") from error
        except OSError as error:
            word = OutcomeUnknown if has_linked else Unavailable
            raise word(f"{self._folder}: {error}") from error
        if version is None:
            raise OutcomeUnknown(f"{self._folder}: what was written is gone")
        return version

    def is_in_place(self, version: str) -> bool:
        """True while *version* is the file that we wrote or read, or was tidied away since."""
        try:
            handle = os.open(self._folder, _FOLDER)
            try:
                there = _version(handle, _number(version))
                if there is not None:
                    return there == version
                return _highest(handle) - _number(version) >= KEPT
            finally:
                os.close(handle)
        except OSError:
            return False

    def _open(self) -> int:
        failpoints.hit("lease.open")
        with suppress(FileExistsError):
            self._folder.mkdir(mode=0o700, parents=True)
        handle = os.open(self._folder, _FOLDER)
        there = os.fstat(handle)
        if there.st_uid != os.geteuid() or there.st_mode & _OTHERS:
            os.close(handle)
            message = "belongs to others or may be written by others"
            raise PermissionError(message)
        return handle

    def _newest(self, handle: int) -> Reading:
        while True:
            number = _highest(handle)
            if number == 0:
                return Reading(data=None, version=None)
            with suppress(FileNotFoundError):  # tidied away since: there is a newer one
                version = _version(handle, number)
                return Reading(data=_read(handle, str(number)), version=version)

    def _tidy(self, handle: int, number: int) -> None:
        failpoints.hit("lease.tidy")
        for old in _numbers(handle):
            if old <= number - KEPT:
                with suppress(OSError):
                    os.unlink(str(old), dir_fd=handle)


def _numbers(handle: int) -> list[int]:
    return [int(name) for name in os.listdir(handle) if name.isascii() and name.isdigit()]


def _highest(handle: int) -> int:
    return max(_numbers(handle), default=0)


def _number(version: str | None) -> int:
    return int(version.partition("-")[0]) if version else 0


def _version(handle: int, number: int) -> str | None:
    """Names a version by number and file; ``None``: there is none of that number."""
    try:
        there = os.stat(str(number), dir_fd=handle, follow_symlinks=False)
    except FileNotFoundError:
        return None
    # Numbers of inodes are given to the next file at once, so also when it was written. Not ctime:
    # linking and unlinking change it.
    return f"{number}-{there.st_ino}-{there.st_mtime_ns}"


def _read(folder: int, name: str) -> bytes:
    handle = os.open(name, _READ, dir_fd=folder)
    with os.fdopen(handle, "rb") as file:
        there = os.fstat(handle)
        if not stat.S_ISREG(there.st_mode) or there.st_size > LARGEST:
            message = f"{name} is not a document"
            raise OSError(message)
        return file.read()


def _write_new(folder: int, name: str, data: bytes) -> None:
    failpoints.hit("lease.new")
    handle = os.open(name, _NEW, 0o600, dir_fd=folder)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    finally:
        os.close(handle)
