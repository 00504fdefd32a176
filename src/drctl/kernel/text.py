"""Foreign text made inert before a person or a file sees it."""

import difflib
import json
import unicodedata
from collections.abc import Iterable

_KEPT_CONTROLS = {"\n", "\t"}
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def sanitize(text: str, *, limit: int = 2000, keep_lines: bool = False) -> str:
    """
    Replaces what could act on a terminal, a log or a reader: control, format (bidi, zero-width) and
    unassigned characters become their escapes, and everything past *limit* is cut and said so.

    *limit* keeps one hostile field from filling a screen at 3 a.m.; 2,000 is about 25 lines.
    """
    if len(text) <= limit and text.isprintable():
        return text  # nothing but spaces, and characters of no kind below
    shown = "".join(
        character
        if unicodedata.category(character) not in _UNSAFE
        or (keep_lines and character in _KEPT_CONTROLS)
        else character.encode("unicode_escape", "backslashreplace").decode("ascii")
        for character in text[:limit]
    )
    return shown if len(text) <= limit else f"{shown}… ({len(text) - limit} more characters)"


def sanitize_json(text: str) -> str:
    """The same JSON document, with what could act on a terminal written as JSON's own escapes."""
    return "\n".join(
        line if line.isprintable() else "".join(map(_as_escape, line)) for line in text.split("\n")
    )


def _as_escape(character: str) -> str:
    is_safe = unicodedata.category(character) not in _UNSAFE
    return character if is_safe else json.dumps(character)[1:-1]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Returns ``; did you mean "x"?`` or nothing, to be put at the end of a message."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""
