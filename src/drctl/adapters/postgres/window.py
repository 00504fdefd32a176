"""
Which moments a base backup and an archive of WAL can bring back.

A recovery to a time stops before the first transaction that committed later. So it needs two
things: a base backup that had ended by then, and in the archive a commit *after* it; without one,
PostgreSQL reaches the end of the WAL and refuses. The times are the server's own: they are in the
backup's history file and in the commit records, and are read without starting anything.

A time without an offset is refused: an operator in another zone restores another moment.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from drctl.actions.contract import Context
from drctl.actions.errors import Conflict, Rejected
from drctl.actions.targets import PostgresBackups, PostgresServer
from drctl.adapters.postgres.programs import Programs

_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(?P<offset>Z|[+-]\d\d:\d\d)?"
)
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_START_FILE = re.compile(r"^START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)", re.MULTILINE)
_STOP_TIME = re.compile(r"^STOP TIME: (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (\S+)", re.MULTILINE)
_COMMIT_TIME = re.compile(r"desc: COMMIT (?:PREPARED )?(\S+ \S+) UTC")
_RESOLUTION = timedelta(seconds=1)
"""The history file has whole seconds; the end may have been just before the next one."""
_LOOK_BACK = 64
"""Segments without a commit that are looked through, newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """One base backup."""

    folder: str
    ended: datetime
    """The first moment that can be restored from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What can be restored."""

    bases: tuple[Base, ...]
    """Oldest first; at least one."""
    last_commit: datetime
    """In the archive. Moments before it can be restored."""

    def base_for(self, moment: datetime) -> Base:
        """The newest backup that had ended by then; call `refusal` first."""
        return [base for base in self.bases if base.ended <= moment][-1]

    def refusal(self, moment: datetime, now: datetime) -> str | None:
        """Why a moment cannot be restored, computed; ``None`` when it can."""
        if moment > now:
            return f"{moment.isoformat()} is {_length(moment - now)} in the future"
        first = self.bases[0].ended
        if moment < first:
            return (
                f"{moment.isoformat()} is {_length(first - moment)} before the window: the oldest"
                f" base backup ended at {first.isoformat()}"
            )
        if moment >= self.last_commit:
            return (
                f"{moment.isoformat()} is after the window: the last transaction in the archive"
                f" committed at {self.last_commit.isoformat()}, and what is restored ends before it"
            )
        return None


def parse_moment(text: str) -> datetime:
    """
    Reads a moment.

    Raises:
        Rejected: It is none, or nobody can tell which because it has no offset.

    Example:
        >>> parse_moment("2026-11-22T14:30:00+02:00").isoformat()
        '2026-11-22T12:30:00+00:00'
    """
    found = _INSTANT.fullmatch(text.strip())
    if found is None:
        raise Rejected(f'"{text}" is no time; write it as 2026-11-22T14:30:00Z')
    if found["offset"] is None:
        raise Rejected(
            f'"{text}" has no offset, so it is another moment in every zone: write {text}Z when it'
            f" is UTC, or {text}+02:00"
        )
    try:
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except ValueError as error:
        raise Rejected(f'"{text}" is no time: {error}') from None


def backups_of(target: PostgresServer) -> PostgresBackups:
    """
    Where the target's backups are.

    Raises:
        Rejected: The environment does not say.
    """
    if target.backups is None:
        raise Rejected(f"{target.label}: the environment names no backups to restore from")
    return target.backups


async def read(ctx: Context, target: PostgresServer) -> Window:
    """
    Reads the folders on the target's machine. Changes nothing.

    Raises:
        Conflict: They are another system's.
        Rejected: There is no backup that has ended, or no commit in the archive.
        ActionError: The machine did not answer.
    """
    programs, backups = Programs(ctx, target), backups_of(target)
    archived = (await programs.read("ls", "-1", backups.wal_archive)).out.split()
    bases = []
    for name in (await programs.read("ls", "-1", backups.base_backups)).out.split():
        base = await _base(programs, backups, name, archived)
        if base is not None:
            bases.append(base)
    if not bases:
        raise Rejected(f"{backups.base_backups} has no base backup that is known to have ended")
    ordered = tuple(sorted(bases, key=lambda base: base.ended))
    return Window(bases=ordered, last_commit=await _last_commit(programs, backups, archived))


async def _base(
    programs: Programs, backups: PostgresBackups, name: str, archived: list[str]
) -> Base | None:
    folder = f"{backups.base_backups.rstrip('/')}/{name}"
    control = await programs.control(folder)
    if control.system_identifier != backups.system_identifier:
        raise Conflict(
            f"{folder} is of system {control.system_identifier}, the environment pins"
            f" {backups.system_identifier}"
        )
    label = await programs.read("cat", f"{folder}/backup_label")
    started = _START_FILE.search(label.out)
    if started is None:
        return None
    histories = [
        one for one in archived if one.startswith(f"{started[1]}.") and one.endswith(".backup")
    ]
    if not histories:
        return None  # its end is not in the archive: it may still be taken
    history = await programs.read("cat", f"{backups.wal_archive.rstrip('/')}/{histories[-1]}")
    ended = _STOP_TIME.search(history.out)
    if ended is None:
        return None
    if ended[2] not in {"UTC", "GMT"}:
        raise Rejected(f"{histories[-1]} tells its end in {ended[2]}: set log_timezone = UTC")
    stop = datetime.fromisoformat(f"{ended[1]}+00:00")
    return Base(folder=folder, ended=stop + _RESOLUTION)


async def _last_commit(
    programs: Programs, backups: PostgresBackups, archived: list[str]
) -> datetime:
    """Looks from the newest segment back; a newer timeline comes first."""
    segments = sorted(filter(_SEGMENT.fullmatch, archived), reverse=True)
    for segment in segments[:_LOOK_BACK]:
        path = f"{backups.wal_archive.rstrip('/')}/{segment}"
        # It complains about the segment after the last one, which is not there yet.
        ran = await programs.read(
            *programs.postgres("pg_waldump", "-r", "Transaction", path), may_fail=True
        )
        commits = _COMMIT_TIME.findall(ran.out)
        if commits:
            return max(datetime.fromisoformat(f"{commit}+00:00") for commit in commits)
    raise Rejected(f"{backups.wal_archive} holds no commit in its newest segments")


def _length(length: timedelta) -> str:
    seconds = length.total_seconds()
    return f"{seconds:.1f} s" if seconds < 120 else str(timedelta(seconds=round(seconds)))  # noqa: PLR2004 (two minutes)
