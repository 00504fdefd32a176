"""
Folders and files that nobody else can turn into something else.

Problem: what a run knows lies in files, and whoever can put a link, a pipe or a file of his own in
    their place decides what a recovery believes, or which of the machine's files it overwrites.
    Invariant: a folder is reached by walking to it from the root, one opened component at a time;
    each belongs to us or to root, and nobody else may rename what is in it. Everything inside is
    then named relative to that open folder, never by a path again, and is used only if it is a
    plain file of ours with one name, on the folder's own mount. What is written is on disk, its
    name included, before anybody is told.

What is not promised: protection from root, and from other processes of the same user.
"""

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from drctl.journal.trust import check_file, check_folder, check_link, same_mount
from drctl.kernel import failpoints

PLAN_BYTES = 16 * 1024 * 1024
"""The largest plan that is read: about a thousand times the shipped ones."""
JOURNAL_BYTES = 64 * 1024 * 1024
"""The largest journal that is read: about 80,000 events."""

_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Walking through a folder needs no right to list it.
_WALK = _FOLDER | getattr(os, "O_PATH", os.O_RDONLY)
# A FIFO in a file's place must not hold up whoever opens it.
_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MOST_LINKS = 40
"""As many as the kernel itself follows in one path."""


@contextmanager
def opened(path: Path, *, ours: int, make: bool = False) -> Iterator[int]:
    """As `open_folder`, closed at the end of the block."""
    handle = open_folder(path, ours=ours, make=make)
    try:
        yield handle
    finally:
        os.close(handle)


def open_folder(path: Path, *, ours: int, make: bool = False) -> int:
    """
    Opens a folder that can be trusted.

    Args:
        ours: How many of the last components are drctl's own: never a link, never another mount
            inside the first of them, and writable by their owner only. Links above them are
            followed when they belong to us or root.
        make: Makes what is missing, 0700, and durable.

    Raises:
        UnsafeError: Somebody else could put his files in the place of ours.
        OSError: It is not there, or is no folder.
    """
    left = deque(path.absolute().parts[1:])
    here, shown, links = os.open("/", _WALK), Path("/"), 0
    try:
        check_folder(os.fstat(here), shown, is_ours=False)
        while left:
            name = left.popleft()
            shown, is_ours = shown / name, len(left) < ours
            there = _entry(here, name, make=make)
            if stat.S_ISLNK(there.st_mode):
                check_link(there, shown, is_ours=is_ours)
                links += 1
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(shown))
                target = Path(os.readlink(name, dir_fd=here))
                left.extendleft(
                    reversed(target.parts[1:] if target.is_absolute() else target.parts)
                )
                if target.is_absolute():
                    here, shown = _step(here, "/"), Path("/")
                else:
                    shown = shown.parent
                continue
            was, here = here, _step(here, name, shown, keep=True)
            try:
                check_folder(os.fstat(here), shown, is_ours=is_ours)
                if is_ours and len(left) < ours - 1:
                    same_mount(here, was, shown)
            finally:
                os.close(was)
        return os.open(".", os.O_RDONLY | _FOLDER, dir_fd=here)
    finally:
        os.close(here)


def _step(here: int, name: str, shown: Path | None = None, *, keep: bool = False) -> int:
    try:
        there = os.open(name, _WALK, dir_fd=here)
    except OSError as error:
        error.filename = str(shown or name)
        raise
    if not keep:
        os.close(here)
    return there


def _entry(here: int, name: str, *, make: bool) -> os.stat_result:
    try:
        return os.stat(name, dir_fd=here, follow_symlinks=False)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):  # two runs may start at once
        make_folder(here, name)
    above = os.open(".", os.O_RDONLY | _FOLDER, dir_fd=here)
    try:
        sync(above)
    finally:
        os.close(above)
    return os.stat(name, dir_fd=here, follow_symlinks=False)


