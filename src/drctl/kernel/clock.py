"""
Time, in the one file that may read it.

Problem: a failover is judged by lengths (RTA, deadlines, leases), and wall clocks step. Invariant:
a *length* is only ever the difference of two boot-time readings of the same boot; a *label* is UTC
wall time; every recorded instant carries both, and the boot id that says whether two of them may be
subtracted. ``CLOCK_BOOTTIME`` goes on while the machine sleeps, which ``CLOCK_MONOTONIC`` does not:
a laptop that was shut for ten minutes of an outage has lost those ten minutes.

Across boots no length is known: `length_between` falls back to wall time, clamps it at zero and
says that it is uncertain. Order is never taken from a clock; it is the sequence number of the
event.
"""

import asyncio
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """One reading of both clocks."""

    wall: datetime
    """Aware, UTC. For labels."""
    boot_s: float
    """Seconds since the machine booted, sleep included. For lengths."""
    boot_id: str
    """Which boot ``boot_s`` counts from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """How long something took, and whether that is a measurement."""

    seconds: float
    is_certain: bool


def length_between(start: Instant, end: Instant) -> Length:
    """Measures from *start* to *end*; never negative; uncertain across boots."""
    if start.boot_id == end.boot_id:
        return Length(seconds=max(0.0, end.boot_s - start.boot_s), is_certain=True)
    wall_s = (end.wall - start.wall).total_seconds()
    return Length(seconds=max(0.0, wall_s), is_certain=False)


class Clock(Protocol):
    """What the program may know of time. Blocking code gets one handed in, it never asks the OS."""

    def now(self) -> Instant:
        """Reads both clocks at once."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Returns after *seconds* of this clock; at once when not positive."""
        ...


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment of a clock's boot time after which nobody waits any more."""

    at_s: float

    @staticmethod
    def after(clock: Clock, length: timedelta) -> "Deadline":
        """Makes the deadline *length* from now."""
        return Deadline(clock.now().boot_s + length.total_seconds())

    def left_s(self, clock: Clock) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at_s - clock.now().boot_s)

    def has_passed(self, clock: Clock) -> bool:
        """True once nothing is left."""
        return self.left_s(clock) <= 0.0

    def at_most(self, clock: Clock, length: timedelta) -> "Deadline":
        """The earlier of this deadline and *length* from now."""
        return min(self, Deadline.after(clock, length), key=lambda deadline: deadline.at_s)


@cache
def boot_id() -> str:
    """
    Names this boot of this machine, and from where it is counted when that is not its beginning: a
    container may have a time namespace of its own. Random where the kernel does not say (lengths
    then hold within this process only, which is the safe direction).
    """
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return str(uuid.uuid4())
    try:
        lines = Path("/proc/self/timens_offsets").read_text(encoding="ascii").splitlines()
    except OSError:  # a kernel that has none
        return name
    offset = next((line.split()[1:] for line in lines if line.startswith("boottime")), [])
    return f"{name}+{'.'.join(offset)}" if any(word != "0" for word in offset) else name


class SystemClock(Clock):
    """The machine's clocks."""

    def now(self) -> Instant:
        boot_clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        return Instant(
            wall=datetime.now(UTC), boot_s=time.clock_gettime(boot_clock), boot_id=boot_id()
        )

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))
