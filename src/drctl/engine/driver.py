"""Carries out what the core decides, on asyncio, and writes down what comes of it."""

import asyncio
from collections.abc import Callable, Sequence

from drctl.actions.registry import Registry
from drctl.engine import commands as c
from drctl.engine import events as e
from drctl.engine.attempt import Attempt
from drctl.engine.decide import decide
from drctl.engine.effects import Effects, Ending, finished
from drctl.engine.fold import fold
from drctl.engine.ports import Answer, Inbox, Lease, Listener, Log, Unleased
from drctl.engine.state import Record, State
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
"""How often people's answers are looked for while a gate is open: below what a person notices."""


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
        self._tasks: dict[asyncio.Task[e.StepFinished], str] = {}
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
            lease=lease or Unleased(),
        )

    @property
    def state(self) -> State:
        """What is known now."""
        return self._state

    def interrupt(self, signal: str) -> None:
        """Asks for a graceful end: nothing new starts, what runs has some seconds to finish."""
        self._interrupt = signal
        self._woken.set()

    async def run(self, first: e.RunStarted | e.RunResumed) -> e.RunFinished:
        """
        Runs until nothing is left to do in this process.

        Raises:
            JournalError: The journal could not be written. Nothing was sent after that; what was
                under way is left alone, and looks like a crash to whoever resumes.
        """
        self._record(first)
        for step in sorted(self._state.running):
            # Only a resumed run has any: their effects may have left before the process died.
            self._begin(step, self._state.steps[step].attempt, looks_again=True)
        try:
            while self._state.finished is None:
                await self._turn()
        finally:
            for task in self._tasks:
                task.cancel()
        return self._state.finished

    async def _turn(self) -> None:
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

    def _carry_out(self, command: c.Command) -> None:
        match command:
            case c.Start(step=step, attempt=attempt):
                self._record(e.StepStarted(step=step, attempt=attempt))
                self._begin(step, attempt)
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
                self._abandon(step)
            case c.Restored(rta_s=rta_s, is_certain=is_certain):
                self._record(e.ServiceRestored(rta_s=rta_s, is_certain=is_certain))
            case c.Finish(result=result, why=why):
                self._finish(result, why)
            case c.WakeAt():
                raise AssertionError("unreachable")

    def _begin(self, step: str, attempt: int, *, looks_again: bool = False) -> None:
        work = self._attempt(step, attempt, looks_again=looks_again)
        task = asyncio.create_task(work, name=step)
        self._tasks[task] = step
        task.add_done_callback(lambda _task: self._woken.set())

    async def _attempt(self, step: str, attempt: int, *, looks_again: bool) -> e.StepFinished:
        try:
            one = Attempt(effects=self._effects, step=self._plan.by_id[step])
            ending = await (one.look_again() if looks_again else one.run())
        except DrctlError:
            raise
        except Exception as error:  # noqa: BLE001 (our own bug must not lose what else is under way)
            # With an intent on disk a request may have left, and nobody has looked.
            may_have_left = self._state.steps[step].has_intent
            outcome = "unknown" if may_have_left else "failed"
            why = sanitize(f"{type(error).__name__}: {error}")
            ending = Ending(outcome=outcome, outputs={}, error="bug", why=why)
        return finished(step, attempt, ending)

    def _abandon(self, step: str) -> None:
        for task in [task for task, name in self._tasks.items() if name == step]:
            task.cancel()
            del self._tasks[task]
        self._record(
            e.StepFinished(
                step=step,
                attempt=self._state.steps[step].attempt,
                outcome="unknown",
                error="undelivered",
                why="still no answer when the recovery was over",
            )
        )

    def _open_gate(self, step: str) -> None:
        self._take_answers()  # what was said before people were asked is no answer
        planned = self._plan.by_id[step]
        gate = self._plan.gates[planned.gate or ""]
        text = " ".join(planned.show)
        known = values(self._plan, self._state, self._clock.now(), text=text)
        shown = []
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
        if self._take_answers() or self._woken.is_set() or self._interrupt:
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
            self._record(task.result())
            self._woken.set()

    def _take_answers(self) -> bool:
        taken = False
        for answer in self._inbox.take() if self._inbox else ():
            # An answer that is late, early or a second one is to a question that is not asked.
            if (
                not isinstance(answer, Answer)
                or answer.gate not in self._state.gates.keys() & self._state.running
            ):
                continue
            taken = True
            self._record(
                e.GateAnswered(
                    step=answer.gate,
                    answer=answer.answer,
                    by=sanitize(answer.by, limit=100),
                    via=answer.via,
                    reason=sanitize(answer.reason),
                )
            )
        return taken

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