def make_folder(folder: int, name: str) -> None:
    """
    Makes an empty folder that only its owner may enter, whatever the umask says.

    Raises:
        FileExistsError: There is something of that name.
    """
    failpoints.hit("files.make_folder")
    os.mkdir(name, mode=0o700, dir_fd=folder)


def open_file(folder: int, name: str, flags: int) -> int:
    """
    Opens a file of *folder* that is there already.

    Raises:
        UnsafeError: It is not a plain file of ours with one name.
        OSError: It is not there, or may not be opened.
    """
    handle = os.open(name, flags | _SAFE, dir_fd=folder)
    try:
        check_file(handle, name)
        same_mount(handle, folder, Path(name))
    except BaseException:
        os.close(handle)
        raise
    return handle


def read_file(folder: int, name: str, *, largest: int) -> bytes:
    """
    Reads a whole file.

    Raises:
        UnsafeError: It is not a plain file of ours with one name.
        OSError: It is not there, is larger than *largest*, or cannot be read.
    """
    handle = open_file(folder, name, os.O_RDONLY)
    try:
        return read_handle(handle, name, largest=largest)
    finally:
        os.close(handle)


def read_handle(handle: int, name: str, *, largest: int) -> bytes:
    """
    Reads an open file from its beginning.

    Raises:
        OSError: It is larger than *largest*, or cannot be read.
    """
    size = os.fstat(handle).st_size
    if size > largest:
        message = f"{name} has {size} bytes; more than {largest} are not read"
        raise OSError(errno.EFBIG, message)
    data = bytearray()
    while len(data) < size:
        piece = os.pread(handle, size - len(data), len(data))
        if not piece:
            break
        data += piece
    return bytes(data)


def write_new(folder: int, name: str, data: bytes) -> None:
    """
    Makes a file (0600) that must not be there, and waits until the disk has its bytes. Its name is
    durable after `sync` of the folder.

    Raises:
        FileExistsError: There is something of that name.
        OSError: The disk refused; a part of the file may be there.
    """
    failpoints.hit("files.new.before")
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE, 0o600, dir_fd=folder)
    try:
        os.fchmod(handle, 0o600)  # the umask may have taken from it what the owner needs
        write_all(handle, data)
        failpoints.hit("files.new.written")
        os.fsync(handle)
        failpoints.hit("files.new.synced")
    finally:
        os.close(handle)


def write_all(handle: int, data: bytes) -> None:
    """
    Writes every byte: a write may take fewer than it was given.

    Raises:
        OSError: The disk refused; some bytes may be there.
    """
    failpoints.hit("files.write")
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def put(folder: int, partial: str, name: str, data: bytes) -> None:
    """
    Puts a whole file in its place, over what is there: a reader sees all of it or nothing.

    Args:
        partial: What it is called until it is whole; must not be there.

    Raises:
        OSError: The disk refused; the file in place is as it was.
    """
    write_new(folder, partial, data)
    try:
        rename(folder, partial, name)
    except OSError:
        with suppress(OSError):
            remove(folder, partial)
        raise
    sync(folder)


def rename(folder: int, old: str, new: str) -> None:
    """
    Gives what is called *old* the name *new*; durable after `sync`.

    Raises:
        OSError: The disk refused; nothing was renamed.
    """
    failpoints.hit("files.rename.before")
    os.rename(old, new, src_dir_fd=folder, dst_dir_fd=folder)
    failpoints.hit("files.rename.after")


def remove(folder: int, name: str) -> None:
    """
    Takes a name away.

    Raises:
        OSError: It is not there, or is a folder.
    """
    failpoints.hit("files.remove.before")
    os.unlink(name, dir_fd=folder)
    failpoints.hit("files.remove.after")


def sync(folder: int) -> None:
    """
    Waits until the disk has the folder's names.

    Raises:
        OSError: It may not have them.
    """
    failpoints.hit("files.sync")
    os.fsync(folder)
