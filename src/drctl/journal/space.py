"""
Room on the disk for a run's record, claimed before the run begins.

Problem: a disk that fills up in the middle of a recovery leaves it without a record, and without a
    record nothing is sent. The blocks behind the end of the journal are therefore claimed at the
    start (``FALLOC_FL_KEEP_SIZE``): a disk that is full then refuses the run, one that fills up
    later still takes the record of its end. The file's size does not change, so that a reader sees
    no zeros, and an append costs what it did: 155 against 160 microseconds on ext4, medians of 5 x
    150 appends with fsync. Writing zeros first would save a third of that, and cost a record that
    nobody can read with ``less`` at 3 a.m.

What is not promised: file systems without that call (NFS, ZFS, everything but Linux) are only
    asked whether there is room now; on copy-on-write ones (btrfs) the claim may not hold.
"""

import ctypes
import errno
import os
from contextlib import suppress

from drctl.kernel import failpoints

RESERVED_BYTES = 1024 * 1024
"""More than ten times the record of a regional failover."""
RESERVED_PER_STEP = 8 * 1024
"""About five events of a step and of another attempt at it."""

_KEEP_SIZE = 1
_CANNOT = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENODEV}


def reserve(handle: int, steps: int) -> None:
    """
    Claims room behind the end of an open journal.

    Args:
        steps: How many the run's plan has.

    Raises:
        OSError: There is not enough.
    """
    failpoints.hit("journal.reserve")
    length = max(RESERVED_BYTES, steps * RESERVED_PER_STEP)
    number = _fallocate(handle, os.fstat(handle).st_size, length)
    if number in _CANNOT:
        there = os.fstatvfs(handle)
        number = errno.ENOSPC if there.f_bavail * there.f_frsize < length else 0
    if number:
        why = f"{os.strerror(number)}: no room for {length // 1024} KiB of record"
        raise OSError(number, why)


def release(handle: int) -> None:
    """Gives back what was claimed and not used. Never raises: the record is whole without it."""
    failpoints.hit("journal.release")
    with suppress(OSError):
        os.ftruncate(handle, os.fstat(handle).st_size)


def _fallocate(handle: int, at: int, length: int) -> int:
    """The error's number; 0: done."""
    libc = ctypes.CDLL(None, use_errno=True)
    call = getattr(libc, "fallocate64", None) or getattr(libc, "fallocate", None)
    if call is None:
        return errno.ENOSYS
    call.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    return ctypes.get_errno() if call(handle, _KEEP_SIZE, at, length) else 0
