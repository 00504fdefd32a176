"""
Places at which a test may let this process die, fail or wait.

Problem: a recovery must survive a death at any instant, and instants that no test can reach are not
survived by design but by luck. Each place where the state of a run or of the world changes hands
calls `hit` with a name of `POINTS`; a test walks the source and fails on such a place without one,
and on a name without a place.

Nothing is armed unless `arm` was called, which the command line does for ``DRCTL_FAILPOINTS``:
``name@n:deed`` separated by commas, where *n* counts the hits of that name from one, and *deed* is
``kill`` (SIGKILL to ourselves), ``raise`` (an `OSError`, as a disk would) or ``sleep=SECONDS``.
``name/where@n`` counts only the hits at one place of many, as in
``effect.send/aws.rds.fence@1:kill``.
"""

import errno
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

POINTS = frozenset(
    {
        "effect.after",
        "effect.before",
        "effect.identity",
        "effect.look_again",
        "effect.send",
        "effect.settle",
        "effect.wait",
        "driver.wait",
        "files.make_folder",
        "files.new.before",
        "files.new.synced",
        "files.new.written",
        "files.remove.after",
        "files.remove.before",
        "files.rename.after",
        "files.rename.before",
        "files.sync",
        "files.write",
        "folder.give_up",
        "inbox.drop",
        "inbox.take",
        "journal.after_cut",
        "journal.after_fsync",
        "journal.after_write",
        "journal.before_cut",
        "journal.before_write",
        "journal.release",
        "journal.reserve",
        "lock.after",
        "lock.before",
        "lock.look",
        "step.poll",
        "lease.before_write",
        "lease.after_write",
        "lease.before_renewal",
        "lease.new",
        "lease.open",
        "lease.tidy",
        "lease.wait",
        "lease.watch",
        "lease.before_link",
        "lease.after_link",
    }
)
"""Every name, in one place; see ``tests/safety/crash``."""


@dataclass(frozen=True, slots=True)
class Armed:
    """What happens at the *nth* hit of a point."""

    point: str
    """Its name, with ``/where`` when only one place of it is meant."""
    nth: int
    deed: Literal["kill", "raise", "sleep"]
    seconds: float = 0.0


_armed: dict[str, list[Armed]] = {}
_hits: Counter[str] = Counter()
_watch: list[Callable[[str, int], None]] = []


def parse(text: str) -> list[Armed]:
    """
    Reads ``name@n:deed,…``.

    Raises:
        ValueError: An unknown point or deed, or a number that is none.
    """
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        place, _, deed = part.partition(":")
        place, _, nth = place.partition("@")
        point = place.partition("/")[0]
        word, _, length = deed.partition("=")
        if point not in POINTS:
            raise ValueError(f"no failpoint is called {point}")
        if word not in {"kill", "raise", "sleep"}:
            raise ValueError(f"{part}: the deed is kill, raise or sleep=SECONDS")
        found.append(Armed(place, int(nth or 1), word, float(length or 0)))  # type: ignore[arg-type]
    return found


def arm(armed: list[Armed]) -> None:
    """Forgets all hits and arms exactly these."""
    _armed.clear()
    _hits.clear()
    for one in armed:
        _armed.setdefault(one.point, []).append(one)


def watch(seen: Callable[[str, int], None] | None) -> None:
    """Tells *seen* of every hit, with its number; ``None`` ends that."""
    _watch[:] = [] if seen is None else [seen]


def hit(point: str, where: str = "") -> None:
    """
    Passes a place. Costs a look at two empty containers when nothing is armed.

    Args:
        where: Which of several places of that name, as an action's name.

    Raises:
        OSError: The place is armed with ``raise``.
    """
    if not _armed and not _watch:
        return
    _hits[point] += 1
    for seen in _watch:
        seen(point, _hits[point])
    places = [point]
    if where:
        places.append(f"{point}/{where}")
        _hits[places[1]] += 1
    for place in places:
        for one in _armed.get(place, ()):
            if one.nth == _hits[place]:
                _do(one)


def _do(one: Armed) -> None:
    if one.deed == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if one.deed == "raise":
        raise OSError(errno.EIO, f"failpoint {one.point}")
    time.sleep(one.seconds)  # the whole process: a stop is what it stands for
