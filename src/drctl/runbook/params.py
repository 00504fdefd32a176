"""The ``with:`` of a call against its action's params: checked when read, filled in when run."""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from drctl.actions.contract import Params
from drctl.actions.registry import AnyAction
from drctl.actions.selection import selects_nothing
from drctl.kernel.duration import parse_duration
from drctl.kernel.errors import InvalidError, Position, Problem
from drctl.kernel.yaml_tree import Path
from drctl.runbook.draft import Draft
from drctl.runbook.expressions import Scope, Template, has_expression
from drctl.runbook.faults import ExpressionError
from drctl.runbook.models import write_duration
from drctl.runbook.signatures import cel_type, inner_types, one_model
from drctl.runbook.values import UNKNOWN, CelType, Unknown
from drctl.runbook.words import in_words, known_keys

_WORDS_FOR = {
    "string": "text",
    "bool": "true or false",
    "int": "a whole number",
    "double": "a number",
}


def bind_params(
    action: AnyAction,
    with_: Mapping[str, Any],
    scope: Scope,
    values: Mapping[str, Any],
    *,
    at: Position | None = None,
) -> Params | Unknown:
    """
    Fills in the expressions of a call and gives the action's params.

    Args:
        action: What is called.
        with_: Its ``with``, as written.
        scope: What its expressions may refer to: `Scopes.at` the step, or `Scopes.after` it.
        values: As for `drctl.runbook.expressions.evaluate`.
        at: Where the call is written; problems carry it.

    Returns:
        `UNKNOWN` when a value that is needed is not known.

    Raises:
        InvalidError: An expression has no value, a value does not fit, or one that a change would
            act on turned out empty.
    """
    try:
        filled = _filled(with_, scope, values)
    except ExpressionError as faulty:
        raise InvalidError(
            tuple(Problem(code=fault.code, what=fault.what, at=at) for fault in faulty.faults)
        ) from faulty
    if isinstance(filled, Unknown):
        return filled
    problems = [
        Problem(code="DR1031", what=f"{_shown(path)} {why}", at=at)
        for path, why in _nameless(filled)
        if action.effect.changes_something
    ]
    written = json.dumps(to_jsonable_python(filled, fallback=str))
    params, errors = _validated(action.params, written)
    for error in errors:
        code, what = in_words(error, action.params)
        problems.append(Problem(code=code, what=f"{_shown(error['loc'])}: {what}", at=at))
    if problems or params is None:
        raise InvalidError(tuple(problems))
    return params


def check_params(
    draft: Draft, action: AnyAction, with_: Mapping[str, Any], path: Path, scope: Scope
) -> None:
    """
    Notes what is wrong with the ``with:`` of the call at *path*.

    A value that holds an expression is checked by its type where that is known.
    """
    model, root = action.params, (*path, "with")
    if not with_ and draft.has(root) and not isinstance(draft.page.value(root), dict):
        return
    written = json.dumps(with_) if with_ else "{}"
    computed: list[Path] = []  # what is said about these is said here, not by pydantic
    for where, text in _texts(with_) if has_expression(written) else ():
        computed.append(where)
        try:
            template = scope.template(text)
        except ExpressionError as faulty:
            draft.say_faults(faulty, (*root, *where))
        else:
            _check_type(draft, model, template, where, root)
    unnamed, errors = _wrong_as_written(action, written)
    for where, why in unnamed:
        computed.append(where)
        draft.say_at("DR1031", f"this value {why}", (*root, *where))
    for error in errors:
        loc = error["loc"]
        is_whole = not loc and bool(computed)  # a check across fields saw the text of an expression
        if not is_whole and not any(loc[: len(one)] == one for one in computed):
            _say(draft, action, error, path)


@lru_cache(maxsize=1024)
def _wrong_as_written(
    action: AnyAction, written: str
) -> tuple[tuple[tuple[Path, str], ...], tuple[Any, ...]]:
    """
    What names nothing in a ``with:``, and what pydantic says of it; a large runbook repeats few of
    them many times. What is missing comes last: it may be what an unknown key was meant to be.
    """
    is_change = action.effect.changes_something
    unnamed = tuple(_nameless(json.loads(written))) if is_change else ()
    _, errors = _validated(action.params, written)
    return unnamed, tuple(sorted(errors, key=lambda one: one["type"] == "missing"))


def _say(draft: Draft, action: AnyAction, error: Any, path: Path) -> None:
    """Notes one of pydantic's errors about the call at *path*."""
    root = (*path, "with")
    where = (*root, *error["loc"])
    code, what = in_words(error, action.params)
    if error["type"] == "extra_forbidden":
        draft.say_unknown(where, known_keys(error, action.params))
    elif error["type"] != "missing":
        draft.say_at(code, what, where)
    elif draft.lacks(where) and root not in draft.meant:
        what = f'{action.name} needs "{error["loc"][-1]}" in its with'
        draft.say(code, what, draft.place(root if draft.has(root) else path))


