"""One PostgreSQL server of the lab, from ``initdb`` to SIGKILL."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from drctl.lab.children import RunAs, kill_tree, log_file, pid_file, spawn
from drctl.lab.plan import Address
from drctl.lab.postgres.archive import archive_arguments
from drctl.lab.postgres.binaries import PostgresBinaries
from drctl.lab.postgres.programs import (
    environment,
    give_away,
    make_private,
    release_shared_memory,
    run_program,
)
from drctl.lab.postgres.settings import (
    HOST_BASED_ACCESS,
    REPLICATION_USER,
    SUPERUSER,
    server_settings,
)
from drctl.lab.sql_errors import SQL_ERRORS

if TYPE_CHECKING:
    from asyncio.subprocess import Process

_POLL_S: Final = 0.05
_START_WITHIN_S: Final = 60.0
_CONNECT_WITHIN_S: Final = 5.0
_LONGEST_SOCKET: Final = 107  # sockaddr_un holds 108 bytes, the last one is NUL


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """What a server says about itself."""

    pid: int | None
    """The postmaster's; None when it does not run."""
    accepts: bool
    in_recovery: bool | None
    """None when it does not accept."""


class PostgresServer:
    """
    A PostgreSQL with its own folder and address.

    Superuser statements go through the Unix socket in its folder, with a random password that only
    this process knows; over TCP the superuser is rejected. Use it from one event loop only.
    """

    def __init__(
        self,
        *,
        name: str,
        address: Address,
        root: Path,
        binaries: PostgresBinaries,
        run_as: RunAs | None = None,
        archives: bool = False,
    ) -> None:
        self.name = name
        self.address = address
        self.root = root
        self.binaries = binaries
        self.run_as = run_as
        self.folder = root / "postgres" / name
        self.data_dir = self.folder / "data"
        self.archive = root / "archive" / name
        """Where its WAL goes while it is a primary, when it archives."""
        self._archives = archives
        self._superuser_password = secrets.token_urlsafe(24)
        self._replication_password = secrets.token_urlsafe(24)
        self._process: Process | None = None
        if len(os.fsencode(self._socket)) > _LONGEST_SOCKET:
            raise ValueError(f"{self._socket} is too long for a Unix socket; set a shorter TMPDIR")

    def __repr__(self) -> str:
        return f"PostgresServer({self.name!r}, {self.address})"

    @property
    def pid(self) -> int | None:
        """The postmaster's pid; None when it does not run."""
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    @property
    def is_running(self) -> bool:
        """Whether the postmaster process exists; it may not accept yet."""
        return self.pid is not None

    async def initialise(self) -> None:
        """
        Makes an empty cluster with the replication role in it; leaves it running.

        Raises:
            RuntimeError: ``initdb`` or the server failed; the message quotes it.
            TimeoutError: The server runs, yet accepts nothing.

        Changes:
            Creates the server's folder, starts its processes.
        """
        self._make_folders()
        password_file = self.root / f".{self.name}.initdb"
        password_file.touch(mode=0o600)
        password_file.write_text(self._superuser_password + "\n")
        give_away(password_file, self.run_as)
        try:
            await run_program(
                "initdb",
                *("--pgdata", str(self.data_dir), "--username", SUPERUSER),
                *("--encoding", "UTF8", "--locale", "C", "--data-checksums"),
                *("--auth", "scram-sha-256", "--pwfile", str(password_file), "--no-sync"),
                # A segment is closed, and archived, every few seconds.
                *(("--wal-segsize", "1") if self._archives else ()),
                binaries=self.binaries,
                run_as=self.run_as,
            )
        finally:
            password_file.unlink()
        with (self.data_dir / "postgresql.conf").open("a") as settings:
            settings.write(server_settings(self.binaries.major))
        (self.data_dir / "pg_hba.conf").write_text(HOST_BASED_ACCESS)
        await self.start()
        await self.execute_as_superuser(
            f"CREATE ROLE {REPLICATION_USER} LOGIN REPLICATION"
            f" PASSWORD '{self._replication_password}'"
        )

    async def copy_from(self, source: PostgresServer, *, through: Address) -> None:
        """
        Makes this server a standby of another one; leaves it stopped.

        A replication slot named after this server keeps the source's WAL until
        the standby has it.

        Args:
            source: A running primary of this process.
            through: Address that leads to it, now and while it is followed.

        Raises:
            RuntimeError: ``pg_basebackup`` failed; the message quotes it.

        Changes:
            Creates the server's folder here, a replication slot there.
        """
        self._make_folders()
        host, port = through
        await run_program(
            "pg_basebackup",
            *("--pgdata", str(self.data_dir), "--write-recovery-conf"),
            *("--wal-method", "stream", "--checkpoint", "fast", "--no-sync"),
            *("--create-slot", "--slot", self.slot),
            "--dbname",
            f"host={host} port={port} user={REPLICATION_USER}"
            f" application_name={self.slot} connect_timeout=5",
            binaries=self.binaries,
            run_as=self.run_as,
            env={"PGPASSWORD": source._replication_password},
        )
        # The copy holds the source's roles, so their passwords too.
        self._superuser_password = source._superuser_password
        self._replication_password = source._replication_password

    @property
    def slot(self) -> str:
        """The name of this server's replication slot on its source."""
        return self.name.replace("-", "_")

    async def start(self) -> None:
        """
        Starts the server and waits until it accepts connections.

        Raises:
            RuntimeError: It ended instead; the message quotes its log.
            TimeoutError: It runs, yet accepts nothing.

        Changes:
            Starts processes, recorded in ``<root>/pids/<name>.pid``.
        """
        if self.is_running:
            return
        host, port = self.address
        self._process = await spawn(
            [
                self.binaries.path("postgres"),
                *("-D", str(self.data_dir), "-c", f"listen_addresses={host}"),
                *("-c", f"port={port}", "-c", f"unix_socket_directories={self.folder}"),
                *(archive_arguments(self.archive) if self._archives else ()),
            ],
            root=self.root,
            name=self.name,
            run_as=self.run_as,
            env=environment(),
        )
        await self._until("accepts connections", self._accepts, within_s=_START_WITHIN_S)

    async def promote(self, *, within_s: float = _START_WITHIN_S) -> None:
        """
        Promotes the standby and waits until it takes writes.

        Safe to repeat on a primary, which returns at once.

        Raises:
            RuntimeError: The server does not run.
            TimeoutError: It is still in recovery.

        Changes:
            The server's role, for good: a new timeline begins.
        """
        with contextlib.suppress(asyncpg.ObjectNotInPrerequisiteStateError):  # no standby
            await self.query_as_superuser("SELECT pg_promote(wait => false)")
        await self._until("takes writes", self._takes_writes, within_s=within_s)

    async def wait_until_streaming(self, *, within_s: float = _START_WITHIN_S) -> None:
        """Waits for a standby to receive WAL; raises as `promote` when it does not."""
        await self._until("receives WAL", self.is_streaming, within_s=within_s)

    async def is_streaming(self) -> bool:
        """Says whether a WAL receiver is connected, by the server's own word."""
        try:
            rows = await self.query_as_superuser(
                "SELECT 1 FROM pg_stat_wal_receiver WHERE status = 'streaming'"
            )
        except SQL_ERRORS:
            return False
        return bool(rows)

    async def status(self) -> ServerStatus:
        """Asks the server how it is; one that does not run or answer is no error."""
        try:
            rows = await self.query_as_superuser("SELECT pg_is_in_recovery()")
        except SQL_ERRORS:
            return ServerStatus(pid=self.pid, accepts=False, in_recovery=None)
        return ServerStatus(pid=self.pid, accepts=True, in_recovery=bool(rows[0][0]))

    async def stop(self, *, within_s: float = 8.0) -> None:
        """
        Stops the server: sessions are cut, a shutdown checkpoint is written.

        A standby that does not confirm would hold a fast shutdown up, so after
        ``within_s`` it becomes an immediate one.

        Changes:
            Ends the server's processes.
        """
        process = self._process
        if process is None:
            return
        for number in (signal.SIGINT, signal.SIGQUIT):
            if process.returncode is None:
                process.send_signal(number)
            try:
                await asyncio.wait_for(process.wait(), within_s)
            except TimeoutError:
                continue
            self._forget()
            return
        await self.kill()

    async def kill(self) -> None:
        """
        Ends all of the server's processes with SIGKILL, as a lost host would.

        The data folder stays as the crash left it; `start` recovers it.

        Changes:
            Ends the server's processes.
        """
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            kill_tree(process.pid)
        await process.wait()
        release_shared_memory(self.data_dir)
        self._forget()

    async def remove(self) -> None:
        """Kills the server; deletes its data, its archive and its log."""
        await self.kill()
        for folder in (self.folder, self.archive):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        log_file(self.root, self.name).unlink(missing_ok=True)

    async def execute_as_superuser(self, sql: str, database: str = "postgres") -> None:
        """
        Runs a script of one or more statements as superuser.

        Args:
            sql: The statements, separated by semicolons; several run in one
                transaction unless they say otherwise.
            database: Where.

        Raises:
            asyncpg.PostgresError: The server refuses a statement.
            OSError: The server does not run.

        Changes:
            What the statements change.
        """
        await self._as_superuser(database, lambda connection: connection.execute(sql))

    async def query_as_superuser(
        self, sql: str, *arguments: object, database: str = "postgres"
    ) -> Sequence[Any]:
        """
        Runs one statement as superuser.

        Args:
            sql: The statement, with ``$1`` for the first argument.
            arguments: Its arguments.
            database: Where.

        Returns:
            The rows; each can be read by position or by column name.

        Raises:
            asyncpg.PostgresError: The server refuses the statement.
            OSError: The server does not run.

        Changes:
            What the statement changes.
        """
        rows: Sequence[Any] = await self._as_superuser(
            database, lambda connection: connection.fetch(sql, *arguments)
        )
        return rows

    def _make_folders(self) -> None:
        # The socket is a neighbour of the data, because a base backup copies its lock file.
        for folder in (self.folder, self.data_dir, *([self.archive] if self._archives else ())):
            make_private(folder, self.run_as)

    @property
    def _socket(self) -> str:
        return f"{self.folder}/.s.PGSQL.{self.address[1]}"

    async def _as_superuser(
        self, database: str, work: Callable[[asyncpg.Connection], Awaitable[Any]]
    ) -> Any:
        connection = await asyncpg.connect(
            host=str(self.folder),
            port=self.address[1],
            user=SUPERUSER,
            password=self._superuser_password,
            database=database,
            timeout=_CONNECT_WITHIN_S,
        )
        try:
            return await work(connection)
        finally:
            # A crash of the server must not turn into one of the farewell.
            with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError):
                await connection.close(timeout=_CONNECT_WITHIN_S)

    async def _accepts(self) -> bool:
        return (await self.status()).accepts

    async def _takes_writes(self) -> bool:
        return (await self.status()).in_recovery is False

    async def _until(
        self, what: str, holds: Callable[[], Awaitable[bool]], *, within_s: float
    ) -> None:
        try:
            async with asyncio.timeout(within_s):
                while not await holds():
                    if not self.is_running:
                        raise RuntimeError(f"{self.name} does not run: {self._last_words()}")
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise TimeoutError(f"{self.name}: not one that {what} within {within_s} s") from error

    def _last_words(self) -> str:
        try:
            lines = log_file(self.root, self.name).read_text(errors="replace").splitlines()
        except OSError:
            return "it left no log"
        return " / ".join(lines[-5:])

    def _forget(self) -> None:
        self._process = None
        pid_file(self.root, self.name).unlink(missing_ok=True)
