"""A text in YAML: what it says at once, and where it says it when somebody asks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from drctl.kernel.errors import Position, Problem
from drctl.kernel.yaml_plain import read_plain
from drctl.kernel.yaml_text import BYTE_ORDER_MARK, Document, read, refused
from drctl.kernel.yaml_tree import Mark, Node, Path, at, key_position, plain, position_of


@dataclass(kw_only=True)
class Page:
    """What was read, as far as it could be. Never changed."""

    file: str
    """The name that positions carry."""
    values: Any
    """Dicts, lists and scalars, as far as it could be read."""
    is_there: bool = True
    """Something could be read."""
    problems: tuple[Problem, ...] = ()
    is_odd: bool = False
    """Something in it is a mistake, or rare; else it has neither problems nor nulls."""
    has_nulls: bool = False
    """Somewhere a value is left out or written as ``null``."""
    _text: str = field(repr=False)
    _marks: Mapping[Path, Mark] = field(default_factory=dict, repr=False)

    @cached_property
    def tree(self) -> Node:
        """The same with the place of everything. Reads the text again: for a text with problems."""
        root = read(self._text, file=self.file).root
        if root is None:
            raise AssertionError("nobody asks for a place in what could not be read")
        return root

    def value(self, path: Path) -> Any:
        """What is at *path*, or the last thing on the way to it."""
        found = self.values
        for part in path:
            is_key = isinstance(found, dict) and part in found
            is_item = isinstance(found, list) and isinstance(part, int) and 0 <= part < len(found)
            if not is_key and not is_item:
                break
            found = found[part]
        return found

    def position(self, path: Path) -> Position:
        """Where the value at *path* starts, or the last thing on the way to it."""
        return at(self.tree, path).position

    def key_position(self, path: Path) -> Position:
        """
        Where the last key of *path* is written; of an item of a list, where it starts. Does not
        read the text again for a key or an item of the first two levels.
        """
        mark = self._marks.get(path)
        return position_of(self.file, mark) if mark else key_position(self.tree, path)


def open_page(text: str, *, file: str) -> Page:
    """Reads *text*; never raises."""
    text = text.removeprefix(BYTE_ORDER_MARK)
    problem = refused(text, file=file)
    if problem:
        return Page(
            file=file, values=None, is_there=False, problems=(problem,), is_odd=True, _text=text
        )
    found = read_plain(text)
    if found:
        return Page(file=file, values=found.values, _text=text, _marks=found.marks)
    return _odd(read(text, file=file), text, file)


def _odd(document: Document, text: str, file: str) -> Page:
    page = Page(
        file=file,
        values=plain(document.root) if document.root else None,
        is_there=document.root is not None,
        problems=document.problems,
        is_odd=True,
        has_nulls=document.has_nulls,
        _text=text,
    )
    if document.root:
        page.__dict__["tree"] = document.root
    return page
