"""What two plans have otherwise, part by part and field by field. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel

from drctl.kernel.canonical import canonical

Sign: TypeAlias = Literal["+", "-", "~", ">"]
"""Added, removed, changed, moved."""
_SECONDS = {
    "estimate_s": "estimate",
    "timeout_s": "timeout",
    "expires_s": "expires after",
    "every_s": "every",
    "backoff_s": "backoff",
    "max_backoff_s": "longest backoff",
    "cool_down_s": "cool-down",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One thing of a step, a gate or a person that is another now."""

    name: str
    before: Any
    after: Any
    is_seconds: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PartChange:
    """A step, a gate or a person that is there in one plan only, or is another in each."""

    sign: Sign
    name: str
    about: str = ""
    """Of one that was added or removed: what it does; of another: what it was called."""
    fields: tuple[FieldChange, ...] = ()
    wave_before: int | None = None
    """``None``: it was not there, or is of ``finally``."""
    wave_after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NameChange:
    """Names that are in one plan only."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)


def parts(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[PartChange]:
    """Each that is there in one only, or is another in each."""
    for name in dict.fromkeys((*before, *after)):
        was, now = before.get(name), after.get(name)
        if was is None or now is None:
            yield PartChange(sign="+" if was is None else "-", name=name, about=_title(was or now))
            continue
        changed = tuple(mapping("", raw(was), raw(now)))
        if changed:
            yield PartChange(sign="~", name=name, fields=changed)


def fields(was: BaseModel, now: BaseModel, names: Sequence[str]) -> Iterator[FieldChange]:
    """Those of these fields that are others."""
    for name in names:
        yield from field(_SECONDS.get(name, name), was, now, name, is_seconds=name in _SECONDS)


def field(
    words: str, was: BaseModel, now: BaseModel, name: str, *, is_seconds: bool = False
) -> Iterator[FieldChange]:
    """One field under words of its own, when it is another."""
    values = _listed(getattr(was, name)), _listed(getattr(now, name))
    if values[0] != values[1]:
        yield FieldChange(name=words, before=values[0], after=values[1], is_seconds=is_seconds)


def mapping(name: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[FieldChange]:
    """The keys that are others, however deep; of two objects, nothing that they share."""
    for key in dict.fromkeys((*was, *now)):
        yield from _value(f"{name}.{key}" if name else key, was.get(key), now.get(key))


def names_of(before: Any, after: Any) -> NameChange:
    """What is in one of two collections only."""
    added, removed = sorted({*after} - {*before}), sorted({*before} - {*after})
    return NameChange(added=tuple(added), removed=tuple(removed))


def raw(one: Any) -> Mapping[str, Any]:
    """A part as its keys and values."""
    return one.model_dump(mode="json") if isinstance(one, BaseModel) else one


def _value(name: str, was: Any, now: Any) -> Iterator[FieldChange]:
    # As they are written: to Python, 0 and false are the same value.
    if canonical(was) == canonical(now):
        return
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        yield from mapping(name, was, now)
    elif _are_rows(was, now):
        for number, (one, other) in enumerate(zip(was, now, strict=True)):
            yield from _value(f"{name}[{number}]", one, other)
    else:
        is_seconds = name in _SECONDS
        yield FieldChange(
            name=_SECONDS.get(name, name), before=was, after=now, is_seconds=is_seconds
        )


def _listed(value: Any) -> Any:
    """What a file lacks is an empty tuple here, and what it has is a list."""
    return list(value) if isinstance(value, tuple) else value


def _are_rows(was: Any, now: Any) -> bool:
    """True for two lists of as many objects each."""
    both = isinstance(was, list) and isinstance(now, list) and len(was) == len(now)
    return both and all(isinstance(one, Mapping) for one in (*was, *now))


def _title(one: Any) -> str:
    return str(getattr(one, "title", ""))
