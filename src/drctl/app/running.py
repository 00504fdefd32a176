"""Use case: from a plan to a run, and what refuses before it."""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from drctl import __version__
from drctl.actions.contract import Effect
from drctl.app.compose import Parts, host, operator
from drctl.app.leasing import forget, kept, lease_of, left
from drctl.app.people import requesters, too_many, unanswerable
from drctl.app.validity import require_current
from drctl.engine.driver import INBOX_EVERY_S, Driver
from drctl.engine.events import RunFinished, RunResumed, RunStarted, UndoRequested
from drctl.engine.fold import loss_is_allowed, loss_refusal
from drctl.engine.ports import Listener
from drctl.engine.state import State, initial
from drctl.journal.folder import Folder, Journal
from drctl.journal.inbox import FolderInbox
from drctl.kernel.clock import Clock
from drctl.kernel.duration import format_duration
from drctl.kernel.errors import (
    BrokenOffError,
    DrctlError,
    JournalError,
    Problem,
    RefusedError,
)
from drctl.kernel.ids import new_run_id
from drctl.plan.draft import calls
from drctl.plan.model import Plan

TICK_S = 0.5
SEEN_ALIVE = timedelta(seconds=3)
"""A primary seen within this time of now counts as alive: six of the witness's half seconds."""


class Watching(Listener, Protocol):
    """A view: sees events, and is shown the time that passes between them."""

    def opened(self, plan: Plan, folder: Folder) -> None:
        """The run is about to start."""
        ...

    def tick(self, state: State) -> None:
        """Time has passed."""
        ...

    def closed(self) -> None:
        """Nothing further will be shown."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What the operator has said beyond the plan; each goes into the record."""

    accepted_loss_s: float | None = None
    """`ANY_LOSS_S`: any loss, also one nobody can bound."""
    reason: str | None = None
    started_at: datetime | None = None
    """When the incident started, if the operator knows."""
    again: bool = False
    """A second failover of the same targets within the cool-down is meant."""
    claimed: str | None = None
    """The enrolled person that the operator says they are."""
    forced_reason: str | None = None
    """Why a promotion need not wait for a proven fence; ``None``: it must."""


def preflight(plan: Plan, consent: Consent) -> None:
    """
    Refuses what must not begin. Reads nothing but the plan, and whose account this is.

    Raises:
        RefusedError: Every reason at once.
    """
    asked_by = requesters(plan, consent.claimed)
    problems = [*_stale(plan), *_identities(plan), *_candidates(plan), *_loss(plan, consent)]
    problems += [*too_many(plan), *unanswerable(plan, asked_by)]
    if problems:
        raise RefusedError(tuple(problems))


def _stale(plan: Plan) -> list[Problem]:
    if plan.fate is not None:
        what = "this plan was made with --assume-down: it has not looked at the world as it is"
        return [Problem(code="DR3222", what=what, do="plan again without --assume-down")]
    if not plan.is_offline:
        return []
    what = "this plan was made offline: nothing was looked at"
    return [Problem(code="DR3202", what=what, do="plan again without --offline")]


def _identities(plan: Plan) -> list[Problem]:
    changing = {
        call.target
        for step in plan.steps
        for call in (step.call,)
        if call is not None
        and step.effect.changes_something
        # These two have their business with what has stopped answering.
        and step.effect is not Effect.FENCE
        and not step.proves_one_primary
    }
    problems = []
    for pin in plan.pins:
        if pin.found is None and changing.isdisjoint(pin.targets):
            continue
        if pin.found == pin.expected:
            continue
        is_other = pin.found is not None
        problems.append(
            Problem(
                code="DR5201" if is_other else "DR5202",
                what=f"{pin.name} of {pin.subject} "
                + (
                    f"is {pin.found}, the environment says {pin.expected}"
                    if is_other
                    else "does not answer"
                ),
                at=f"target {', '.join(pin.targets)}",
                now="nothing was changed",
                do="this is another place than the environment means: check its file"
                if is_other
                else "check that it can be reached from here, and its credentials",
            )
        )
    return problems


def _candidates(plan: Plan) -> list[Problem]:
    """Those that the look found unfit to be promoted; the promotion itself looks again."""
    return [
        Problem(
            code="DR5203",
            what=f"{step.call.target} is not fit to be promoted: {why}",
            at=f"step {step.id}",
            now="nothing was changed",
            do="name another candidate in the environment, or mend this one",
        )
        for step in plan.steps
        if step.call is not None and step.effect is Effect.PROMOTE
        for why in step.prediction.facts.get("unfit") or ()
    ]


def _loss(plan: Plan, consent: Consent) -> list[Problem]:
    look, rpo_s = plan.loss, plan.objectives.rpo_s
    if look is None or loss_is_allowed(look.bound_s, rpo_s, consent.accepted_loss_s):
        return []
    enough = "10m" if look.bound_s is None else format_duration(max(60.0, look.bound_s * 2))
    accept = "unknown" if look.bound_s is None else enough
    return [
        Problem(
            code="DR3101",
            what=loss_refusal(look.bound_s, rpo_s, look.source),
            at=f"step {look.step}",
            now="nothing was changed",
            do=f'if losing that is better than waiting: --accept-data-loss {accept} --reason "WHY"',
        )
    ]


