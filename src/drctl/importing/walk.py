"""From nodes of the grammar to commands, words and assignments."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from drctl.importing.script import Assignment, Command, Loop, Word
from drctl.importing.words import Words

if TYPE_CHECKING:
    from tree_sitter import Node

_WRAPPERS = {
    "sudo",
    "timeout",
    "nice",
    "time",
    "command",
    "exec",
    "nohup",
    "env",
    "stdbuf",
    "builtin",
}
_VALUED = {"-u", "-g", "-n", "-k", "-s", "--signal", "--kill-after", "-o", "-e", "-i"}
_BOUND = re.compile(r"\(\(|\bSECONDS\b|\bdate\b|-(?:lt|le|gt|ge)\b|\btimeout\b|\bexit\b|\breturn\b")
_ENDS = re.compile(
    r"\b(?:exit|return)\s+(?:[1-9]|\$)|\b(?:die|fail|abort)\b|\bexit\s*$", re.MULTILINE
)
_READS = re.compile(r"^(?:IFS=\S*\s+)?read\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Around:
    """What stands around a node."""

    statement: int
    loops: tuple[Loop, ...] = ()
    pipe: int | None = None
    captured_by: str | None = None
    is_condition: bool = False
    or_else: tuple[str, ...] = ()
    redirects: tuple[tuple[str, str], ...] = ()


class Walk(Words):
    """Collects what a script consists of. The depth of the tree is the caller's to bound."""

    def __init__(self, content: bytes, file: str, offset: int) -> None:
        super().__init__(content, file, offset)
        self.commands: list[Command] = []
        self.assignments: list[Assignment] = []
        self.used: set[str] = set()
        self._pipes = 0

    def visit(self, node: "Node", statement: int) -> None:
        """Collects from one top-level node."""
        self._visit(node, _Around(statement=statement))

    def _visit(self, node: "Node", around: _Around) -> None:
        match node.type:
            case "comment" | "variable_name" | "word" | "number":
                return
            case "variable_assignment":
                self._assignment(node, around, is_exported=False)
            case kind if visit := self._visits.get(kind):
                visit(node, around)
            case _:
                self._note_uses(node)
                for child in node.named_children:
                    self._visit(child, around)

    @property
    def _visits(self) -> dict[str, Callable[["Node", _Around], None]]:
        return {
            "command": self._command,
            "unset_command": self._command,
            "test_command": self._command,
            "declaration_command": self._declared,
            "pipeline": self._pipeline,
            "list": self._list,
            "redirected_statement": self._redirected,
            "while_statement": self._loop,
            "for_statement": self._loop,
            "c_style_for_statement": self._loop,
            "if_statement": self._if,
        }

    def _declared(self, node: "Node", around: _Around) -> None:
        is_exported = self.text(node).startswith(("export", "declare -x", "typeset -x"))
        for child in node.named_children:
            if child.type == "variable_assignment":
                self._assignment(child, around, is_exported=is_exported)

    def _pipeline(self, node: "Node", around: _Around) -> None:
        self._pipes += 1
        inner = replace(around, pipe=self._pipes)
        for child in node.named_children:
            self._visit(child, inner)

    def _list(self, node: "Node", around: _Around) -> None:
        left, right = node.named_children[0], node.named_children[-1]
        operator = next((one.type for one in node.children if not one.is_named), "&&")
        fallback = around.or_else
        if operator == "||":
            fallback = (self.text(right).split(None, 1)[0],)
        self._visit(left, replace(around, is_condition=True, or_else=fallback))
        self._visit(right, around)

    def _if(self, node: "Node", around: _Around) -> None:
        for place, child in enumerate(node.children):
            if child.is_named:
                is_test = node.field_name_for_child(place) == "condition"
                self._visit(child, replace(around, is_condition=is_test or around.is_condition))

    def _loop(self, node: "Node", around: _Around) -> None:
        text = self.text(node)
        head = "for" if "for" in node.type else "until" if text.startswith("until") else "while"
        kind: Literal["while", "until", "for"] = head  # type: ignore[assignment]
        body = node.child_by_field_name("body")
        test = text[len(head) : (body.start_byte - node.start_byte) if body else None]
        reads = bool(_READS.match(test.strip()))
        loop = Loop(
            kind=kind,
            at=self.at(node),
            text=text,
            reads_input=reads,
            is_bounded=kind == "for" or reads or bool(_BOUND.search(text)),
            fails=bool(_ENDS.search(text)),
        )
        inner = replace(around, loops=(*around.loops, loop), is_condition=False)
        for place, child in enumerate(node.children):
            if child.is_named:
                is_test = node.field_name_for_child(place) in {"condition", "value"}
                self._note_uses(child)
                self._visit(child, replace(inner, is_condition=is_test))

    def _redirected(self, node: "Node", around: _Around) -> None:
        targets: list[tuple[str, str]] = []
        body = node.child_by_field_name("body")
        piped: list[Node] = []
        for child in node.named_children:
            if child.type == "file_redirect":
                operator = next((one.type for one in child.children if not one.is_named), ">")
                to = child.child_by_field_name("destination")
                targets.append((operator, self.unquoted(to) if to else ""))
                self._note_uses(child)
            elif child.type in {"heredoc_redirect", "herestring_redirect"}:
                targets.append(("<<", self.text(child)))
                self._note_uses(child)
                piped += [
                    one for one in child.named_children if one.type in {"pipeline", "command"}
                ]
        inner = replace(around, redirects=(*around.redirects, *targets))
        if piped:
            self._pipes += 1
            inner = replace(inner, pipe=self._pipes)
        if body is not None:
            self._visit(body, inner)
        for one in piped:
            children = one.named_children if one.type == "pipeline" else [one]
            for child in children:
                self._visit(child, replace(inner, redirects=()))

    def _assignment(self, node: "Node", around: _Around, *, is_exported: bool) -> None:
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        variable = self.text(name) if name else ""
        word = self.word(value) if value is not None else None
        if value is not None:
            self._note_uses(value)
            self._captured(value, replace(around, captured_by=variable))
        self.assignments.append(
            Assignment(
                name=variable,
                word=word,
                at=self.at(node),
                statement=around.statement,
                is_exported=is_exported,
                is_array=value is not None and value.type == "array",
            )
        )

    def _captured(self, node: "Node", around: _Around) -> None:
        """Visits the commands inside ``$(…)`` and ``<(…)``, wherever below *node* they are."""
        if node.type in {"command_substitution", "process_substitution"}:
            for child in node.named_children:
                self._visit(child, replace(around, pipe=None, redirects=()))
            return
        for child in node.named_children:
            self._captured(child, around)

    def _command(self, node: "Node", around: _Around) -> None:
        self._note_uses(node)
        words: list[Word] = []
        environment: list[str] = []
        redirects = list(around.redirects)
        for child in node.named_children:
            if child.type == "variable_assignment":
                name = child.child_by_field_name("name")
                environment.append(self.text(name) if name else "")
            elif child.type == "file_redirect":
                to = child.child_by_field_name("destination")
                redirects.append((">", self.unquoted(to) if to else ""))
            elif child.type != "herestring_redirect":
                words.append(self.word(child))
        if node.type == "test_command":
            words = [self.plain(node, "[")]
        elif node.type == "unset_command":
            words.insert(0, self.plain(node, "unset"))
        words, has_timeout = _unwrapped(words)
        if words:
            self.commands.append(
                Command(
                    index=len(self.commands),
                    statement=around.statement,
                    words=tuple(words),
                    at=words[0].at,
                    loops=around.loops,
                    pipe=around.pipe,
                    captured_by=around.captured_by,
                    is_condition=around.is_condition,
                    or_else=around.or_else,
                    redirects=tuple(redirects),
                    environment=tuple(environment),
                    has_timeout=has_timeout,
                )
            )
        self._captured(node, replace(around, captured_by="", or_else=(), is_condition=False))

    def _note_uses(self, node: "Node") -> None:
        """Notes every variable whose value is taken below *node*."""
        if node.type in {"simple_expansion", "expansion", "subscript"}:
            self.used |= {self.text(one) for one in node.named_children if "variable" in one.type}
        text = (
            self.text(node) if node.type in {"arithmetic_expansion", "compound_statement"} else ""
        )
        if "((" in text[:3]:
            self.used |= set(re.findall(r"[A-Za-z_]\w*", text))
        for child in node.named_children:
            if node.type != "variable_assignment" or child.type != "variable_name":
                self._note_uses(child)


def _unwrapped(words: list[Word]) -> tuple[list[Word], bool]:
    """Takes ``sudo``, ``timeout 30`` and the like off; says whether a time-out was among them."""
    has_timeout = False
    while len(words) > 1 and words[0].text.rpartition("/")[2] in _WRAPPERS:
        wrapper = words[0].text.rpartition("/")[2]
        rest = words[1:]
        while rest and (rest[0].text.startswith("-") or "=" in rest[0].text):
            rest = rest[2:] if rest[0].text in _VALUED else rest[1:]
        if wrapper == "timeout":
            has_timeout = True
            rest = rest[1:]
        if not rest:
            break
        words = rest
    return words, has_timeout
