"""What can be wrong with an expression, and the library's messages in words for people."""

import re
from dataclasses import dataclass

from drctl.kernel.text import sanitize

_ERROR = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_OVERLOAD = re.compile(r"found no matching overload for '(.+)' applied to '(.*)'")
_UNDECLARED = re.compile(r"undeclared reference to '(.+?)'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong with an expression; *offset* and *fragment* say where in its text."""

    code: str
    what: str
    offset: int = 0
    fragment: str = ""


class ExpressionError(Exception):
    """An expression does not compile, or has no value. At least one fault."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(fault.what for fault in faults))
        self.faults = faults


def faults_in(message: str, text: str) -> list[Fault]:
    """The library's messages in words for people, each with the place it named."""
    faults = []
    lines = text.split("\n")
    for line, column, words in _ERROR.findall(message):
        before = lines[: max(0, int(line) - 1)]
        offset = sum(len(one) + 1 for one in before) + max(0, int(column) - 1)
        faults.append(Fault(code="DR1040", what=_in_words(words), offset=min(offset, len(text))))
        if "Syntax error" in words:
            break  # what follows a syntax error is a guess
    if not faults:
        short = sanitize(message.split("\n", 1)[0].partition("Invoked with")[0], limit=200)
        faults.append(Fault(code="DR1040", what=f"this is not an expression: {short}"))
    return faults


def _in_words(words: str) -> str:
    if found := _OVERLOAD.search(words):
        operator, types = found[1].replace("_", ""), found[2].strip("()")
        hint = ""
        if "double" in types and "int" in types:
            hint = "; numbers do not mix: write 5.0, or double(x)"
        elif "Duration" in types:
            hint = "; write a duration as duration('90s')"
        types = types.replace("google.protobuf.", "").lower()
        return f'"{operator}" does not take {types}{hint}'
    if found := _UNDECLARED.search(words):
        return f'nothing here is called "{sanitize(found[1], limit=80)}"'
    if "<EOF>" in words:
        return "the expression ends too early"
    return sanitize(words.partition(" expecting ")[0], limit=200)
