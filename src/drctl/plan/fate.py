"""
What would fail if a place did not answer. Pure: it asks nobody, and least of all that place.

Every action says which planes its calls ask, and which of these it can do without
(`drctl.actions.planes`). From that follows which calls fail. How far a run would come follows from
the plan's own order, as the engine keeps it: what is not known before a change, a wrong or silent
identity, an unbounded loss, a lease that cannot be had, refuses the run; a failed step holds what
waits for it; one that may fail (``on_failure: continue``) holds nobody.

What is not promised: that what is not named works. A call that asks nothing of what is lost may
fail for reasons of its own. Only what follows from the loss is said.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from drctl.actions.contract import Effect
from drctl.actions.planes import Ask, Down
from drctl.actions.registry import AnyAction, Registry
from drctl.actions.targets import Target
from drctl.plan.fate_model import CallFate, CallPart, Ending, Fate, Reached, StepFate
from drctl.plan.graph import waves
from drctl.plan.leases import cell_of
from drctl.plan.model import Plan, PlannedCall, PlannedPin, PlannedStep
from drctl.plan.terms import test
from drctl.runbook.faults import ExpressionError
from drctl.runbook.values import UNKNOWN

Prepared: TypeAlias = Callable[[PlannedStep, PlannedCall], tuple[AnyAction | None, Target, Any]]
"""The action of a call, its target, and its params, ``None`` where the run only knows them."""
Values: TypeAlias = Callable[[PlannedStep], dict[str, Any]]
"""What an expression of a step may use before the run."""

_STATUS = {"succeeds": "succeeded", "fails": "failed"}
"""As expressions know them."""


def foretell(plan: Plan, registry: Registry, prepared: Prepared, known: Values, down: Down) -> Fate:
    """Says which calls of a plan fail while *down* is down, and how far a run would come."""
    return _Telling(plan=plan, registry=registry, prepared=prepared, known=known, down=down).tell()


@dataclass(slots=True, kw_only=True)
class _Telling:
    """One forecast; made, asked once, thrown away."""

    plan: Plan
    registry: Registry
    prepared: Prepared
    known: Values
    down: Down
    fails: list[CallFate] = field(default_factory=list)
    copes: list[CallFate] = field(default_factory=list)
    ends: dict[str, StepFate] = field(default_factory=dict)
    outputs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Of steps that cope: what is known of their outputs."""
    moved: dict[str, bool] = field(default_factory=dict)
    """Of what leads customers, by target: whether it leads to the recovery side."""

    def tell(self) -> Fate:
        refusals = self._pins()
        for step in self.plan.steps:
            engaged = step.prediction.facts.get("engaged")
            if isinstance(engaged, bool) and step.call and step.call.target:
                self.moved[step.call.target] = engaged
        refusals += self._looks()
        unbounded = self._unbounded()
        # A person may accept a loss that nobody bounds: then the lease is asked for.
        at: Reached = "no" if refusals else "perhaps" if unbounded else "yes"
        refusals += [*unbounded, *self._lease(at)]
        blockers: list[PlannedStep] = []
        order = [self.plan.by_id[name] for group in waves(self.plan.steps) for name in group]
        for step in (*(s for s in order if not s.is_final), *(s for s in order if s.is_final)):
            self._step(step, blockers, is_refused=bool(refusals))
        ending, why = self._ending(refusals, blockers)
        return Fate(
            lost={place: loss.value for place, loss in self.down.lost.items()},
            fails=tuple(self.fails),
            copes=tuple(self.copes),
            steps=tuple(self.ends[step.id] for step in self.plan.steps),
            ending=ending,
            why=why,
        )

    # Before a run.

    def _pins(self) -> list[str]:
        changing = {
            step.call.target
            for step in self.plan.steps
            if step.call
            and step.effect.changes_something
            and step.effect is not Effect.FENCE
            and not step.proves_one_primary
        }
        refusals = []
        for pin in self.plan.pins:
            is_needed = not changing.isdisjoint(pin.targets)
            tolerated = "" if is_needed else "nothing but a fence or a look has business there"
            asks = self._asks_of_pin(pin)
            if self._note("pin", None, pin.name, pin.subject, asks, "yes", tolerated) and is_needed:
                refusals.append(f"{pin.name} of {pin.subject} does not answer")
        return refusals

    def _asks_of_pin(self, pin: PlannedPin) -> tuple[Ask, ...]:
        target = self.plan.targets[pin.targets[0]]
        for reader in self.registry.pins:
            identity = reader.identity(target)
            if identity and (identity.name, identity.subject) == (pin.name, pin.subject):
                return reader.asks(target)
        return ()

    def _lease(self, reached: Reached) -> list[str]:
        lease = self.plan.lease
        cell = cell_of(self.registry, lease) if lease.identities else None
        if cell is None:
            return []
        asks = tuple(Ask(plane=f"data-plane:{place}", service=cell.label) for place in cell.places)
        fails = self._note("lease", None, lease.store or "", cell.label, asks, reached, "")
        return [f"the lease cannot be had: {cell.label}"] if fails else []

    def _looks(self) -> list[str]:
        """A look before the run that fails is a ``?``; an unfit candidate refuses the run."""
        refusals = []
        for step in self.plan.steps:
            if step.call is None:
                continue
            action, target, params = self.prepared(step, step.call)
            if action is None:
                continue
            asks = self._now(step.call, action.asks_to_look(target, params))
            is_compared = step.effect is Effect.PROMOTE
            tolerated = "" if is_compared else "a look that fails is shown as ?"
            fails = self._note(
                "look", step, action.name, step.call.target or "", asks, "yes", tolerated
            )
            if is_compared and not fails and (lost := self.down.survived(asks)):
                refusals.append(f"{step.id}: {lost[0].copes}")
        return refusals

    def _unbounded(self) -> list[str]:
        """The first look that bounds the loss decides whether it is known."""
        for step in self.plan.steps:
            if step.call is None or not step.measures_loss:
                continue
            action, target, params = self.prepared(step, step.call)
            if action is None or action.effect is not Effect.READ or not params:
                continue
            lost = self.down.fatal(action.asks(target, params))
            return [f"{step.id} cannot bound the loss"] if lost else []
        return []

    # The run.

    def _step(self, step: PlannedStep, blockers: list[PlannedStep], *, is_refused: bool) -> None:
        reached = self._reached(step, blockers, is_refused=is_refused)
        if step.when and reached != "no":
            reached, skipped = self._when(step, reached)
            if skipped:
                self.ends[step.id] = StepFate(step=step.id, outcome="skipped", reached="no")
                reached = "no"
        fails = False
        if step.call is not None:
            fails = self._own(step, step.call, reached)
            for check in step.verify:
                at = "no" if fails and reached == "yes" else reached
                fails = self._one("verify", step, check, at) or fails
            if step.undo is not None:
                self._one("undo", step, step.undo, "no")
        if step.id not in self.ends:
            outcome = "fails" if fails else "succeeds"
            self.ends[step.id] = StepFate(step=step.id, outcome=outcome, reached=reached)
        if fails and reached != "no" and not _is_free_to_fail(step):
            blockers.append(step)
        elif step.call and step.call.target and reached == "yes" and not fails:
            action = self.registry.get(step.call.uses)
            if action is not None and action.engages is not None:
                self.moved[step.call.target] = action.engages

    def _own(self, step: PlannedStep, call: PlannedCall, reached: Reached) -> bool:
        if self._one("step", step, call, reached):
            return True
        action, target, params = self.prepared(step, call)
        if action is None:
            return False
        lost = self.down.survived(self._now(call, action.asks(target, params)))
        if not lost:
            return False
        given = action.without(target, params, lost)
        self.outputs[step.id] = given
        if step.until is None:
            return False
        known = {**self._values(step), "outputs": dict(given)}
        if self._test(step, step.until, known) is not False:
            return False
        why = f"without {lost[0].plane} it never becomes true that {step.until}"
        self._add(self.fails, "step", step, action.name, call.target or "", lost, why, reached)
        return True

    def _one(self, part: CallPart, step: PlannedStep, call: PlannedCall, reached: Reached) -> bool:
        action, target, params = self.prepared(step, call)
        if action is None:
            return False
        asks = self._now(call, action.asks(target, params))
        tolerated = "on_failure: continue" if _is_free_to_fail(step) else ""
        return self._note(
            part, step, action.name, call.target or "", asks, reached, tolerated, action.alternative
        )

    def _now(self, call: PlannedCall, asks: tuple[Ask, ...]) -> tuple[Ask, ...]:
        """Without what is asked only while customers are led elsewhere."""
        is_moved = self.moved.get(call.target or "", False)
        return tuple(ask for ask in asks if ask.once_moved in {None, is_moved})

    def _reached(
        self, step: PlannedStep, blockers: list[PlannedStep], *, is_refused: bool
    ) -> Reached:
        if is_refused:
            return "no"
        if step.is_final:
            # A paused run is not over: what tells people how it ended comes when a person ends it.
            return "no" if any(one.on_failure == "pause" for one in blockers) else "yes"
        before = {one.id for one in self.plan.before(step.id)}
        if any(one.id in before for one in blockers):
            return "no"
        if any(self.ends[name].reached == "perhaps" for name in before if name in self.ends):
            return "perhaps"
        # Whoever fails cannot have failed before this one started when it waits for no less.
        late = [one for one in blockers if not before <= {b.id for b in self.plan.before(one.id)}]
        return "perhaps" if late else "yes"

    def _when(self, step: PlannedStep, reached: Reached) -> tuple[Reached, bool]:
        verdict = self._test(step, step.when or "", self._values(step))
        if verdict is None:
            return "perhaps", False
        return reached, not verdict

    def _test(self, step: PlannedStep, text: str, known: Mapping[str, Any]) -> bool | None:
        try:
            verdict = test(self.plan, step.id, text, known)
        except ExpressionError:
            return None
        return None if verdict is UNKNOWN else verdict is True

    def _values(self, step: PlannedStep) -> dict[str, Any]:
        prefix = f"{step.scope}." if step.scope else ""
        steps = {
            name.removeprefix(prefix): {
                "status": _STATUS.get(end.outcome, end.outcome),
                "outputs": dict(self.outputs.get(name, {})),
            }
            for name, end in self.ends.items()
            if self.plan.by_id[name].scope == step.scope
        }
        return {**self.known(step), "steps": steps}

    def _ending(self, refusals: list[str], blockers: list[PlannedStep]) -> tuple[Ending, str]:
        if refusals:
            return "refused", f"before anything is changed: {'; '.join(dict.fromkeys(refusals))}"
        if not blockers:
            return "succeeds", "no step fails whose failure holds it"
        names = ", ".join(one.id for one in blockers)
        if all(self.ends[one.id].reached == "perhaps" for one in blockers):
            return "depends", f"on what is only known during the run: {names}"
        word: Ending = "stops" if any(one.on_failure == "stop" for one in blockers) else "pauses"
        return word, f"at {names}"

    # Notes.

    def _note(
        self,
        part: CallPart,
        step: PlannedStep | None,
        uses: str,
        target: str,
        asks: tuple[Ask, ...],
        reached: Reached,
        tolerated: str,
        alternative: str = "",
    ) -> bool:
        """Notes a call that asks something lost; true when it fails."""
        fatal = self.down.fatal(asks)
        if fatal:
            why = "; ".join(dict.fromkeys(_needs(ask) for ask in fatal))
            self._add(
                self.fails, part, step, uses, target, fatal, why, reached, tolerated, alternative
            )
        elif lost := self.down.survived(asks):
            why = "; ".join(dict.fromkeys(ask.copes for ask in lost))
            self._add(self.copes, part, step, uses, target, lost, why, reached)
        return bool(fatal)

    @staticmethod
    def _add(
        where: list[CallFate],
        part: CallPart,
        step: PlannedStep | None,
        uses: str,
        target: str,
        asks: tuple[Ask, ...],
        why: str,
        reached: Reached,
        tolerated: str = "",
        alternative: str = "",
    ) -> None:
        where.append(
            CallFate(
                part=part,
                step=step.id if step else "",
                uses=uses,
                target=target,
                planes=tuple(dict.fromkeys(ask.plane for ask in asks)),
                why=why,
                reached=reached,
                tolerated=tolerated,
                alternative=alternative,
            )
        )


def _needs(ask: Ask) -> str:
    what = f" ({ask.service})" if ask.service else ""
    instead = ", which refuses nobody definitely while it is silent" if ask.only_when_dead else ""
    return f"needs {ask.plane}{what}{instead}"


def _is_free_to_fail(step: PlannedStep) -> bool:
    return step.on_failure == "continue" or step.is_message
