"""Use cases: the lease of a run, and what a person may do about somebody else's."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from drctl.actions.cell import Cell
from drctl.actions.errors import ActionError
from drctl.app.compose import Parts, host, operator
from drctl.engine.events import Event, RunStarted, UndoRequested
from drctl.engine.ports import Lease, Unleased
from drctl.engine.state import State
from drctl.journal import refusals
from drctl.journal.access import WATCH_EVERY_S, Access, Watch
from drctl.journal.book import FINAL, Book, Holder, ended
from drctl.journal.file_cell import FileCell
from drctl.journal.folder import Journal
from drctl.journal.lease import LEASE_S, TAKE, Claim, RunLease
from drctl.journal.process import Process, is_gone
from drctl.kernel.clock import Deadline
from drctl.kernel.errors import RefusedError
from drctl.plan.leases import cell_of, identities_of, moves
from drctl.plan.model import Plan, PlannedLease

PATIENCE = timedelta(seconds=10)


def access_to(parts: Parts, lease: PlannedLease, resolvers: tuple[str, ...] = ()) -> Access:
    """How the leases of a plan or an environment are reached."""
    cell: Cell | None = cell_of(parts.registry, lease)
    return Access(
        cell=cell or FileCell(parts.runs.parent / "leases"),
        clock=parts.clock,
        secrets=parts.secrets,
        resolvers=resolvers,
    )


def lease_of(parts: Parts, plan: Plan, run: str, first: Event, state: State) -> Lease:
    """The lease that a run needs to begin with *first*; not taken yet."""
    start = first if isinstance(first, RunStarted) else state.start
    if not plan.lease.identities:
        return Unleased()
    claim = Claim(
        run=run,
        identities=plan.lease.identities,
        moves=plan.lease.moves,
        operator=operator(),
        host=host(),
        environment=plan.environment,
        cool_down_s=plan.lease.cool_down_s,
        again_reason=start.again_reason if start else None,
        is_undo=isinstance(first, UndoRequested),
    )
    access = access_to(parts, plan.lease, plan.resolvers)
    return RunLease(access, claim, lease_s=parts.lease_s or LEASE_S)


@asynccontextmanager
async def kept(lease: Lease, wake: Callable[[], None]) -> AsyncIterator[None]:
    """Renews the lease in the background."""
    if not isinstance(lease, RunLease):
        yield
        return
    keeper = asyncio.create_task(lease.keep(wake))
    try:
        yield
    finally:
        await _ended(keeper)


async def _ended(task: "asyncio.Task[None]") -> None:
    """
    Cancels a task until it has ended. Once is not enough: `asyncio.wait_for` of Python 3.11 drops a
    cancellation that comes in the same turn as its result, and the task would go on for ever.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.5)
    if not task.cancelled():
        task.result()


def forget(lease: Lease, journal: Journal, first: Event) -> None:
    """
    Removes the folder of a run that was refused its lease: nothing was done, and ``latest`` must
    go on to mean the run that is live.
    """
    may_hold = isinstance(lease, RunLease) and lease.may_be_held
    if isinstance(first, RunStarted) and not may_hold:
        shutil.rmtree(journal.folder.path, ignore_errors=True)


async def left(lease: Lease, plan: Plan, state: State) -> None:
    """
    Ends the lease with the run, or leaves it to whoever goes on with a run that is half done.

    A run without an end leaves it as a crash would: what was under way may still be.
    """
    end = state.finished
    if not isinstance(lease, RunLease) or end is None:
        return
    stays = end.changed and end.result not in FINAL
    await lease.leave(end.result, moved=_moved(plan, state), stays=stays)


def _moved(plan: Plan, state: State) -> tuple[str, ...]:
    """What was really fenced, promoted or moved, as far as it may have been."""
    moved = [
        planned
        for planned in moves(plan.steps)
        if (state.steps[planned.id].has_intent or state.steps[planned.id].status == "succeeded")
    ]
    return identities_of(moved, plan.targets, plan.environment)


async def read_book(access: Access) -> Book:
    """
    Everybody's leases.

    Raises:
        RefusedError: The store does not answer, or holds something else.
    """
    deadline = Deadline.after(access.clock, PATIENCE)
    while True:
        try:
            return (await access.look())[0]
        except ActionError as error:
            if deadline.has_passed(access.clock):
                raise _unreachable(access, error) from error
            await access.clock.sleep(0.3)


async def break_lease(
    access: Access, run: str, reason: str, *, say: Callable[[str], None] = lambda _text: None
) -> Holder:
    """
    Takes a lease away from a run whose process is dead, on a person's word.

    Watches first that it is not renewed for as long as it lasts; who holds it and lives is left
    alone. The cool-down counts from now.

    Raises:
        RefusedError: The run holds nothing, or lives, or the store does not answer.

    Changes:
        The run's entry: it is remembered as broken, by whom and why.
    """
    clock, watch = access.clock, Watch(access)
    deadline = Deadline.after(clock, TAKE)
    while True:
        try:
            book, version = await access.look()
            holder = book.of(run)
            if holder is None:
                raise RefusedError((refusals.absent(run, access.cell.label),))
            if not _is_over(holder, watch):
                if watch.has_moved:
                    raise RefusedError((refusals.alive(holder, access.cell.label),))
                say(f"watching for {holder.lease_s:g}s whether run {run} renews its lease")
                await clock.sleep(WATCH_EVERY_S)
                deadline = Deadline.after(clock, TAKE)
                continue
            now = clock.now()
            remembered = ended(holder, f"broken by {operator()} on {host()}: {reason}", now)
            await access.put(book.without(run, now, remembered), version)
        except ActionError as error:
            if deadline.has_passed(clock):
                raise _unreachable(access, error) from error
            await clock.sleep(0.2)
        else:
            return holder


def _is_over(holder: Holder, watch: Watch) -> bool:
    process = Process(machine=holder.machine, pid=holder.pid, started=holder.pid_start)
    return not holder.is_live or is_gone(process) or watch.is_dead(holder)


def _unreachable(access: Access, error: ActionError) -> RefusedError:
    return RefusedError((refusals.unreachable(access.cell.label, str(error)),))
