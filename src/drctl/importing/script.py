"""A shell script as data: statements, and every command in them with its surroundings."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from drctl.kernel.errors import Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """A ``$NAME`` in a word."""

    name: str
    at: Position
    quoting: Literal["none", "double"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word of a command: quotes taken off, ``$NAME`` and ``$(…)`` left as written."""

    text: str
    at: Position
    end: Position
    expansions: tuple[Expansion, ...] = ()
    glued: Expansion | None = None
    """An unquoted expansion between quoted pieces: ``'{"a": "'$B'"}'`` comes apart at blanks."""
    captures: bool = False
    """A ``$(…)`` is in it."""
    is_literal: bool = True
    """False when the shell would put something else in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A ``while``, ``until`` or ``for`` around a command."""

    kind: Literal["while", "until", "for"]
    at: Position
    text: str
    reads_input: bool
    """``while read``: it ends with its input."""
    is_bounded: bool
    """It counts, looks at the clock, or goes over a list."""
    fails: bool
    """Something in it ends the script: ``exit 1``, ``return 1``, ``die``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A simple command, wherever in the script it stands."""

    index: int
    """Its place in `Script.commands`, in the order of the text."""
    statement: int
    """The top-level statement that it belongs to."""
    words: tuple[Word, ...]
    at: Position
    loops: tuple[Loop, ...] = ()
    pipe: int | None = None
    """Number of its pipeline; commands with the same number are in it, in order."""
    captured_by: str | None = None
    """The variable that ``NAME=$(…)`` gives its output to; ``""``: used otherwise."""
    is_condition: bool = False
    """Its exit code decides an ``if``, ``while``, ``until``, ``&&`` or ``||``."""
    or_else: tuple[str, ...] = ()
    """The command behind ``||``, where one is."""
    redirects: tuple[tuple[str, str], ...] = ()
    """Operator and target."""
    environment: tuple[str, ...] = ()
    """Names that are set for it alone: ``A=1 command``."""
    has_timeout: bool = False
    """It was started by ``timeout``."""

    @property
    def name(self) -> str:
        """The program, without its folder."""
        return self.words[0].text.rpartition("/")[2] if self.words else ""

    @property
    def args(self) -> tuple[str, ...]:
        """The words after the program."""
        return tuple(word.text for word in self.words[1:])

    @property
    def text(self) -> str:
        """All words, for looking through."""
        return " ".join(word.text for word in self.words)

    def word(self, *flags: str) -> Word | None:
        """The value of the first of *flags* that is there: ``--x=y`` or ``--x y``."""
        for place, word in enumerate(self.words[1:], start=1):
            head, equals, tail = word.text.partition("=")
            if head in flags:
                if equals:
                    return Word(text=tail, at=word.at, end=word.end, expansions=word.expansions,
                                captures=word.captures, is_literal=word.is_literal)  # fmt: skip
                return self.words[place + 1] if place + 1 < len(self.words) else None
        return None

    def value(self, *flags: str) -> str | None:
        """The text of `word`."""
        word = self.word(*flags)
        return word.text if word else None

    def has(self, *flags: str) -> bool:
        """One of *flags* is there, with or without a value."""
        return any(text.partition("=")[0] in flags for text in self.args)

    def flag_at(self, *flags: str) -> Position:
        """Where the first of *flags* stands; the command's place when none does."""
        found = (word.at for word in self.words[1:] if word.text.partition("=")[0] in flags)
        return next(found, self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """``NAME=value``, alone or exported."""

    name: str
    word: Word | None
    at: Position
    statement: int
    is_exported: bool
    is_array: bool = False


StatementKind = Literal[
    "command", "pipeline", "assignment", "loop", "if", "function", "comment", "unknown"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A piece of the script that stands by itself."""

    index: int
    kind: StatementKind
    at: Position
    first_line: int
    last_line: int
    text: str
    """As written, without secrets."""
    why: str = ""
    """Of an unknown one: what was not understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretFound:
    """A secret that stood in the text; the text itself is gone."""

    at: Position
    kind: str
    """``a password``, ``a token``."""
    name: str
    """Of the reference that stands in its place: ``SECRET_1``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A parsed script. Lines count in the file that it was read from."""

    name: str
    file: str
    lines: tuple[tuple[int, str], ...]
    """Number and text of every line."""
    statements: tuple[Statement, ...]
    commands: tuple[Command, ...]
    assignments: tuple[Assignment, ...]
    used: frozenset[str] = frozenset()
    """Variables that are expanded somewhere."""
    secrets: tuple[SecretFound, ...] = ()
    title: str = ""
    """The heading above it, in a Markdown file."""
    language: str = "shell"
    """``yaml`` and ``python`` blocks of a document have lines only."""
    document: str = ""
    """The whole text that it stands in, without secrets."""

    def named(self, *names: str) -> Iterator[Command]:
        """Commands of these programs."""
        return (command for command in self.commands if command.name in names)

    def after(self, command: Command) -> tuple[Command, ...]:
        """Commands that come later in the text."""
        return self.commands[command.index + 1 :]

    def before(self, command: Command) -> tuple[Command, ...]:
        """Commands that come earlier in the text."""
        return self.commands[: command.index]

    def piped_to(self, command: Command) -> tuple[Command, ...]:
        """Commands further down its pipeline."""
        if command.pipe is None:
            return ()
        return tuple(one for one in self.after(command) if one.pipe == command.pipe)

    def of(self, statement: Statement) -> tuple[Command, ...]:
        """The commands of a statement, the inner ones too."""
        return tuple(one for one in self.commands if one.statement == statement.index)

    def assigned(self, statement: Statement) -> tuple[Assignment, ...]:
        """The assignments of a statement, the inner ones too."""
        return tuple(one for one in self.assignments if one.statement == statement.index)

    @property
    def text(self) -> str:
        """The whole of it."""
        return "\n".join(line for _, line in self.lines)
