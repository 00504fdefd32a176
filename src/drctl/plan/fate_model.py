"""What a plan says of a run in which something does not answer: frozen data."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

CallPart: TypeAlias = Literal["look", "pin", "lease", "step", "verify", "undo"]
"""
Which call: a look at the world (before the run, and again before what has no way back), a pin, the
lease, the step's own action, one of its checks, its undoing.
"""
Reached: TypeAlias = Literal["yes", "perhaps", "no"]
Ending: TypeAlias = Literal["succeeds", "refused", "pauses", "stops", "depends"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CallFate(_Frozen):
    """One call that asks what is assumed down."""

    part: CallPart
    step: str = ""
    """Empty: of the run as a whole, as a pin."""
    uses: str
    """The action's name, the pin's or the store's."""
    target: str = ""
    """Name in the environment; of a pin its subject."""
    planes: tuple[str, ...]
    """What it asks of what is down."""
    why: str
    """Of one that fails: what it needs; of one that copes: how it goes on."""
    alternative: str = ""
    """What does the same without them; empty: nothing is known."""
    reached: Reached = "yes"
    """Whether a run would come as far as to make it."""
    tolerated: str = ""
    """Why its failure does not keep the run from succeeding; empty: it does."""


class StepFate(_Frozen):
    """How one step would end."""

    step: str
    outcome: Literal["succeeds", "fails", "skipped", "unknown"]
    reached: Reached


class Fate(_Frozen):
    """What becomes of a run while places do not answer."""

    lost: Mapping[str, Literal["dead", "silent"]]
    fails: tuple[CallFate, ...]
    """Every call that would fail if it were made."""
    copes: tuple[CallFate, ...]
    """Calls that ask what is lost, and succeed without it."""
    steps: tuple[StepFate, ...]
    ending: Ending
    why: str

    def touches(self, step: str) -> bool:
        """Whether a step's own call asks what is lost, and so was not made while planning. Pure."""
        return any(one.part == "step" and one.step == step for one in (*self.fails, *self.copes))
