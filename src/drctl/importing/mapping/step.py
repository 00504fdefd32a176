"""What a statement becomes: steps of a draft, and what the draft knows while it grows."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from drctl.importing.script import Script, Word
from drctl.importing.secrets import has_secret

Phase = Literal["tell", "look", "stop", "go", "fence", "make", "ready", "lead", "start", "check",
                "traffic", "public", "prove", "close"]  # fmt: skip
PHASES: tuple[Phase, ...] = (
    "tell", "look", "stop", "go", "fence", "make", "ready", "lead", "start", "check",
    "traffic", "public", "prove", "close",
)  # fmt: skip
"""
The order of a recovery: look, stop, decide, fence, promote or restore, prove that it takes writes,
lead the application there, start it, check, move traffic, look as a customer, prove one primary.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of the draft, before it has a place."""

    id: str
    title: str
    phase: Phase
    uses: str = ""
    gate: str = ""
    target: str = ""
    with_: dict[str, Any] = field(default_factory=dict)
    estimate: str = ""
    timeout: str = ""
    until: str = ""
    every: str = ""
    when: str = ""
    on_failure: str = ""
    verify: tuple[dict[str, Any], ...] = ()
    show: tuple[str, ...] = ()
    untangled: bool = False
    """It waits for nothing: ``needs: []``."""
    notes: tuple[str, ...] = ()
    """Lines above it, for whoever reviews."""
    added: bool = False
    """The script has nothing like it."""
    statement: int = -1

    @property
    def is_review(self) -> bool:
        """It stands for something of the script that nobody has looked at."""
        return self.uses.startswith("shell.")

    @property
    def is_message(self) -> bool:
        """A message: nothing that changes may wait for it."""
        return self.uses.startswith(("slack.", "statuspage."))


Fate = Literal["mapped", "review", "dropped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a statement."""

    fate: Fate
    why: str
    """What it became, or why a person has to look, or why nothing is left of it."""
    steps: tuple[Step, ...] = ()


@dataclass(slots=True)
class Growing:
    """What the statements so far have given the draft."""

    script: Script
    targets: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    """Alias to name in the environment, kind, and what the script calls it."""
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    """Variables of the script to what stands for them: ``inputs.target_time``."""
    gates: dict[str, dict[str, Any]] = field(default_factory=dict)
    endpoint: str = ""
    """The step whose output is the address of the database that serves from now on."""
    promotes: str = ""
    """``rds``, ``operator`` or ``server``."""
    has_order: bool = False
    """The draft is a recovery whose order is known, so its steps are put into it."""
    measured: bool = False
    stopped: set[str] = field(default_factory=set)
    rebuilt: str = ""
    public: bool = False
    """A probe through the public name is there."""
    ids: set[str] = field(default_factory=set)
    numbers: dict[str, int] = field(default_factory=dict)
    """How often an id was wanted again."""

    @property
    def is_region(self) -> bool:
        """The script leaves a region: it promotes another region's replica, or changes regions."""
        return "promote-read-replica" in self.script.text or any(
            one.name in {"AWS_DEFAULT_REGION", "AWS_REGION"} for one in self.script.assignments
        )

    def target(self, alias: str, name: str, kind: str, called: str = "") -> str:
        """Notes a target and gives its alias."""
        if alias not in self.targets:
            taken = {known: of for known, of, _ in self.targets.values()}
            if taken.get(name, kind) != kind and " or " not in kind:
                name = f"{name}_{snake(kind.split('.')[1])}"  # one name is one thing
            self.targets[alias] = (name, kind, called)
        return alias

    def app(self, called: str) -> str:
        """The alias of a Deployment."""
        name = "app.recovery" if self.is_region else "app.primary"
        for alias, (_, kind, known) in self.targets.items():
            if kind == "kubernetes.deployment" and called in {known, ""}:
                return alias
        if "app" not in self.targets:
            return self.target("app", name, "kubernetes.deployment", called)
        alias = f"app_{snake(called)}"
        return self.target(alias, f"app.{snake(called)}", "kubernetes.deployment", called)

    def id(self, wanted: str) -> str:
        """An id that no step has."""
        base = snake(wanted)
        found = base
        while found in self.ids:
            self.numbers[base] = self.numbers.get(base, 1) + 1
            found = f"{base}_{self.numbers[base]}"
        self.ids.add(found)
        return found

    def text(self, word: Word | None) -> str | None:
        """The word as text of a runbook; ``None`` when the shell would have to say what it is."""
        if word is None or has_secret(word.text) or word.captures:
            return None
        if word.is_literal:
            return None if "${" in word.text else inert(word.text)
        text = word.text
        for one in sorted(word.expansions, key=lambda one: -len(one.name)):
            known = self.variables.get(one.name)
            if known is None:
                return None
            text = re.sub(rf"\$(?:{re.escape(one.name)}\b|\{{{re.escape(one.name)}\}})",
                          f"\x00{known}\x01", text)  # fmt: skip
        if "$" in text:
            return None
        return text.replace("\x00", "${{ ").replace("\x01", " }}")


def snake(text: str) -> str:
    """A name of the language: ``snake_case``, at most 40 characters, never empty."""
    found = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:40].strip("_")
    return found if found[:1].isalpha() else f"step_{found}".rstrip("_")


def inert(text: str) -> str:
    """A foreign text in which no expression begins."""
    return text.replace("${{", "$ {{")
