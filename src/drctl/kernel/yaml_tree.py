"""What a text in YAML says, as a tree in which everything knows its line and column."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from drctl.kernel.errors import Position

Kind: TypeAlias = Literal["str", "int", "float", "bool", "null"]
Path: TypeAlias = tuple[str | int, ...]

TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
"""The booleans of YAML 1.2 core."""


class Mark(Protocol):
    """A place as the parser keeps it: lines and columns count from zero."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


@dataclass(slots=True)
class _Written:
    """What all nodes have. Never changed; not frozen for the reason that `Position` has."""

    file: str
    mark: Mark
    """The parser's own: of a hundred thousand places hardly any is ever asked for."""
    is_broken: bool
    """A problem about it has been told; what follows from it is noise."""

    @property
    def position(self) -> Position:
        """Where it starts."""
        return position_of(self.file, self.mark)


@dataclass(slots=True)
class ScalarNode(_Written):
    """A scalar as text, and what YAML 1.2 core says it is."""

    text: str
    kind: Kind
    raw: str
    """As it stands in the file, quotes included."""

    def place(self, offset: int, fragment: str = "") -> Position:
        """
        Finds where the character *offset* of the text stands in the file.

        Exact when the text stands there unchanged; else where *fragment* does; else the scalar's
        start.
        """
        start, here = self.raw.find(self.text), self.position
        at = start + offset if start >= 0 else self.raw.find(fragment) if fragment else -1
        if at < 0:
            return here
        before = self.raw[:at]
        lines = before.count("\n")
        column = len(before) - before.rfind("\n") if lines else here.column + at
        return Position(here.file, here.line + lines, column)


@dataclass(slots=True)
class MapNode(_Written):
    """A mapping."""

    entries: dict[str, "Node"] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)
    """Where the keys of ``entries`` are written, in their order."""

    def key_position(self, key: str) -> Position:
        """Where a key is written that is there."""
        return position_of(self.file, self.marks[list(self.entries).index(key)])

    def keys_with_positions(self) -> Iterator[tuple[str, Position]]:
        """All keys in the order of the file."""
        for key, mark in zip(self.entries, self.marks, strict=True):
            yield key, position_of(self.file, mark)


@dataclass(slots=True)
class ListNode(_Written):
    """A list."""

    items: list["Node"] = field(default_factory=list)


Node: TypeAlias = ScalarNode | MapNode | ListNode


def position_of(file: str, mark: Mark) -> Position:
    """A mark as people count."""
    return Position(file, mark.line + 1, mark.column + 1)


def is_null(node: Node) -> bool:
    """True where a value is left out or written as ``null``."""
    return isinstance(node, ScalarNode) and node.kind == "null"


def plain(node: Node) -> Any:
    """Converts a tree to dicts, lists and scalars."""
    if isinstance(node, ScalarNode):
        return value_of(node.text, node.kind)
    if isinstance(node, MapNode):
        # Most values are texts; to call this for each takes longer than all the rest.
        return {
            key: value.text
            if isinstance(value, ScalarNode) and value.kind == "str"
            else plain(value)
            for key, value in node.entries.items()
        }
    return [plain(item) for item in node.items]


def at(node: Node, path: Path) -> Node:
    """The node at *path*, or the last one on the way to it."""
    for part in path:
        child: Node | None = None
        if isinstance(node, MapNode) and isinstance(part, str):
            child = node.entries.get(part)
        elif isinstance(node, ListNode) and isinstance(part, int) and 0 <= part < len(node.items):
            child = node.items[part]
        if child is None:
            return node
        node = child
    return node


def key_position(node: Node, path: Path) -> Position:
    """Where the last key of *path* is written; for the item of a list, where the item starts."""
    parent = at(node, path[:-1])
    if path and isinstance(parent, MapNode) and path[-1] in parent.entries:
        return parent.key_position(str(path[-1]))
    return at(node, path).position


def scalars(node: Node, path: Path = ()) -> Iterator[tuple[Path, ScalarNode]]:
    """All scalars below *node* with their paths, in the order of the file."""
    match node:
        case MapNode():
            for key, value in node.entries.items():
                yield from scalars(value, (*path, key))
        case ListNode():
            for index, item in enumerate(node.items):
                yield from scalars(item, (*path, index))
        case ScalarNode():
            yield path, node


def value_of(text: str, kind: Kind) -> str | int | float | bool | None:
    """What a scalar says."""
    match kind:
        case "int":
            return int(text)
        case "float":
            return float(text)
        case "bool":
            return TRUTH[text]
        case "null":
            return None
        case "str":
            return text
