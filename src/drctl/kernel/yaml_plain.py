"""
Reads a text in YAML that has nothing odd in it, fast.

Invariant: what it accepts, `drctl.kernel.yaml_text` reads without a problem and as the same values.
Of whatever else it says nothing but that: a mistake, and what is only rare, is for the careful
reader to see. Nearly every runbook is accepted, and a large one is 280,000 events; so there is one
loop, nothing is made that is not kept, and of the places only those of the first two levels are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from drctl.kernel.yaml_text import DOUBTFUL, MAX_DEPTH, MAX_NODES, events, kind_of
from drctl.kernel.yaml_tree import Mark, Path, value_of

_ODD: Final = object()
_FIRST, _SECOND = 1, 2
"""Levels: as many collections are around what stands there."""


@dataclass(frozen=True, slots=True)
class Plain:
    """What a text says: dicts, lists and scalars."""

    values: Any
    marks: Mapping[Path, Mark]
    """Where its keys are written, those of the mappings right below, and their items that hold
    others; by path."""


def read_plain(text: str) -> Plain | None:
    """Reads *text*; ``None`` when anything in it is odd."""
    import yaml

    try:
        return _read(text)
    except yaml.YAMLError:
        return None


def _read(text: str) -> Plain | None:  # noqa: C901, PLR0911, PLR0912, PLR0915 (a call for each event costs as much as the event)
    import yaml

    scalar, mapping, sequence = yaml.ScalarEvent, yaml.MappingStartEvent, yaml.SequenceStartEvent
    ends = {yaml.MappingEndEvent, yaml.SequenceEndEvent}
    ignored = {yaml.StreamStartEvent, yaml.DocumentEndEvent, yaml.StreamEndEvent}
    marks: dict[Path, Mark] = {}
    words: dict[str, Any] = {}
    meanings: dict[str, Any] = {}
    root: list[Any] = []
    into: Any = root  # the innermost collection
    key: Any = _ODD  # of a mapping, for the next value; None: a key is next; a list has none
    top = ""  # the key of the outermost mapping that this is under
    around: list[tuple[Any, Any]] = []
    nodes = 0
    next_event = events(text)
    while (event := next_event()) is not None:
        kind = type(event)
        if kind is scalar:
            nodes += 1
            if event.anchor is not None or event.tag is not None or nodes > MAX_NODES:
                return None
            value = event.value
            if key is None:
                key = value if event.style else words.get(value) or _word(value, words)
                if key in into or key == "<<" or key is _ODD:
                    return None
                if len(around) == _FIRST:
                    top = key
                    marks[(key,)] = event.start_mark
                elif len(around) == _SECOND:
                    marks[top, key] = event.start_mark
                continue
            if not event.style:
                found = meanings.get(value, _ODD)
                value = _meaning(value, meanings) if found is _ODD else found
                if value is _ODD:
                    return None
            if key is _ODD:
                into.append(value)
            else:
                into[key] = value
                key = None
        elif kind in ends:
            into, key = around.pop()
        elif kind is mapping or kind is sequence:
            nodes += 1
            if event.anchor is not None or event.tag is not None or nodes > MAX_NODES:
                return None
            if key is None or len(around) >= MAX_DEPTH:
                return None
            below: Any = {} if kind is mapping else []
            if key is _ODD:
                if len(around) == _SECOND:
                    marks[top, len(into)] = event.start_mark
                into.append(below)
                around.append((into, _ODD))
            else:
                into[key] = below
                around.append((into, None))
            into, key = below, None if kind is mapping else _ODD
        elif kind is yaml.DocumentStartEvent:
            if root or event.tags or event.version:
                return None
        elif kind not in ignored:
            return None
    return Plain(root[0], marks) if len(root) == 1 else None


def _word(text: str, words: dict[str, Any]) -> Any:
    """A key, kept once however often it is written."""
    return words.setdefault(text, text if kind_of(text) == "str" else _ODD)


def _meaning(text: str, meanings: dict[str, Any]) -> Any:
    """What a scalar without quotes says."""
    kind = kind_of(text)
    is_odd = kind == "null" or text in DOUBTFUL
    return meanings.setdefault(text, _ODD if is_odd else value_of(text, kind))
