"""The types of pydantic fields as expressions see them."""

import enum
import functools
import types
import typing
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from drctl.runbook.values import CelType

_SCALARS: Mapping[type, str] = types.MappingProxyType(
    {
        bool: "bool",
        int: "int",
        float: "double",
        str: "string",
        timedelta: "duration",
        datetime: "timestamp",
    }
)


def cel_type(annotation: Any) -> CelType:  # noqa: PLR0911 (one for each kind of type)
    """The type under which a field's value is declared; ``dyn`` when it may be several."""
    annotation = _unwrapped(annotation)
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        kinds = {cel_type(type(value)) for value in inner}
        return kinds.pop() if len(kinds) == 1 else CelType("dyn")
    if origin in {Union, types.UnionType}:
        kinds = {cel_type(one) for one in inner if one is not type(None)}
        return kinds.pop() if len(kinds) == 1 else CelType("dyn")
    shape = origin or annotation
    if not isinstance(shape, type):
        return CelType("dyn")
    if issubclass(shape, enum.Enum):
        return cel_type(type(next(iter(shape)).value))
    for scalar, name in _SCALARS.items():
        if issubclass(shape, scalar):
            return CelType(name)
    if issubclass(shape, BaseModel):
        return CelType("map<string,dyn>")
    if issubclass(shape, Mapping):
        return CelType(f"map<string,{_inside(annotation)}>")
    if issubclass(shape, Sequence | AbstractSet):
        return CelType(f"list<{_inside(annotation)}>")
    return CelType("dyn")


def output_types(model: type[BaseModel], prefix: str = "") -> dict[str, CelType]:
    """Every value of *model* under its dotted name; a model inside gives its fields, not itself."""
    return {f"{prefix}{name}": kind for name, kind in _types_of(model).items()}


@functools.cache
def _types_of(model: type[BaseModel]) -> Mapping[str, CelType]:
    found: dict[str, CelType] = {}
    for name, field in model.model_fields.items():
        inner = one_model(field.annotation)
        if inner is not None:
            found |= output_types(inner, f"{name}.")
        else:
            found[name] = cel_type(field.annotation)
    return found


def inner_types(annotation: Any) -> Any:
    """What is inside a list or under the keys of a mapping; ``None`` when that is not one type."""
    annotation = _unwrapped(annotation)
    if get_origin(annotation) in {Union, types.UnionType}:
        inner = [one for one in get_args(annotation) if one is not type(None)]
        return inner_types(inner[0]) if len(inner) == 1 else None
    shape, inner = get_origin(annotation), [a for a in get_args(annotation) if a is not Ellipsis]
    if isinstance(shape, type) and issubclass(shape, Mapping):
        inner = inner[1:]
    return inner[0] if len(inner) == 1 else None


def _inside(annotation: Any) -> CelType:
    """The type of what is inside a list or mapping; durations and times become text there."""
    inner = inner_types(annotation)
    kind = cel_type(inner) if inner is not None else CelType("dyn")
    return CelType("string") if kind in {"duration", "timestamp"} else kind


def _unwrapped(annotation: Any) -> Any:
    while True:
        if get_origin(annotation) is typing.Annotated:
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, typing.TypeVar):
            annotation = annotation.__bound__ or Any
        else:
            return annotation


def one_model(annotation: Any) -> type[BaseModel] | None:
    """The model that a field is, or is when it is not ``None``; ``None`` when it is no model."""
    annotation = _unwrapped(annotation)
    if get_origin(annotation) in {Union, types.UnionType}:
        inner = [one for one in get_args(annotation) if one is not type(None)]
        return one_model(inner[0]) if len(inner) == 1 else None
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation if is_model else None
