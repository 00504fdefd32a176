"""
Foreign text in GitHub's and GitLab's Markdown: no markup, no link, no picture, nobody is called.
"""

import re
from collections.abc import Iterable, Sequence

from drctl.kernel.text import sanitize

# A colon with a space behind it is none of a link or of a picture's name.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~$!&]|:(?=\S))")
_CALLS = re.compile(r"@(?=\S)")
_WWW = re.compile(r"www\.", re.IGNORECASE)
LARGEST = 900_000
"""Bytes of a step summary; GitHub takes 1 MiB for all the summaries of a step."""


def plain(text: object, *, limit: int = 500) -> str:
    """
    A text that is shown as it is, on one line.

    A word joiner behind ``@`` keeps a site from telling people: a backslash there does not, since
    mentions are looked for in what was rendered.
    """
    inert = _MARKUP.sub(r"\\\1", sanitize(str(text), limit=limit))
    return _CALLS.sub("@\u2060", _WWW.sub(lambda match: match[0][:3] + r"\.", inert))


def code(text: object) -> str:
    """A name in a code span; one that has a backtick in it is shown as plain text."""
    inert = sanitize(str(text), limit=200)
    if "`" in inert or "|" in inert or not inert.strip():
        return plain(inert)
    return f"`{inert}`"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table, cells already made inert; none when it has no rows."""
    made = [f"| {' | '.join(row)} |" for row in rows]
    if not made:
        return []
    return [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}", *made, ""]


def cut(text: str) -> str:
    """At most what a summary may be long, and says so when it is not whole."""
    data = text.encode()
    if len(data) <= LARGEST:
        return text
    kept = data[:LARGEST].decode("utf-8", "ignore").rpartition("\n")[0]
    return f"{kept}\n\nCut here: {len(data) - LARGEST} bytes more than a summary may have.\n"
