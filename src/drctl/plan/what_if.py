"""
What would make a plan fit: each answer is the forecast, made again with one thing changed. Pure.

What drctl can see of two steps in sequence is their expressions, targets and effects. Where none of
these makes one wait for the other it says that they *could* run side by side; whether the order has
a reason that nobody wrote down, only a person knows. So that is a suggestion, and a cautious one:
never across a gate, a fence, a measurement, a promotion, traffic or a proof.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from drctl.actions.contract import Effect
from drctl.kernel.errors import InvalidError, Problem
from drctl.kernel.text import did_you_mean
from drctl.plan.forecast_make import Changes, Pricing, supposing
from drctl.plan.model import PlannedCall, PlannedStep
from drctl.plan.what_if_model import Cure, Needs, Room, Together

_MOST = 8
"""Steps on the way that are tried one by one, longest first."""
_NAMES = re.compile(r"\bsteps\s*\.\s*([A-Za-z_]\w*)")
_HALVINGS = 30
_NEAR_S = 0.5
"""Half a second is no difference at all."""


def what_if(pricing: Pricing, lengths_s: Mapping[str, float]) -> Pricing:
    """
    Supposes that steps take so long.

    Raises:
        InvalidError: There is no such step, or it is one that the forecast does not count.
    """
    known = pricing.order.place
    problems = tuple(
        Problem(
            code="DR3210",
            what=f'there is no step "{name}" in the forecast{did_you_mean(name, known)}',
            do="steps of finally are not counted",
        )
        for name in lengths_s
        if name not in known
    )
    if problems:
        raise InvalidError(problems)
    return supposing(pricing, lengths_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A plan, its budget, and what is already supposed to be otherwise."""

    pricing: Pricing
    budget_s: float
    """What the run may take: the RTO without what detection takes of it."""

    def needs(self) -> Needs:
        """What would make nine of ten runs fit; how much room there is when they do."""
        over_s = self.pricing.p90_s() - self.budget_s
        if over_s <= 0:
            return Needs(fits=True, over_s=round(over_s, 3), room=tuple(self._room()))
        cures = sorted((*self._people(), *self._side_by_side(), *self._shorter()), key=_cheapness)
        return Needs(
            fits=False, over_s=round(over_s, 3), cures=tuple(cures), together=self._together(cures)
        )

    def _way(self) -> list[PlannedStep]:
        """Steps that ever held up the end and take any time, those that take longest first."""
        forecast = self.pricing.forecast()
        placed = [one for one in forecast.steps if one.critical_share > 0 and one.p90_s > 0]
        placed.sort(key=lambda one: (-one.p90_s * one.critical_share, one.start_s))
        by_id = {step.id: step for step in self.pricing.steps}
        return [by_id[one.step] for one in placed]

    def _length_s(self, step: PlannedStep) -> float:
        return self.pricing.middle[self.pricing.order.place[step.id]]

    def _people(self) -> Iterator[Cure]:
        people = [step.id for step in self._way() if step.id in self.pricing.people]
        if people:
            changes = Changes(without_people=True)
            what = f"people answer at once ({', '.join(people)})"
            yield self._cure("people", what, tuple(people), changes, cost=0.3)

    def _shorter(self) -> Iterator[Cure]:
        """Each long machine step alone: by how much less it would have to take."""
        machine = [step for step in self._way() if step.id not in self.pricing.people]
        for step in machine[:_MOST]:
            now_s = self._length_s(step)
            all_of_it = Changes(less_s={step.id: math.inf})
            if self.pricing.p90_s(all_of_it) > self.budget_s:
                yield self._cure(
                    "shorter",
                    f"{step.id}: not even if it took no time",
                    (step.id,),
                    all_of_it,
                    cost=2.0,
                )
                continue
            less_s = self._least(step.id, now_s)
            yield self._cure(
                "shorter",
                f"{step.id} faster",
                (step.id,),
                Changes(less_s={step.id: less_s}),
                cost=less_s / now_s if now_s else 1.0,
                less_s=less_s,
                now_s=now_s,
            )

    def _least(self, step: str, now_s: float) -> float:
        """The least that this step must lose, to within half a second above it."""
        low, high = (
            0.0,
            max(now_s, *(row[self.pricing.order.place[step]] for row in self.pricing.rows)),
        )
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if self.pricing.p90_s(Changes(less_s={step: middle})) > self.budget_s:
                low = middle
            else:
                high = middle
            if high - low < _NEAR_S / 10:
                break
        return high

    def _side_by_side(self) -> Iterator[Cure]:
        """Neighbours on the way that could start together, as far as can be seen."""
        by_id = {step.id: step for step in self.pricing.steps}
        way = {step.id for step in self._way()}
        for step in [one for one in self._way() if len(one.needs) == 1][: 4 * _MOST]:
            before = by_id[step.needs[0]]
            if before.id not in way or not are_free(before, step):
                continue
            needs = beside(self.pricing.steps, before, step)
            cure = self._cure(
                "parallel",
                f"start {step.id} together with {before.id}, not after it",
                (before.id, step.id),
                Changes(needs=needs),
                cost=0.2,
            )
            if cure.gain_s > _NEAR_S:
                yield cure

    def _cure(
        self,
        kind: Literal["people", "parallel", "shorter"],
        what: str,
        steps: tuple[str, ...],
        changes: Changes,
        *,
        cost: float,
        less_s: float = 0.0,
        now_s: float = 0.0,
    ) -> Cure:
        p90_s = self.pricing.p90_s(changes)
        return Cure(
            kind=kind,
            what=what,
            steps=steps,
            less_s=round(less_s, 1),
            now_s=round(now_s, 3),
            gain_s=round(self.pricing.p90_s() - p90_s, 3),
            p90_s=round(p90_s, 3),
            is_enough=p90_s <= self.budget_s,
            cost=round(cost, 3),
        )

    def _together(self, cures: list[Cure]) -> Together:
        """Everything that needs no faster machine first, then all machines by the same share."""
        steps = self.pricing.steps
        by_id = {step.id: step for step in steps}
        needs: dict[str, tuple[str, ...]] = {}
        used = []
        for cure in cures:
            if cure.kind == "parallel" and needs.keys().isdisjoint(cure.steps):
                before, step = (by_id[name] for name in cure.steps)
                more = beside(steps, before, step)
                if needs.keys().isdisjoint(more):
                    needs |= more
                    used.append(cure.what)
        people = next((cure for cure in cures if cure.kind == "people"), None)
        used += [people.what] if people else []

        def p90_s(factor: float) -> float:
            return self.pricing.p90_s(
                Changes(needs=needs, without_people=people is not None, factor=factor)
            )

        if p90_s(1.0) <= self.budget_s:
            return Together(steps=tuple(used), faster=0.0, p90_s=round(p90_s(1.0), 3), fits=True)
        if p90_s(0.0) > self.budget_s:
            return Together(steps=tuple(used), faster=None, p90_s=round(p90_s(0.0), 3), fits=False)
        low, high = 0.0, 1.0
        for _ in range(_HALVINGS // 2):
            middle = (low + high) / 2
            low, high = (middle, high) if p90_s(middle) <= self.budget_s else (low, middle)
        return Together(
            steps=tuple(used), faster=round(1.0 - low, 3), p90_s=round(p90_s(low), 3), fits=True
        )

    def _room(self) -> Iterator[Room]:
        """How much longer each of the longest steps on the way may take before nine of ten miss."""
        for step in self._way()[:_MOST]:
            now_s, low, high = self._length_s(step), 0.0, max(self.budget_s, 1.0)
            for _ in range(_HALVINGS):
                middle = (low + high) / 2
                longer = Changes(less_s={step.id: -middle})
                low, high = (
                    (middle, high) if self.pricing.p90_s(longer) <= self.budget_s else (low, middle)
                )
                if high - low < _NEAR_S / 10:
                    break
            yield Room(step=step.id, now_s=round(now_s, 3), more_s=round(low, 1))


def _cheapness(cure: Cure) -> tuple[bool, float, float]:
    return (not cure.is_enough, cure.cost, -cure.gain_s)


def are_free(before: PlannedStep, step: PlannedStep) -> bool:
    """
    True when nothing that drctl can see makes *step* wait for *before*: no person, no point of
    order, no value handed on, not the same target, and no look that a change may be waiting for.
    """
    free = {Effect.READ, Effect.CHANGE}
    if before.call is None or step.call is None or {before.effect, step.effect} - free:
        return False
    if any(one.measures_loss or one.proves_one_primary for one in (before, step)):
        return False
    if before.effect is Effect.READ and step.effect is Effect.CHANGE:
        return False  # a look before a change may be what allows it
    if before.effect is Effect.CHANGE and step.effect is Effect.READ:
        return False  # a look after a change may be what proves it
    if Effect.CHANGE in {before.effect, step.effect} and not _are_apart(before, step):
        return False
    own = before.id.rpartition(".")[2]
    return before.scope == step.scope and own not in set(_NAMES.findall(_text(step)))


def _are_apart(before: PlannedStep, step: PlannedStep) -> bool:
    targets = [one.call.target if one.call else None for one in (before, step)]
    return None not in targets and targets[0] != targets[1]


def _text(step: PlannedStep) -> str:
    """Everything in a step that may hold an expression."""
    calls: tuple[PlannedCall | None, ...] = (step.call, *step.verify, step.undo)
    texts = [str(call.with_) for call in calls if call is not None]
    return "\n".join((*texts, step.when or "", step.until or "", *step.show))


def beside(
    steps: tuple[PlannedStep, ...], before: PlannedStep, step: PlannedStep
) -> dict[str, tuple[str, ...]]:
    """
    Needs with which *step* no longer waits for *before*, and everything after them still waits for
    both.
    """
    needs = {step.id: before.needs}
    for one in steps:
        if step.id in one.needs and before.id not in one.needs:
            needs[one.id] = (*one.needs, before.id)
    return needs
