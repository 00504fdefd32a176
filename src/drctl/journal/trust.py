"""Whether a file or a folder is what it seems, asked of its open handle."""

import errno
import grp
import os
import pwd
import stat
from pathlib import Path

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class UnsafeError(OSError):
    """Something in the place of a file of ours that must not be used."""

    def __init__(self, what: str, do: str) -> None:
        super().__init__(errno.EPERM, what)
        self.do = do
        """What to do about it, for a person."""

    def __str__(self) -> str:
        return str(self.strerror)


def check_folder(there: os.stat_result, shown: Path, *, is_ours: bool) -> None:
    """
    Checks that nobody but us and root can rename what is in a folder.

    Args:
        is_ours: It is drctl's own, not one on the way there.

    Raises:
        UnsafeError: Others can.
        NotADirectoryError: It is no folder.
    """
    if not stat.S_ISDIR(there.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, f"{shown} is not a folder")
    _check_owner(there, shown)
    if not there.st_mode & _OTHERS_WRITE:
        return
    if not is_ours:
        # As in /tmp: there nobody renames what belongs to somebody else.
        if there.st_mode & stat.S_ISVTX:
            return
        # Where each person has a group of their own, folders are group-writable by default.
        if not there.st_mode & stat.S_IWOTH and _is_only_me(there.st_gid):
            return
    raise UnsafeError(f"{shown} may be written by others", f"chmod go-w {shown}")


def check_link(there: os.stat_result, shown: Path, *, is_ours: bool) -> None:
    """
    Checks that a link was made by somebody who may decide where it leads, and is only on the way.

    Raises:
        UnsafeError: It was not, or stands where a folder of drctl's own must be.
    """
    if is_ours:
        raise UnsafeError(
            f"{shown} is a link", "put the folder itself there, or move XDG_STATE_HOME"
        )
    _check_owner(there, shown)


def check_file(handle: int, name: str) -> None:
    """
    Checks that an open file is plain, ours, has one name, and is written by its owner only.

    Raises:
        UnsafeError: It is something else.
    """
    there = os.fstat(handle)
    if not stat.S_ISREG(there.st_mode):
        raise UnsafeError(f"{name} is not a plain file", f"ls -l, and see who put {name} there")
    _check_owner(there, Path(name))
    if there.st_nlink != 1:
        what = f"{name} has {there.st_nlink} names: it can be written through another one"
        raise UnsafeError(what, f"find where else it is, and make it a file of its own: cp {name}")
    if there.st_mode & _OTHERS_WRITE:
        raise UnsafeError(f"{name} may be written by others", f"chmod go-w {name}")


def same_mount(inside: int, folder: int, shown: Path) -> None:
    """
    Checks that nothing was mounted over what is in a folder.

    Raises:
        UnsafeError: Something was.
    """
    if _mount(inside) != _mount(folder):
        raise UnsafeError(f"something is mounted over {shown}", f"umount {shown}")


def _check_owner(there: os.stat_result, shown: Path) -> None:
    if there.st_uid not in {os.geteuid(), 0}:
        raise UnsafeError(
            f"{shown} belongs to user {there.st_uid}, not to us",
            "use a place of your own: XDG_STATE_HOME=FOLDER drctl ...",
        )


def _is_only_me(gid: int) -> bool:
    try:
        me, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    return gid == me.pw_gid and group.gr_name == me.pw_name and {*group.gr_mem} <= {me.pw_name}


def _mount(handle: int) -> str | None:
    """The mount's number. Not st_dev: a bind mount has the same, and overlayfs several."""
    try:
        with open(f"/proc/self/fdinfo/{handle}", encoding="ascii") as file:  # noqa: PTH123 (no path)
            return next((line for line in file if line.startswith("mnt_id:")), None)
    except OSError:
        return None  # no /proc: then there are no bind mounts of this kind either
