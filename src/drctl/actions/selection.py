"""
Empty selects nothing, and so does everything: what a change may act on is named, each by itself.

Problem: the worst outages of this kind were one empty parameter away ("delete where name starts
with ''"). Invariant: before anything that changes something is asked for, each id of its target and
each text of its params is a text that names one thing: not empty, not blank, no wildcard, no
expression that nobody filled in; and the target is of a kind that the action acts on.
"""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel

from drctl.actions.contract import Action
from drctl.actions.targets import Target

_WILDCARDS = frozenset("*?%")


def selects_nothing(value: Any) -> str | None:
    """Why a param's value names nothing; ``None`` when it does."""
    match value:
        case str() if not value.strip():
            return "is empty: empty selects nothing"
        case str() if "${" in value:
            return "holds an expression that was not filled in"
        case str() if _WILDCARDS.issuperset(value.strip()):
            return f'is "{value.strip()}": a change names what it acts on, one by one'
        case list() | tuple() | Mapping() if not value:
            return "is empty: empty selects nothing"
    return None


def param_refusals(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every value inside the params of a change that names nothing, with its path and why."""
    why = selects_nothing(value) if name else None
    if why is not None:
        yield name, why
        return
    match value:
        case Mapping():
            for key, item in value.items():
                bad = selects_nothing(key)
                if bad is not None:
                    yield f"{name}.{key}".lstrip("."), bad
                yield from param_refusals(item, f"{name}.{key}".lstrip("."))
        case list() | tuple():
            for index, item in enumerate(value):
                yield from param_refusals(item, f"{name}.{index}".lstrip("."))


def target_refusals(target: BaseModel, name: str = "") -> Iterator[tuple[str, str]]:
    """Every field of a target, however deep, that names nothing or many things."""
    for field, spec in type(target).model_fields.items():
        path = f"{name}.{field}".lstrip(".")
        value = getattr(target, field, None)
        if value is None and type(None) not in get_args(spec.annotation):
            yield path, "is missing"
        for where, text in _texts(value, path):
            why = selects_nothing(text)
            if why is None and "*" in text:
                why = "has a wildcard in it"
            if why is not None:
                yield where, why
        if isinstance(value, BaseModel):
            yield from target_refusals(value, path)


def refusal(action: Action[Any, Any, Any], target: Target, params: Mapping[str, Any]) -> str | None:
    """
    Why this change must not be asked for; ``None`` for what only looks or tells people.

    Args:
        params: As they are about to be sent, expressions filled in.
    """
    if not action.effect.changes_something:
        return None
    if action.targets and not isinstance(target, action.targets):
        kinds = " or ".join(str(kind.model_fields["kind"].default) for kind in action.targets)
        return f"{action.name} acts on {kinds}, and this is {target.kind}"
    for path, why in target_refusals(target) if action.targets else ():
        return f"target: {path} {why}"
    selecting = {
        name: value
        for name, value in params.items()
        if not (name in action.may_be_empty and isinstance(value, list | tuple) and not value)
    }
    for path, why in param_refusals(selecting):
        return f"with: {path} {why}"
    return None


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    match value:
        case str():
            yield path, value
        case list() | tuple():
            for index, item in enumerate(value):
                yield from _texts(item, f"{path}.{index}")
        case Mapping():
            for key, item in value.items():
                yield from _texts(item, f"{path}.{key}")
