"""Label selectors and field selectors."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from drctl.lab.kubernetes.errors import Object, bad_request

Matches = Callable[[Object], bool]

_SET = re.compile(r"^(?P<key>\S+)\s+(?P<op>in|notin)\s+\((?P<values>[^)]*)\)$")
_COMMA = re.compile(r",(?![^(]*\))")  # not the commas inside in (a,b)


def parse_labels(text: str) -> Matches:
    """
    Reads ``app=web,tier!=cache,env in (a,b),!old``.

    Raises:
        ApiError: 400, it cannot be read.
    """
    checks = [_label_check(part.strip()) for part in _COMMA.split(text) if part.strip()]
    return lambda obj: all(check(obj["metadata"].get("labels") or {}) for check in checks)


def _label_check(part: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _SET.match(part):
        key = found["key"]
        values = {value.strip() for value in found["values"].split(",")}
        if found["op"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    for operator in ("!=", "==", "="):
        if operator in part:
            key, _, value = (word.strip() for word in part.partition(operator))
            if operator == "!=":
                return lambda labels: labels.get(key) != value
            return lambda labels: labels.get(key) == value
    if part.startswith("!"):
        return lambda labels: part[1:].strip() not in labels
    if " " in part or not part:
        raise bad_request(f"unable to parse requirement: {part!r}")
    return lambda labels: part in labels


def parse_fields(text: str) -> Matches:
    """
    Reads ``metadata.name=web,status.phase!=Running``.

    Raises:
        ApiError: 400, it cannot be read.
    """
    checks: list[tuple[list[str], str, bool]] = []
    for part in text.split(","):
        if not part.strip():
            continue
        operator = next((word for word in ("!=", "==", "=") if word in part), None)
        if operator is None:
            raise bad_request(f"invalid selector: {part!r}; can't understand {part!r}")
        path, _, value = part.partition(operator)
        checks.append((path.strip().split("."), value.strip(), operator != "!="))
    return lambda obj: all((_field(obj, path) == value) is wanted for path, value, wanted in checks)


def _field(obj: Object, path: list[str]) -> str:
    value: Any = obj
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return "" if value is None else str(value)


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Says whether a workload's selector picks an object with these labels."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for rule in selector.get("matchExpressions", []):
        key, values = rule["key"], rule.get("values", [])
        fits = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not fits.get(rule["operator"], False):
            return False
    return True
