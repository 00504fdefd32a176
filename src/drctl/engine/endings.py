"""How one call came out, before it is an event."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drctl.actions.contract import Debt, Outputs
from drctl.engine.events import StepFinished, UndoFinished
from drctl.kernel.canonical import as_json
from drctl.kernel.text import sanitize


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How one call came out."""

    outcome: str
    outputs: Mapping[str, Any]
    error: str | None = None
    why: str | None = None
    request_id: str | None = None
    retry_after_s: float | None = None
    remains: bool = False


def failed(word: str, why: str, request_id: str | None = None) -> Ending:
    """A failure, in one of the known words."""
    return Ending(outcome="failed", outputs={}, error=word, why=why, request_id=request_id)


def given(outputs: Outputs) -> Mapping[str, Any]:
    """Outputs as the record keeps them."""
    try:
        dumped = outputs.model_dump(mode="json")
    except ValueError:  # half a character somewhere: the effect happened all the same
        dumped = outputs.model_dump()
    given: Mapping[str, Any] = as_json(dumped)
    return given


def as_strings(debt: Debt) -> Mapping[str, str]:
    """A debt as the record keeps it, inert."""
    return {
        "key": sanitize(debt.key, limit=200),
        "what": sanitize(debt.what),
        "remedy": sanitize(debt.remedy),
    }


def finished(step: str, attempt: int, ending: Ending) -> StepFinished:
    """The event for how an attempt came out."""
    return StepFinished(
        step=step,
        attempt=attempt,
        outcome=ending.outcome,  # type: ignore[arg-type]  # one of the four words by construction
        outputs=ending.outputs,
        error=ending.error,
        why=ending.why,
        request_id=ending.request_id,
        retry_after_s=ending.retry_after_s,
        remains=ending.remains,
    )


def undo_finished(step: str, attempt: int, ending: Ending) -> UndoFinished:
    """The event for how an undo came out."""
    return UndoFinished(
        step=step,
        attempt=attempt,
        outcome=ending.outcome,  # type: ignore[arg-type]  # as above
        outputs=ending.outputs,
        error=ending.error,
        why=ending.why,
    )
