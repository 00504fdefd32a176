"""
Takes secrets out of a text before anything else reads it.

Each character of a secret becomes `MASK`, so every other character keeps its line and column; what
is written later turns a run of masks into the name of a reference. Nothing behind this file can
copy a secret that was recognised into a draft or a report, because nothing behind it has one. In
doubt it masks: a word too many costs a person a look, one too few costs a rotation. What no pattern
recognises is copied like any other word, so a draft is reviewed before it is shared.
"""

import re
from collections.abc import Iterator

from drctl.importing.secret_patterns import (
    BY_PLACE,
    LITERAL,
    MASK,
    PATTERNS,
    PERHAPS,
    Pattern,
    is_doubtful,
    is_no_secret,
)
from drctl.kernel.errors import Position
from drctl.runbook.literals import secret_spans

DOUBTFUL = {PERHAPS, "a random key", "a private key or certificate"}
"""Kinds that are masked, and may well be none: a digest, a public key."""
_DOT = "\u00b7"
_MASKED = re.compile(f"{MASK}+")
_CONTINUED = re.compile(r"\\\r?\n")
_Span = tuple[int, int, str]


class Masked:
    """A text without its secrets, and where they stood."""

    def __init__(self, text: str, file: str) -> None:
        out = list(text.replace(MASK, _DOT))  # a bullet of the script's own hides nothing
        found: list[_Span] = []
        for search in (_by_pattern, caught):
            for start, end, kind in search("".join(out)):
                if MASK not in out[start:end]:
                    found.append((start, end, kind))
                for place in range(start, end):
                    if out[place] != "\n":
                        out[place] = MASK
        self.text = "".join(out)
        self.found: tuple[tuple[Position, str], ...] = tuple(
            (_position(text, start, file), kind) for start, end, kind in sorted(found)
        )


def unmasked(text: str, name: str = "SECRET") -> str:
    """Writes ``$NAME`` where a secret stood."""
    return _MASKED.sub(lambda _: f"${name}", text)


def has_secret(text: str) -> bool:
    """True where a secret stood in *text*."""
    return MASK in text


def caught(text: str) -> Iterator[_Span]:
    """What the validator would call a secret (DR1030), but for what is masked already."""
    # A name and its value are one run of letters: NAME=value has less noise than value.
    for view in (text, text.replace("=", " ")):
        for start, end, kind in secret_spans(view):
            if MASK not in text[start:end]:
                yield start, end, kind


def without_secrets(text: str) -> str:
    """The net under everything that is written: *text* as it may be shown."""
    out = list(text)
    for start, end, _ in caught(text):
        out[start:end] = MASK * (end - start)
    return unmasked("".join(out))


def _by_pattern(text: str) -> Iterator[_Span]:
    joined = _CONTINUED.sub(lambda found: " " * len(found[0]), text)
    found = [span for pattern in PATTERNS for span in _spans(pattern, joined)]
    yield from sorted(found, key=lambda one: one[2] in DOUBTFUL)


def _spans(pattern: Pattern, text: str) -> Iterator[_Span]:
    for first, last in _places(pattern, text):
        for match in pattern.value.finditer(text, first, last):
            start, end = match.span(match.lastgroup or 0)
            value = text[start:end]
            is_none = pattern.kind in BY_PLACE and is_no_secret(value)
            if value.strip(MASK) and not is_none:
                doubt = pattern.kind == LITERAL and is_doubtful(value)
                yield start, end, PERHAPS if doubt else pattern.kind


def _places(pattern: Pattern, text: str) -> Iterator[tuple[int, int]]:
    if pattern.inside is None:
        yield 0, len(text)
        return
    for match in pattern.inside.finditer(text):
        if pattern.only_with is None or pattern.only_with.search(match[0]):
            yield match.span(match.lastgroup or 0)


def _position(text: str, offset: int, file: str) -> Position:
    line = text.count("\n", 0, offset) + 1
    return Position(file, line, offset - (text.rfind("\n", 0, offset) + 1) + 1)
