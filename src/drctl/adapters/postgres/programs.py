"""PostgreSQL's own programs on the machine of a server: its data directory, its start and stop."""

import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drctl.actions.contract import Context
from drctl.actions.errors import Conflict, Rejected
from drctl.actions.targets import PostgresHost, PostgresServer, Upstream
from drctl.adapters import _host

_RUNNING, _STOPPED, _NO_DATA = 0, 3, 4
_SPARE_S = 2.0
_LONGEST_NAME = 63
"""NAMEDATALEN, less the zero at its end."""
_PLAIN = ("env", "LC_ALL=C", "TZ=UTC")
"""Their output is read: the machine's own language and zone would change it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What ``pg_controldata`` says of a data directory, running or not."""

    system_identifier: str
    state: str
    """``in production``, ``shut down``, ``shut down in recovery``, …"""
    timeline: int
    checkpoint_lsn: str
    """Of the latest checkpoint; after a clean end nothing follows it."""
    segment_bytes: int
    """Of a file of WAL."""


class Programs:
    """Runs the programs of one server, by the command that its environment names."""

    def __init__(self, ctx: Context, target: PostgresServer) -> None:
        if target.runs_on is None:
            raise Rejected(f"{target.label}: the environment does not say what it runs_on")
        self._ctx, self._target = ctx, target
        self.host: PostgresHost = target.runs_on

    @property
    def data(self) -> str:
        """The data directory."""
        return self.host.data_directory.rstrip("/")

    async def read(self, *words: str, may_fail: bool = False) -> _host.Ran:
        """Runs a program that only reads; raises as `_host.run`."""
        return await _host.run(self._ctx, self.host.machine, words, may_fail=may_fail)

    async def change(
        self, *words: str, given: str | None = None, may_fail: bool = False
    ) -> _host.Ran:
        """
        Runs a program that changes something of this data directory, and no second one with it.

        Raises:
            ActionError: See `_host.run`.
        """
        lock = f"{self.data}.drctl-lock"
        return await _host.run(
            self._ctx, self.host.machine, words, lock=lock, given=given, may_fail=may_fail
        )

    def postgres(self, program: str, *arguments: str) -> Sequence[str]:
        """The words of one of PostgreSQL's programs."""
        return (*_PLAIN, f"{self.host.programs.rstrip('/')}/{program}", *arguments)

    async def control(self, data: str | None = None) -> Control:
        """
        Reads a data directory's control file.

        Raises:
            Rejected: It is no data directory.
            ActionError: The machine did not answer.
        """
        ran = await self.read(*self.postgres("pg_controldata", "-D", data or self.data))
        return read_control(ran.out)

    async def require_pin(self) -> Control:
        """
        Checks whose data directory it is.

        Raises:
            Rejected: The environment pins no system.
            Conflict: It is another system's.
        """
        backups = self._target.backups
        pinned = self._target.system_identifier or (backups and backups.system_identifier)
        if pinned is None:
            raise Rejected(f"{self._target.label}: pin its system_identifier")
        control = await self.control()
        if control.system_identifier != pinned:
            raise Conflict(
                f"{self.data} is of system {control.system_identifier}, the environment pins"
                f" {pinned}: this is another database"
            )
        return control

    async def is_running(self) -> bool:
        """
        Asks ``pg_ctl``; a server of this data directory that died is not running.

        Raises:
            Rejected: There is no data directory.
        """
        ran = await self.read(*self.postgres("pg_ctl", "-D", self.data, "status"), may_fail=True)
        if ran.code not in {_RUNNING, _STOPPED}:
            raise Rejected(f"{self.data}: {ran.said}")
        return ran.code == _RUNNING

    async def has_data(self, data: str | None = None) -> bool:
        """Whether something is where the data directory, or another one, would be."""
        return (await self.read("test", "-e", data or self.data, may_fail=True)).code == 0

    async def start(self, *, share: float = 1.0) -> None:
        """
        Starts the server and waits until it accepts connections.

        Args:
            share: Of the time that is left, how much it may take.

        Raises:
            Rejected: It did not; the message has the end of its log.

        Changes:
            Processes of the machine.
        """
        settings = self.host.server_options
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        wait_s = max(1, int(self._ctx.deadline.left_s(self._ctx.clock) * share - _SPARE_S))
        ran = await self.change(
            *self.postgres("pg_ctl", "-D", self.data, "-l", self.host.log, "-w", "-t", str(wait_s)),
            *("-o", shlex.join(words), "start"),
            may_fail=True,
        )
        if ran.code != 0:
            raise Rejected(f"{self._target.label} did not start: {await self.last_words()}")

    async def stop(self) -> None:
        """
        Stops the server fast: sessions are cut, a shutdown checkpoint is written and sent on.

        Changes:
            Processes of the machine.
        """
        wait_s = max(1, int(self._ctx.deadline.left_s(self._ctx.clock) - _SPARE_S))
        await self.change(
            *self.postgres("pg_ctl", "-D", self.data, "-m", "fast", "-w", "-t", str(wait_s), "stop")
        )

    async def set(self, settings: Mapping[str, str], data: str | None = None) -> None:
        """
        Appends to the settings that ``ALTER SYSTEM`` writes; the last of a name counts.

        Args:
            data: Another data directory of this machine.

        Changes:
            ``postgresql.auto.conf`` of a server that does not run.
        """
        lines = "".join(f"{name} = {_quoted(value)}\n" for name, value in settings.items())
        await self.change("tee", "-a", f"{data or self.data}/postgresql.auto.conf", given=lines)

    async def last_words(self) -> str:
        """The end of the server's log."""
        ran = await self.read("tail", "-n", "6", self.host.log, may_fail=True)
        return " / ".join(line for line in ran.out.splitlines() if line.strip()) or "no log"

    async def is_busy(self) -> bool:
        """Whether a program of an earlier attempt is still at work on this data directory."""
        lock = f"{self.data}.drctl-lock"
        words = ("flock", "-n", "-E", str(_host.LOCKED), lock, "true")
        return (await self.read(*words, may_fail=True)).code == _host.LOCKED

    def conninfo(self, upstream: Upstream) -> str:
        """How a program on the machine connects for replication; the password is in its file."""
        host, port = address(upstream)
        return (
            f"host={host} port={port} user={self.host.replication_user}"
            f" passfile={_libpq(self.host.passfile)} dbname=postgres"
            f" application_name={slot_name(self._target)} connect_timeout=10"
        )


