"""Prices a plan: each step by history or its estimate, the whole by whole recorded runs. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from drctl.kernel.canonical import digest
from drctl.plan.forecast_model import FEWEST_RUNS, RATE, Forecast, Source, StepForecast
from drctl.plan.forecast_order import Order
from drctl.plan.forecast_past import Past, quantile, whole_rows
from drctl.plan.model import Objectives, Plan, PlannedStep

_LOW, _MIDDLE, _HIGH = (1 - RATE) / 2, 0.5, (1 + RATE) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is supposed to be otherwise than planned; only for asking "what if"."""

    less_s: Mapping[str, float] | None = None
    """Steps that take so much less, and never less than nothing."""
    factor: float = 1.0
    """By what everything that machines do is multiplied."""
    needs: Mapping[str, tuple[str, ...]] | None = None
    """Steps that wait for something else."""
    without_people: bool = False
    """People take no time."""


@dataclass(frozen=True, kw_only=True)
class Pricing:
    """What is needed to time a plan as often as one likes."""

    steps: tuple[PlannedStep, ...]
    """All but those of ``finally``."""
    objectives: Objectives
    past: Past
    supposed: frozenset[str] = frozenset()
    """Steps whose estimate is somebody's "what if"."""

    @cached_property
    def order(self) -> Order:
        """The order as planned."""
        return Order(self.steps, self.objectives.stops_after)

    @cached_property
    def awaited(self) -> tuple[int, ...]:
        """The steps that the clock waits for."""
        found, left = set[int](), list(self.order.ends)
        while left:
            index = left.pop()
            if index not in found:
                found.add(index)
                left += self.order.needs[index]
        return tuple(sorted(found))

    @cached_property
    def people(self) -> frozenset[str]:
        """Steps at which a person acts or answers."""
        return frozenset(step.id for step in self.steps if step.gate is not None)

    @cached_property
    def measured(self) -> Mapping[str, tuple[float, ...]]:
        """Recorded lengths of the steps that have enough of them."""
        known = {name for row in self.past.rows for name in row}
        lengths = {step.id: self.past.lengths(step.id) for step in self.steps if step.id in known}
        return {step: those for step, those in lengths.items() if len(those) >= FEWEST_RUNS}

    @cached_property
    def middle(self) -> list[float]:
        """The p50 of each step."""
        lengths = [step.estimate_s for step in self.steps]
        for name, those in self.measured.items():
            lengths[self.order.place[name]] = quantile(those, _MIDDLE)
        return lengths

    @cached_property
    def _done(self) -> list[float]:
        """When each step is over at the earliest, when every step takes its p50."""
        return self.order.finishes(self.middle)

    @cached_property
    def _longest_s(self) -> list[float]:
        return [longest_s(step) for step in self.steps]

    @cached_property
    def rows(self) -> list[list[float]]:
        """The lengths of all steps in each recorded run; one row of points without history."""
        names = [self.steps[index].id for index in self.awaited] if self.measured else []
        measured = [name for name in names if name in self.measured]
        if not measured:
            return [self.middle]
        ends = [self.steps[index].id for index in self.order.ends]
        seed = int(digest([[step.id, list(step.needs)] for step in self.steps])[:12], 16)
        found = []
        for row in whole_rows(self.past, measured, ends, seed):
            lengths = list(self.middle)
            for name, length in row.items():
                lengths[self.order.place[name]] = length
            found.append(lengths)
        return found

    def ends_s(self, changes: Changes = Changes()) -> list[float]:
        """When the clock stops in each recorded run, were it run as planned, or changed so."""
        order = self.order
        if changes.needs:
            order = Order(self.steps, self.objectives.stops_after, changes.needs)
        return [order.end_s(self._changed(row, changes)) for row in self.rows]

    def at(self, share: float, changes: Changes = Changes()) -> float:
        """By when the clock has stopped in this share of the runs."""
        return _share(self.ends_s(changes), share)

    def p90_s(self, changes: Changes = Changes()) -> float:
        """By when nine of ten runs are over."""
        return self.at(_HIGH, changes)

    def _changed(self, row: Sequence[float], changes: Changes) -> Sequence[float]:
        if changes == _NOTHING:
            return row
        lengths, place = list(row), self.order.place
        if changes.factor != 1.0:
            for index, step in enumerate(self.steps):
                lengths[index] *= 1.0 if step.id in self.people else changes.factor
        for name, less in (changes.less_s or {}).items():
            lengths[place[name]] = max(0.0, lengths[place[name]] - less)
        for name in self.people if changes.without_people else ():
            lengths[place[name]] = 0.0
        return lengths

    def forecast(self, *, has_steps: bool = True) -> Forecast:
        """
        The whole.

        Args:
            has_steps: Whether it says where each step stands in time.
        """
        ends = self.ends_s()
        p10_s, p50_s, p90_s = (_share(ends, share) for share in (_LOW, _MIDDLE, _HIGH))
        machine_s = p50_s
        if self.people:
            machine_s = min(p50_s, self.at(_MIDDLE, Changes(without_people=True)))
        awaited = [self.steps[index] for index in self.awaited]
        unmeasured = [step for step in awaited if step.id not in self.measured]
        is_measured = len(unmeasured) < len(awaited)
        return Forecast(
            p10_s=_rounded(p10_s),
            p50_s=_rounded(p50_s),
            p90_s=_rounded(p90_s),
            rate=RATE if is_measured and not unmeasured else None,
            runs=len(self.rows) if is_measured else 0,
            unmeasured=tuple([step.id for step in unmeasured]),
            unpriced=tuple([step.id for step in unmeasured if self._source(step) == "none"]),
            machine_s=_rounded(machine_s),
            people_s=_rounded(p50_s - machine_s),
            longest_s=_rounded(self.order.end_s(self._longest_s)),
            detection_s=self.objectives.detection_s,
            in_budget=self.objectives.starts_at == "incident",
            steps=self._placed() if has_steps else (),
        )

    def critical_path(self) -> tuple[str, ...]:
        """The longest chain when every step takes its p50."""
        chain = self.order.chain(self._done)
        return tuple(self.steps[index].id for index in chain)

    def _source(self, step: PlannedStep) -> Source:
        if step.id in self.supposed:
            return "supposed"
        if step.id in self.measured:
            return "history"
        return "declared" if step.estimate_s else "none"

    def _placed(self) -> tuple[StepForecast, ...]:
        lengths, done = self.middle, self._done
        slacks, waves = self.order.slacks(lengths, done), self.order.waves()
        shares, people, longest_s = self._critical_shares(), self.people, self._longest_s
        found = []
        for index, step in enumerate(self.steps):
            those = self.measured.get(step.id, ())
            slack, p50_s = slacks[index], _rounded(lengths[index])
            found.append(
                StepForecast(
                    step=step.id,
                    wave=waves[index],
                    start_s=_rounded(done[index] - lengths[index]),
                    finish_s=_rounded(done[index]),
                    slack_s=None if slack is None else _rounded(max(0.0, slack)),
                    p50_s=p50_s,
                    p90_s=_rounded(quantile(those, _HIGH)) if those else p50_s,
                    source=self._source(step),
                    runs=len(those),
                    who="people" if step.id in people else "machine",
                    longest_s=_rounded(longest_s[index]),
                    critical_share=shares[index],
                )
            )
        return tuple(found)

    def _critical_shares(self) -> list[float]:
        """In how many of the runs each step was on the chain that held up the end."""
        counts = [0] * len(self.steps)
        for row in self.rows:
            for index in self.order.chain(self.order.finishes(row)):
                counts[index] += 1
        return [round(count / len(self.rows), 3) for count in counts]


