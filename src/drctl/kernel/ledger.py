"""
What a side that can be changed keeps of every change that it made: the truth beside the record.

drctl writes down what it means to do and what it believes came of it. Whether that is true can only
be said by the other side, so each stand-in of the lab and the simulated estate writes one line for
each mutation that it *applied*: none for a request that it refused or failed, none for a read. A
checker compares these lines with the journal.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from drctl.kernel.canonical import JSON, as_json, canonical, digest
from drctl.kernel.clock import Instant

LEDGER = "ledger.jsonl"
"""Name of the file, in the root of a lab."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One applied mutation."""

    wall: str
    """UTC, ISO 8601: when it took effect. For labels."""
    boot_s: float
    """The same moment in seconds of boot time."""
    boot_id: str
    where: str
    """The stand-in that applied it: ``aws us-west-2``, ``kubernetes us-east-1``, ``slack``."""
    operation: str
    """In the words of that side: ``rds.PromoteReadReplica``, ``patch deployments``."""
    target: str
    """What was changed, as that side names it."""
    request: str
    """SHA-256 of the request's canonical JSON."""
    key: str = ""
    """The idempotency key that the request carried; empty: none."""
    applied: Mapping[str, JSON] = field(default_factory=dict)
    """What changed, in a few words."""
    sent_s: float | None = None
    """Boot time at which the request arrived, where that may differ much from ``boot_s``."""
    after_seq: int | None = None
    """
    How many records the run's journal had by then; only a simulation, which is one process, knows.
    """


def entry(
    now: Instant, where: str, operation: str, target: str, request: Any, **more: Any
) -> Entry:
    """
    Makes an entry of a request that was applied at *now*.

    Args:
        request: As it came; whatever JSON cannot hold is written as text.
        **more: Other fields of `Entry`.
    """
    return Entry(
        wall=now.wall.isoformat(timespec="microseconds"),
        boot_s=round(now.boot_s, 6),
        boot_id=now.boot_id,
        where=where,
        operation=operation,
        target=target,
        request=digest(as_json(request)),
        **more,
    )


def as_line(one: Entry) -> dict[str, Any]:
    """The entry as plain JSON; what is not known is left out."""
    return {name: value for name, value in asdict(one).items() if value not in (None, "", {})}


def append(file: Path, one: Entry) -> None:
    """
    Adds a line; safe from several processes at once, as it is one write to a file that only grows.

    Raises:
        OSError: It cannot be written.

    Changes:
        Makes the file (0600) when it is not there.
    """
    line = canonical(as_json(as_line(one))) + b"\n"
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(file, flags, 0o600)
    try:
        if os.write(handle, line) != len(line):
            message = f"{file}: the line was cut short"
            raise OSError(message)
    finally:
        os.close(handle)


def read(file: Path) -> list[dict[str, Any]]:
    """All lines, oldest first; none when there is no file. A last line that was cut is left out."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in data.split(b"\n")[:-1]]
