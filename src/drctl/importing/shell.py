"""
Text of a shell script to a `Script`: tree-sitter's bash grammar, and what it gives made plain.

The input may be hostile. It is only ever parsed: size, length of a line and number of commands are
checked, and a tree that is deeper than any person writes is not walked but given back whole as
"not understood". A statement in which the grammar saw a mistake is given back whole too: half of a
command is a different command. So is a line that no statement covers; none is ever lost.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from drctl.importing.script import Script, SecretFound, Statement, StatementKind
from drctl.importing.secrets import Masked
from drctl.importing.walk import Walk
from drctl.kernel.errors import InvalidError, Position, Problem

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

MAX_BYTES = 256 * 1024
"""A script of 1,000 lines is about 40 kB."""
MAX_LINE = 20_000
MAX_COMMANDS = 2_000
MAX_WORDS = 20_000
"""A script of 1,000 lines has about 8,000."""
MAX_DEPTH = 100
"""A quoted variable in a pipeline in an if in a loop in a function is 16 deep."""

_DEEP = "nested deeper than"
_MISTAKE = "the grammar finds a mistake"
_USED = re.compile(r"\$\{?[#!]?([A-Za-z_]\w*)")
"""Also in what was not understood: a variable that may be used is not called unused."""

_KINDS: dict[str, StatementKind] = {
    "command": "command",
    "declaration_command": "assignment",
    "unset_command": "command",
    "test_command": "command",
    "negated_command": "command",
    "variable_assignment": "assignment",
    "variable_assignments": "assignment",
    "pipeline": "pipeline",
    "list": "command",
    "while_statement": "loop",
    "for_statement": "loop",
    "if_statement": "if",
    "function_definition": "function",
    "comment": "comment",
}


def parser() -> "Parser":
    """
    The bash parser of the ``import`` extra.

    Raises:
        InvalidError: The extra is not installed.
    """
    try:
        import tree_sitter
        import tree_sitter_bash
    except ImportError as error:
        what = f"reading a script needs a library that is not installed: {error.name}"
        problem = Problem(code="DR1096", what=what, do="pip install 'drctl[import]'")
        raise InvalidError((problem,)) from error
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


def check_size(text: str, file: str) -> None:
    """
    Refuses a text that nobody has written.

    Raises:
        InvalidError: Too many bytes, or a line that is too long.
    """
    start = Position(file, 1, 1)
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        what = f"the file is larger than {MAX_BYTES // 1024} KiB"
        raise InvalidError((Problem(code="DR1095", what=what, at=start),))
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > MAX_LINE:
            what = f"a line of {len(line)} characters; {MAX_LINE} are read"
            at = Position(file, number, 1)
            raise InvalidError((Problem(code="DR1095", what=what, at=at),))


def parse(text: str, *, file: str, name: str, first_line: int = 1) -> Script:
    """
    Reads a script. Runs nothing, and asks nobody.

    Args:
        text: The script; secrets are taken out here.
        file: What positions say.
        name: What the script is called.
        first_line: The line of *file* on which it begins.

    Raises:
        InvalidError: Too large, or the parser is not installed.
    """
    check_size(text, file)
    masked = Masked(text, file)
    source = masked.text.replace("\r\n", " \n").replace("\r", " ").replace("\x00", " ")
    content = source.encode("utf-8", "replace")
    tree = parser().parse(content)
    walk = Walk(content, file, first_line - 1)
    lines = source.split("\n")
    statements = _statements(tree.root_node, walk, lines, first_line - 1)
    doing = sum(one.kind != "comment" for one in statements)
    words = sum(len(one.words) for one in walk.commands)
    if max(len(walk.commands), doing) > MAX_COMMANDS or words > MAX_WORDS:
        what = f"more than {MAX_COMMANDS} commands, or {MAX_WORDS} words"
        at = Position(file, first_line, 1)
        raise InvalidError((Problem(code="DR1095", what=what, at=at),))
    return Script(
        name=name,
        file=file,
        lines=tuple(enumerate(lines, start=first_line)),
        statements=tuple(statements),
        commands=tuple(walk.commands),
        assignments=tuple(walk.assignments),
        used=frozenset(walk.used) | frozenset(_USED.findall(source)),
        secrets=_found(masked, file, first_line),
    )


def looked_at(text: str, *, file: str, name: str, first_line: int, language: str) -> Script:
    """A block that is no script: its lines without secrets, and nothing made of them."""
    masked = Masked(text, file)
    return Script(
        name=name,
        file=file,
        lines=tuple(enumerate(masked.text.split("\n"), start=first_line)),
        statements=(),
        commands=(),
        assignments=(),
        language=language,
        document=masked.text,
        secrets=_found(masked, file, first_line),
    )


def _found(masked: Masked, file: str, first_line: int) -> tuple[SecretFound, ...]:
    return tuple(
        SecretFound(
            at=Position(file, at.line + first_line - 1, at.column),
            kind=kind,
            name=f"SECRET_{number}",
        )
        for number, (at, kind) in enumerate(masked.found, start=1)
    )


class _Pieces:
    """The statements of a text as they are found, and a piece for each stretch that none covers."""

    def __init__(self, walk: Walk, lines: Sequence[str], offset: int) -> None:
        self.found: list[Statement] = []
        self._walk, self._lines, self._offset = walk, lines, offset
        self._free = 0  # the first row that no statement has covered

    def add(self, rows: tuple[int, int], column: int, kind: StatementKind, why: str) -> Statement:
        """Notes a statement, or makes the one above longer when neither was understood."""
        first, last = (row + 1 + self._offset for row in rows)
        above = self.found[-1] if self.found else None
        if above and kind == above.kind == "unknown" and first <= above.last_line:
            # What was not understood is one piece, and one step for a person.
            end = max(above.last_line, last)
            text = self._text(above.first_line, end)
            self.found[-1] = replace(above, last_line=end, text=text)
        else:
            statement = Statement(
                index=len(self.found),
                kind=kind,
                at=Position(self._walk.file, first, column + 1),
                first_line=first,
                last_line=last,
                text=self._text(first, last),
                why=why,
            )
            self.found.append(statement)
        self._free = max(self._free, rows[1] + 1)
        return self.found[-1]

    def uncovered(self, upto: int) -> None:
        """Notes the rows before *upto* that nothing has covered."""
        for row in range(self._free, upto):
            if self._lines[row].strip():
                self.add((row, row), 0, "unknown", "no part of the grammar covers this line")

    def _text(self, first: int, last: int) -> str:
        return "\n".join(self._lines[first - 1 - self._offset : last - self._offset])


def _statements(root: "Node", walk: Walk, lines: Sequence[str], offset: int) -> list[Statement]:
    """Every statement of the text in order; together they cover every line that is not blank."""
    pieces = _Pieces(walk, lines, offset)
    broken = {
        row
        for node in root.children
        if node.type == "ERROR" or node.has_error
        for row in range(node.start_point.row, _last_row(node) + 1)
    }
    for node in root.children:
        if not node.is_named and node.type in {";", "\n", "&", ";;"}:
            continue
        rows = (node.start_point.row, _last_row(node))
        pieces.uncovered(rows[0])
        kind, why = _kind(node, is_beside_mistake=bool(broken.intersection(rows)))
        statement = pieces.add(rows, walk.column(node.start_byte), kind, why)
        if kind != "comment" and not why.startswith((_MISTAKE, _DEEP)):
            walk.visit(node, statement.index)
    pieces.uncovered(len(lines))
    return pieces.found


def _kind(node: "Node", *, is_beside_mistake: bool) -> tuple[StatementKind, str]:
    """What a statement is, and when it was not understood, why."""
    if _depth(node) > MAX_DEPTH:
        return "unknown", f"{_DEEP} {MAX_DEPTH}"
    if node.has_error or node.type == "ERROR":
        return "unknown", f"{_MISTAKE} in it"
    if node.type == "comment":
        return "comment", ""
    if is_beside_mistake:
        return "unknown", f"{_MISTAKE} beside it"  # half of a command is another command
    kind = _KINDS.get(_inner(node).type, "unknown")
    return kind, f"a {node.type.replace('_', ' ')}" if kind == "unknown" else ""


def _inner(node: "Node") -> "Node":
    """What a redirection is put around."""
    body = node.child_by_field_name("body") if node.type == "redirected_statement" else None
    return body or node


def _last_row(node: "Node") -> int:
    """A here-document ends on the line of its last word, which the node counts as the next."""
    end = node.end_point
    return end.row - 1 if end.column == 0 and end.row > node.start_point.row else end.row


def _depth(node: "Node") -> int:
    """How deep the tree is, without recursion; stops looking behind `MAX_DEPTH`."""
    cursor = node.walk()
    depth = deepest = 0
    while deepest <= MAX_DEPTH:
        if cursor.goto_first_child():
            depth += 1
            deepest = max(deepest, depth)
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent() or depth == 0:
                return deepest
            depth -= 1
    return deepest
