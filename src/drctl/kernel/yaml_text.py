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
BYTE_ORDER_MARK = "\ufeff"
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
DOUBTFUL = frozenset(("yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF"))
_UNREADABLE = re.compile(
    "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff\\ufffe\\uffff]"
)
"""Control characters, lone surrogates, and the three odd line breaks that would shift every line
number. Written as what is refused: what is accepted, negated, is ten times as long to compile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What was read, as far as it could be."""

    root: Node | None
    """``None`` when the text is no YAML at all; *problems* then says why."""
    problems: tuple[Problem, ...]
    has_nulls: bool = False
    """Somewhere a value is left out or written as ``null``."""


def read(text: str, *, file: str) -> Document:
    """Reads *text*; never raises. *file* is only the name that positions carry."""
    text = text.removeprefix(BYTE_ORDER_MARK)
    problem = refused(text, file=file)
    if problem:
        return Document(root=None, problems=(problem,))
    return _Composer(text, file).compose()


def refused(text: str, *, file: str) -> Problem | None:
    """Why *text* is not even looked at: it is too large, or has characters that no text has."""
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "replace")) > MAX_BYTES:
        what = f"the file is larger than {MAX_BYTES // 1024} KiB"
        return Problem(code="DR1002", what=what, at=Position(file, 1, 1))
    if odd := _UNREADABLE.search(text):
        line = text.count("\n", 0, odd.start()) + 1
        column = odd.start() - text.rfind("\n", 0, odd.start())
        what = f"the character U+{ord(odd[0]):04X} does not belong into a text file"
        return Problem(code="DR1001", what=what, at=Position(file, line, column))
    return None


_OTHER_THAN_TEXT = frozenset("~nNtTfF+-0123456789")
"""What a null, a boolean and a number begin with."""


def kind_of(text: str) -> Kind:
    """What YAML 1.2 core says that a scalar without quotes is."""
    if text and text[0] not in _OTHER_THAN_TEXT:
        return "str"
    if text in _NULL:
        return "null"
    if text in TRUTH:
        return "bool"
    if _INT.fullmatch(text):
        return "int"
    return "float" if _FLOAT.fullmatch(text) else "str"


def events(text: str) -> Callable[[], Any]:
    """
    Gives the parser's events one by one, and ``None`` at the end.

    Raises:
        yaml.YAMLError: When called: the text is not YAML from here on.
    """
    import yaml

    next_event: Callable[[], Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text).get_event
    return next_event


class _Stop(Exception):
    """Nothing after this can be read; the problem is in the list."""


def _pass_over(_event: object) -> None:
    """Takes an event that says nothing."""


