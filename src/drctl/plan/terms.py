"""Expressions of a plan: the checked text once more, this time with values."""

from collections.abc import Mapping
from typing import Any

from drctl.plan.model import Plan
from drctl.runbook.expressions import Scope, evaluate
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
    match raw:
        case str():
            return _scope(plan, step).template(raw).render(values) if has_marks(raw) else raw
        case Mapping():
            mapped = {key: fill(plan, step, value, values) for key, value in raw.items()}
            return UNKNOWN if any(v is UNKNOWN for v in mapped.values()) else mapped
        case list() | tuple():
            listed = [fill(plan, step, value, values) for value in raw]
            return UNKNOWN if any(v is UNKNOWN for v in listed) else listed
    return raw


def sentence(plan: Plan, step: str, text: str, values: Mapping[str, Any]) -> str:
    """Fills in a line for people; what is not known says so."""
    return for_people(_scope(plan, step).template(text).render(values, unknown="(unknown)"))


def _scope(plan: Plan, step: str) -> Scope:
    own = f"steps.{step}.outputs."
    names = {name: CelType(kind) for name, kind in plan.types.items()}
    names |= {
        f"outputs.{name.removeprefix(own)}": kind
        for name, kind in names.items()
        if name.startswith(own)
    }
    return Scope(names)
