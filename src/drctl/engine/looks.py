"""
A look at the world right before something that has no way back.

Problem: a plan is minutes old when the promotion comes, and people said go to what it showed.
Invariant: a step that promotes or destroys acts only on what its action saw when the plan was made;
and nothing is fenced while the candidate that shall take over has changed or does not answer, since
a fence without one leaves nobody to take writes.

Which facts: those of the irreversible step's own action on its own target, nothing else. The fence,
the drain and the application's steps change other things, whose facts say nothing about the
candidate. Where this run itself has changed that very target before, the plan's facts are old by
our own doing: the action is asked again right after that change, `FactsRead` is journaled, and from
then on its facts are compared. When facts differ the step stops as ``stale``, and what was found is
journaled the same way: a person who looks at it and orders a retry has accepted it. An attempt of
ours that may have been sent, followed by a look which says that nothing is left to do, is no drift.
A step that moves traffic gets its facts handed in (`Context.seen`) and compares where the other
side can do so in the same request.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import ValidationError

from drctl.actions.contract import Effect, Nothing, Observation
from drctl.actions.registry import AnyAction, Registry
from drctl.actions.targets import Target
from drctl.engine.events import Event, FactsRead
from drctl.engine.state import Record, State
from drctl.engine.values import values
from drctl.kernel.canonical import as_json
from drctl.kernel.clock import Clock
from drctl.kernel.text import sanitize
from drctl.plan.drift import differences
from drctl.plan.model import Plan, PlannedStep
from drctl.plan.terms import fill, has_marks
from drctl.runbook.faults import ExpressionError
from drctl.runbook.values import UNKNOWN

Refusal = tuple[str, str]
"""The word of the error, and why."""


class Observe(Protocol):
    """Asks an action to observe, within the time that a look may take."""

    def __call__(self, action: AnyAction, target: Target, params: Any) -> Awaitable[Observation]:
        """
        Raises:
            Exception: Whatever the adapter raised, or that it did not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class Looks:
    """The looks of one run."""

    plan: Plan
    registry: Registry
    clock: Clock
    record: Callable[[Event], Record]
    state: Callable[[], State]
    observe: Observe

    def known(self, step: PlannedStep) -> Mapping[str, Any] | None:
        """The facts that *step* was approved on; ``None`` when nothing could be seen."""
        return self.state().steps[step.id].facts or step.prediction.facts or None

    async def before(self, step: PlannedStep, effect: Effect) -> Refusal | None:
        """Why the world is not the one of the plan, as far as *step* is concerned."""
        if effect.is_irreversible:
            return await self._compare(step)
        if effect is not Effect.FENCE:
            return None
        for one in self.plan.steps:
            if one.effect is Effect.PROMOTE and step.id in self._before(one):
                refusal = await self._compare(one)
                if refusal is not None:
                    word, why = refusal
                    return word, f"nothing is fenced without a candidate: {why}"
        return None

    async def after(self, step: PlannedStep, effect: Effect, target: str | None) -> None:
        """Reads anew what irreversible steps will act on, when *step* has just changed it."""
        if not effect.changes_something or target is None:
            return
        changed = self.plan.targets[target]
        for one in self.plan.steps:
            is_left = self.state().steps[one.id].status == "waiting"
            compares = one.effect.is_irreversible or one.effect is Effect.TRAFFIC
            if not (compares and is_left and one.id != step.id and one.call):
                continue
            if one.call.target is None or self.plan.targets[one.call.target] != changed:
                continue
            seen, _why = await self._look(one)
            if seen is not None:
                why = f"{step.id} has changed {changed.label}"
                self.record(FactsRead(step=one.id, facts=as_json(seen.facts), why=sanitize(why)))

    async def _compare(self, step: PlannedStep) -> Refusal | None:
        known = self.state().steps[step.id]
        if known.status == "succeeded":
            return None  # a fence that is repeated after it: there is nothing to compare any more
        before = self.known(step) or {}
        seen, why = await self._look(step)
        if seen is None:
            # What could not be seen when the plan was made was shown as such, and approved so.
            is_new = bool(before) or step.prediction.symbol != "!"
            return ("unavailable", f"{step.id} cannot be looked at: {why}") if is_new else None
        facts = as_json(seen.facts)
        found = list(differences(before, facts)) if before else []
        if not found or (known.was_intended and self._is_done(step, seen)):
            return None
        said = sanitize(f"since the plan was made {'; '.join(found)}", limit=500)
        self.record(FactsRead(step=step.id, facts=facts, why=said))
        return "stale", f"{step.id}: {said}"

    async def _look(self, step: PlannedStep) -> tuple[Observation | None, str]:
        action = self.registry.get(step.call.uses) if step.call else None
        if action is None or step.call is None:
            return None, "its action is not installed"
        target = self.plan.targets[step.call.target] if step.call.target else Target()
        try:
            return await self.observe(action, target, self._params(step, action)), ""
        except Exception as error:  # noqa: BLE001 (whatever the reason: it was not seen)
            return None, sanitize(str(error) or "no answer", limit=200)

    def _is_done(self, step: PlannedStep, seen: Observation) -> bool:
        action = self.registry.get(step.call.uses) if step.call else None
        if action is None or step.call is None or step.call.target is None:
            return False
        params = self._params(step, action)
        return isinstance(
            action.preview(seen, self.plan.targets[step.call.target], params), Nothing
        )

    def _params(self, step: PlannedStep, action: AnyAction) -> Any:
        """The params, or ``None`` while they hold a value that is not known yet."""
        raw: Any = step.call.with_ if step.call else {}
        try:
            if has_marks(raw):
                known = values(self.plan, self.state(), self.clock.now(), text=str(raw))
                raw = fill(self.plan, step.id, raw, known)
            return None if raw is UNKNOWN else action.params.model_validate(raw)
        except (ExpressionError, ValidationError):
            return None

    def _before(self, step: PlannedStep) -> set[str]:
        found: set[str] = set()
        left = list(step.needs)
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left.extend(self.plan.by_id[name].needs)
        return found
