"""Makes a plan: resolves names, looks at the world without touching it, and prices the whole."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from drctl.actions import errors as words
from drctl.actions.contract import (
    CannotTell,
    Change,
    Context,
    Effect,
    Nothing,
    Observation,
    Outputs,
    Preview,
)
from drctl.actions.loss import LossBound
from drctl.actions.planes import NOTHING, Ask, Down
from drctl.actions.registry import AnyAction, Registry
from drctl.actions.targets import Target
from drctl.config.environment import Environment
from drctl.kernel.canonical import as_json
from drctl.kernel.clock import Clock, Deadline
from drctl.kernel.errors import DrctlError
from drctl.kernel.ids import StepId
from drctl.kernel.secret import Secrets
from drctl.kernel.text import sanitize
from drctl.plan.draft import Drafting, calls
from drctl.plan.fate import foretell
from drctl.plan.model import (
    LossLook,
    Plan,
    PlannedCall,
    PlannedPin,
    PlannedStep,
    Prediction,
    Symbol,
)
from drctl.plan.terms import fill, has_marks, inputs_of, outer
from drctl.runbook import Runbook
from drctl.runbook.faults import ExpressionError
from drctl.runbook.include import Included
from drctl.runbook.values import UNKNOWN

LOOK_TIMEOUT = timedelta(seconds=8)
"""How long a plan waits for one observation. A dead region must cost seconds, not its budget."""
DEAD_TIMEOUT = timedelta(seconds=3)
"""How long it waits for an identity that may be gone, because its targets are only to be fenced."""
_SYMBOLS: dict[Effect, Symbol] = {
    Effect.READ: " ",
    Effect.NOTIFY: "~",
    Effect.CHANGE: "~",
    Effect.TRAFFIC: ">",
    Effect.FENCE: "~",
    Effect.PROMOTE: "!",
    Effect.DESTROY: "!",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """Plans one runbook for one environment."""

    registry: Registry
    clock: Clock
    secrets: Secrets
    down: Down = NOTHING
    """What is assumed not to answer: it is not asked."""

    def draft(
        self,
        runbook: Runbook,
        sha256: str,
        environment: Environment,
        inputs: Mapping[str, Any],
        *,
        file: str = "",
        included: Mapping[StepId, Included] = MappingProxyType({}),
        is_whole: bool = True,
    ) -> Plan:
        """
        The plan as far as it is known without looking at anything; not sealed.

        Args:
            is_whole: See `Drafting.is_whole`.

        Raises:
            InvalidError: What an included runbook is given does not fit it.
        """
        source = Included(runbook=runbook, file=file, sha256=sha256, included=included)
        drafting = Drafting(registry=self.registry, source=source, is_whole=is_whole)
        return drafting.draft(environment, inputs, now=self.clock.now())

    async def look(self, plan: Plan) -> Plan:
        """
        Asks every action to observe and preview, and every pin who is there, all at once. Changes
        nothing.

        What does not answer is ``?``, never an error: a plan must be possible while a region is
        dead.
        """
        await self.registry.ready({call.uses for step in plan.steps for call in calls(step)})
        known = _known(plan)
        looks = asyncio.gather(
            *(self._predict(plan, step, known[step.scope]) for step in plan.steps)
        )
        pins = asyncio.gather(*(self._read_pin(plan, pin) for pin in plan.pins))
        loss = self._measure(plan, known)
        predictions, found, measured = await asyncio.gather(looks, pins, loss)
        steps = tuple(
            step.model_copy(update={"prediction": prediction})
            for step, prediction in zip(plan.steps, predictions, strict=True)
        )
        return plan.model_copy(
            update={"steps": steps, "pins": tuple(found), "loss": measured, "is_offline": False}
        ).sealed()

    def foretell(self, plan: Plan) -> Plan:
        """The plan with what fails while `down` is down. Asks nobody."""
        known = _known(plan)
        told = foretell(
            plan,
            self.registry,
            lambda step, call: self._prepared(plan, step, call, known[step.scope])[:3],
            lambda step: dict(known[step.scope]),
            self.down,
        )
        return plan.model_copy(update={"fate": told}).sealed()

    def _is_lost(self, asks: tuple[Ask, ...]) -> bool:
        return self.down.is_touched(asks)

    async def _predict(self, plan: Plan, step: PlannedStep, known: Mapping[str, Any]) -> Prediction:
        action, target, params, why = self._prepared(plan, step, step.call, known)
        if step.call is None:
            return Prediction(symbol=" ", why="a person says go")
        if action is None:
            return Prediction(symbol="?", why=why)
        if self._is_lost(action.asks_to_look(target, params)):
            lost: Symbol = "!" if action.effect.is_irreversible else "?"
            return Prediction(symbol=lost, why=f"not looked at: assumed down is {self.down}")
        try:
            async with asyncio.timeout(LOOK_TIMEOUT.total_seconds() + 1):
                observation = await action.observe(self._context(plan), target, params)
            preview = action.preview(observation, target, params)
        except Exception as error:  # noqa: BLE001 (an adapter's bug must not keep a plan from being made)
            symbol: Symbol = "!" if action.effect.is_irreversible else "?"
            return Prediction(symbol=symbol, why=_said(error))
        return _prediction(action, observation, preview, why)

    def _prepared(
        self, plan: Plan, step: PlannedStep, call: PlannedCall | None, known: Mapping[str, Any]
    ) -> tuple[AnyAction | None, Target, Any, str]:
        """The action, its target and its params, or ``None`` for params known only in the run."""
        if call is None:
            return None, Target(), None, ""
        action = self.registry.get(call.uses)
        target = plan.targets[call.target] if call.target else Target()
        if action is None:
            return None, target, None, f"{call.uses} is not installed"
        raw: Any = call.with_
        if has_marks(raw):
            try:
                raw = fill(plan, step.id, raw, known)
            except ExpressionError:
                raw = UNKNOWN
        if raw is UNKNOWN:
            return action, target, None, "some values are known only during the run"
        try:
            return action, target, action.params.model_validate(raw), ""
        except ValidationError as error:
            return None, target, None, sanitize(str(error.errors()[0]["msg"]))

    async def _read_pin(self, plan: Plan, pin: PlannedPin) -> PlannedPin:
        # What an earlier look found is no answer of now.
        pin = pin.model_copy(update={"found": None})
        target = plan.targets[pin.targets[0]]
        fenced = {
            s.call.target
            for s in plan.steps
            if s.call and (s.effect is Effect.FENCE or s.proves_one_primary)
        }
        patience = DEAD_TIMEOUT if fenced.issuperset(pin.targets) else LOOK_TIMEOUT
        for reader in self.registry.pins:
            identity = reader.identity(target)
            if identity is None or (identity.name, identity.subject) != (pin.name, pin.subject):
                continue
            if self._is_lost(reader.asks(target)):
                return pin
            try:
                async with asyncio.timeout(patience.total_seconds() + 1):
                    found = await reader.read(self._context(plan, patience), target)
            except Exception:  # noqa: BLE001 (whatever the reason: it did not say who it is)
                return pin
            return pin.model_copy(update={"found": sanitize(found, limit=200)})
        return pin

    async def _measure(self, plan: Plan, known: Mapping[str, Mapping[str, Any]]) -> LossLook | None:
        """The first measuring step that depends on nothing that happens in the run."""
        for step in plan.steps:
            action, target, params, _why = self._prepared(plan, step, step.call, known[step.scope])
            is_look = action is not None and action.effect is Effect.READ and step.measures_loss
            if action is None or params is None or not is_look:
                continue
            if self._is_lost(action.asks(target, params)):
                why = f"not measured: assumed down is {self.down}"
                return LossLook(step=step.id, bound_s=None, source=why)
            try:
                async with asyncio.timeout(LOOK_TIMEOUT.total_seconds() + 1):
                    bound = await action.perform(self._context(plan), target, params)
                return _loss(step.id, bound)
            except Exception as error:  # noqa: BLE001 (a bound that cannot be read is unknown)
                return LossLook(step=step.id, bound_s=None, source=_said(error))
        return None

    def _context(self, plan: Plan, patience: timedelta = LOOK_TIMEOUT) -> Context:
        return Context(
            clock=self.clock,
            deadline=Deadline.after(self.clock, patience),
            secrets=self.secrets,
            resolvers=plan.resolvers,
        )


def _known(plan: Plan) -> dict[str, dict[str, Any]]:
    """What expressions of each scope may use before the run; outer scopes come first."""
    known: dict[str, dict[str, Any]] = {}
    for scope in ("", *plan.scopes):
        around = known.get(outer(scope), {})
        known[scope] = inputs_of(plan, scope, around) | {"env.name": plan.environment}
    return known


def _said(error: Exception) -> str:
    """What the other side said; of a bug also its kind."""
    is_answer = isinstance(error, words.ActionError | DrctlError | TimeoutError)
    text = str(error) or "no answer"
    return sanitize(text if is_answer else f"{type(error).__name__}: {text}", limit=200)


def _loss(step: str, bound: Outputs) -> LossLook:
    given = bound.model_dump()
    measured = LossBound.model_validate(
        {name: given[name] for name in LossBound.model_fields if name in given}
    )
    seen, safe = measured.primary_last_seen, measured.safe_until
    bound_s = measured.bound.total_seconds() if measured.bound is not None else None
    return LossLook(
        step=step,
        bound_s=bound_s if bound_s is None or bound_s >= 0 else None,
        source=sanitize(measured.source, limit=200),
        safe_until=safe.isoformat() if safe else None,
        primary_last_seen=seen.isoformat() if seen else None,
    )


def _prediction(
    action: AnyAction, observation: Observation, preview: Preview, why: str
) -> Prediction:
    symbol = _SYMBOLS[action.effect]
    before = after = ""
    match preview:
        case Change(before=before, after=after, creates=creates):
            symbol = "+" if creates and symbol == "~" else symbol
        case Nothing(why=reason):
            symbol, why = " ", why or reason
        case CannotTell(why=reason):
            symbol = symbol if action.effect.is_irreversible else "?"
            why = why or reason
    return Prediction(
        symbol=symbol,
        before=sanitize(before, limit=200),
        after=sanitize(after, limit=200),
        why=sanitize(why, limit=200),
        facts=as_json(observation.facts),
        readings=as_json(observation.readings),
    )