def address(upstream: Upstream) -> tuple[str, int]:
    """Where a standby reaches it."""
    if upstream.via_host is None:
        return upstream.host, upstream.port
    return upstream.via_host, upstream.via_port


def slot_name(target: PostgresServer) -> str:
    """
    A replication slot for this server on whom it follows: its whole name, because db.us and db.eu
    are two servers, and two that share a slot take it from each other.
    """
    host = target.sql.host.lower()
    name = re.sub(r"[^a-z0-9_]", "_", host)
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(host.encode()).hexdigest()[:12]
    return f"{name[: _LONGEST_NAME - 13]}_{digest}"


def read_control(text: str) -> Control:
    """
    Reads what ``pg_controldata`` prints in the C locale.

    Raises:
        Rejected: A line that must be there is not.
    """
    found = dict(re.findall(r"^([^:\n]+):\s+(.*)$", text, re.MULTILINE))
    try:
        return Control(
            system_identifier=found["Database system identifier"].strip(),
            state=found["Database cluster state"].strip(),
            timeline=max(
                int(found["Latest checkpoint's TimeLineID"]),
                int(found["Min recovery ending loc's timeline"]),
            ),
            checkpoint_lsn=found["Latest checkpoint location"].strip(),
            segment_bytes=int(found["Bytes per WAL segment"]),
        )
    except (KeyError, ValueError) as error:
        raise Rejected(f"pg_controldata does not say {error}") from None


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _libpq(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
