"""Which process this is, and whether another one is provably gone."""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from drctl.kernel.clock import boot_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process, named so that it cannot be taken for a later one with its number."""

    machine: str
    """Boot and process namespace: two containers on one machine have the same numbers."""
    pid: int
    started: str
    """In ticks since boot, as the kernel says; empty where it does not."""


@cache
def machine() -> str:
    """Where process numbers of this process mean something."""
    try:
        return f"{boot_id()}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return boot_id()


def this_process() -> Process:
    """The calling process."""
    return Process(machine=machine(), pid=os.getpid(), started=_started(os.getpid()))


def is_gone(process: Process) -> bool:
    """
    True when the process has certainly ended. False when it lives, is stopped, or ran elsewhere:
    nothing can be said about a process of another machine or boot but by watching what it does.
    """
    if process.machine != machine():
        return False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    now = _started(process.pid)
    is_another = bool(process.started and now and now != process.started)
    return is_another or _is_zombie(process.pid)


def _fields(pid: int) -> list[str]:
    # The name in brackets may hold anything, brackets and spaces too.
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _started(pid: int) -> str:
    fields = _fields(pid)
    return fields[19] if len(fields) > 19 else ""  # noqa: PLR2004 (field 22 of proc(5), less the two)


def _is_zombie(pid: int) -> bool:
    return _fields(pid)[:1] == ["Z"]