class _Composer:
    """
    Turns events into nodes without recursion.

    A large runbook is 280,000 events: what is done at each of them is what reading costs. So no
    object is made that is not kept, and a place stays the parser's own mark until somebody asks.
    """

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._problems: list[Problem] = []
        self._root: list[Node] = []
        """One node, or none."""
        self._open: list[MapNode | ListNode] = []
        """Collections whose end has not come."""
        self._map: MapNode | None = None
        """The innermost one, when it is a mapping."""
        self._items = self._root
        """Those of the innermost one, when it is a list."""
        self._wants_key = False
        self._key: str | None = None
        """What the next value is called; ``None`` when it is to be dropped."""
        self._words: dict[str, str] = {}
        """Keys are few words, written many times: each is kept once."""
        self._nodes = 0
        self._documents = 0
        self._has_nulls = False

    def compose(self) -> Document:
        import yaml

        # By the event's exact class: a chain of `isinstance` costs more than all the rest.
        handlers: dict[type, Callable[[Any], None]] = {
            yaml.StreamStartEvent: _pass_over,
            yaml.StreamEndEvent: _pass_over,
            yaml.DocumentStartEvent: self._take_start,
            yaml.DocumentEndEvent: _pass_over,
            yaml.AliasEvent: self._take_alias,
            yaml.ScalarEvent: self._take_scalar,
            yaml.MappingStartEvent: self._take_mapping,
            yaml.SequenceStartEvent: self._take_list,
            yaml.MappingEndEvent: self._take_end,
            yaml.SequenceEndEvent: self._take_end,
        }
        whole = True
        try:
            next_event = events(self._text)
            while (event := next_event()) is not None:
                handlers[type(event)](event)
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
        if whole and not self._root:
            self._report("DR1001", "the file is empty", Position(self._file, 1, 1))
        return Document(
            root=self._root[0] if whole and self._root else None,
            problems=tuple(self._problems),
            has_nulls=self._has_nulls,
        )

    def _take_start(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            self._fail("DR1003", "a second document starts here; a file holds one", event)
        if event.tags or event.version:
            self._report("DR1003", "directives are not accepted", self._at(event))

    def _take_alias(self, event: Any) -> None:
        name = sanitize(event.anchor or "", limit=40)
        what = f"the alias *{name} is not accepted: write it out"
        self._report("DR1003", what, self._at(event))
        self._count(event)
        if self._wants_key:
            self._wants_key = False
            self._take_odd_key(event, "", "null", "")
        else:
            self._has_nulls = True
            self._add(ScalarNode(self._file, event.start_mark, True, "", "null", ""))  # noqa: FBT003

    def _take_scalar(self, event: Any) -> None:
        text, is_plain = event.value, not event.style
        is_broken = self._is_marked(event)
        kind = kind_of(text) if is_plain else "str"
        if self._wants_key:
            self._take_key(event, text, kind)
            return
        if is_plain and text in DOUBTFUL:
            is_broken = self._is_doubtful(text, self._at(event))
        self._count(event)
        if kind == "null":
            self._has_nulls = True
        start, end = event.start_mark, event.end_mark
        # Mostly the text itself, which is then kept once.
        is_raw = is_plain and end.index - start.index == len(text)
        raw = text if is_raw else self._text[start.index : end.index]
        self._add(ScalarNode(self._file, start, is_broken, text, kind, raw))

    def _take_key(self, event: Any, text: str, kind: Kind) -> None:
        self._count(event)
        self._wants_key = False
        into = self._map
        if kind == "str" and text != "<<" and into is not None and text not in into.entries:
            self._key = self._words.setdefault(text, text)
            into.marks.append(event.start_mark)
        else:
            raw = self._text[event.start_mark.index : event.end_mark.index]
            self._take_odd_key(event, text, kind, raw)

    def _take_odd_key(self, event: Any, text: str, kind: Kind, raw: str) -> None:
        """Says what is wrong with a key, if anything is; its value is then dropped."""
        into = self._map
        assert into is not None  # noqa: S101 (lists have no keys; for the type checker)
        if text == "<<" and not raw.startswith(("'", '"')):
            what = "merge keys are not accepted: write it out"
            self._report("DR1003", what, self._at(event))
        elif kind != "str":
            what = f"a key must be text; write '{sanitize(raw, limit=40)}' in quotes"
            self._report("DR1003", what, self._at(event))
        elif text in into.entries:
            first = into.key_position(text)
            what = (
                f'the key "{sanitize(text, limit=80)}" is written twice;'
                f" the first is at line {first.line}, column {first.column}"
            )
            self._report("DR1004", what, self._at(event))
        else:
            self._key = text
            into.marks.append(event.start_mark)

    def _take_mapping(self, event: Any) -> None:
        node = MapNode(self._file, event.start_mark, self._is_marked(event))
        self._push(event, node)
        self._map, self._wants_key = node, True

    def _take_list(self, event: Any) -> None:
        node = ListNode(self._file, event.start_mark, self._is_marked(event))
        self._push(event, node)
        self._map, self._wants_key, self._items = None, False, node.items

    def _take_end(self, _event: Any) -> None:
        self._open.pop()
        around = self._open[-1] if self._open else None
        if isinstance(around, MapNode):
            self._map, self._wants_key = around, True
        else:
            self._map, self._wants_key = None, False
            self._items = around.items if around else self._root

    def _push(self, event: Any, node: MapNode | ListNode) -> None:
        if self._wants_key:
            self._fail("DR1003", "a key must be text", event)
        self._count(event)
        if len(self._open) >= MAX_DEPTH:
            self._fail("DR1002", f"nested deeper than {MAX_DEPTH}", event)
        self._add(node)
        self._open.append(node)

    def _add(self, node: Node) -> None:
        into = self._map
        if into is None:
            self._items.append(node)
            return
        if self._key is not None:
            into.entries[self._key] = node
            self._key = None
        self._wants_key = True

    def _is_marked(self, event: Any) -> bool:
        """Reports an anchor or a tag; what carries one is broken."""
        anchor, tag = event.anchor, event.tag
        if anchor is None and tag is None:
            return False
        if anchor:
            what = f"the anchor &{sanitize(anchor, limit=40)} is not accepted"
            self._report("DR1003", what, self._at(event))
        if tag:
            what = f"the tag {sanitize(tag, limit=80)} is not accepted"
            self._report("DR1003", what, self._at(event))
        return bool(anchor or tag)

    def _count(self, event: Any) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._fail("DR1002", f"more than {MAX_NODES:,} values", event)

    def _is_doubtful(self, text: str, position: Position) -> bool:
        truth = "true" if text.lower() in {"yes", "on"} else "false"
        what = (
            f"{text} is text to some readers of YAML and a boolean to others;"
            f' write "{text}" or {truth}'
        )
        self._report("DR1005", what, position)
        return True

    def _position(self, mark: Any) -> Position:
        return Position(self._file, mark.line + 1, mark.column + 1)

    def _at(self, event: "yaml.Event") -> Position:
        return self._position(event.start_mark)

    def _report(self, code: str, what: str, position: Position) -> None:
        self._problems.append(Problem(code=code, what=what, at=position))

    def _fail(self, code: str, what: str, event: "yaml.Event") -> None:
        self._report(code, what, self._at(event))
        raise _Stop
