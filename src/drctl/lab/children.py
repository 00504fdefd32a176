"""The lab's child processes: own sessions, recorded pids, no survivor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drctl.lab.root import record as record_process

_NOBODY = 65534
_GONE_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class RunAs:
    """The user that a child runs as, when we are root and it must not be."""

    uid: int
    gid: int


def unprivileged() -> RunAs | None:
    """Returns whom a child that refuses root must run as; None when we are not root."""
    return RunAs(_NOBODY, _NOBODY) if os.geteuid() == 0 else None


def pid_file(root: Path, name: str) -> Path:
    """Returns where the pid of a child is recorded."""
    return root / "pids" / f"{name}.pid"


def log_file(root: Path, name: str) -> Path:
    """Returns where a child's output goes."""
    return root / "logs" / f"{name}.log"


async def spawn(
    argv: Sequence[str],
    *,
    root: Path,
    name: str,
    run_as: RunAs | None = None,
    env: Mapping[str, str] | None = None,
    piped: bool = False,
) -> asyncio.subprocess.Process:
    """
    Starts a child in its own session and records its pid.

    The session keeps a Ctrl-C on the lab's terminal away from it; the record
    lets another shell end it when the lab itself was killed.

    Args:
        argv: The command; its first word is a path.
        root: The lab's root folder.
        name: Names the pid and the log file.
        run_as: Whom to become; only root may say.
        env: The whole environment; ours when None.
        piped: Whether the child's stdin and stdout are pipes to us. Otherwise it
            reads nothing, and stdout goes to the log file with stderr.

    Returns:
        The running process.

    Changes:
        Starts a process; writes ``pids/<name>.pid`` and ``logs/<name>.log``.
    """
    record, log = pid_file(root, name), log_file(root, name)
    record.parent.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *argv,
            # Our own folder may be unreadable to the child's user.
            cwd="/",
            env=dict(os.environ if env is None else env),
            stdin=pipe if piped else nothing,
            stdout=pipe if piped else output,
            stderr=output,
            start_new_session=True,
            **({} if run_as is None else identity(run_as)),
        )
    record_process(record, process.pid)
    return process


def identity(run_as: RunAs) -> dict[str, Any]:
    """Returns the ``subprocess`` arguments that make a child somebody else."""
    return {"user": run_as.uid, "group": run_as.gid, "extra_groups": []}


def kill_tree(pid: int) -> None:
    """
    Kills a process with everything it started, as a power cut would.

    The root is stopped first, so that it cannot fork between the look and the
    kill. Children in sessions of their own (PostgreSQL's backends) die too.
    Returns at once; unknown pids are no error.

    Args:
        pid: The process at the top.

    Changes:
        Ends the processes with SIGKILL.
    """
    if not _signal(pid, signal.SIGSTOP):
        return
    family = [pid, *descendants(pid)]
    for member in family:
        _signal(member, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """Returns the pids of all children of a process, theirs included."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                # The name in brackets may hold anything, brackets and blanks included.
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    todo = [pid]
    while todo:
        offspring = children.get(todo.pop(), [])
        found += offspring
        todo += offspring
    return found


def limit_files(pid: int, size: int, run_as: RunAs | None) -> None:
    """
    Lets no file of a process, or of one that it has started or will, grow beyond a size.

    Only the user whose processes they are may do that, so a child becomes it.

    Args:
        pid: The process at the top.
        size: In bytes.
        run_as: Whose processes they are; ours when None.

    Raises:
        OSError: It was not allowed.

    Changes:
        The processes' limit, for as long as they live.
    """
    # The one at the top first: what it starts from now on has the limit.
    family = [pid, *descendants(pid)]
    child = os.fork()
    if child == 0:
        try:
            if run_as is not None:
                os.setgroups([])
                os.setresgid(run_as.gid, run_as.gid, run_as.gid)
                os.setresuid(run_as.uid, run_as.uid, run_as.uid)
            for member in family:
                with contextlib.suppress(ProcessLookupError):
                    resource.prlimit(member, resource.RLIMIT_FSIZE, (size, size))
        except BaseException:  # noqa: BLE001 (nothing of the parent's may run in it)
            os._exit(1)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
        raise PermissionError(1, f"the limits of process {pid} cannot be set")


def is_alive(pid: int) -> bool:
    """Says whether a process exists and is more than a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def wait_until_gone(pid: int) -> None:
    """
    Waits, for at most five seconds, until no process has the pid any more.

    A zombie still has it, and PostgreSQL takes it for a server that lives: it neither starts on its
    files nor lets them be rewound. Whoever reaps orphans here may take seconds. A child of ours is
    our event loop's to reap, so it counts as gone when it is a zombie.

    Args:
        pid: A process that was killed.
    """
    deadline = time.monotonic() + _GONE_WITHIN_S
    while time.monotonic() < deadline:
        try:
            fields = (
                Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
            )
        except OSError:
            return
        if fields[0] in "ZX" and int(fields[1]) == os.getpid():
            return
        time.sleep(0.005)


def kill_recorded(root: Path, name: str) -> None:
    """
    Kills the process a pid file names, waits until it is gone, removes the file.

    Made for a shell that is not the process's parent; no record is no error.

    Args:
        root: The lab's root folder.
        name: The child's name.

    Changes:
        Ends the process and all it started.
    """
    record = pid_file(root, name)
    try:
        pid = int(record.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return
    kill_tree(pid)
    deadline = time.monotonic() + _GONE_WITHIN_S
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    record.unlink(missing_ok=True)


def _signal(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
