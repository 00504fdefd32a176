"""What a rule over scripts is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from drctl.importing.script import Script
from drctl.kernel.errors import Position


@dataclass(frozen=True, slots=True)
class Hit:
    """One place where a rule is broken."""

    at: Position
    what: str
    """What is written there, in words; never the text of a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Something that a script gets wrong, and what is right."""

    id: str
    """``DR65`` and the number of the error of the written plan: DR6512 is E12."""
    title: str
    severity: Literal["error", "warning"]
    """``error``: what is written does harm or cannot work; ``warning``: it rests on luck."""
    reason: str
    bad: str
    """The smallest script that the rule finds; a test holds it against the rule."""
    good: str
    """The same, right; a test holds that the rule is silent."""
    fix: str
    """What the draft does instead, or what a person has to do."""
    find: Callable[[Script], Iterator[Hit]]
    language: str = "shell"
    """What it looks at: ``shell``, and of a document also ``yaml`` and ``python``."""

    @property
    def source(self) -> str:
        """The error's number among the facts: ``E12``."""
        return f"E{int(self.id[-2:])}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A rule that a script breaks, at its place."""

    id: str
    severity: Literal["error", "warning"]
    at: Position
    what: str
    why: str
    fix: str
    source: str
    script: str
