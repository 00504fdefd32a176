"""
System calls of a child, each shown to its parent before it is carried out, without ptrace.

The child installs a seccomp filter that hands the calls of interest to whoever holds its listener;
the parent says "go on", "that is an error", or does a part of a write itself. An ordinary user may
do that; where the kernel or a container forbids it, `why_not` says so.
"""

import ctypes
import errno
import fcntl
import os
import platform
import select
import signal
import socket
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

NUMBERS = {
    "x86_64": {
        "write": 1, "fsync": 74, "fdatasync": 75, "ftruncate": 77, "rename": 82, "renameat": 264,
        "renameat2": 316, "mkdirat": 258, "unlinkat": 263, "fallocate": 285,
    },
    "aarch64": {
        "write": 64, "fsync": 82, "fdatasync": 83, "ftruncate": 46, "renameat": 38,
        "renameat2": 276, "mkdirat": 34, "unlinkat": 35, "fallocate": 47,
    },
}  # fmt: skip
_ARCH = {"x86_64": (0xC000003E, 317), "aarch64": (0xC00000B7, 277)}
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_NOTIFY, _ALLOW = 0x7FC00000, 0x7FFF0000
_NO_NEW_PRIVILEGES, _SET_FILTER, _NEW_LISTENER = 38, 1, 8
_RECEIVE, _ANSWER, _CONTINUE = 0xC0502100, 0xC0182101, 1
_GET_HANDLE = 438
_NOTE = struct.Struct("=QIIiIQ6Q")
_REPLY = struct.Struct("=QqiI")

TAKES_ROOM = {"write", "fallocate", "mkdirat"}
"""Calls that a full disk refuses."""
DEEDS = ("KILL", "ENOSPC", "EIO", "EDQUOT", "EROFS", "SHORT")


@dataclass(frozen=True)
class Call:
    """One call on its way."""

    name: str
    path: str
    """Of the file, or of the folder in which something is named."""
    number: int
    """Among the calls inside the folder that is watched, from one."""


def _install() -> int:
    machine = platform.machine()
    arch, call = _ARCH[machine]
    wanted = sorted(NUMBERS[machine].values())
    program = [(_LOAD, 0, 0, 4), (_EQUAL, 0, len(wanted) + 1, arch), (_LOAD, 0, 0, 0)]
    program += [(_EQUAL, len(wanted) - i, 0, nr) for i, nr in enumerate(wanted)]
    program += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _NOTIFY)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in program))
    head = struct.pack("@HP", len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    listener: int = libc.syscall(call, _SET_FILTER, _NEW_LISTENER, head)
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return listener


def watched(work: Callable[[], None], inside: Path, verdict: Callable[[Call], str | None]) -> int:
    """
    Runs *work* in a child whose calls inside a folder are judged one by one.

    Args:
        verdict: One of `DEEDS`, or ``None``: go on.

    Returns:
        How the child ended, as `os.waitpid` says it.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            ours.close()
            listener = _install()
            socket.send_fds(theirs, [b"x"], [listener])
            os.close(listener)
            work()
            code = 0
        except BaseException:  # noqa: BLE001 (the parent shows it)
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    theirs.close()
    with ours:
        _data, handles, *_rest = socket.recv_fds(ours, 1, 1)
    if handles:
        try:
            _supervise(child, handles[0], str(inside), verdict)
        finally:
            os.close(handles[0])
    return os.waitpid(child, 0)[1]


def _supervise(
    child: int, listener: int, inside: str, verdict: Callable[[Call], str | None]
) -> None:
    names = {number: name for name, number in NUMBERS[platform.machine()].items()}
    poll, count = select.poll(), 0
    poll.register(listener, select.POLLIN | select.POLLHUP)
    while True:
        ((_fd, seen),) = poll.poll()
        if not seen & select.POLLIN:
            return
        note = bytearray(_NOTE.size)
        try:
            fcntl.ioctl(listener, _RECEIVE, note)
        except OSError:
            continue  # it died meanwhile
        key, pid, _flags, number, _arch, _at, *words = _NOTE.unpack(note)
        name, deed = names[number], None
        try:
            path = str(Path(f"/proc/{pid}/fd/{words[0] & 0xFFFFFFFF}").readlink())
        except OSError:
            path = ""
        if path.startswith(inside):
            count += 1
            deed = verdict(Call(name, path, count))
        value, error, flags = 0, 0, _CONTINUE
        if deed == "KILL":
            os.kill(child, signal.SIGKILL)
            return
        if deed == "SHORT" and name == "write" and words[2] > 1:
            value, flags = _half(pid, words), 0
        elif deed is not None and deed != "SHORT":
            error, flags = -getattr(errno, deed), 0
        try:
            fcntl.ioctl(listener, _ANSWER, _REPLY.pack(key, value, error, flags))
        except OSError:
            continue


def _half(pid: int, words: list[int]) -> int:
    """Writes the first half of what the child wanted to, in its stead."""
    handle, address, length = words[:3]
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        memory.seek(address)
        data = memory.read(length // 2)
    # The same open file, not another one of the same name: its offset must move.
    process = os.pidfd_open(pid)
    file = ctypes.CDLL(None, use_errno=True).syscall(_GET_HANDLE, process, handle, 0)
    try:
        return os.write(file, data)
    finally:
        os.close(file)
        os.close(process)


@cache
def why_not() -> str:
    """Why this cannot be done here; empty: it can."""
    if platform.machine() not in NUMBERS:
        return f"no table of system calls for {platform.machine()}"
    seen: list[Call] = []
    folder = tempfile.gettempdir()
    work = lambda: os.fsync(os.open(folder, os.O_RDONLY))  # noqa: E731
    code = watched(work, Path(folder), seen.append)
    if code != 0 or not seen:
        return "the kernel or the container does not let a process supervise its child (seccomp)"
    return ""
