"""What could be understood of a runbook that may be wrong, with the place of everything."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from drctl.kernel.errors import Position, Problem
from drctl.kernel.ids import StepId
from drctl.kernel.text import did_you_mean, sanitize
from drctl.kernel.yaml_page import Page
from drctl.kernel.yaml_tree import Path, ScalarNode, at
from drctl.runbook.faults import ExpressionError
from drctl.runbook.models import Call, Gate, InputSpec, Metadata, Objectives, Step, Waiver


@dataclass(slots=True, kw_only=True)
class Placed:
    """A step and where it stands. Never changed; not frozen for the reason that `Position` has."""

    step: Step
    written: Mapping[str, Any]
    """What stands there, without the defaults."""
    body: str
    """The same without what each step has for itself; equal bodies mean the same."""
    path: Path
    is_final: bool
    """It stands under ``finally``."""

    def has(self, key: str) -> bool:
        """True when the key is written in the step, whatever its value."""
        return key in self.written

    def without(self, keys: Iterable[str]) -> bool:
        """True when none of these keys is written in the step."""
        return self.written.keys().isdisjoint(keys)

    def calls(self) -> Iterator[tuple[Call, Path]]:
        """What the step calls besides its own action: ``verify`` in order, then ``undo``."""
        for index, call in enumerate(self.step.verify):
            yield call, (*self.path, "verify", index)
        if self.step.undo:
            yield self.step.undo, (*self.path, "undo")


@dataclass(slots=True, kw_only=True)
class Draft:
    """
    A runbook in the making. Each part is there as far as it could be read; checks go on with what
    is there, so that one mistake does not hide another.
    """

    page: Page
    problems: dict[Problem, None] = field(default_factory=dict)
    """An ordered set."""
    metadata: Metadata | None = None
    objectives: Objectives | None = None
    inputs: dict[str, InputSpec | None] = field(default_factory=dict)
    """``None``: declared, but wrongly; using it is no second mistake."""
    targets: dict[str, str] = field(default_factory=dict)
    """Alias to name in the environment; empty: declared, but wrongly."""
    gates: dict[str, Gate | None] = field(default_factory=dict)
    """``None``: declared, but wrongly."""
    steps: list[Placed] = field(default_factory=list)
    bodies: dict[str, Step] = field(default_factory=dict)
    """Of each body that fits a step, the first step that has it."""
    waivers: list[tuple[Waiver, Path]] = field(default_factory=list)
    meant: set[Path] = field(default_factory=set)
    """Keys that an unknown one was probably meant to be; missing them is no second mistake."""
    unreadable: set[str] = field(default_factory=set)
    """Top-level keys whose value is of the wrong kind; what they might declare is not known."""
    secrets: set[Position] = field(default_factory=set)
    """Where a literal secret stands; what else is wrong with it does not matter."""
    needs: dict[StepId, tuple[StepId, ...]] = field(default_factory=dict)
    """Needs as they can be followed: unknown ones replaced by what was probably meant."""

    @property
    def main(self) -> list[Placed]:
        """The steps outside ``finally``."""
        return [placed for placed in self.steps if not placed.is_final]

    def say(self, code: str, what: str, position: Position, *, do: str | None = None) -> None:
        """Notes a problem, unless the same was noted at the same place."""
        self.problems[Problem(code=code, what=what, at=position, do=do)] = None

    def say_at(self, code: str, what: str, path: Path) -> None:
        """Notes a problem about the value at *path*, unless it was told what is wrong there."""
        node = at(self.page.tree, path)
        if not node.is_broken and node.position not in self.secrets:
            self.say(code, what, node.position)

    def say_key(self, code: str, what: str, path: Path) -> None:
        """Notes a problem about the key that *path* ends with."""
        self.say(code, what, self.page.key_position(path))

    def say_faults(self, error: ExpressionError, path: Path) -> None:
        """Notes what is wrong with the expression at *path*, each fault at its own column."""
        node = at(self.page.tree, path)
        for fault in error.faults:
            position = (
                node.place(fault.offset, fault.fragment)
                if isinstance(node, ScalarNode)
                else node.position
            )
            self.say(fault.code, fault.what, position)

    def place(self, path: Path) -> Position:
        """Where the value at *path* starts, or the last thing on the way to it."""
        return self.page.position(path)

    def has(self, path: Path) -> bool:
        """True when the last key of *path* is written in the file, whatever its value."""
        parent = self.page.value(path[:-1])
        return isinstance(parent, dict) and path[-1] in parent

    def lacks(self, path: Path) -> bool:
        """True when the last key of *path* is neither written nor misspelt."""
        return not self.has(path) and path not in self.meant

    def lacks_key(self, placed: Placed, key: str) -> bool:
        """As `lacks`, for a key of a step."""
        return not placed.has(key) and (*placed.path, key) not in self.meant

    def say_unknown(self, path: Path, known: Iterable[str]) -> None:
        """Notes a key that nothing is called, and what it was probably meant to be."""
        key = sanitize(str(path[-1]), limit=80)
        near = did_you_mean(str(path[-1]), known)
        self.meant |= {(*path[:-1], one) for one in known if near and f'"{one}"' in near}
        self.say_key("DR1010", f'unknown key "{key}"{near}', path)
