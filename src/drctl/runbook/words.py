"""Pydantic's errors in the words of the runbook language."""

from typing import Any, get_args

from pydantic import BaseModel

from drctl.kernel.text import did_you_mean, sanitize
from drctl.runbook.models import ENV_NAME, KEBAB_CASE, NOT_BLANK, RULE, SNAKE_CASE

_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dataclass_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
}
_FORMS = {
    SNAKE_CASE: "this must be snake_case",
    KEBAB_CASE: "this must be lower case, words joined by hyphens",
    NOT_BLANK: "this must say something",
    RULE: "this must be the id of a rule, as DR6101: drctl explain rules lists them",
    ENV_NAME: "this must be a name in the environment, family first, as in db.primary",
}
_LIMITS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def field_names(model: type[BaseModel]) -> set[str]:
    """The keys that a file may use for *model*."""
    return {field.alias or name for name, field in model.model_fields.items()}


def known_keys(error: Any, model: type[BaseModel]) -> set[str]:
    """The keys that may stand where ``extra_forbidden`` found another."""
    return field_names(_model_at(model, error["loc"][:-1]) or model) - {"position"}


def in_words(error: Any, model: type[BaseModel]) -> tuple[str, str]:
    """The code and the words for one of pydantic's errors about *model*."""
    match error["type"]:
        case "extra_forbidden":
            key = str(error["loc"][-1])
            near = did_you_mean(key, known_keys(error, model))
            return "DR1010", f'unknown key "{sanitize(key, limit=80)}"{near}'
        case "missing":
            return "DR1011", f'"{error["loc"][-1]}" is missing'
        case "string_too_short" | "too_short":
            return "DR1031", "this must not be empty: empty selects nothing"
        case "value_error":
            words = sanitize(str(error["ctx"]["error"]), limit=300)
            return ("DR1013" if "duration" in words else "DR1012"), words
    return "DR1012", _must(error)


def _must(error: Any) -> str:
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    if kind in _KINDS:
        return f"this must be {_KINDS[kind]}{_instead(kind, given)}"
    if kind in _LIMITS:
        words, key = _LIMITS[kind]
        limit = context[key]
        shown = "0s" if "timedelta(0)" in str(limit) else limit  # pydantic gives the repr
        return f"this must be {words} {shown}"
    if kind == "literal_error":
        expected = context["expected"].replace(" or ", ", ").split(", ")
        choices = [word.strip("'") for word in expected]
        return f"this must be one of {', '.join(choices)}{did_you_mean(str(given), choices)}"
    if kind == "string_pattern_mismatch":
        return _FORMS.get(context["pattern"], f"this does not look like {context['pattern']}")
    if kind.startswith("date"):
        return "this must be a day, as 2027-03-31"
    return sanitize(error["msg"], limit=300)


def _instead(kind: str, given: object) -> str:
    if kind == "string_type" and isinstance(given, bool):
        return f'; write "{str(given).lower()}" in quotes'
    if kind == "string_type" and isinstance(given, int | float):
        return f'; write "{given}" in quotes'
    match given:
        case dict():
            return ", not a mapping"
        case list():
            return ", not a list"
        case str():
            return ", not text"
    return ""


def _model_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The model that the value at *loc* is read with."""
    found: Any = model
    for part in loc:
        if isinstance(part, int):
            continue
        if not (isinstance(found, type) and issubclass(found, BaseModel)):
            return None
        fields = {
            field.alias or name: field.annotation for name, field in found.model_fields.items()
        }
        found = _inner_model(fields.get(part))
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def _inner_model(annotation: Any) -> Any:
    """The model inside ``X | None``, ``tuple[X, ...]`` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_inner_model(one) for one in get_args(annotation))
    return next((one for one in inner if one is not None), None)
