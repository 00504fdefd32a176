"""
The one place from which the outside world is changed.

Invariant: before an adapter is asked for an effect, in this order: target and params name one
    thing each; the identities that the environment pins hold; before a point of no return the world
    is that of the plan (`looks`); there is time left; the intent is on disk; the run is still ours,
    and still there is time. Only then is the adapter called, once. What was refused before the
    intent has changed nothing, and the record shows it. Whatever comes back, or does not, is one of
    four outcomes. A reply that did not come is not a failure: the action is asked to read back
    (`settled`), and when it cannot tell either, the outcome is unknown and a person decides.

What is not promised: a call that was sent cannot be taken back; when we stop waiting it may still
take effect, which is why an unknown outcome is never retried.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import ValidationError

from drctl.actions import errors as words
from drctl.actions.contract import (
    CannotTell,
    Cleared,
    Context,
    Debt,
    Done,
    Effect,
    NotDone,
    NotPermittedError,
    Observation,
    Outputs,
    Params,
    Repeat,
)
from drctl.actions.pin import Pin
from drctl.actions.registry import AnyAction, Registry
from drctl.actions.selection import refusal
from drctl.actions.targets import Target
from drctl.engine import readback
from drctl.engine.answers import LOST_RUN, first_complaint
from drctl.engine.endings import Ending, as_strings, failed, given
from drctl.engine.events import DebtsBooked, EffectIntended, Event
from drctl.engine.identities import PIN_TIMEOUT, Identities
from drctl.engine.looks import Looks
from drctl.engine.ports import Lease, Log
from drctl.engine.settling import NEVER_HAPPENED, NOT_OURS
from drctl.engine.state import Record, State
from drctl.kernel import failpoints
from drctl.kernel.canonical import as_json, digest
from drctl.kernel.clock import Clock, Deadline, length_between
from drctl.kernel.errors import DrctlError, JournalError
from drctl.kernel.secret import Secrets
from drctl.kernel.text import sanitize
from drctl.plan.model import Plan, PlannedCall, PlannedStep

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """All that a call needs."""

    action: AnyAction
    target: Target
    params: Params
    context: Context
    step: str
    undoes: bool


class _Permit:
    """Says for one call, before each of its requests, whether it may leave."""

    def __init__(self, refusal: Callable[[], str | None], action: str) -> None:
        self._refusal, self._action = refusal, action
        self.given = 0
        """Requests that were let through, and may have left."""

    def __call__(self) -> None:
        # Before the question: whoever is stopped here for a minute is asked when he goes on.
        failpoints.hit("effect.send", self._action)
        why = self._refusal()
        if why is not None:
            raise NotPermittedError(why)
        self.given += 1


class _TimeIsOver(Exception):
    """Waiting ended; the work may go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """The choke point of one run."""

    plan: Plan
    registry: Registry
    clock: Clock
    secrets: Secrets
    log: Log
    record: Callable[[Event], Record]
    state: Callable[[], State]
    say: Callable[[str, str], None]
    lease: Lease

    async def call(
        self, step: PlannedStep, call: PlannedCall, params: Mapping[str, Any], deadline: Deadline
    ) -> Ending:
        """
        Uses an action once, and says how it came out.

        Args:
            params: The call's ``with``, all expressions resolved.

        Raises:
            JournalError: The intent could not be written; nothing was sent.
        """
        asked = self._prepared(step, call, params, deadline)
        if isinstance(asked, Ending):
            return asked
        if asked.action.effect.changes_something:
            effect = asked.action.effect
            refused = await self._identities.check(step, call.target or "", effect)
            refused = refused or await self._check_facts(step, effect)
            if refused is not None:
                return refused
        if deadline.has_passed(self.clock):
            return failed("timeout", "no time was left to start")
        if asked.action.effect is not Effect.READ:
            self.record(self._intent(step, call, asked))
        if not self.log.is_ours():
            raise JournalError((LOST_RUN,))
        lost = self.lease.refusal() if asked.action.effect.changes_something else None
        if lost is not None:
            return failed(NOT_OURS, f"{lost}; nothing was sent")
        if deadline.has_passed(self.clock):
            return failed("timeout", "writing the intent took all the time; nothing was sent")
        ending = await self._ask(asked)
        if ending.outcome == "succeeded":
            await self._looks.after(step, asked.action.effect, call.target)
        return ending

    async def _check_facts(self, step: PlannedStep, effect: Effect) -> Ending | None:
        drifted = await self._looks.before(step, effect)
        return failed(*drifted) if drifted else None

    @property
    def _identities(self) -> Identities:
        return Identities(
            plan=self.plan,
            registry=self.registry,
            clock=self.clock,
            record=self.record,
            state=self.state,
            read=self._read_pin,
        )

    async def _read_pin(self, pin: Pin, target: Target, deadline: Deadline) -> str:
        reading = pin.read(self._context("", deadline, ""), target)
        try:
            return await self._within(deadline, reading)
        except _TimeIsOver:
            raise words.Unavailable("no answer") from None

    @property
    def _looks(self) -> Looks:
        return Looks(self.plan, self.registry, self.clock, self.record, self.state, self._observe)

    async def _observe(self, action: AnyAction, target: Target, params: Any) -> Observation:
        deadline = Deadline.after(self.clock, PIN_TIMEOUT)
        looking = action.observe(self._context("", deadline, ""), target, params)
        return await self._within(deadline, looking)

    def _prepared(
        self, step: PlannedStep, call: PlannedCall, params: Mapping[str, Any], deadline: Deadline
    ) -> _Asked | Ending:
        action = self.registry.get(call.uses)
        if action is None:
            return failed("rejected", f'the action "{call.uses}" is not installed')
        target = self.plan.targets[call.target] if call.target else Target()
        refused = refusal(action, target, params)
        if refused is not None:
            return failed("rejected", sanitize(refused))
        try:
            checked = action.params.model_validate(params)
        except ValidationError as error:
            return failed("rejected", f"with: {first_complaint(error)}")
        return _Asked(
            action=action,
            target=target,
            params=checked,
            step=step.id,
            undoes=call is step.undo,
            context=replace(
                self._context(step.id, deadline, self._key(step, call)),
                seen=self._looks.known(step) if call == step.call else None,
            ),
        )

    def _intent(self, step: PlannedStep, call: PlannedCall, asked: _Asked) -> EffectIntended:
        there = self.state().steps[step.id]
        return EffectIntended(
            step=step.id,
            attempt=there.undo.attempt if call is step.undo and there.undo else there.attempt,
            undoes=call is step.undo,
            action=asked.action.name,
            effect=asked.action.effect,
            key=asked.context.key,
            target=asked.target.label,
            params=as_json(asked.params.model_dump(mode="json")),
            changes=asked.action.effect.changes_something,
        )

    async def _ask(self, asked: _Asked) -> Ending:  # noqa: PLR0911 (a table of endings)
        """Calls the adapter, once; everything it can answer or raise becomes an ending here."""
        permit = _Permit(self._refusal, asked.action.name)
        context = replace(asked.context, permit=permit)
        performing = asked.action.perform(context, asked.target, asked.params)
        failpoints.hit("effect.before", asked.action.name)
        try:
            outputs = await self._within(asked.context.deadline, performing)
            failpoints.hit("effect.after", asked.action.name)
        except NotPermittedError as error:
            if permit.given == 0:
                return failed(NOT_OURS, f"{error}; nothing was sent")
            return await self._unanswered(asked, permit, NOT_OURS, str(error))
        except _TimeIsOver:
            why = "no answer within the step's timeout"
            return await self._unanswered(asked, permit, "timeout", why)
        except words.OutcomeUnknown as error:
            return await self._unanswered(asked, permit, error.word, str(error))
        except words.ActionError as error:
            wish = error.retry_after_s if isinstance(error, words.Throttled) else None
            ending = failed(error.word, str(error), error.request_id)
            return replace(ending, retry_after_s=wish)
        except DrctlError as error:
            return failed("auth_rejected", sanitize(str(error)))
        except Exception as error:  # noqa: BLE001 (an adapter's bug must not lose the run)
            why = sanitize(f"{type(error).__name__}: {error}")
            return await self._unanswered(asked, permit, "bug", why)
        return self._succeeded(asked, outputs)

    def _succeeded(self, asked: _Asked, outputs: Outputs) -> Ending:
        """It happened: what it leaves behind is on record before anything builds on it."""
        said = asked.action.debts(asked.target, asked.params, outputs)
        owes = tuple(as_strings(debt) for debt in said if isinstance(debt, Debt))
        clears = tuple(debt.key for debt in said if isinstance(debt, Cleared))
        if owes or clears:
            self.record(
                DebtsBooked(
                    step=asked.step,
                    target=sanitize(asked.target.label, limit=200),
                    owes=owes,
                    clears=clears,
                    undoes=asked.undoes,
                )
            )
        return Ending(outcome="succeeded", outputs=given(outputs))

    def _refusal(self) -> str | None:
        if not self.log.is_ours():
            return "the run's record is not ours any more"
        return self.lease.refusal()

    async def _unanswered(self, asked: _Asked, permit: _Permit, word: str, why: str) -> Ending:
        """A read that was not answered has failed; an effect must be looked for."""
        if asked.action.effect is Effect.READ:
            return failed(word, why)
        deadline = readback.within_step(self.clock, asked.context.deadline)
        late_s = readback.LATE_S if permit.given else 0.0
        return await self._settle(asked, word, why, deadline, late_s=late_s)

    async def settle(
        self, step: PlannedStep, call: PlannedCall, params: Mapping[str, Any]
    ) -> Ending:
        """Looks whether an effect that a dead process intended has happened. Changes nothing."""
        asked = self._prepared(step, call, params, Deadline.after(self.clock, readback.RESUMED))
        if isinstance(asked, Ending):
            return asked
        why = "the process that asked for it died"
        # It may be under way still, and then takes as long as the step is given.
        patience = max(readback.RESUMED, timedelta(seconds=step.timeout_s))
        deadline = Deadline.after(self.clock, patience)
        late_s, may_repeat = self._may_arrive_s(step, asked.action), self.state().undo is None
        return await self._settle(
            asked, NEVER_HAPPENED, why, deadline, late_s=late_s, may_repeat=may_repeat
        )

    def _may_arrive_s(self, step: PlannedStep, action: AnyAction) -> float:
        """How long a request of a dead process may still be on its way, and then do harm."""
        intended, is_undone = self.state().steps[step.id].intended, self.state().undo is not None
        # Harmless if it is to happen all the same; not if what it does is to be taken back.
        is_harmless = action.repeat in {Repeat.IDEMPOTENT, Repeat.KEYED} and not is_undone
        if intended is None or is_harmless:
            return 0.0
        if not action.effect.changes_something:
            return 0.0  # nobody waits that long for a message: it is better told twice than never
        passed = length_between(intended, self.clock.now())
        # On another machine nobody knows how long ago that was.
        return max(0.0, readback.LATE_S - passed.seconds) if passed.is_certain else readback.LATE_S

    async def _settle(
        self,
        asked: _Asked,
        word: str,
        why: str,
        deadline: Deadline,
        *,
        late_s: float,
        may_repeat: bool = False,
    ) -> Ending:
        """Asks the action to read back. The four outcomes are decided here and nowhere else."""
        reading = await readback.read_back(
            lambda: self._look(asked, deadline),
            clock=self.clock,
            deadline=deadline,
            say=asked.context.say,
            late_s=late_s,
            may_repeat=may_repeat,
        )
        if isinstance(reading.answer, Done):
            return self._succeeded(asked, reading.answer.outputs)
        both = sanitize(f"{why}; looked again: {reading}")
        if reading.is_final:
            ending = failed(word, both)
            if isinstance(reading.answer, CannotTell):
                return replace(ending, remains=True)
            known: Mapping[str, Any] = as_json(dict(reading.answer.outputs))
            return replace(ending, remains=reading.answer.remains, outputs=known)
        return Ending(outcome="unknown", outputs={}, error=word, why=both)

    async def _look(self, asked: _Asked, deadline: Deadline) -> Done[Any] | NotDone | CannotTell:
        context = replace(asked.context, deadline=deadline)
        failpoints.hit("effect.settle", asked.action.name)
        try:
            return await self._within(
                deadline, asked.action.settled(context, asked.target, asked.params)
            )
        except (_TimeIsOver, words.ActionError) as error:
            return CannotTell(why=str(error) or "the read-back did not answer either")
        except Exception as error:  # noqa: BLE001 (a bug in a read-back is a reading we do not have)
            return CannotTell(why=sanitize(f"{type(error).__name__}: {error}"))

    def _context(self, step: str, deadline: Deadline, key: str) -> Context:
        return Context(
            clock=self.clock,
            deadline=deadline,
            secrets=self.secrets,
            resolvers=self.plan.resolvers,
            key=key,
            say=lambda text: self.say(step, sanitize(text, limit=200)),
        )

    def _key(self, step: PlannedStep, call: PlannedCall) -> str:
        """One key for all attempts at one effect of one run; its undoing is another effect."""
        start = self.state().start
        undoes = ["undo"] if call is step.undo else []
        return digest([start.run_id if start else "", step.id, call.uses, *undoes])[:32]

    async def _within(self, deadline: Deadline, work: Coroutine[Any, Any, R]) -> R:
        """
        Waits for *work* until *deadline*. Work that overruns is cancelled only in so far as asyncio
        can: a request that has left goes on.
        """
        failpoints.hit("effect.wait")
        task = asyncio.ensure_future(work)
        timer = asyncio.ensure_future(self.clock.sleep(deadline.left_s(self.clock)))
        try:
            await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
            if task.cancelled():
                raise words.OutcomeUnknown("the call was cancelled from within")
            if task.done():
                return task.result()
            # What it says when nobody listens any more is not for the terminal.
            task.add_done_callback(lambda late: late.cancelled() or late.exception())
            raise _TimeIsOver
        finally:
            timer.cancel()
            task.cancel()
