"""What a text in YAML says, as a tree in which everything knows its line and column."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from drctl.kernel.errors import Position

Kind: TypeAlias = Literal["str", "int", "float", "bool", "null"]
Path: TypeAlias = tuple[str | int, ...]

TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
"""The booleans of YAML 1.2 core."""


@dataclass(slots=True, kw_only=True)
class ScalarNode:
    """
    A scalar as text, and what YAML 1.2 core says it is. Never changed; not frozen for the reason
    that `Position` has.
    """

    text: str
    kind: Kind
    position: Position
    raw: str = ""
    """As it stands in the file, quotes included."""
    is_broken: bool = False
    """A problem about it has been told; what follows from it is noise."""

    def place(self, offset: int, fragment: str = "") -> Position:
        """
        Finds where the character *offset* of the text stands in the file.

        Exact when the text stands there unchanged; else where *fragment* does; else the scalar's
        start.
        """
        start = self.raw.find(self.text)
        at = start + offset if start >= 0 else self.raw.find(fragment) if fragment else -1
        if at < 0:
            return self.position
        before = self.raw[:at]
        lines = before.count("\n")
        column = len(before) - before.rfind("\n") if lines else self.position.column + at
        return Position(self.position.file, self.position.line + lines, column)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapNode:
    """A mapping; ``keys`` has the place of each key."""

    entries: dict[str, "Node"] = field(default_factory=dict)
    keys: dict[str, Position] = field(default_factory=dict)
    position: Position
    is_broken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNode:
    """A list."""

    items: list["Node"] = field(default_factory=list)
    position: Position
    is_broken: bool = False


Node: TypeAlias = ScalarNode | MapNode | ListNode


def is_null(node: Node) -> bool:
    """True where a value is left out or written as ``null``."""
    return isinstance(node, ScalarNode) and node.kind == "null"


def plain(node: Node) -> Any:
    """Converts a tree to dicts, lists and scalars."""
    match node:
        case MapNode():
            return {key: plain(value) for key, value in node.entries.items()}
        case ListNode():
            return [plain(item) for item in node.items]
        case ScalarNode():
            return _value(node)


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
    if path and isinstance(parent, MapNode) and path[-1] in parent.keys:
        return parent.keys[str(path[-1])]
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


def _value(node: ScalarNode) -> str | int | float | bool | None:
    match node.kind:
        case "int":
            return int(node.text)
        case "float":
            return float(node.text)
        case "bool":
            return TRUTH[node.text]
        case "null":
            return None
        case "str":
            return node.text
