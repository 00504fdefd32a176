"""
What an assumed loss leaves to be asked. Pure.

Assumed is not lost. Permissions, records and wiring hold in that world as they do now, and may be
kept in the very place that is assumed down: what a step needs that would still run is asked now,
wherever the answer lies, and silence there is what silence is anywhere. Moot is only what no step
needs any more, and `plan/fate` says which that is: a call that fails is a finding of its own; one
that goes on without what lies in the lost place needs nothing of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from drctl.actions.targets import Target
from drctl.plan.fate_model import CallFate, Fate
from drctl.plan.model import Plan, PlannedPin
from drctl.ready.derive import Question
from drctl.ready.model import Skipped
from drctl.ready.rehearse import Trial

_CALLS = {"step", "verify", "undo"}
_Call: TypeAlias = tuple[str, str, str]
"""Step, action, target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """The world without some places, as far as a plan has to do with it."""

    down: frozenset[str] = frozenset()
    fails: frozenset[_Call] = frozenset()
    copes: frozenset[_Call] = frozenset()
    left_out: frozenset[str] = frozenset()
    """Steps that would not run."""
    nameless: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Why an identity is not read, by the pin's name and its subject."""

    def why_moot(self, call: _Call, target: Target) -> str:
        """Why what this call needs of that target is not looked at; empty: it is."""
        if call[0] in self.left_out:
            return f"{call[0]} would not run"
        if call in self.fails:
            return _words(self.down, "fails")
        if call in self.copes and self.down.intersection(target.places):
            return _words(self.down, "goes on")
        return ""


def _words(down: Iterable[str], how: str) -> str:
    return f"what needs it {how} without {' and '.join(sorted(down))}, assumed down"


def assumed(told: Fate | None) -> Assumed:
    """From what the plan's fate says; of none: nothing is assumed."""
    if told is None:
        return Assumed()
    return Assumed(
        down=frozenset(told.lost),
        fails=_calls(told.fails),
        copes=_calls(told.copes),
        left_out=frozenset(one.step for one in told.steps if one.outcome == "skipped"),
        nameless={
            (one.uses, one.target): _words(told.lost, "goes on" if one.tolerated else "fails")
            for one in told.fails
            if one.part == "pin"
        },
    )


def _calls(noted: Iterable[CallFate]) -> frozenset[_Call]:
    return frozenset((one.step, one.uses, one.target) for one in noted if one.part in _CALLS)


def split(
    asked: Sequence[Question], world: Assumed
) -> tuple[tuple[Question, ...], tuple[Skipped, ...]]:
    """Those that a step would still need, asked for such steps only; and those that are moot."""
    askable, skipped = [], []
    for question in asked:
        target, name = question.asked.target, question.asked.name
        left, moot = [], []
        for use in sorted(question.asked.uses, key=lambda one: one.is_undo):
            why = world.why_moot((use.step, use.action, name), target)
            if why:
                moot.append(why)
            else:
                left.append(use)
        if left:
            askable.append(replace(question, asked=replace(question.asked, uses=tuple(left))))
        else:  # what an undo would need says less than what a step does
            made = Skipped(check=question.check.name, subject=target.label, why=moot[0])
            skipped.append(made)
    return tuple(askable), tuple(skipped)


def split_trials(
    tried: Sequence[Trial], world: Assumed
) -> tuple[tuple[Trial, ...], tuple[Skipped, ...]]:
    """The same for steps that would be tried."""
    askable, skipped = [], []
    for trial in tried:
        call = (trial.step.id, trial.action.name, trial.name)
        if why := world.why_moot(call, trial.target):
            skipped.append(Skipped(check=trial.action.name, subject=trial.target.label, why=why))
        else:
            askable.append(trial)
    return tuple(askable), tuple(skipped)


def split_pins(plan: Plan, world: Assumed) -> tuple[tuple[PlannedPin, ...], tuple[Skipped, ...]]:
    """The same for identities: where one that cannot be read is needed, the fate says so."""
    askable, skipped = [], []
    for pin in plan.pins:
        if why := world.nameless.get((pin.name, pin.subject)):
            skipped.append(Skipped(check=f"identity.{pin.name}", subject=pin.subject, why=why))
        else:
            askable.append(pin)
    return tuple(askable), tuple(skipped)
