"""Lengths of time in the params of actions: text with a unit."""

from datetime import timedelta
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

from drctl.kernel.duration import parse_duration


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


Duration: TypeAlias = Annotated[
    timedelta,
    BeforeValidator(_duration),
    Field(gt=timedelta(0)),
    WithJsonSchema({"type": "string", "examples": ["5s", "1m30s"]}),
]
"""A positive length, written as ``1m30s``."""
