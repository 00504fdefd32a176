"""
Who may change what: every lease of an environment in one document.

All in one, so that taking a lease on several things is one compare-and-set: all of them or none, no
order, no deadlock. Everything here is pure; `journal.lease` reads and writes it.

Times in it are labels, but for one use: the cool-down is counted from when a run *ended*, and then
only in the cautious direction (`age_s`). Whether a holder lives is never read from a time: its
``renewals`` must be seen to move.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any

from drctl.kernel.canonical import canonical
from drctl.kernel.clock import Instant

VERSION = 1
FINAL = frozenset({"succeeded", "undone", "cancelled"})
"""Ends of a run after which it is not resumed."""
REMEMBERED = 50
"""Ended runs that are kept, newest last."""


class UnreadableBook(ValueError):
    """What is in the cell is no book of this version. It must not be written over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A run that has the right to change things."""

    run: str
    nonce: str
    """Of the process that took it; another process of the same run has another one."""
    identities: tuple[str, ...]
    moves: tuple[str, ...] = ()
    """Those that the run fences, promotes or moves traffic of."""
    operator: str
    host: str
    machine: str
    """Boot and process namespace: where ``pid`` means something."""
    pid: int
    pid_start: str = ""
    """Tells the process from a later one that got its number."""
    generation: int
    lease_s: float
    renewals: int = 0
    taken_at: str
    """Wall time, for people."""
    is_live: bool = True
    """False once its process has ended and left the right to whoever resumes the run."""
    state: str = "running"
    """How its process left it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run that reached its end, or moved something, and holds nothing any more."""

    run: str
    identities: tuple[str, ...]
    what: str
    """How it ended; of a broken lease by whom, and why."""
    wall: str
    boot_s: float
    boot_id: str

    @property
    def is_final(self) -> bool:
        """Nobody goes on with it."""
        return self.what in FINAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """The document."""

    generation: int = 0
    """Grows with every holder."""
    latest_wall: str = ""
    """The highest wall time that anybody who wrote has read."""
    holders: tuple[Holder, ...] = ()
    recent: tuple[Ended, ...] = ()

    def of(self, run: str) -> Holder | None:
        """The entry of a run."""
        return next((holder for holder in self.holders if holder.run == run), None)

    def others(self, run: str, identities: Iterable[str]) -> tuple[Holder, ...]:
        """Other runs that hold something of these."""
        wanted = set(identities)
        return tuple(
            holder
            for holder in self.holders
            if holder.run != run and wanted.intersection(holder.identities)
        )

    def cooling(self, moves: Iterable[str], within_s: float, now: Instant) -> tuple[Ended, ...]:
        """Runs that moved something of these less than *within_s* ago."""
        wanted = set(moves)
        return tuple(
            ended
            for ended in self.recent
            if wanted.intersection(ended.identities) and age_s(ended, self, now) < within_s
        )

    def put(self, holder: Holder, now: Instant) -> "Book":
        """With this holder, in place of an earlier one of its run."""
        others = tuple(one for one in self.holders if one.run != holder.run)
        generation = max(self.generation, holder.generation)
        return replace(
            self, holders=(*others, holder), generation=generation, latest_wall=self._latest(now)
        )

    def without(self, run: str, now: Instant, ended: Ended | None) -> "Book":
        """Without the holder; remembered as *ended* when it matters to the cool-down."""
        recent = (*self.recent, ended)[-REMEMBERED:] if ended else self.recent
        return replace(
            self,
            holders=tuple(one for one in self.holders if one.run != run),
            recent=recent,
            latest_wall=self._latest(now),
        )

    def _latest(self, now: Instant) -> str:
        return max(self.latest_wall, label(now), key=_moment)


def age_s(ended: Ended, book: Book, now: Instant) -> float:
    """
    How long ago a run ended, at least: a clock that was set back makes nothing older.

    On the machine and boot that wrote it this is a measurement. Elsewhere it is the difference of
    the highest wall time known, and nothing (0.0) when that is negative.
    """
    if ended.boot_id == now.boot_id:
        return max(0.0, now.boot_s - ended.boot_s)
    highest = max(_moment(label(now)), _moment(book.latest_wall))
    return max(0.0, highest - _moment(ended.wall))


def ended(holder: Holder, what: str, now: Instant) -> Ended:
    """What is remembered of a holder: what it moved, for the cool-down, and how it ended."""
    return Ended(
        run=holder.run,
        identities=holder.moves,
        what=what,
        wall=label(now),
        boot_s=round(now.boot_s, 3),
        boot_id=now.boot_id,
    )


def label(now: Instant) -> str:
    """Wall time as the book has it."""
    return now.wall.isoformat(timespec="seconds")


def _moment(wall: str) -> float:
    try:
        return datetime.fromisoformat(wall).timestamp()
    except (ValueError, OverflowError):
        return float("-inf")


def encode(book: Book) -> bytes:
    """The document's bytes."""
    return canonical({"v": VERSION, **asdict(book)})


def decode(data: bytes | None) -> Book:
    """
    Reads a document; nothing is an empty book. Fields that a later version added are left out.

    Raises:
        UnreadableBook: It is something else, or of a later version.
    """
    if data is None:
        return Book()
    try:
        raw = json.loads(data)
        if raw["v"] != VERSION:
            raise UnreadableBook(f"it is of version {raw['v']}")
        holders = tuple(_made(Holder, one) for one in raw["holders"])
        recent = tuple(_made(Ended, one) for one in raw["recent"])
        return Book(
            generation=int(raw["generation"]),
            latest_wall=str(raw["latest_wall"]),
            holders=holders,
            recent=recent,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableBook(str(error)) from error


def _made(kind: type[Any], raw: dict[str, Any]) -> Any:
    known = {field.name for field in fields(kind)}
    values = {name: _plain(value) for name, value in raw.items() if name in known}
    return kind(**values)


def _plain(value: Any) -> Any:
    return tuple(str(one) for one in value) if isinstance(value, list) else value


def same(left: Sequence[str], right: Sequence[str]) -> tuple[str, ...]:
    """What two holders have in common, in the first one's order."""
    return tuple(one for one in left if one in set(right))
