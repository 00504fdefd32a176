"""Marks in a runbook's text of what its team has still to decide."""

import re
from collections.abc import Iterator

MARK = "# TODO:"
_MARKED = re.compile(r"(?:^|\s)#\s*TODO\b:?\s*(.*)$")


def todos(text: str) -> Iterator[tuple[int, int, str]]:
    """
    Line, column and words of every mark.

    A mark is a comment, and a ``#`` in a quoted text is none: a line is looked at only where an
    even number of quotes stands before the mark.
    """
    for number, line in enumerate(text.splitlines() if "TODO" in text else (), start=1):
        found = _MARKED.search(line)
        if found is None:
            continue
        before = line[: found.start()]
        if before.count('"') % 2 == 0 and before.count("'") % 2 == 0:
            yield number, line.index("#", found.start()) + 1, found[1].strip()
