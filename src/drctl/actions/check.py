"""
A prerequisite of a recovery, and how to look whether it holds now.

An action says what it would do (`drctl.actions.contract.Action.preview`); a check says whether what
it needs is there, days before anybody runs it. Adapters declare both. A check only reads: its
`Context` refuses every change, and what looks like one on the wire (a SelfSubjectAccessReview is a
POST) changes nothing on the other side.

Which checks are made is derived from a plan, never chosen: a check names the actions that need
what it looks at, and is asked about a target only where a step of the plan uses one of them there.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from drctl.actions.contract import Context, Effect
from drctl.actions.targets import Target
from drctl.kernel.canonical import JSON

T = TypeVar("T", bound=Target)


class Standing(StrEnum):
    """How a prerequisite stands, best first."""

    HOLDS = "holds"
    UNPROVEN = "unproven"
    """Nobody has tried it where this machine would know; said, and not judged."""
    CANNOT_TELL = "cannot tell"
    """It was asked, and no answer came."""
    AT_RISK = "at risk"
    """The recovery would work now, and not for long, or not as promised."""
    NOT_READY = "not ready"
    """A step would fail."""

    @property
    def rank(self) -> int:
        """Grows with the trouble."""
        return tuple(Standing).index(self)


class Rung(IntEnum):
    """
    What must hold before anything else can be asked. Where a lower one does not hold for a target,
    what stands on it is not looked at: its answers would be of somebody else, or none.
    """

    DOOR = 0
    """A secret is there, a certificate is valid."""
    NAME = 1
    """Who answers is who the environment means."""
    STATE = 2
    """All else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prerequisite:
    """One thing that was looked at."""

    standing: Standing
    subject: str
    """What, as a person would call it: ``healing-guard-dr (us-west-2)``."""
    why: str
    """What was seen; for `Standing.HOLDS` too."""
    do: str = ""
    """What puts it right, as an imperative."""
    steps: tuple[str, ...] | None = None
    """Ids of the steps that it would break; ``None``: every step that the check was asked for."""
    readings: Mapping[str, JSON] = field(default_factory=dict)
    """Numbers, for machines: ``lag_s``, ``days_left``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One use of an action on the target, by a step of the plan."""

    step: str
    action: str
    params: Mapping[str, Any]
    """As far as they are known before the run; a value that is not is left out."""
    effect: Effect
    timeout_s: float
    is_undo: bool = False
    """Only a run that is taken back would come to it."""
    is_later: bool = False
    """The target is not there before the run: an earlier step, or this one, makes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Generic[T]):
    """What a check is asked: about which target, for what."""

    target: T
    name: str
    """The target's name in the environment."""
    uses: tuple[Use, ...]
    """Those that need what the check looks at; never empty."""
    rto_s: float
    rpo_s: float

    @property
    def steps(self) -> tuple[str, ...]:
        """Ids of the steps behind the uses, each once."""
        return tuple(dict.fromkeys(use.step for use in self.uses))


class Check(ABC, Generic[T]):
    """
    One kind of prerequisite. Importing its module must not import a vendor's SDK.

    An instance keeps nothing between looks.
    """

    name: ClassVar[str]
    """``<adapter>.<noun>``; what a finding is called."""
    summary: ClassVar[str]
    """One line: what is asked."""
    targets: ClassVar[tuple[type[Target], ...]]
    """Target kinds it can look at."""
    actions: ClassVar[tuple[str, ...]] = ("*",)
    """Patterns of the actions that need what it looks at."""
    rung: ClassVar[Rung] = Rung.STATE
    minds_undo: ClassVar[bool] = False
    """True when it is also looked at for what only an undo uses."""
    minds_absent: ClassVar[bool] = False
    """True when it can be looked at for a target that is not there yet."""

    def planes(self, target: T) -> tuple[str, ...]:
        """The planes that are asked, as `Action.planes`; from one assumed down, silence is said."""
        return ()

    def concerns(self, use: Use, target: Target) -> bool:
        """Whether that use needs what is looked at. Pure."""
        return (
            isinstance(target, self.targets)
            and (self.minds_undo or not use.is_undo)
            and (self.minds_absent or not use.is_later)
            and any(fnmatchcase(use.action, pattern) for pattern in self.actions)
        )

    def key(self, asked: Asked[T]) -> Hashable:
        """
        What the answer is about, where it is the same for several targets or uses: then it is asked
        for once. ``None``: only for these.
        """
        return None

    @abstractmethod
    async def look(self, ctx: Context, asked: Asked[T]) -> Sequence[Prerequisite]:
        """
        Asks once, within ``ctx.deadline``. Changes nothing. Empty: nothing to be said here.

        Raises:
            ActionError: It could not be read; that is `Standing.CANNOT_TELL`.
        """


AnyCheck: TypeAlias = Check[Any]


def holds(subject: str, why: str, **readings: JSON) -> Prerequisite:
    """It is there."""
    return Prerequisite(standing=Standing.HOLDS, subject=subject, why=why, readings=readings)


def broken(subject: str, why: str, do: str, **readings: JSON) -> Prerequisite:
    """A step would fail."""
    return Prerequisite(
        standing=Standing.NOT_READY, subject=subject, why=why, do=do, readings=readings
    )


def at_risk(subject: str, why: str, do: str, **readings: JSON) -> Prerequisite:
    """It would work now, and not for long or not as promised."""
    return Prerequisite(
        standing=Standing.AT_RISK, subject=subject, why=why, do=do, readings=readings
    )


def unproven(subject: str, why: str, do: str = "") -> Prerequisite:
    """Nobody has tried it where this machine would know."""
    return Prerequisite(standing=Standing.UNPROVEN, subject=subject, why=why, do=do)
