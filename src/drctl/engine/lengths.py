"""How long the steps of a recorded run took: a look at its events that folds nothing. Pure."""

from collections.abc import Iterable

from drctl.engine import events as e
from drctl.engine.state import Record
from drctl.kernel.clock import Instant


def lengths_s(records: Iterable[Record]) -> dict[str, float]:  # noqa: C901 (a case per event)
    """
    Seconds from the first start of each step to its success, repeats and waits included; of a gate,
    from the question to the last approval.

    Left out is what somebody had to decide about, or another process took up: that was no length of
    the step. So is what another boot has to say, since only its wall clock could.
    """
    began: dict[str, Instant] = {}
    took: dict[str, float] = {}
    for record in records:
        match record.event:
            case e.StepStarted(step=step):
                began.setdefault(step, record.at)
            case e.GateOpened(step=step):
                began[step] = record.at
            case e.GateAnswered(step=step, answer="approve"):
                _take(took, began, step, record.at)
            case e.StepFinished(step=step, outcome="succeeded"):
                _take(took, began, step, record.at)
                began.pop(step, None)
            case e.StepFinished(step=step, outcome="skipped" | "unknown"):
                began.pop(step, None)
            case e.GateExpired(step=step) | e.GateAnswered(step=step):
                began.pop(step, None)
                took.pop(step, None)
            case e.OrderGiven(order="note") | e.DebtClosed():
                pass
            case e.OrderGiven() | e.InterruptRequested() | e.RunResumed():
                began = {}
            case e.UndoRequested():
                break
            case _:
                pass
    return took


def _take(took: dict[str, float], began: dict[str, Instant], step: str, over: Instant) -> None:
    since = began.get(step)
    if since is not None and since.boot_id == over.boot_id:
        took[step] = round(max(0.0, over.boot_s - since.boot_s), 6)
