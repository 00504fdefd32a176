"""Samples by series, as a Prometheus keeps them: a series ends when its target stops telling it."""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""Sorted names and values, ``__name__`` among them."""

LOOKBACK_S: Final = 300.0
_KEPT_S: Final = 900.0
_LINE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def labels(name: str, more: Mapping[str, str]) -> Labels:
    """The labels of a series."""
    return tuple(sorted({"__name__": name, **more}.items()))


def parse(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """
    Reads the text format of an exporter: name, labels, value.

    Raises:
        ValueError: A line is none.
    """
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None:
            raise ValueError(f"not a sample: {line!r}")
        yield found[1], dict(_LABEL.findall(found[2] or "")), float(found[3])


@dataclass(slots=True)
class Series:
    """The samples of one series, oldest first."""

    samples: deque[tuple[float, float]] = field(default_factory=deque)
    is_stale: bool = False
    """Its target did not tell it the last time."""

    def last(self, now_s: float) -> float | None:
        """Its value now; ``None`` when it has none any more."""
        if self.is_stale or not self.samples or self.samples[-1][0] < now_s - LOOKBACK_S:
            return None
        return self.samples[-1][1]

    def within(self, now_s: float, range_s: float) -> list[tuple[float, float]]:
        """The samples of the last *range_s*."""
        return [sample for sample in self.samples if now_s - range_s < sample[0] <= now_s]


class Store:
    """All series."""

    def __init__(self) -> None:
        self.series: dict[Labels, Series] = {}

    def add(
        self,
        target: Mapping[str, str],
        told: Iterable[tuple[str, dict[str, str], float]],
        at_s: float,
    ) -> None:
        """
        Keeps what one target told at once; what it told before and not now is stale.

        Args:
            target: Labels of everything that it tells: ``job``, ``instance``.
        """
        fresh: set[Labels] = set()
        for name, own, value in told:
            key = labels(name, {**own, **target})
            series = self.series.setdefault(key, Series())
            series.is_stale = False
            series.samples.append((at_s, value))
            while series.samples[0][0] < at_s - _KEPT_S:
                series.samples.popleft()
            fresh.add(key)
        for key in self._of(target) - fresh:
            self.series[key].is_stale = True

    def forget(self, target: Mapping[str, str]) -> None:
        """Its target has vanished from discovery: even ``up`` says nothing any more."""
        for key in self._of(target):
            self.series[key].is_stale = True

    def _of(self, target: Mapping[str, str]) -> set[Labels]:
        wanted = set(target.items())
        return {key for key in self.series if wanted <= set(key)}
