"""What the core wants done: the driver carries these out and writes down what came of it."""

from dataclasses import dataclass
from typing import TypeAlias

from drctl.engine.events import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Begin an attempt at a step."""

    step: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenGate:
    """Ask people."""

    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireGate:
    """Stop asking."""

    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """The step's ``when`` is false."""

    step: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """The step cannot start: its ``when`` cannot be decided, or a guard says no."""

    step: str
    why: str
    error: str = "unresolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """Begin an attempt at taking a step back."""

    step: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandon:
    """A notification took longer than the recovery is willing to wait for."""

    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """A person has forced the run past a look that waits; it is not waited for any more."""

    step: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """Service is proven: stop the incident clock."""

    rta_s: float
    is_certain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """Nothing is left to do in this process."""

    result: Result
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeAt:
    """Nothing before that moment of boot time, unless an event comes first."""

    boot_s: float


Command: TypeAlias = (
    Start
    | OpenGate
    | ExpireGate
    | Skip
    | Refuse
    | Undo
    | Abandon
    | GiveUp
    | Restored
    | Finish
    | WakeAt
)
