"""Small turns between what adapters say and what is written down."""

from typing import Literal

from pydantic import ValidationError

from drctl.kernel.errors import Problem
from drctl.plan.model import PlannedPin

LOST_RUN = Problem(
    code="DR4002",
    what="this run is no longer ours: its folder is gone or another process writes it",
    now="nothing further was sent by this process",
    do="drctl runs list   (shows who runs it now)",
)


def verdict(pin: PlannedPin, found: str | None) -> Literal["match", "mismatch", "unreachable"]:
    """How a pin's reading stands to what the environment says."""
    if found is None:
        return "unreachable"
    return "match" if found == pin.expected else "mismatch"


def first_complaint(error: ValidationError) -> str:
    """The first of pydantic's complaints, in one line."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
