"""
Reads a strict subset of YAML.

Accepted is what means the same to every reader: mappings with text keys, lists and scalars, one
document. Refused, each with its place: anchors, aliases, tags, merge keys and duplicate keys,
because they make the text say something else than what is read; and the words ``yes``, ``no``,
``on``, ``off``, because YAML 1.1 readers and editors take them for booleans while YAML 1.2 takes
them for text. One problem does not hide the next: the reader drops the doubtful part, marks it as
broken, and goes on.

The input may be hostile. Only the parser's *events* are used: its composer recurses in C and ends
the process at 200,000 open brackets. Size is checked before the first event, depth and count at
each one.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drctl.kernel.errors import Position, Problem
from drctl.kernel.text import sanitize
from drctl.kernel.yaml_tree import TRUTH, Kind, ListNode, MapNode, Node, ScalarNode

if TYPE_CHECKING:
    import yaml

MAX_BYTES = 4 * 1024 * 1024
"""A runbook of 10,000 steps is about 2.5 MB."""
MAX_DEPTH = 32
"""The deepest place of a real runbook, ``steps.verify.with.data.host.x``, is 8."""
MAX_NODES = 300_000
"""A runbook of 10,000 steps has about 255,000. As many cost 1 s and 250 MiB, and there is no way to
have more of them than the file has characters: nothing in it can be referred to twice."""
MAX_DIGITS = 18
"""Every integer of 18 digits fits into 64 bits, so nothing is rounded on the way to an
expression."""

_INT = re.compile(rf"[-+]?(?:0|[1-9][0-9]{{0,{MAX_DIGITS - 1}}})")
_FLOAT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{0,17})?(?:[eE][-+]?[0-9]{1,2})?")
_NULL = {"", "~", "null", "Null", "NULL"}
_LONGEST_DOUBTFUL = 3
_DOUBTFUL = re.compile(r"yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF")
_UNREADABLE = re.compile(
    "[^\\t\\n\\r -\\x7e\\xa0-\\u2027\\u202a-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]"
)
"""Control characters, lone surrogates, and the three odd line breaks that would shift every line
number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What was read, as far as it could be."""

    root: Node | None
    """``None`` when the text is no YAML at all; *problems* then says why."""
    problems: tuple[Problem, ...]


def read(text: str, *, file: str) -> Document:
    """Reads *text*; never raises. *file* is only the name that positions carry."""
    start = Position(file, 1, 1)
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "replace")) > MAX_BYTES:
        what = f"the file is larger than {MAX_BYTES // 1024} KiB"
        return Document(root=None, problems=(Problem(code="DR1002", what=what, at=start),))
    text = text.removeprefix("\ufeff")
    if odd := _UNREADABLE.search(text):
        line = text.count("\n", 0, odd.start()) + 1
        column = odd.start() - text.rfind("\n", 0, odd.start())
        what = f"the character U+{ord(odd[0]):04X} does not belong into a text file"
        problem = Problem(code="DR1001", what=what, at=Position(file, line, column))
        return Document(root=None, problems=(problem,))
    return _Composer(text, file).compose()


_OTHER_THAN_TEXT = frozenset("~nNtTfF+-0123456789")
"""What a null, a boolean and a number begin with."""


def _kind(text: str) -> Kind:
    if text and text[0] not in _OTHER_THAN_TEXT:
        return "str"
    if text in _NULL:
        return "null"
    if text in TRUTH:
        return "bool"
    if _INT.fullmatch(text):
        return "int"
    return "float" if _FLOAT.fullmatch(text) else "str"


class _Stop(Exception):
    """Nothing after this can be read; the problem is in the list."""


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not come."""

    node: MapNode | ListNode
    key: str | None = None
    key_at: Position | None = None


