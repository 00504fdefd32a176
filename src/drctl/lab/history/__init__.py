"""
Judges a run by what everybody wrote down: names each promise that was broken.

The input is plain data: the journal, the plan, the ledgers of the sides that were changed, what a
client was told. Nothing of drctl takes part but the kernel, so it cannot make the mistakes of what
it judges. That it can fail is shown in ``tests/safety/history``.
"""

from collections.abc import Callable, Collection, Iterator

from drctl.lab.history import data, effects, flow, truth
from drctl.lab.history.record import History, Violation

__all__ = ["CHECKS", "History", "Violation", "check"]

CHECKS: dict[str, Callable[[History], Iterator[Violation]]] = {
    "I1": data.fenced_first,
    "I2": data.loss_is_bound,
    "I3": data.right_candidate,
    "I4": data.one_primary,
    "I6": effects.intended_first,
    "I7": effects.at_most_once,
    "I8": effects.never_blindly,
    "I9": effects.alone,
    "I10": effects.within_lease,
    "I11": flow.bounded,
    "I12": flow.no_undo_behind,
    "I13": flow.halts,
    "I14": flow.cooled_down,
    "I17": flow.approved,
    "I22": truth.in_order,
    "I23": truth.numbers,
}
"""One function per promise."""


def check(history: History, promises: Collection[str] = tuple(CHECKS)) -> list[Violation]:
    """Holds a history against the promises; empty when all are kept."""
    return [found for name in promises for found in CHECKS[name](history)]
