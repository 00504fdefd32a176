"""
Text of YAML, written by hand: what foreign text becomes here is read back as exactly that.

Every value and every comment of a draft goes through `scalar` or `comment`, and what the validator
would call a secret (DR1030) goes through neither.
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from drctl.importing.secrets import without_secrets

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_LENGTH = re.compile(r"[0-9]+(?:ms|s|m|h)(?:[0-9]+(?:ms|s|m))*")
_WORDS = {"yes", "no", "on", "off", "true", "false", "null", "y", "n"}
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_WIDTH = 96
_ASTRAL = 0xFFFF


def scalar(value: Any) -> str:
    """One value on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = without_secrets(str(value))
    is_plain = _PLAIN.fullmatch(text) or _LENGTH.fullmatch(text)
    if is_plain and text.lower() not in _WORDS and len(text) < _WIDTH:
        return text
    return "".join(_character(one) for one in json.dumps(text, ensure_ascii=False))


def _character(one: str) -> str:
    if unicodedata.category(one) not in _UNSAFE:
        return one
    return f"\\U{ord(one):08x}" if ord(one) > _ASTRAL else f"\\u{ord(one):04x}"


def flow(value: Any) -> str:
    """A value of any shape on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(one) for one in value) + "]"
    return scalar(value)


def entries(value: Mapping[str, Any], indent: int) -> Iterator[str]:
    """A mapping as lines; short values in one line, longer ones below their key."""
    pad = " " * indent
    for key, one in value.items():
        short = flow(one)
        name = scalar(key)
        if not isinstance(one, Mapping | list | tuple) or len(short) + indent < _WIDTH:
            yield f"{pad}{name}: {short}"
        elif isinstance(one, Mapping):
            yield f"{pad}{name}:"
            yield from entries(one, indent + 2)
        else:
            yield f"{pad}{name}:"
            for item in one:
                yield f"{pad}  - {flow(item)}"


def comment(text: str, indent: int = 0) -> str:
    """A line of comment. *text* is inert already; a line break in it would end the comment."""
    safe = "".join(_character(one) for one in without_secrets(text))
    return f"{' ' * indent}# {safe}".rstrip()