class _Composer:
    """Turns events into nodes without recursion."""

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._problems: list[Problem] = []
        self._open: list[_Open] = []
        self._root: Node | None = None
        self._nodes = 0
        self._documents = 0

    def compose(self) -> Document:
        import yaml

        # By the event's exact class: a chain of `isinstance` costs more than all the rest.
        handlers: dict[type, Callable[[Any], None]] = {
            yaml.DocumentStartEvent: self._take_start,
            yaml.AliasEvent: self._take_alias,
            yaml.ScalarEvent: self._take_scalar,
            yaml.MappingStartEvent: self._take_mapping,
            yaml.SequenceStartEvent: self._take_list,
            yaml.MappingEndEvent: self._take_end,
            yaml.SequenceEndEvent: self._take_end,
        }
        whole = True
        try:
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(self._text)
            while (event := loader.get_event()) is not None:
                handle = handlers.get(type(event))
                if handle is not None:
                    handle(event)
        except _Stop:
            whole = False
        except yaml.MarkedYAMLError as error:
            whole = False
            mark = error.problem_mark or error.context_mark
            words = [error.problem, error.context]
            self._report(
                "DR1001",
                "this is not YAML: " + ", ".join(sanitize(word) for word in words if word),
                self._position(mark) if mark else Position(self._file, 1, 1),
            )
        except yaml.YAMLError as error:
            whole = False
            self._report(
                "DR1001", f"this is not YAML: {sanitize(str(error))}", Position(self._file, 1, 1)
            )
        if whole and self._root is None:
            self._report("DR1001", "the file is empty", Position(self._file, 1, 1))
        return Document(root=self._root if whole else None, problems=tuple(self._problems))

    def _take_start(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            self._fail("DR1003", "a second document starts here; a file holds one", event)
        if event.tags or event.version:
            self._report("DR1003", "directives are not accepted", self._at(event))

    def _take_alias(self, event: Any) -> None:
        place, name = self._at(event), sanitize(event.anchor or "", limit=40)
        self._report("DR1003", f"the alias *{name} is not accepted: write it out", place)
        self._add(ScalarNode(text="", kind="null", position=place, is_broken=True))

    def _take_scalar(self, event: Any) -> None:
        self._add(self._scalar(event))

    def _take_mapping(self, event: Any) -> None:
        position = self._at(event)
        self._push(event, MapNode(position=position, is_broken=self._marked(event, position)))

    def _take_list(self, event: Any) -> None:
        position = self._at(event)
        self._push(event, ListNode(position=position, is_broken=self._marked(event, position)))

    def _take_end(self, _event: Any) -> None:
        self._add(self._open.pop().node, counted=True)

    def _scalar(self, event: Any) -> ScalarNode:
        start, text = event.start_mark, event.value
        position = Position(self._file, start.line + 1, start.column + 1)
        is_broken = self._marked(event, position)
        is_plain = not event.style
        if is_plain and len(text) <= _LONGEST_DOUBTFUL and _DOUBTFUL.fullmatch(text):
            is_broken |= not self._wants_key() and self._is_doubtful(text, position)
        size = event.end_mark.index - start.index
        return ScalarNode(
            text=text,
            kind=_kind(text) if is_plain else "str",
            position=position,
            # Mostly the text itself, which is then kept once.
            raw=text
            if is_plain and size == len(text)
            else self._text[start.index : start.index + size],
            is_broken=is_broken,
        )

    def _is_doubtful(self, text: str, position: Position) -> bool:
        truth = "true" if text.lower() in {"yes", "on"} else "false"
        what = (
            f"{text} is text to some readers of YAML and a boolean to others;"
            f' write "{text}" or {truth}'
        )
        self._report("DR1005", what, position)
        return True

    def _push(self, event: "yaml.NodeEvent", node: MapNode | ListNode) -> None:
        if self._wants_key():
            self._fail("DR1003", "a key must be text", event)
        self._count(node.position)
        if len(self._open) >= MAX_DEPTH:
            self._fail("DR1002", f"nested deeper than {MAX_DEPTH}", event)
        self._open.append(_Open(node))

    def _add(self, node: Node, *, counted: bool = False) -> None:
        if not counted:
            self._count(node.position)
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        if isinstance(parent.node, ListNode):
            parent.node.items.append(node)
        elif parent.key_at is None:
            self._key(parent, node)
        else:
            if parent.key is not None:
                parent.node.entries[parent.key] = node
                parent.node.keys[parent.key] = parent.key_at
            parent.key, parent.key_at = None, None

    def _key(self, parent: _Open, node: Node) -> None:
        """Remembers the key; ``parent.key`` stays ``None`` when its value is to be dropped."""
        parent.key_at = node.position
        if not isinstance(node, ScalarNode):
            return
        assert isinstance(parent.node, MapNode)  # noqa: S101 (lists have no keys; for the type checker)
        if node.text == "<<" and not node.raw.startswith(("'", '"')):
            self._report("DR1003", "merge keys are not accepted: write it out", node.position)
        elif node.kind != "str":
            what = f"a key must be text; write '{sanitize(node.raw, limit=40)}' in quotes"
            self._report("DR1003", what, node.position)
        elif node.text in parent.node.keys:
            first = parent.node.keys[node.text]
            what = (
                f'the key "{sanitize(node.text, limit=80)}" is written twice;'
                f" the first is at line {first.line}, column {first.column}"
            )
            self._report("DR1004", what, node.position)
        else:
            parent.key = node.text

    def _wants_key(self) -> bool:
        return bool(
            self._open
            and isinstance(self._open[-1].node, MapNode)
            and self._open[-1].key_at is None
        )

    def _marked(self, event: Any, position: Position) -> bool:
        """Reports an anchor or a tag; what carries one is broken."""
        if event.anchor is None and event.tag is None:
            return False
        if event.anchor:
            what = f"the anchor &{sanitize(event.anchor, limit=40)} is not accepted"
            self._report("DR1003", what, position)
        tag = event.tag
        if tag:
            self._report("DR1003", f"the tag {sanitize(tag, limit=80)} is not accepted", position)
        return bool(event.anchor or tag)

    def _count(self, position: Position) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._report("DR1002", f"more than {MAX_NODES:,} values", position)
            raise _Stop

    def _position(self, mark: Any) -> Position:
        return Position(self._file, mark.line + 1, mark.column + 1)

    def _at(self, event: "yaml.Event") -> Position:
        return self._position(event.start_mark)

    def _report(self, code: str, what: str, position: Position) -> None:
        self._problems.append(Problem(code=code, what=what, at=position))

    def _fail(self, code: str, what: str, event: "yaml.Event") -> None:
        self._report(code, what, self._at(event))
        raise _Stop
