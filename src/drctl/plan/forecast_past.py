"""
How long recorded runs took, and what that says about the next one. Pure.

Problem. Percentiles do not add: the p90 of a chain is not the sum of its steps' p90, because not
everything is slow on the same night; and it is not what independent draws give either, because a
slow night often is slow everywhere.

Method. Every recorded run is timed as a whole by today's order of steps, from its own lengths. If
the next run is one more of the same kind, its finish is equally likely to fall into each of the
n + 1 gaps between the n recorded ones (Hill's A(n)): that holds for any distribution, and for any
dependence between the steps of one run. So the quantile at k / (n + 1) is the k-th smallest finish,
and what lies between two is drawn as a straight line.

Beyond the outermost there is no record. Above the longest, an exponential tail with the mean excess
of the upper half; below the shortest, a straight line. p90 lies there while n is below 9, p10 too.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drctl.plan.forecast_model import FEWEST_RUNS


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """Recorded runs of one runbook in one environment of one world."""

    rows: tuple[Mapping[str, float], ...] = ()
    """Seconds by step id, one mapping for each run; only what succeeded."""

    def lengths(self, step: str) -> tuple[float, ...]:
        """How long this step took, where it succeeded."""
        return tuple(row[step] for row in self.rows if step in row)


def quantile(values: Sequence[float], share: float) -> float:
    """
    Where the next value falls with probability *share* at most.

    Example:
        >>> quantile([1.0, 2.0, 3.0], 0.5)
        2.0
    """
    known = sorted(values)
    count = len(known)
    place = share * (count + 1)
    below = int(place)
    part = place - below
    if below == 0:
        return max(0.0, known[0] - (1.0 - part) * _reach(known, upper=False))
    if below >= count:
        return known[-1] - math.log(1.0 - part) * _reach(known, upper=True)
    return known[below - 1] + part * (known[below] - known[below - 1])


def _reach(known: Sequence[float], *, upper: bool) -> float:
    """Mean distance from the median of the half that is above it, or below."""
    half = len(known) // 2
    middle = (known[half] + known[-half - 1]) / 2
    outer = known[-half:] if upper else known[:half]
    return sum(abs(one - middle) for one in outer) / half if half else 0.0


def whole_rows(
    past: Past, measured: Sequence[str], ends: Sequence[str], seed: int
) -> list[Mapping[str, float]]:
    """
    Recorded runs with a length for each *measured* step.

    Runs that did not reach the end are left out where enough others did. What a run passed over is
    counted as if it ran, with a length that another run had.
    """
    rows = [row for row in past.rows if any(end in row for end in ends)]
    if len(rows) < FEWEST_RUNS:
        rows = [row for row in past.rows if not row.keys().isdisjoint(measured)]
    drawn = random.Random(seed)  # noqa: S311  reproducible on purpose, and no secret
    lengths = {step: past.lengths(step) for step in measured}
    return [
        {step: row[step] if step in row else drawn.choice(lengths[step]) for step in measured}
        for row in rows
    ]