_NOTHING = Changes()


def pricing_of(plan: Plan, past: Past) -> Pricing:
    """Everything needed to time *plan*."""
    steps = tuple(step for step in plan.steps if not step.is_final)
    return Pricing(steps=steps, objectives=plan.objectives, past=past)


def supposing(pricing: Pricing, lengths_s: Mapping[str, float]) -> Pricing:
    """The same where some steps take so long, whatever was recorded or declared of them."""
    steps = tuple(
        step.model_copy(update={"estimate_s": lengths_s[step.id]}) if step.id in lengths_s else step
        for step in pricing.steps
    )
    rows = tuple(
        {name: length for name, length in row.items() if name not in lengths_s}
        for row in pricing.past.rows
    )
    supposed = pricing.supposed | lengths_s.keys()
    return Pricing(
        steps=steps, objectives=pricing.objectives, past=Past(rows=rows), supposed=supposed
    )


def priced(plan: Plan, past: Past) -> Plan:
    """The same plan with a forecast from recorded runs; its digests are not filled in."""
    pricing = pricing_of(plan, past)
    forecast = pricing.forecast()
    return plan.model_copy(
        update={
            "forecast": forecast,
            "forecast_s": forecast.p50_s,
            "critical_path": pricing.critical_path(),
        }
    )


def longest_s(step: PlannedStep) -> float:
    """
    All the time that a step is given: every attempt to its timeout, the waits between, its checks.
    """
    retry, wait_s, total_s = step.retry, step.retry.backoff_s, step.timeout_s
    for _attempt in range(1, retry.attempts):
        total_s += min(wait_s, retry.max_backoff_s) + step.timeout_s
        wait_s *= 2
    return total_s + sum([check.timeout_s or step.timeout_s for check in step.verify])


def _share(ends: Sequence[float], share: float) -> float:
    return quantile(ends, share) if len(ends) > 1 else ends[0]


def _rounded(seconds: float) -> float:
    """To the millisecond, so that a plan is the same on every machine."""
    return round(seconds, 3)
