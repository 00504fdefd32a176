"""Expressions of a plan: the checked text once more, this time with values."""

from collections.abc import Mapping
from typing import Any

from drctl.plan.model import Plan
from drctl.runbook.expressions import Scope, evaluate
from drctl.runbook.faults import ExpressionError
from drctl.runbook.values import UNKNOWN, CelType, Unknown, for_people


def has_marks(raw: Any) -> bool:
    """True when ``${{`` is anywhere in a param."""
    match raw:
        case str():
            return "${{" in raw
        case Mapping():
            return any(has_marks(value) for value in raw.values())
        case list() | tuple():
            return any(has_marks(value) for value in raw)
    return False


def test(plan: Plan, step: str, text: str, values: Mapping[str, Any]) -> bool | Unknown:
    """
    Evaluates a condition of *step*.

    Raises:
        ExpressionError: It has no value (division by zero, a missing key of a map).
    """
    verdict = evaluate(_scope(plan, step).compile(text, wanted=CelType("bool")), values)
    return UNKNOWN if verdict is UNKNOWN else verdict is True


def fill(plan: Plan, step: str, raw: Any, values: Mapping[str, Any]) -> Any:
    """
    Fills in every expression of a param, however deep.

    Returns:
        The same shape with values; `UNKNOWN` when any of them is not known.

    Raises:
        ExpressionError: One of them has no value.
    """
    return _filled(_scope(plan, step), raw, values)


def fill_in(types: Mapping[str, str], raw: Any, values: Mapping[str, Any]) -> Any:
    """
    The same for what is written where these names are known: the inputs of an included runbook.

    Raises:
        ExpressionError: As `fill`.
    """
    return _filled(Scope({name: CelType(kind) for name, kind in types.items()}), raw, values)


def inputs_of(plan: Plan, scope: str, around: Mapping[str, Any]) -> dict[str, Any]:
    """
    The inputs of an included runbook by dotted name, as far as they are known.

    Args:
        scope: Its place in the plan; empty: the runbook that the plan is of.
        around: Values of the runbook around it.
    """
    if not scope:
        return {f"inputs.{name}": value for name, value in plan.inputs.items()}
    found = {}
    for name, raw in plan.scopes[scope].inputs.items():
        value = raw
        if has_marks(raw):
            try:
                value = fill_in(types_of(plan, outer(scope)), raw, around)
            except ExpressionError:
                continue
        if value is not UNKNOWN:
            found[f"inputs.{name}"] = value
    return found


def outer(scope: str) -> str:
    """The scope around a scope."""
    return scope.rpartition(".")[0]


def types_of(plan: Plan, scope: str) -> Mapping[str, str]:
    """The names that expressions of a scope may use."""
    return plan.scopes[scope].types if scope else plan.types


def _filled(scope: Scope, raw: Any, values: Mapping[str, Any]) -> Any:
    match raw:
        case str():
            return scope.template(raw).render(values) if has_marks(raw) else raw
        case Mapping():
            mapped = {key: _filled(scope, value, values) for key, value in raw.items()}
            return UNKNOWN if any(v is UNKNOWN for v in mapped.values()) else mapped
        case list() | tuple():
            listed = [_filled(scope, value, values) for value in raw]
            return UNKNOWN if any(v is UNKNOWN for v in listed) else listed
    return raw


def sentence(plan: Plan, step: str, text: str, values: Mapping[str, Any]) -> str:
    """Fills in a line for people; what is not known says so."""
    return for_people(_scope(plan, step).template(text).render(values, unknown="(unknown)"))


def _scope(plan: Plan, step: str) -> Scope:
    scope = plan.by_id[step].scope
    own = f"steps.{step.removeprefix(f'{scope}.') if scope else step}.outputs."
    names = {name: CelType(kind) for name, kind in types_of(plan, scope).items()}
    names |= {
        f"outputs.{name.removeprefix(own)}": kind
        for name, kind in names.items()
        if name.startswith(own)
    }
    return Scope(names)
