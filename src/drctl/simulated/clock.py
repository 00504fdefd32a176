"""
Virtual time: an event loop that jumps to the next moment at which something is due.

Invariant: time moves only when nothing can run. A fifteen-minute failover takes milliseconds, and
    two runs of the same world are the same run, because nothing but the world decides what happens
    when.

What is not promised: threads and sockets. The loop does not wait for them; it would jump past them.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
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
    """
    The clocks of one machine in the running virtual loop.

    Boot time is what it should be; the wall clock is wrong by whatever the machine makes of it.
    """

    def __init__(
        self,
        start: datetime = EPOCH,
        *,
        boot_id: str = "simulated",
        booted_s: float = 0.0,
        wrong_by_s: Callable[[float], float] = lambda _true_s: 0.0,
    ) -> None:
        """
        Args:
            start: What a right wall clock shows when virtual time begins.
            boot_id: Which boot this is.
            booted_s: Virtual time at which the machine booted.
            wrong_by_s: Virtual time to the error of the wall clock then.
        """
        self._start, self._boot_id = start, boot_id
        self._booted_s, self._wrong_by_s = booted_s, wrong_by_s

    def now(self) -> Instant:
        """Reads virtual time."""
        true_s = asyncio.get_running_loop().time()
        wall_s = true_s + self._wrong_by_s(true_s)
        return Instant(
            wall=self._start + timedelta(seconds=wall_s),
            boot_s=true_s - self._booted_s,
            boot_id=self._boot_id,
        )


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Runs *main* in virtual time from zero."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main)