async def run_plan(
    parts: Parts, plan: Plan, consent: Consent, views: Sequence[Watching]
) -> tuple[RunFinished, Folder]:
    """
    Runs a plan that has passed `preflight`.

    SIGINT and SIGTERM end it gracefully: nothing new starts, what runs gets a few seconds.

    Raises:
        RefusedError: The plan is too old, or there is no place for the record; nothing was sent.
        BrokenOffError: The record could not be written on; nothing was sent after that.
    """
    asked_by = requesters(plan, consent.claimed)
    now = parts.clock.now()
    try:
        require_current(parts, plan)
        journal = Journal.create(parts.runs, new_run_id(now.wall), plan, parts.clock)
    except JournalError as error:
        raise RefusedError(error.problems) from error
    before_s, source = _incident_clock(plan, consent, now.wall)
    first = RunStarted(
        run_id=journal.folder.run_id,
        plan_digest=plan.digest,
        plan_seal=plan.seal,
        runbook=plan.runbook,
        environment=plan.environment,
        world=plan.world,
        operator=operator(),
        host=host(),
        version=__version__,
        rto_s=plan.objectives.rto_s,
        rpo_s=plan.objectives.rpo_s,
        elapsed_before_s=before_s,
        clock_source=source,
        accepted_loss_s=consent.accepted_loss_s,
        accepted_reason=consent.reason,
        again_reason=consent.reason if consent.again else None,
        identities=plan.lease.identities,
        requesters=asked_by.names,
        requester_is_claimed=asked_by.is_claimed,
        forced_reason=consent.forced_reason,
    )
    return await carry_on(parts, plan, initial(plan), journal, first, views), journal.folder


async def carry_on(
    parts: Parts,
    plan: Plan,
    state: State,
    journal: Journal,
    first: RunStarted | RunResumed | UndoRequested,
    views: Sequence[Watching],
) -> RunFinished:
    """
    Drives a run from *state* to its end, and closes its journal.

    Raises:
        RefusedError: The lease cannot be had, or the record could not be written, and nothing had
            been sent.
        BrokenOffError: The record could not be written on; nothing was sent after that.
    """
    # A resumed run has not looked at anything yet, which would have imported them.
    await parts.registry.ready({call.uses for step in plan.steps for call in calls(step)})
    lease = lease_of(parts, plan, journal.folder.run_id, first, state)
    inbox = FolderInbox(journal.folder.inbox)
    driver = Driver(
        plan,
        state,
        log=journal,
        registry=parts.registry,
        clock=parts.clock,
        secrets=parts.secrets,
        lease=lease,
        inbox=inbox,
        listeners=views,
    )
    for view in views:
        with suppress(Exception):  # a view is never worth a run
            view.opened(plan, journal.folder)
    beside = [
        asyncio.create_task(_tick(driver, parts.clock, views)),
        asyncio.create_task(_listen(driver, parts.clock, inbox)),
    ]
    try:
        with _graceful(driver):
            async with kept(lease, driver.wake):
                end = await driver.run(first)
            await left(lease, plan, driver.state)
            return end
    except RefusedError:
        forget(lease, journal, first)
        raise
    except JournalError as error:
        raise _broken_off(driver.state, error) from error
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        for view in views:
            with suppress(Exception):
                view.closed()
        journal.close()


def _broken_off(state: State, error: JournalError) -> DrctlError:
    """What it means for the world that the record could not be written on."""
    if not state.changed:
        return RefusedError(error.problems)
    under_way = [name for name in sorted(state.running) if state.steps[name].has_intent]
    return BrokenOffError(error.problems, is_known=not under_way)


def _incident_clock(plan: Plan, consent: Consent, now: datetime) -> tuple[float, str]:
    """How much of the incident has passed already, and who says so."""
    starts_at = plan.objectives.starts_at
    if starts_at == "run":
        return 0.0, "run"
    if consent.started_at is not None:
        return max(0.0, (now - consent.started_at).total_seconds()), "flag"
    seen = plan.loss.primary_last_seen if plan.loss else None
    if starts_at == "incident" and seen is not None:
        since = now - datetime.fromisoformat(seen)
        if since > SEEN_ALIVE:
            return since.total_seconds(), "witness"
    return 0.0, "declared"


async def _tick(driver: Driver, clock: Clock, views: Sequence[Watching]) -> None:
    while True:
        await clock.sleep(TICK_S)
        for view in views:
            with suppress(Exception):
                view.tick(driver.state)


async def _listen(driver: Driver, clock: Clock, inbox: FolderInbox) -> None:
    """People may say something at any time, not only while they are asked."""
    while True:
        await clock.sleep(INBOX_EVERY_S)
        if inbox.has_any():
            driver.wake()


class _graceful:  # noqa: N801 (a context manager, used as a verb)
    """
    Turns the first SIGINT or SIGTERM into a request; the second one ends the process as usual.

    A terminal that goes away (SIGHUP) ends nothing: the recovery goes on, and gates are answered
    from another one.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._first, number)
        loop.add_signal_handler(signal.SIGHUP, lambda: None)

    def _first(self, number: signal.Signals) -> None:
        self._driver.interrupt(number.name)
        asyncio.get_running_loop().remove_signal_handler(number)

    def __exit__(self, *_exc: object) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
