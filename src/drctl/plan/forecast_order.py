"""The order of steps as arrays, so that one plan can be timed many times. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from drctl.plan.graph import in_order
from drctl.plan.model import PlannedStep


class Order:
    """
    Steps and what each waits for.

    Invariant: a list of lengths has one entry for each step, in the order in which *steps* came.
    """

    def __init__(
        self,
        steps: Sequence[PlannedStep],
        ends: Iterable[str],
        needs: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """
        Args:
            ends: Where the clock stops; none: at the last step.
            needs: What steps wait for instead of what they say.
        """
        given: dict[str, Sequence[str]] = {step.id: step.needs for step in steps}
        given |= needs or {}
        self.place = place = {step: index for index, step in enumerate(given)}
        self.needs = [tuple([place[need] for need in those]) for those in given.values()]
        self.order = [place[name] for name in in_order(given)]
        self.ends = [self.place[end] for end in ends if end in self.place] or self._last()

    def _last(self) -> list[int]:
        needed = {need for needs in self.needs for need in needs}
        return [index for index in range(len(self.needs)) if index not in needed]

    def finishes(self, lengths: Sequence[float]) -> list[float]:
        """When each step is over at the earliest."""
        done = [0.0] * len(lengths)
        needs = self.needs
        for index in self.order:
            start = 0.0
            for need in needs[index]:
                if done[need] > start:  # noqa: PLR1730 (max() costs twice that, and this is all)
                    start = done[need]
            done[index] = start + lengths[index]
        return done

    def end_s(self, lengths: Sequence[float]) -> float:
        """When the clock stops."""
        done = self.finishes(lengths)
        return max((done[end] for end in self.ends), default=0.0)

    def chain(self, done: Sequence[float]) -> list[int]:
        """The steps that held up the end, in order, given when each was over."""
        at: int | None = max(self.ends, key=done.__getitem__, default=None)
        found = []
        while at is not None:
            found.append(at)
            at = max(self.needs[at], key=done.__getitem__, default=None)
        return found[::-1]

    def slacks(self, lengths: Sequence[float], done: Sequence[float]) -> list[float | None]:
        """How much later each may be over; ``None`` for what the end does not wait for."""
        end_s = max((done[end] for end in self.ends), default=0.0)
        latest: list[float | None] = [None] * len(done)
        for end in self.ends:
            latest[end] = end_s
        for index in reversed(self.order):
            over = latest[index]
            if over is None:
                continue
            for need in self.needs[index]:
                known = latest[need]
                if known is None or over - lengths[index] < known:
                    latest[need] = over - lengths[index]
        return [
            None if late is None else late - over for late, over in zip(latest, done, strict=True)
        ]

    def waves(self) -> list[int]:
        """The number of each step's wave, from 1."""
        number = [0] * len(self.needs)
        for index in self.order:
            number[index] = 1 + max([number[need] for need in self.needs[index]], default=0)
        return number
