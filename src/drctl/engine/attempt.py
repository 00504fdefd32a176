"""One attempt at a step: its action, polled while ``until`` is not true, and its ``verify``."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from drctl.engine.effects import Effects
from drctl.engine.endings import Ending
from drctl.engine.values import values
from drctl.kernel import failpoints
from drctl.kernel.clock import Deadline
from drctl.plan.model import PlannedCall, PlannedStep
from drctl.plan.terms import fill, has_marks, test
from drctl.runbook.faults import ExpressionError
from drctl.runbook.values import UNKNOWN

_PASSING = {"unavailable", "throttled", "timeout"}
"""Failures of a look after which it is worth looking again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Runs one attempt. Not reusable: make one per attempt."""

    effects: Effects
    step: PlannedStep

    async def run(self) -> Ending:
        """
        Carries the attempt to one of the four outcomes within the step's timeout.

        Raises:
            JournalError: See `Effects.call`.
        """
        step, effects = self.step, self.effects
        if step.call is None:
            raise AssertionError("unreachable")  # gates never get here
        deadline = Deadline.after(effects.clock, timedelta(seconds=step.timeout_s))
        params = self.resolve(step.call.with_)
        if isinstance(params, str):
            return _unresolved(params)
        ending = await effects.call(step, step.call, params, deadline)
        if step.until is not None:
            ending = await self._poll(step.until, step.call, params, ending, deadline)
        return await self._verified(ending)

    async def look_again(self) -> Ending:
        """Says how an attempt came out that may have sent something, and of which no reply came."""
        return await self._verified(await self.look())

    async def look(self) -> Ending:
        """The same without its checks: whether it happened, not whether it is any good."""
        step = self.step
        if step.call is None:
            raise AssertionError("unreachable")
        params = self.resolve(step.call.with_)
        if isinstance(params, str):
            return _unresolved(params)
        return await self.effects.settle(step, step.call, params)

    async def undo(self, *, looks_again: bool) -> Ending:
        """
        Takes the step back, by the same way as any effect; or says whether an earlier process did.

        Raises:
            JournalError: See `Effects.call`.
        """
        step, effects = self.step, self.effects
        if step.undo is None:
            raise AssertionError("unreachable")
        params = self.resolve(step.undo.with_, effects.state().steps[step.id].outputs)
        if isinstance(params, str):
            return _unresolved(params)
        if looks_again:
            return await effects.settle(step, step.undo, params)
        length = timedelta(seconds=step.undo.timeout_s or step.timeout_s)
        return await effects.call(step, step.undo, params, Deadline.after(effects.clock, length))

    async def _verified(self, ending: Ending) -> Ending:
        for check in self.step.verify:
            if ending.outcome != "succeeded":
                return ending
            ending = await self._verify(check, ending)
        return ending

    def resolve(
        self, raw: Mapping[str, Any], own: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any] | str:
        """Fills in expressions; a text instead says why that is not possible."""
        if not has_marks(raw):
            return raw
        try:
            resolved = fill(self.effects.plan, self.step.id, raw, self._values(str(raw), own))
        except ExpressionError as error:
            return str(error)
        if resolved is UNKNOWN:
            return "a value it needs is unknown: the step that gives it was skipped or failed"
        return dict(resolved)

    def _values(self, text: str, own: Mapping[str, Any] | None) -> dict[str, Any]:
        effects = self.effects
        known = values(
            effects.plan, effects.state(), effects.clock.now(), text=text, step=self.step.id
        )
        known["outputs"] = own or {}
        return known

    async def _poll(
        self,
        until: str,
        call: PlannedCall,
        params: Mapping[str, Any],
        ending: Ending,
        deadline: Deadline,
    ) -> Ending:
        clock = self.effects.clock
        while True:
            seen = ending.why or "it answered"
            if ending.outcome == "succeeded":
                try:
                    known = self._values(until, ending.outputs)
                    if test(self.effects.plan, self.step.id, until, known) is True:
                        return ending
                    seen = f"last seen: {_brief(ending.outputs)}"
                except ExpressionError as error:
                    # A key that is not there yet may come with the next answer.
                    seen = f"last seen: {error}"
            elif ending.outcome == "unknown" or ending.error not in _PASSING:
                return ending
            if deadline.left_s(clock) <= self.step.every_s:
                why = f"{until} did not become true in {self.step.timeout_s:g}s; {seen}"
                return Ending(outcome="failed", outputs=ending.outputs, error="until", why=why)
            failpoints.hit("step.poll")
            await clock.sleep(self.step.every_s)
            ending = await self.effects.call(self.step, call, params, deadline)

    async def _verify(self, check: PlannedCall, ending: Ending) -> Ending:
        params = self.resolve(check.with_, ending.outputs)
        if isinstance(params, str):
            return _unresolved(f"verify: {params}")
        timeout_s = check.timeout_s or self.step.timeout_s
        deadline = Deadline.after(self.effects.clock, timedelta(seconds=timeout_s))
        verdict = await self.effects.call(self.step, check, params, deadline)
        if verdict.outcome == "succeeded":
            return ending
        return replace(ending, outcome="failed", error="verify", why=f"{check.uses}: {verdict.why}")


def _unresolved(why: str) -> Ending:
    return Ending(outcome="failed", outputs={}, error="unresolved", why=why)


def _brief(outputs: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in outputs.items() if name != "body")[:300]
