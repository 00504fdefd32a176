"""
GitHub's workflow commands: lines on stdout that its runner turns into annotations.

Problem: the runner obeys any line that begins with ``::`` and any ``##[`` in a line, and a title is
written by whoever opened the pull request. Invariant: what is printed here is one line for one
annotation, in which no foreign text can end the line, the property, or the command.
"""

import re
from collections.abc import Iterable, Iterator

from drctl.kernel.text import sanitize
from drctl.view.ci.remark import Remark

_LONGEST = 6000
_MESSAGE = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = {**_MESSAGE, ":": "%3A", ",": "%2C"}


def annotations(remarks: Iterable[Remark]) -> Iterator[str]:
    """One workflow command for each, without its end of line."""
    for one in remarks:
        properties = {"title": one.rule}
        if one.file:
            line, column = str(one.line), str(one.column)
            properties = {"file": one.file, "line": line, "col": column, **properties}
        written = ",".join(f"{name}={as_property(value)}" for name, value in properties.items())
        yield f"::{one.level} {written}::{as_message(one.text)}"


def as_message(text: str) -> str:
    """A text as the message of a command."""
    return _replaced(text, _MESSAGE)


def as_property(text: str) -> str:
    """A text as the value of a property of a command."""
    return _replaced(text, _PROPERTY)


def log_line(text: str) -> str:
    """A line for the job's log that commands nothing."""
    # The runner cuts white space off before it looks for the colons.
    return re.sub(r"^\s*::", "- ::", _uncommanding(sanitize(text)))


def _replaced(text: str, table: dict[str, str]) -> str:
    inert = _uncommanding(sanitize(text, limit=_LONGEST, keep_lines=True))
    return "".join(table.get(character, character) for character in inert)


def _uncommanding(text: str) -> str:
    # The older commands, ##[…], are seen anywhere in a line: also in what another tool prints on.
    return text.replace("##[", "## [")
