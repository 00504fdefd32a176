"""Runs PostgreSQL's programs, cleans up behind those that were killed."""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Mapping
from pathlib import Path

from drctl.lab.children import RunAs, identity, kill_tree
from drctl.lab.postgres.binaries import PostgresBinaries


def environment() -> dict[str, str]:
    """Returns the environment of a server or program: ours, without our own settings for it."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    return ours | {"LC_ALL": "C", "TZ": "UTC"}


def make_private(folder: Path, run_as: RunAs | None) -> None:
    """
    Makes a folder that only its user can look into.

    Args:
        folder: The folder; those above it are made passable when they are missing.
        run_as: Whose it will be; None for ourselves.

    Raises:
        FileExistsError: It is there.

    Changes:
        Creates the folder.
    """
    if not folder.parent.exists():
        folder.parent.mkdir(parents=True)
        # The other user must be able to pass, nobody else to look.
        folder.parent.chmod(0o711)
    folder.mkdir(mode=0o700)
    give_away(folder, run_as)


def give_away(path: Path, run_as: RunAs | None) -> None:
    """
    Makes a path somebody else's, when it should be.

    Args:
        path: The path.
        run_as: Whose it will be; None for ourselves.

    Changes:
        The path's owner.
    """
    if run_as is not None:
        os.chown(path, run_as.uid, run_as.gid)


async def run_program(
    program: str,
    *arguments: str,
    binaries: PostgresBinaries,
    run_as: RunAs | None,
    env: Mapping[str, str] | None = None,
) -> None:
    """
    Runs a program of PostgreSQL to its end; on cancel it is killed.

    Args:
        program: Its name.
        arguments: What it is told.
        binaries: Where it is.
        run_as: Whom it runs as; None for ourselves.
        env: Variables besides the usual ones.

    Raises:
        RuntimeError: It failed; the message quotes it.

    Changes:
        What the program changes.
    """
    process = await asyncio.create_subprocess_exec(
        binaries.path(program),
        *arguments,
        cwd="/",
        env=environment() | dict(env or {}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        **({} if run_as is None else identity(run_as)),
    )
    try:
        said, _ = await process.communicate()
    except asyncio.CancelledError:
        kill_tree(process.pid)
        await process.wait()
        raise
    if process.returncode != 0:
        raise RuntimeError(f"{program} failed: {said.decode(errors='replace').strip()}")


def release_shared_memory(data_dir: Path) -> None:
    """
    Frees the System V segment that a killed server left behind.

    A server that stopped by itself has done so; then this does nothing.

    Args:
        data_dir: The server's data folder.

    Changes:
        May remove one shared memory segment and the stale ``postmaster.pid``.
    """
    record = data_dir / "postmaster.pid"
    try:
        fields = record.read_text().splitlines()[6].split()
    except (OSError, IndexError):
        return
    ipc_rmid = 0
    ctypes.CDLL(None, use_errno=True).shmctl(int(fields[1]), ipc_rmid, None)
    record.unlink(missing_ok=True)
