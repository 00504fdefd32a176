"""Values on their way into expressions, out of them, and into sentences."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final, NewType

from drctl.kernel.duration import format_duration, parse_duration

CelType = NewType("CelType", str)
"""``string int double bool duration timestamp dyn``, ``list<…>``, ``map<string,…>``."""


class Unknown(Enum):
    """The type of `UNKNOWN`."""

    UNKNOWN = "unknown"

    def __bool__(self) -> bool:
        message = "UNKNOWN is neither true nor false; ask with `is UNKNOWN`"
        raise TypeError(message)


UNKNOWN: Final = Unknown.UNKNOWN
"""The value is not known: its step was skipped, has not run, or could not say."""


def for_people(value: Any) -> str:
    """Writes a value into a sentence: ``4m30s``, RFC 3339, ``true``, JSON for what is nested."""
    match value:
        case str():
            return value
        case timedelta():
            return format_duration(value)
        case datetime():
            return _rfc3339(value)
    return json.dumps(value, ensure_ascii=False, default=for_people)


def find(name: str, values: Mapping[str, Any]) -> Any:
    """Looks a dotted name up, whole or word by word; ``None`` when it is not there."""
    if name in values:
        return values[name]
    found: Any = values
    for word in name.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(word)
    return found


def handed_in(value: Any, kind: CelType) -> Any:
    """
    Converts a value of ours to one that the library takes.

    Raises:
        ValueError: Text that the library would cut or choke on; a time without an offset.
        TypeError: A value of a type that no step gives.
        OverflowError: A number too large for a double.
        RecursionError: A value that holds itself.
    """
    match kind:
        case "duration":
            return _duration(value)
        case "timestamp":
            return _moment(value)
        case "double":
            return float(value)
    return _json(value)


def handed_out(value: Any) -> Any:
    """
    Checks what the library answered.

    Raises:
        ValueError: Not a value that a step may get: bytes, a type, a number that is not finite.
    """
    match value:
        case float() if not math.isfinite(value):
            message = "the number is not finite"
            raise ValueError(message)
        case list():
            return [handed_out(item) for item in value]
        case dict():
            return {str(key): handed_out(item) for key, item in value.items()}
        case str() | bool() | int() | float() | timedelta() | datetime() | None:
            return value
    message = f"a value of type {type(value).__name__}"
    raise ValueError(message)


def _duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str) and not value.startswith(("P", "-P")):
        return parse_duration(value)
    from pydantic import TypeAdapter

    return TypeAdapter(timedelta).validate_python(value)


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        message = "a time without an offset"
        raise ValueError(message)
    return moment


def _json(value: Any) -> Any:  # noqa: PLR0911 (one for each kind of value)
    match value:
        case Enum():
            return _json(value.value)
        case str():
            if "\0" in value:
                message = "text with a NUL character"
                raise ValueError(message)
            value.encode()  # a lone surrogate raises a ValueError here, not in C++
            return str(value)
        case timedelta():
            return format_duration(value)
        case datetime():
            return _rfc3339(value)
        case Mapping():
            return {_json(str(key)): _json(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_json(item) for item in value]
        case bool() | int() | float() | None:
            return value
    message = f"a value of type {type(value).__name__}"
    raise TypeError(message)


def _rfc3339(moment: datetime) -> str:
    moment = moment.astimezone(UTC)
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")
