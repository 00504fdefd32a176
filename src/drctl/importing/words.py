"""From nodes of the grammar to words: quotes taken off, and what the shell would put in."""

import re
from typing import TYPE_CHECKING, Literal

from drctl.importing.script import Expansion, Word
from drctl.kernel.errors import Position

if TYPE_CHECKING:
    from tree_sitter import Node


class Words:
    """Reads words and positions out of one text."""

    def __init__(self, content: bytes, file: str, offset: int) -> None:
        self.content = content
        self.file = file
        self._offset = offset

    def text(self, node: "Node") -> str:
        """What is written there."""
        return self.content[node.start_byte : node.end_byte].decode("utf-8", "replace")

    def column(self, offset: int) -> int:
        """Characters, not bytes, before *offset* on its line; counts from zero."""
        start = self.content.rfind(b"\n", 0, offset) + 1
        return len(self.content[start:offset].decode("utf-8", "replace"))

    def at(self, node: "Node", *, end: bool = False) -> Position:
        """The position of a node in the file."""
        point = node.end_point if end else node.start_point
        offset = node.end_byte if end else node.start_byte
        return Position(self.file, point.row + 1 + self._offset, self.column(offset) + 1)

    def plain(self, node: "Node", text: str) -> Word:
        """A word that stands for a whole node."""
        return Word(text=text, at=self.at(node), end=self.at(node, end=True))

    def word(self, node: "Node") -> Word:
        """The word of a node."""
        expansions = tuple(self._expansions(node, "none"))
        captures = self._holds(node, {"command_substitution", "process_substitution"})
        special = {"brace_expression", "arithmetic_expansion", "array"}
        return Word(
            text=self.unquoted(node),
            at=self.at(node),
            end=self.at(node, end=True),
            expansions=expansions,
            glued=self._glued(node, expansions),
            captures=captures,
            is_literal=not (
                expansions or captures or self._holds(node, special) or self._globs(node)
            ),
        )

    def _globs(self, node: "Node") -> bool:
        """The shell would put names of files, or a home, in its place."""
        if node.type == "word":
            return bool(re.search(r"(?<!\\)[*?\[]|^~", self.text(node)))
        return node.type == "concatenation" and any(self._globs(o) for o in node.named_children)

    def _glued(self, node: "Node", expansions: tuple[Expansion, ...]) -> Expansion | None:
        if node.type != "concatenation":
            return None
        quoted = any(one.type in {"raw_string", "string"} for one in node.named_children)
        bare = {one.start_byte for one in node.named_children if "expansion" in one.type}
        if not quoted or not bare:
            return None
        return next((one for one in expansions if one.quoting == "none"), None)

    def _expansions(self, node: "Node", quoting: Literal["none", "double"]) -> list[Expansion]:
        if node.type in {"command_substitution", "process_substitution", "raw_string"}:
            return []
        if node.type in {"simple_expansion", "expansion"}:
            names = [one for one in node.named_children if "variable_name" in one.type]
            name = self.text(names[0]) if names else ""
            return [Expansion(name=name, at=self.at(node), quoting=quoting)]
        inner: Literal["none", "double"] = "double" if node.type == "string" else quoting
        return [one for child in node.named_children for one in self._expansions(child, inner)]

    def _holds(self, node: "Node", types: set[str]) -> bool:
        return node.type in types or any(self._holds(one, types) for one in node.named_children)

    def unquoted(self, node: "Node") -> str:
        """The text of a node without its quotes."""
        text = self.text(node)
        match node.type:
            case "raw_string" | "ansi_c_string":
                text = text.removeprefix("$")[1:-1]
            case "string" | "translated_string":
                inner = text.removeprefix("$")[1:-1].replace("\\\n", "")
                text = re.sub(r"\\([\"\\$`])", r"\1", inner)
            case "command_name" if node.named_children:
                text = self.unquoted(node.named_children[0])
            case "word" | "command_name":
                text = re.sub(r"\\(.)", r"\1", text.replace("\\\n", ""))
            case "concatenation":
                text = "".join(self.unquoted(one) for one in node.children)
        return text
