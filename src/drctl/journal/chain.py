"""
Events as lines of bytes, each bound to the one before.

Problem: after a bad night somebody will ask whether the record is what was written then. Invariant:
    a line is the canonical JSON of one event, with the hash of the line before it (``prev``) and
    its own (``hash``, over all the rest). Any byte changed, line removed, inserted or moved breaks
    the chain at a place that can be named. A torn last line, without its newline or with zeros in
    it, is what a crash leaves: it was never acknowledged to anybody, so it is dropped, and said so.

What is not promised: a bare chain does not show that whole lines were cut off its end, and who can
write the file can write a new chain.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from drctl.engine.events import TYPES, Event
from drctl.engine.state import Record
from drctl.kernel.canonical import canonical, digest
from drctl.kernel.clock import Instant
from drctl.kernel.errors import JournalError, Problem

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A journal that was read and verified."""

    records: tuple[Record, ...]
    head: str
    """Hash of the last line."""
    torn_bytes: int
    """Length of an unfinished last line; 0: none."""
    size: int
    """Bytes of the lines that count."""


def encode(record: Record, prev: str) -> tuple[bytes, str]:
    """Makes the line (with its newline) and its hash."""
    body = {**as_body(record), "prev": prev}
    own = digest(body)
    return canonical({**body, "hash": own}) + b"\n", own


def as_body(record: Record) -> dict[str, Any]:
    """The event as the journal has it, without the chain's own fields."""
    at, event = record.at, record.event
    return {
        # Not asdict: it copies every value deeply, and all of them are plain JSON already.
        **{field.name: getattr(event, field.name) for field in fields(event)},
        "seq": record.seq,
        "type": event.type,
        "at": {
            "wall": at.wall.isoformat(timespec="microseconds"),
            "boot_s": round(at.boot_s, 6),
            "boot_id": at.boot_id,
        },
    }


def decode(data: bytes, *, name: str) -> Chain:
    """
    Reads a journal and checks every link.

    Args:
        name: How the file is called in problems.

    Raises:
        JournalError: A line is not what was written; the problem names it.
    """
    *complete, torn = data.split(b"\n")
    if complete and b"\0" in complete[-1] and b"}\0{" not in complete[-1]:
        # JSON has no zero bytes. What of a line had not reached the disk when the power went reads
        # as zeros, and its end may have got there before its middle. But a lone zero between two
        # whole lines stands where their newline was: the first of them had been acknowledged.
        torn = complete.pop() + b"\n" + torn
    records: list[Record] = []
    head = GENESIS
    for number, line in enumerate(complete, start=1):
        record, head = _link(line, number, head, name)
        records.append(record)
    return Chain(
        records=tuple(records), head=head, torn_bytes=len(torn), size=len(data) - len(torn)
    )


def _link(line: bytes, number: int, prev: str, name: str) -> tuple[Record, str]:
    try:
        body = json.loads(line)
        own = body.pop("hash")
        if canonical({**body, "hash": own}) != line:
            raise _broken(name, number, "the line is not in canonical form")
        if digest(body) != own:
            raise _broken(name, number, "its content does not match its hash")
        if body.pop("prev") != prev:
            raise _broken(name, number, "it does not follow the line before it")
        if body["seq"] != number:
            raise _broken(name, number, f"its sequence number is {body['seq']}")
        return _record(body), own
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _broken(name, number, f"it cannot be read ({type(error).__name__})") from error


def _record(body: dict[str, Any]) -> Record:
    at = body.pop("at")
    kind = TYPES[body.pop("type")]
    seq = body.pop("seq")
    known = {field.name for field in fields(kind)}
    # A newer drctl may have added fields; what we do not know we do not need.
    payload = {key: _frozen(value) for key, value in body.items() if key in known}
    return Record(
        seq=seq,
        at=Instant(
            wall=datetime.fromisoformat(at["wall"]), boot_s=at["boot_s"], boot_id=at["boot_id"]
        ),
        event=kind(**payload),
    )


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _broken(name: str, number: int, why: str) -> JournalError:
    return JournalError(
        (
            Problem(
                code="DR4001",
                what=f"the journal does not verify at line {number}",
                at=f"{name}:{number}",
                why=why,
                now="everything before that line is as it was written; nothing after it is proven",
                do=f"keep the file as it is, and look by eye: less +{number} {name}",
            ),
        )
    )


def only(records: Iterable[Record], kind: type[Event]) -> list[Event]:
    """The events of one kind, in order."""
    return [record.event for record in records if isinstance(record.event, kind)]
