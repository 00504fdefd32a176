"""The fenced blocks of a Markdown file."""

import re
from dataclasses import dataclass

from drctl.importing.secrets import Masked, unmasked
from drctl.importing.shell import check_size
from drctl.kernel.errors import InvalidError, Problem

SHELLS = {"bash", "sh", "shell", "zsh", "ksh"}
MAX_BLOCKS = 200
_NAMED = re.compile(r"^\s*#\s*([\w.-]+\.(?:sh|bash))\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block."""

    language: str
    name: str
    """Of the script in it: its own first comment, or the heading above."""
    title: str
    """The heading above."""
    text: str
    first_line: int
    """The line of the file on which its text begins."""


def blocks(text: str, *, file: str) -> tuple[Block, ...]:
    """
    Every fenced block, in order.

    Raises:
        InvalidError: The file is too large, has too many blocks, or the reader is not installed.
    """
    check_size(text, file)
    try:
        from markdown_it import MarkdownIt
    except ImportError as error:
        what = f"reading Markdown needs a library that is not installed: {error.name}"
        problem = Problem(code="DR1096", what=what, do="pip install 'drctl[import]'")
        raise InvalidError((problem,)) from error
    tokens = MarkdownIt("commonmark").disable("inline").parse(text)
    lines = text.split("\n")
    found: list[Block] = []
    names: set[str] = set()
    heading = ""
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            said = Masked(tokens[place + 1].content, file).text
            heading = re.sub(r"^[\d.\s]+", "", unmasked(said)).strip()
        elif token.type == "fence" and token.map:
            language = (token.info.split() or [""])[0].lower()
            first = token.map[0] + 1
            size = token.content.count("\n")
            raw = "\n".join(lines[first : first + size]) + "\n"
            # Inside of a list the content is moved to the left; columns then count from there.
            content = raw if raw.split() == token.content.split() else token.content
            block = Block(
                language=language,
                name=_name(content, heading, names),
                title=heading,
                text=content,
                first_line=first + 1,
            )
            found.append(block)
            if len(found) > MAX_BLOCKS:
                what = f"more than {MAX_BLOCKS} blocks"
                raise InvalidError((Problem(code="DR1095", what=what, at=file),))
    return tuple(found)


def _name(text: str, heading: str, names: set[str]) -> str:
    said = _NAMED.search("\n".join(text.split("\n")[:6]))
    slug = re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")[:60]
    base = said[1] if said else slug or "block"
    name, number = base, 2
    while name in names:
        name, number = f"{base}-{number}", number + 1
    names.add(name)
    return name
