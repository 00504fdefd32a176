"""
Base backups, the archive of WAL since, and servers made of both: the vendor's side of a restore.

The server itself archives each segment that is full (`archive_command`). `Backups.ship` closes the
current one, after a transaction of its own whose commit carries a time: recovery to a time needs a
commit *behind* that time to stop at, also on a database that nobody writes to. So every moment
between `Backups.earliest` and `Backups.latest` can be restored exactly, and no other is offered.
"""

from __future__ import annotations

import asyncio
import shlex
import shutil
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drctl.lab.postgres.programs import give_away, make_private, run_program
from drctl.lab.postgres.settings import REPLICATION_USER

if TYPE_CHECKING:
    from drctl.lab.children import RunAs
    from drctl.lab.postgres.server import PostgresServer

_ARCHIVED_WITHIN_S: Final = 10.0
_RESTORED_WITHIN_S: Final = 120.0
_POLL_S: Final = 0.05

# A transaction with an id writes a commit record although it changes nothing.
_BEAT: Final = "SELECT pg_current_xact_id(), clock_timestamp()"
_CLOSE_SEGMENT: Final = "SELECT pg_walfile_name(pg_switch_wal())"
_RECOVERY_SETTINGS: Final = ("restore_command", "recovery_target_time", "recovery_target_action")


def archive_arguments(folder: Path) -> tuple[str, ...]:
    """Returns what a server is started with so that it archives its WAL into a folder."""
    place = shlex.quote(str(folder))
    # Under its name only once it is whole; mostly zeros, so small.
    command = f"gzip -1 -c %p > {place}/%f.part && mv {place}/%f.part {place}/%f.gz"
    return ("-c", "archive_mode=on", "-c", f"archive_command={command}")


class Backups:
    """The base backup of one primary and the WAL that it has archived since."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._base = server.archive / "base"
        self._superuser_password = ""
        self._replication_password = ""
        self.earliest: datetime | None = None
        """The end of the base backup; None until there is one."""
        self.latest: datetime | None = None
        """Every commit before it is in the archive; None until there is a base backup."""

    async def begin(self) -> None:
        """
        Takes the base backup of a running primary.

        Raises:
            RuntimeError: It could not be taken; the message quotes why.

        Changes:
            Fills the server's archive.
        """
        server = self._server
        shutil.rmtree(self._base, ignore_errors=True)  # of a try that failed
        await copy_of(server, self._base)
        self._superuser_password = server._superuser_password
        self._replication_password = server._replication_password
        [[_, ended]] = await server.query_as_superuser(_BEAT)
        await self.ship()
        self.earliest = ended

    async def ship(self) -> None:
        """
        Sends what was committed until now to the archive, and moves `latest` there.

        Raises:
            OSError, asyncpg.PostgresError: The server does not answer.
            TimeoutError: The segment was not archived.

        Changes:
            Closes a segment of the server's WAL.
        """
        [[_, beaten]] = await self._server.query_as_superuser(_BEAT)
        [[segment]] = await self._server.query_as_superuser(_CLOSE_SEGMENT)
        archived = self._server.archive / f"{segment}.gz"
        async with asyncio.timeout(_ARCHIVED_WITHIN_S):
            while not archived.exists():  # noqa: ASYNC110  the server says it to nobody
                await asyncio.sleep(_POLL_S)
        self.latest = beaten

    async def restore(self, into: PostgresServer, moment: datetime) -> None:
        """
        Makes a new primary that has exactly what was committed up to a moment; leaves it running.

        Args:
            into: A server without data.
            moment: Between `earliest` and `latest`.

        Raises:
            RuntimeError: The server ended instead; the message quotes its log.
            TimeoutError: It is still in recovery.

        Changes:
            Creates the new server's folder, starts its processes. Nothing of the source.
        """
        await unpack(self._base, into)
        fetch = f"gzip -dc {shlex.quote(str(self._server.archive))}/%f.gz > %p"
        settings = dict(
            zip(_RECOVERY_SETTINGS, (fetch, moment.isoformat(), "promote"), strict=True)
        )
        with (into.data_dir / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        signal = into.data_dir / "recovery.signal"
        signal.touch(mode=0o600)
        give_away(signal, into.run_as)
        into._superuser_password = self._superuser_password
        into._replication_password = self._replication_password
        await into.start()
        await into._until("takes writes", into._takes_writes, within_s=_RESTORED_WITHIN_S)
        # A standby that is copied from it later must not look into this archive.
        for name in settings:
            await into.execute_as_superuser(f"ALTER SYSTEM RESET {name}")

    def delete(self) -> None:
        """Deletes it all; changes files."""
        shutil.rmtree(self._server.archive, ignore_errors=True)


class Snapshot:
    """A copy of a whole server at one moment, which outlives the server."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._passwords = ("", "")

    async def take(self, server: PostgresServer) -> None:
        """
        Copies a running server, with the WAL that makes the copy whole.

        Raises:
            RuntimeError: It could not be copied; the message quotes why.

        Changes:
            Creates the snapshot's folder.
        """
        await copy_of(server, self._folder, wal="fetch")
        self._passwords = (server._superuser_password, server._replication_password)

    async def restore(self, into: PostgresServer) -> None:
        """
        Makes a new primary of the copy; leaves it running.

        Raises:
            RuntimeError: The server ended instead; the message quotes its log.

        Changes:
            Creates the new server's folder, starts its processes.
        """
        await unpack(self._folder, into)
        into._superuser_password, into._replication_password = self._passwords
        await into.start()

    def delete(self) -> None:
        """Deletes it; changes files."""
        shutil.rmtree(self._folder, ignore_errors=True)


async def copy_of(server: PostgresServer, folder: Path, *, wal: str = "none") -> None:
    """
    Copies a running server's data.

    Args:
        server: The server.
        folder: Where the copy goes; must not exist.
        wal: ``none``: the copy needs the archive; ``fetch``: it is whole.

    Raises:
        RuntimeError: ``pg_basebackup`` failed; the message quotes it.

    Changes:
        Creates the folder.
    """
    make_private(folder, server.run_as)
    host, port = server.address
    await run_program(
        "pg_basebackup",
        *("--pgdata", str(folder), "--wal-method", wal),
        *("--checkpoint", "fast", "--no-sync", "--no-manifest"),
        "--dbname",
        f"host={host} port={port} user={REPLICATION_USER}"
        " application_name=pg_basebackup connect_timeout=5",
        binaries=server.binaries,
        run_as=server.run_as,
        env={"PGPASSWORD": server._replication_password},
    )


async def unpack(copy: Path, into: PostgresServer) -> None:
    """
    Lays a copy down as a new server's data.

    Changes:
        Creates the server's folder.
    """
    make_private(into.folder, into.run_as)
    await asyncio.to_thread(_copy_tree, copy, into.data_dir, into.run_as)
    make_private(into.archive, into.run_as)


def _copy_tree(copy: Path, data_dir: Path, run_as: RunAs | None) -> None:
    shutil.copytree(copy, data_dir)
    if run_as is None:
        return
    for path in (data_dir, *data_dir.rglob("*")):
        give_away(path, run_as)
