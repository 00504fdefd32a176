"""
Virtual time: an event loop that jumps to the next moment at which something is due.

Invariant: time moves only when nothing can run. A fifteen-minute failover takes milliseconds, and
    two runs of the same world are the same run, because nothing but the world decides what happens
    when.

What is not promised: threads and sockets. The loop does not wait for them; it would jump past them.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from drctl.kernel.clock import Instant, SystemClock

T = TypeVar("T")

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class _Jumping(selectors.SelectSelector):
    """Never waits: tells the loop how far to jump instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            message = "nothing is due and nothing can happen: the run would wait for ever"
            raise RuntimeError(message)
        self.now_s += timeout
        return []


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s


class VirtualClock(SystemClock):
    """The clock of the running virtual loop; one boot, wall time from a fixed start."""

    def __init__(self, start: datetime = EPOCH) -> None:
        self._start = start

    def now(self) -> Instant:
        """Reads virtual time."""
        seconds = asyncio.get_running_loop().time()
        return Instant(
            wall=self._start + timedelta(seconds=seconds), boot_s=seconds, boot_id="simulated"
        )


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Runs *main* in virtual time from zero."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main)
