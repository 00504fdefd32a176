"""Use case: a person tells a run what to do, from any terminal."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from drctl import __version__
from drctl.app.compose import Parts, host, operator
from drctl.app.reading import fold_run
from drctl.app.running import Watching, carry_on
from drctl.engine.driver import INBOX_EVERY_S, order_given
from drctl.engine.events import OrderGiven, OrderRefused, OrderWord, RunFinished, RunResumed
from drctl.engine.orders import refusal
from drctl.engine.ports import Order
from drctl.journal.folder import Folder, Journal
from drctl.journal.inbox import drop
from drctl.kernel.clock import Deadline
from drctl.kernel.errors import Problem, RefusedError

HEARD_WITHIN = timedelta(seconds=3)
"""How long we wait to hear that the run took the order: thirty of its looks."""

FOR_LIVE_RUNS = frozenset({"pause", "continue"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the run did with an order."""

    is_taken: bool
    """False: it has not looked yet; the order is still there for it."""
    end: RunFinished | None = None
    """How the run ended, when the order was given to one that had no process: we became it."""


def by_me(word: OrderWord, *, step: str = "", reason: str = "") -> Order:
    """An order by who runs this command."""
    return Order(order=word, by=operator(), via=f"drctl {word}", step=step, reason=reason)


async def give_order(
    parts: Parts, folder: Folder, order: Order, views: Sequence[Watching]
) -> Heard:
    """
    Gives an order to a live run and waits until it has been taken; a run without a process is taken
    up, here and now, with the order as its first word.

    Raises:
        RefusedError: The run cannot follow it, now or at all. Nothing was changed.
        JournalError: The run's record does not verify.
    """
    _refuse(folder, order)
    if folder.is_held():
        return await _leave(parts, folder, order)
    if order.order in FOR_LIVE_RUNS:
        what = f"run {folder.run_id} is not live: nobody would hear it"
        do = f"drctl status {folder.run_id}"
        raise RefusedError((Problem(code="DR3003", what=what, do=do),))
    journal, chain = Journal.take_up(folder, parts.clock)
    try:
        _refuse(folder, order)  # once more, now that nobody else can write
        journal.append(order_given(order))
    except BaseException:
        journal.close()
        raise
    if order.order == "note":
        journal.close()
        return Heard(is_taken=True)
    state, _chain = fold_run(folder)
    first = RunResumed(
        operator=operator(), host=host(), version=__version__, torn_bytes=chain.torn_bytes
    )
    end = await carry_on(parts, folder.plan(), state, journal, first, views)
    return Heard(is_taken=True, end=end)


def _refuse(folder: Folder, order: Order) -> None:
    state, _chain = fold_run(folder)
    why = refusal(folder.plan(), state, order)
    if why is not None:
        raise RefusedError((_refused(folder, order, why),))


def _refused(folder: Folder, order: Order, why: str) -> Problem:
    about = f" {order.step}" if order.step else ""
    return Problem(
        code="DR3008",
        what=f"{order.order}{about}: {why}",
        at=f"run {folder.run_id}",
        now="nothing was changed by this command",
        do=f"drctl status {folder.run_id}",
    )


async def _leave(parts: Parts, folder: Folder, order: Order) -> Heard:
    before = len(folder.read().records)
    drop(folder.inbox, order)
    wanted = order_given(order)
    deadline = Deadline.after(parts.clock, HEARD_WITHIN)
    while not deadline.has_passed(parts.clock):
        for record in folder.read().records[before:]:
            event = record.event
            if event == wanted:
                return Heard(is_taken=True)
            if isinstance(event, OrderRefused) and _is_about(event, wanted):
                raise RefusedError((_refused(folder, order, event.why),))
        await parts.clock.sleep(INBOX_EVERY_S)
    return Heard(is_taken=False)


def _is_about(refused: OrderRefused, order: OrderGiven) -> bool:
    return (refused.order, refused.step, refused.by) == (order.order, order.step, order.by)
