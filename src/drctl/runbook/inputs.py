"""Values that the operator gives: what a runbook says about them, and what was given."""

import math
import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import Any, TypeAlias

from drctl.kernel.duration import format_duration, parse_duration
from drctl.kernel.errors import InvalidError, Problem
from drctl.kernel.text import did_you_mean, sanitize
from drctl.runbook.draft import Draft
from drctl.runbook.models import InputSpec, Runbook

InputValue: TypeAlias = str | int | float | bool | timedelta

_WORDS = {
    "string": "text",
    "int": "a whole number",
    "double": "a number",
    "bool": "true or false",
    "duration": 'a duration, as in "4m30s"',
}
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_DOUBLE = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]{1,3})?")


def resolve_inputs(
    runbook: Runbook, given: Mapping[str, str], *, later: AbstractSet[str] = frozenset()
) -> dict[str, InputValue]:
    """
    Turns what the operator gave into typed values, defaults filled in; those *later* are left out.

    Raises:
        InvalidError: Unknown names, missing ones, values that do not fit; all of them at once.
    """
    return _resolved(runbook, given, _from_text, later)


def resolve_values(
    runbook: Runbook, given: Mapping[str, Any], *, later: AbstractSet[str] = frozenset()
) -> dict[str, InputValue]:
    """
    The same for values that a file or an expression gave; those *later* are there, and not known.

    Raises:
        InvalidError: As `resolve_inputs`.
    """
    return _resolved(runbook, given, _from_value, later)


def _resolved(
    runbook: Runbook,
    given: Mapping[str, Any],
    read: Callable[[Any, InputSpec], InputValue],
    later: AbstractSet[str] = frozenset(),
) -> dict[str, InputValue]:
    values: dict[str, InputValue] = {}
    problems: list[Problem] = []
    for name in (*given, *later):
        if name not in runbook.inputs:
            shown, near = sanitize(name, limit=80), did_you_mean(name, runbook.inputs)
            problems.append(_problem("DR1080", f'there is no input "{shown}"{near}', runbook))
    for name, spec in runbook.inputs.items():
        try:
            if name in given:
                values[name] = _checked(read(given[name], spec), spec)
            elif name in later:
                continue
            elif spec.default is not None:
                values[name] = _checked(_from_file(spec.default, spec), spec)
            else:
                about = f": {spec.description}" if spec.description else ""
                what = f'the input "{name}" ({_WORDS[spec.type]}) is missing{about}'
                do = f"-i {name}=…"
                problems.append(_problem("DR1081", what, runbook, do=do))
        except ValueError as error:
            problems.append(_problem("DR1082", f'the input "{name}" {error}', runbook))
    if problems:
        raise InvalidError(tuple(problems))
    return values


def check_inputs(draft: Draft) -> None:
    """Notes defaults, choices and limits that do not fit their own input."""
    for name, spec in draft.inputs.items():
        if spec is None:
            continue
        path = ("inputs", name)
        if spec.pattern is not None:
            _check_pattern(draft, name, spec)
        sound: dict[str, Any] = {}
        for key in ("minimum", "maximum"):
            limit = getattr(spec, key)
            if limit is not None and spec.type not in {"int", "double", "duration"}:
                draft.say_key("DR1016", f"{key} is for numbers and durations", (*path, key))
                sound[key] = None
            elif limit is not None:
                bare = spec.model_copy(update=_NO_LIMITS)
                sound[key] = limit if _fits(draft, (*path, key), limit, bare) else None
        # From here on only what is right about the input counts: a wrong limit is told once.
        free = spec.model_copy(update={**sound, "enum": None})
        choices = enumerate(spec.enum or ())
        sound["enum"] = [c for n, c in choices if _fits(draft, (*path, "enum", n), c, free)] or None
        if spec.default is not None:
            _fits(draft, (*path, "default"), spec.default, spec.model_copy(update=sound))


_NO_LIMITS: dict[str, Any] = {"minimum": None, "maximum": None, "enum": None, "pattern": None}


def _check_pattern(draft: Draft, name: str, spec: InputSpec) -> None:
    path = ("inputs", name, "pattern")
    if spec.type != "string":
        draft.say_key("DR1016", "pattern is for strings", path)
    try:
        re.compile(spec.pattern or "")
    except (re.error, OverflowError, RecursionError) as error:
        draft.say_at("DR1016", f"this is not a regular expression: {error}", path)


def _fits(draft: Draft, path: tuple[str | int, ...], value: Any, spec: InputSpec) -> bool:
    try:
        _checked(_from_file(value, spec), spec)
    except ValueError as error:
        draft.say_at("DR1016", f"this {error}", path)
        return False
    return True


def _from_file(value: Any, spec: InputSpec) -> InputValue:
    """A value as YAML gave it: typed already, except durations."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match spec.type:
        case "string" if isinstance(value, str):
            return value
        case "bool" if isinstance(value, bool):
            return value
        case "int" if isinstance(value, int) and is_number:
            return value
        case "double" if is_number:
            return float(value)
        case "duration" if isinstance(value, str) or is_number:
            return _duration(str(value))
    message = f"must be {_WORDS[spec.type]}"
    raise ValueError(message)


def _from_value(value: Any, spec: InputSpec) -> InputValue:
    if spec.type == "duration" and isinstance(value, timedelta):
        return value
    return _from_file(value, spec)


def _from_text(text: str, spec: InputSpec) -> InputValue:
    """A value as a command line gave it."""
    match spec.type:
        case "string":
            return text
        case "bool" if text in {"true", "false"}:
            return text == "true"
        case "int" if _INT.fullmatch(text):
            return int(text)
        case "double" if _DOUBLE.fullmatch(text):
            return float(text)
        case "duration":
            return _duration(text)
    message = f'must be {_WORDS[spec.type]}, not "{sanitize(text, limit=80)}"'
    raise ValueError(message)


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        message = f"must be a duration: {sanitize(str(error), limit=200)}"
        raise ValueError(message) from error


def _checked(value: InputValue, spec: InputSpec) -> InputValue:
    shown = sanitize(_shown(value), limit=80)
    if isinstance(value, float) and not math.isfinite(value):
        message = "must be a finite number"
        raise ValueError(message)
    if spec.pattern is not None and isinstance(value, str) and not _matches(spec.pattern, value):
        message = f'must match {spec.pattern}, and "{shown}" does not'
        raise ValueError(message)
    if spec.enum is not None:
        choices = [_from_file(choice, spec) for choice in spec.enum]
        if value not in choices:
            known = [_shown(choice) for choice in choices]
            message = (
                f'must be one of {", ".join(known)}, not "{shown}"{did_you_mean(shown, known)}'
            )
            raise ValueError(message)
    if spec.minimum is not None and value < _from_file(spec.minimum, spec):  # type: ignore[operator]  # both of the spec's type
        message = f"must be at least {spec.minimum}, not {shown}"
        raise ValueError(message)
    if spec.maximum is not None and value > _from_file(spec.maximum, spec):  # type: ignore[operator]  # both of the spec's type
        message = f"must be at most {spec.maximum}, not {shown}"
        raise ValueError(message)
    return value


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:
        return True  # said where the pattern is written


def _shown(value: InputValue) -> str:
    if isinstance(value, timedelta):
        return format_duration(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _problem(code: str, what: str, runbook: Runbook, do: str | None = None) -> Problem:
    return Problem(code=code, what=what, at=f"inputs of {runbook.metadata.name}", do=do)