def _check_type(
    draft: Draft, model: type[BaseModel], template: Template, where: Path, root: Path
) -> None:
    given = template.only.type if template.only else CelType("string")
    wanted = _wanted(model, where)
    if not _fits(given, wanted):
        what = f"this must be {_WORDS_FOR.get(wanted, wanted)}, and the expression gives {given}"
        if wanted == "string":
            what += "; write string(…) around it"
        draft.say_at("DR1043", what, (*root, *where))


def _fits(given: CelType, wanted: CelType) -> bool:
    if "dyn" in {given, wanted} or given == wanted:
        return True
    if wanted == "string":
        return given in {"duration", "timestamp"}  # text in JSON, so text here
    if wanted == "double":
        return given == "int"
    return given.partition("<")[0] == wanted.partition("<")[0] and (
        "dyn" in given or "dyn" in wanted
    )


@lru_cache(maxsize=1024)
def _wanted(model: Any, path: Path) -> CelType:
    """The type that the params want at *path*; ``dyn`` when that is not one type."""
    annotation: Any = model
    for part in path:
        inner = one_model(annotation)
        if inner is not None:
            fields = {f.alias or name: f.annotation for name, f in inner.model_fields.items()}
            if part not in fields:
                return CelType("dyn")
            annotation = fields[part]
        else:
            annotation = inner_types(annotation)
            if annotation is None:
                return CelType("dyn")
    return cel_type(annotation)


def _validated(model: type[Params], written: str) -> tuple[Params | None, list[Any]]:
    """
    Validates as JSON, strictly: text is no number and ``"no"`` is no boolean, but a list is a
    tuple.

    Durations are text with units here and ISO 8601 in pydantic's JSON; those that it refuses are
    turned.
    """
    turned: set[Path] = set()
    while True:
        try:
            return model.model_validate_json(written, strict=True), []
        except ValidationError as error:
            errors: list[Any] = error.errors(include_url=False)
        value, again = json.loads(written), False
        for one in errors:
            if one["type"].startswith("time_delta") and one["loc"] not in turned:
                turned.add(one["loc"])
                again |= _turned_to_iso(value, one)
        if not again:
            return None, errors
        written = json.dumps(value)


def _turned_to_iso(value: Any, error: Any) -> bool:
    """Replaces a duration in place; a text that is none stays, and the error then says why."""
    try:
        seconds = parse_duration(str(error["input"])).total_seconds()
    except ValueError as reason:
        error.update(type="value_error", ctx={"error": reason})
        return False
    *above, last = error["loc"]
    for part in above:
        value = value[part]
    value[last] = f"PT{seconds:f}S"
    return True


def _filled(value: Any, scope: Scope, values: Mapping[str, Any]) -> Any:
    match value:
        case str() if has_expression(value):
            found = scope.template(value).render(values)
            return write_duration(found) if isinstance(found, timedelta) else found
        case Mapping():
            mapping = {key: _filled(item, scope, values) for key, item in value.items()}
            return UNKNOWN if any(item is UNKNOWN for item in mapping.values()) else mapping
        case list() | tuple():
            items = [_filled(item, scope, values) for item in value]
            return UNKNOWN if any(item is UNKNOWN for item in items) else items
    return value


def _texts(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every text with an expression in it, with its path."""
    match value:
        case str():
            if has_expression(value):
                yield path, value
        case Mapping():
            for key, item in value.items():
                yield from _texts(item, (*path, key))
        case list() | tuple():
            for index, item in enumerate(value):
                yield from _texts(item, (*path, index))


def _nameless(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """The paths of everything inside *value* that names nothing, or all there is; and why."""
    if path and not (isinstance(value, str) and has_expression(value)):
        why = selects_nothing(value)
        if why is not None:
            yield path, why
    match value:
        case str():
            return
        case Mapping():
            for key, item in value.items():
                yield from _nameless(item, (*path, key))
        case list() | tuple():
            for index, item in enumerate(value):
                yield from _nameless(item, (*path, index))


def _shown(path: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in path) or "with"


def names_in(value: Any, scope: Scope) -> frozenset[str]:
    """
    The dotted names that the expressions inside *value* refer to.

    Raises:
        ExpressionError: One of them does not compile.
    """
    found: set[str] = set()
    for _, text in _texts(value):
        for expression in scope.template(text).expressions:
            found |= set(expression.names)
    return frozenset(found)
