"""The model estate itself: what it is now, and all that was done to it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from drctl.kernel.clock import Instant
from drctl.kernel.ledger import Entry, as_line, entry


class Ledger:
    """
    Every effect that was applied, in order, and the state that came of it: the truth that tests
    compare the record with.

    It outlives the runs that change it: a request that has arrived is carried out, whoever has died
    or stopped waiting meanwhile.
    """

    def __init__(self) -> None:
        self.applied: list[tuple[str, str]] = []
        """Action name and idempotency key."""
        self.calls: dict[str, int] = {}
        """Calls of each action, reads too."""
        self.state: dict[tuple[str, str], str] = {}
        """Last value of each facet of each target that was ever changed."""
        self.entries: list[Entry] = []
        self.journal_length: Callable[[], int | None] = lambda: None
        """How many records the run's journal has, for a simulation that can tell."""
        self._under_way: dict[asyncio.Task[Any], tuple[str, str]] = {}

    def apply(
        self,
        now: Instant,
        action: str,
        key: str,
        *,
        target: str,
        request: Any,
        facet: str = "",
        value: str = "",
        sent_s: float | None = None,
    ) -> None:
        """Changes the estate. Messages change nobody's state: they have no *facet*."""
        before = self.state.get((target, facet), "")
        self.applied.append((action, key))
        if facet:
            self.state[target, facet] = value
        self.entries.append(
            entry(
                now,
                action.partition(".")[0],
                action,
                target,
                request,
                key=key,
                applied={"facet": facet, "before": before, "after": value},
                sent_s=sent_s,
                after_seq=self.journal_length(),
            )
        )

    def lines(self) -> list[dict[str, Any]]:
        """The entries, as a lab's file has them."""
        return [as_line(one) for one in self.entries]

    def has(self, action: str, key: str) -> bool:
        """True when that effect was applied at least once."""
        return (action, key) in self.applied

    def is_under_way(self, action: str, key: str) -> bool:
        """True while a request for it has arrived and not yet ended."""
        return any(
            asked == (action, key) for task, asked in self._under_way.items() if not task.done()
        )

    def carry_out(self, action: str, key: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Goes on with *work* until it ends, also when nobody waits for it any more."""
        task = asyncio.ensure_future(work)
        self._under_way[task] = (action, key)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        del self._under_way[task]
        if not task.cancelled():
            task.exception()  # an answer that nobody heard is no news for the terminal

    async def quiet(self) -> None:
        """Returns when nothing is under way any more."""
        while self._under_way:
            await asyncio.wait(self._under_way)
