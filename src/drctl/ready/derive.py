"""Which prerequisites a plan has: from its steps, their targets and their params alone. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drctl.actions.check import AnyCheck, Asked, Use
from drctl.actions.planes import place_of
from drctl.actions.registry import Registry
from drctl.actions.targets import Target
from drctl.plan.model import Plan, PlannedCall, PlannedStep
from drctl.plan.terms import fill, has_marks, inputs_of, outer
from drctl.ready.model import Judged
from drctl.runbook.faults import ExpressionError
from drctl.runbook.values import UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A check, and what it is asked."""

    check: AnyCheck
    asked: Asked[Any]

    def lost(self, down: frozenset[str]) -> str:
        """What must answer for it to be answered, and is down; empty: nothing is."""
        planes = self.check.planes(self.asked.target)
        return next((plane for plane in planes if place_of(plane) in down), "")


def questions(plan: Plan, registry: Registry) -> tuple[Question, ...]:
    """Every check that some step of the plan needs, once for each target."""
    found = []
    for name, uses in uses_of(plan, registry).items():
        target: Target = plan.targets[name] if name else Target()
        for check in registry.checks:
            concerned = tuple(use for use in uses if check.concerns(use, target))
            if concerned:
                asked: Asked[Any] = Asked(
                    target=target,
                    name=name,
                    uses=concerned,
                    rto_s=plan.objectives.rto_s,
                    rpo_s=plan.objectives.rpo_s,
                )
                found.append(Question(check=check, asked=asked))
    return tuple(found)


def uses_of(plan: Plan, registry: Registry) -> Mapping[str, tuple[Use, ...]]:
    """What the steps of a plan use, by the target's name (empty: none), in the plan's order."""
    known = _known(plan)
    made: set[str] = set()
    makers = {
        step.id
        for step in plan.steps
        if step.call and (one := registry.get(step.call.uses)) and one.makes_target
    }
    found: dict[str, list[Use]] = {}
    for step in plan.steps:
        for call, is_undo in _calls(step):
            action = registry.get(call.uses)
            if action is None:
                continue
            name = call.target or ""
            is_new = name and name not in found
            if is_new and (action.makes_target or _is_behind(step, plan, makers)):
                made.add(name)
            use = Use(
                step=step.id,
                action=call.uses,
                params=_params(plan, step, call, known[step.scope]),
                effect=action.effect,
                timeout_s=call.timeout_s or step.timeout_s,
                is_undo=is_undo,
                is_later=name in made,
            )
            found.setdefault(name, []).append(use)
    return {name: tuple(uses) for name, uses in found.items()}


def _is_behind(step: PlannedStep, plan: Plan, makers: set[str]) -> bool:
    """Whether something was made before it: a target that nobody has used until then is that."""
    return any(one.id in makers for one in plan.before(step.id))


def steps_of(plan: Plan, target: str) -> tuple[str, ...]:
    """Steps that use a target, an undo aside."""
    return tuple(
        step.id
        for step in plan.steps
        if any(call.target == target and not is_undo for call, is_undo in _calls(step))
    )


def looked_at(asked: Sequence[Question], seen: Sequence[Judged]) -> frozenset[str]:
    """Steps of which a check said something; an identity alone says nothing of a step."""
    checks = {one.check.name for one in asked}
    return frozenset(step for one in seen if one.check in checks for step in one.steps)


def unchecked(plan: Plan, asked: frozenset[str]) -> tuple[str, ...]:
    """Steps that use something, and for which no check was asked."""
    return tuple(step.id for step in plan.steps if step.call and step.id not in asked)


def _calls(step: PlannedStep) -> Iterator[tuple[PlannedCall, bool]]:
    if step.call is not None:
        yield step.call, False
    for call in step.verify:
        yield call, False
    if step.undo is not None:
        yield step.undo, True


def _params(
    plan: Plan, step: PlannedStep, call: PlannedCall, known: Mapping[str, Any]
) -> dict[str, Any]:
    filled = {name: _value(plan, step, raw, known) for name, raw in call.with_.items()}
    return {name: value for name, value in filled.items() if value is not UNKNOWN}


def _value(plan: Plan, step: PlannedStep, raw: Any, known: Mapping[str, Any]) -> Any:
    """
    A param as far as it is known: of a mapping, the keys are known even where no value is; of a
    list, its places.
    """
    if isinstance(raw, Mapping):
        return {name: _value(plan, step, value, known) for name, value in raw.items()}
    if isinstance(raw, list | tuple):
        return [_value(plan, step, value, known) for value in raw]
    if not has_marks(raw):
        return raw
    try:
        return fill(plan, step.id, raw, known)
    except ExpressionError:
        return UNKNOWN


def is_known(value: Any) -> bool:
    """Whether nothing in a param is open until the run."""
    match value:
        case Mapping():
            return all(is_known(one) for one in value.values())
        case list() | tuple():
            return all(is_known(one) for one in value)
    return value is not UNKNOWN


def _known(plan: Plan) -> dict[str, dict[str, Any]]:
    """What expressions of each scope may use before the run; outer scopes come first."""
    known: dict[str, dict[str, Any]] = {}
    for scope in ("", *plan.scopes):
        around = known.get(outer(scope), {})
        known[scope] = inputs_of(plan, scope, around) | {"env.name": plan.environment}
    return known
