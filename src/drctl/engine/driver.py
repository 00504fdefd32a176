"""Carries out what the core decides, on asyncio, and writes down what comes of it."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from drctl.actions.registry import Registry
from drctl.engine import commands as c
from drctl.engine import events as e
from drctl.engine.approval import heard
from drctl.engine.attempt import Attempt
from drctl.engine.decide import decide
from drctl.engine.effects import Effects
from drctl.engine.endings import Ending, finished, undo_finished
from drctl.engine.fold import fold
from drctl.engine.orders import forced_words, refusal
from drctl.engine.ports import Answer, Inbox, Lease, Listener, Log, Order, Unleased
from drctl.engine.state import Record, State, StepState
from drctl.engine.values import values
from drctl.kernel import failpoints
from drctl.kernel.clock import Clock
from drctl.kernel.errors import DrctlError
from drctl.kernel.secret import Secrets
from drctl.kernel.text import sanitize
from drctl.plan.model import Plan
from drctl.plan.terms import sentence
from drctl.runbook.faults import ExpressionError

INBOX_EVERY_S = 0.1
"""How often people are listened to: below what a person notices. While no gate is open somebody
else must look, and call `Driver.wake`."""


class Driver:
    """Runs one plan from a state to its end. Everything it learns goes through `_record`."""

    def __init__(
        self,
        plan: Plan,
        state: State,
        *,
        log: Log,
        registry: Registry,
        clock: Clock,
        secrets: Secrets,
        lease: Lease | None = None,
        inbox: Inbox | None = None,
        listeners: Sequence[Listener] = (),
    ) -> None:
        self._plan, self._state, self._log, self._clock = plan, state, log, clock
        self._inbox, self._listeners = inbox, list(listeners)
        self._lease = lease or Unleased()
        self._tasks: dict[asyncio.Task[e.StepFinished | e.UndoFinished], str] = {}
        self._looked_for: dict[str, Order] = {}
        self._interrupt: str | None = None
        self._woken = asyncio.Event()
        self._effects = Effects(
            plan=plan,
            registry=registry,
            clock=clock,
            secrets=secrets,
            log=log,
            record=self._record,
            state=lambda: self._state,
            say=self._say,
            lease=self._lease,
        )

    @property
    def state(self) -> State:
        """What is known now."""
        return self._state

    def interrupt(self, signal: str) -> None:
        """Asks for a graceful end: nothing new starts, what runs has some seconds to finish."""
        self._interrupt = signal
        self._woken.set()

    def wake(self) -> None:
        """Looks again: something outside has changed, or somebody may have left something."""
        self._woken.set()

    async def run(self, first: e.RunStarted | e.RunResumed | e.UndoRequested) -> e.RunFinished:
        """
        Runs until nothing is left to do in this process.

        Raises:
            RefusedError: The lease cannot be had; nothing was sent.
            JournalError: The journal could not be written. Nothing was sent after that; what was
                under way is left alone, and looks like a crash to whoever resumes.
        """
        # A new run is on disk before it has its lease: whoever dies between the two must leave
        # something that can be resumed, or the lease would be in everybody's way.
        if isinstance(first, e.RunStarted):
            self._record(first)
            await self._lease.take()
        else:
            await self._lease.take()
            self._record(first)
        self._take_news()
        # Only a resumed run has any: their effects may have left before the process died.
        self._look_at_what_runs()
        try:
            while self._state.finished is None:
                await self._turn()
        finally:
            for task in self._tasks:
                task.cancel()
        return self._state.finished

    def _take_news(self) -> None:
        for event in self._lease.news():
            self._record(event)

    async def _turn(self) -> None:
        self._take_news()
        if self._interrupt is not None:
            self._record(e.InterruptRequested(signal=self._interrupt))
            self._interrupt = None
        wake_s: float | None = None
        acted = False
        for command in decide(self._plan, self._state, self._clock.now()):
            if isinstance(command, c.WakeAt):
                wake_s = command.boot_s if wake_s is None else min(wake_s, command.boot_s)
            else:
                self._carry_out(command)
                acted = True
                if not isinstance(command, c.Start | c.Skip):
                    break  # it may block what else was decided: decide again
        if not acted:
            await self._wait(wake_s)

    def _carry_out(self, command: c.Command) -> None:  # noqa: C901 (a case per command)
        match command:
            case c.Start(step=step, attempt=attempt):
                self._record(e.StepStarted(step=step, attempt=attempt))
                self._begin(step, self._attempt(step, attempt, Attempt.run))
            case c.Undo(step=step, attempt=attempt):
                self._record(e.UndoStarted(step=step, attempt=attempt))
                self._begin(step, self._undo(step, attempt, looks_again=False))
            case c.Skip(step=step, why=why):
                attempt = self._state.steps[step].attempt
                self._record(e.StepFinished(step=step, attempt=attempt, outcome="skipped", why=why))
            case c.Refuse(step=step, why=why, error=error):
                attempt = self._state.steps[step].attempt
                self._record(
                    e.StepFinished(
                        step=step, attempt=attempt, outcome="failed", error=error, why=sanitize(why)
                    )
                )
            case c.OpenGate(step=step):
                self._open_gate(step)
            case c.ExpireGate(step=step):
                self._record(e.GateExpired(step=step))
            case c.Abandon(step=step):
                why = "still no answer when the recovery was over"
                self._abandon(step, "unknown", "undelivered", why)
            case c.GiveUp(step=step, why=why):
                self._abandon(step, "failed", "forced", f"its waiting was ended: {why}")
            case c.Restored(rta_s=rta_s, is_certain=is_certain):
                self._record(e.ServiceRestored(rta_s=rta_s, is_certain=is_certain))
            case c.Finish(result=result, why=why):
                self._finish(result, why)
            case c.WakeAt():
                raise AssertionError("unreachable")

    def _look_at_what_runs(self) -> None:
        """Begins to look at each step of which only its record says that it is under way."""
        state = self._state
        for step in sorted(state.running - state.gates.keys() - set(self._tasks.values())):
            there = state.steps[step]
            if there.undo is not None:
                self._begin(step, self._undo(step, there.undo.attempt, looks_again=True))
            else:
                # Whether it is any good is of no matter to who takes it back.
                look = Attempt.look if state.undo is not None else Attempt.look_again
                self._begin(step, self._attempt(step, there.attempt, look))

    def _begin(self, step: str, work: Coroutine[Any, Any, e.StepFinished | e.UndoFinished]) -> None:
        task = asyncio.create_task(work, name=step)
        self._tasks[task] = step
        task.add_done_callback(lambda _task: self._woken.set())

    async def _attempt(
        self, step: str, attempt: int, work: Callable[[Attempt], Coroutine[Any, Any, Ending]]
    ) -> e.StepFinished:
        one = Attempt(effects=self._effects, step=self._plan.by_id[step])
        ending = await _whole(work(one), lambda: self._state.steps[step].has_intent)
        return finished(step, attempt, ending)

    async def _undo(self, step: str, attempt: int, *, looks_again: bool) -> e.UndoFinished:
        one = Attempt(effects=self._effects, step=self._plan.by_id[step])
        undo = one.undo(looks_again=looks_again)
        ending = await _whole(undo, lambda: _may_have_left(self._state.steps[step]))
        return undo_finished(step, attempt, ending)

    def _abandon(self, step: str, outcome: e.OutcomeWord, error: str, why: str) -> None:
        for task in [task for task, name in self._tasks.items() if name == step]:
            task.cancel()
            del self._tasks[task]
        attempt = self._state.steps[step].attempt
        self._record(
            e.StepFinished(
                step=step, attempt=attempt, outcome=outcome, error=error, why=sanitize(why)
            )
        )

    def _open_gate(self, step: str) -> None:
        if self._hear():  # what was said before people were asked is no answer
            return  # but may be an order, after which nobody might be asked: decide again
        planned = self._plan.by_id[step]
        gate = self._plan.gates[planned.gate or ""]
        text = " ".join(planned.show)
        known = values(self._plan, self._state, self._clock.now(), text=text, step=step)
        forced = forced_words(self._plan, self._state, step)
        shown = [] if forced is None else [sanitize(forced)]
        for line in planned.show:
            try:
                shown.append(sanitize(sentence(self._plan, step, line, known)))
            except ExpressionError as error:
                shown.append(sanitize(f"{line} ({error})"))
        self._record(
            e.GateOpened(
                step=step,
                gate=planned.gate or "",
                title=gate.title,
                show=tuple(shown),
                approvers=gate.approvers,
                quorum=gate.quorum,
                expires_s=gate.expires_s,
            )
        )

    def _finish(self, result: e.Result, why: str) -> None:
        state, loss = self._state, self._state.loss
        self._record(
            e.RunFinished(
                result=result,
                why=why,
                changed=state.changed,
                rta_s=state.restored_s,
                rta_is_certain=state.restored_is_certain,
                rto_s=self._plan.objectives.rto_s,
                loss_bound_s=loss.bound_s if loss else None,
                safe_until=loss.safe_until if loss else None,
                rpo_s=self._plan.objectives.rpo_s,
                signal=state.interrupted,
            )
        )

    async def _wait(self, wake_s: float | None) -> None:
        """Sleeps until a step ends, a person answers, somebody interrupts, or *wake_s* comes."""
        failpoints.hit("driver.wait")
        self._woken.clear()
        self._collect()
        if self._hear() or self._woken.is_set() or self._interrupt:
            return
        limits = [] if wake_s is None else [max(0.0, wake_s - self._clock.now().boot_s)]
        if self._inbox is not None and self._state.gates.keys() & self._state.running:
            limits.append(INBOX_EVERY_S)
        woken = asyncio.ensure_future(self._woken.wait())
        timer = asyncio.ensure_future(self._clock.sleep(min(limits))) if limits else None
        try:
            waiting = {woken} if timer is None else {woken, timer}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            if timer is not None:
                timer.cancel()
        self._collect()

    def _collect(self) -> None:
        for task in [task for task in self._tasks if task.done()]:
            del self._tasks[task]
            # A journal that cannot be written surfaces here and ends the run.
            event = task.result()
            self._record(event)
            order = self._looked_for.pop(event.step, None)
            if order is not None and event.outcome == "unknown":
                # Nothing was sent again: a person asked for that, and must hear why not.
                self._refuse(order, f"it is not known whether it happened: {event.why}")
            self._woken.set()

    def _hear(self) -> bool:
        """Takes what people have left; true when any of it counts."""
        taken = False
        for said in self._inbox.take() if self._inbox else ():
            if isinstance(said, Answer):
                taken = self._answer(said) or taken
            else:
                self._order(said)
                taken = True
        return taken

    def _answer(self, answer: Answer) -> bool:
        # An answer that is late, early or a second one is to a question that is not asked.
        event = heard(self._plan, self._state, answer, self._clock.now())
        if event is None:
            return False
        self._record(event)
        return True

    def _order(self, order: Order) -> None:
        why = refusal(self._plan, self._state, order)
        if why is not None:
            self._refuse(order, why)
            return
        self._record(order_given(order))
        if order.order == "retry":
            self._looked_for[order.step] = order
        self._look_at_what_runs()

    def _refuse(self, order: Order, why: str) -> None:
        given = order_given(order)
        self._record(
            e.OrderRefused(
                order=given.order, by=given.by, via=given.via, step=given.step, why=sanitize(why)
            )
        )

    def _record(self, event: e.Event) -> Record:
        record = self._log.append(event)
        self._state = fold(self._plan, self._state, record)
        self._tell(lambda listener: listener.seen(record, self._state))
        return record

    def _say(self, step: str, text: str) -> None:
        self._tell(lambda listener: listener.said(step, text))

    def _tell(self, tell: Callable[[Listener], None]) -> None:
        """Who cannot listen (a pipe that was closed) is told nothing more; the run goes on."""
        for listener in tuple(self._listeners):
            try:
                tell(listener)
            except Exception:  # noqa: BLE001 (the journal has it all; a view is never worth a run)
                self._listeners.remove(listener)


async def _whole(work: Coroutine[Any, Any, Ending], has_intent: Callable[[], bool]) -> Ending:
    """Our own bug must not lose what else is under way."""
    try:
        return await work
    except DrctlError:
        raise
    except Exception as error:  # noqa: BLE001 (see above)
        # With an intent on disk a request may have left, and nobody has looked.
        outcome = "unknown" if has_intent() else "failed"
        why = sanitize(f"{type(error).__name__}: {error}")
        return Ending(outcome=outcome, outputs={}, error="bug", why=why)


def _may_have_left(step: StepState) -> bool:
    return step.undo is not None and step.undo.has_intent


def order_given(order: Order) -> e.OrderGiven:
    """The event for an order that is followed; words of people made inert."""
    return e.OrderGiven(
        order=order.order,
        by=sanitize(order.by, limit=100),
        via=sanitize(order.via, limit=100),
        step=sanitize(order.step, limit=100),
        reason=sanitize(order.reason),
    )
