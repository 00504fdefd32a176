"""What became of every line of a script: none is lost without a word."""

from collections.abc import Mapping
from dataclasses import dataclass

from drctl.importing.mapping.step import Fate, Outcome
from drctl.importing.script import Script
from drctl.importing.secrets import without_secrets

_WEIGHT: dict[Fate, int] = {"dropped": 0, "mapped": 1, "review": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line that is not blank, and its fate."""

    number: int
    fate: Fate
    why: str
    steps: tuple[str, ...]
    """Ids of the draft."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Every line that is not blank."""

    lines: tuple[Line, ...]

    def count(self, fate: Fate) -> int:
        """How many lines have this fate."""
        return sum(one.fate == fate for one in self.lines)

    @property
    def line(self) -> str:
        """The whole in one line."""
        dropped = [one.why for one in self.lines if one.fate == "dropped"]
        words = ", ".join(dict.fromkeys(dropped))
        return (
            f"{len(self.lines)} lines: {self.count('mapped')} mapped, {self.count('review')} left"
            f" as shell steps for review, {self.count('dropped')} dropped"
            + (f" ({words})" if words else "")
        )


def account_for(script: Script, outcomes: Mapping[int, Outcome]) -> Account:
    """
    The fate of each line that is not blank.

    A line that several statements share has the fate that asks most of a person.

    Raises:
        AssertionError: A line belongs to no statement; the parser promises that none does.
    """
    fates: dict[int, Line] = {}
    for statement in script.statements:
        outcome = outcomes[statement.index]
        steps = tuple(step.id for step in outcome.steps)
        why = without_secrets(outcome.why)
        for number in range(statement.first_line, statement.last_line + 1):
            known = fates.get(number)
            if known is None or _WEIGHT[known.fate] < _WEIGHT[outcome.fate]:
                fates[number] = Line(number=number, fate=outcome.fate, why=why, steps=steps)
    wanted = [number for number, text in script.lines if text.strip()]
    lost = [number for number in wanted if number not in fates]
    if lost:
        raise AssertionError(f"lines without a fate: {lost}")
    return Account(lines=tuple(fates[number] for number in wanted))
