"""Where long texts are printed: as rich would, without asking it about each of 30,000 lines."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


class Page:
    """
    A console for plain lines.

    Rich takes 0.1 ms for a line, most of it to find out that there is nothing to do: no colour, and
    room enough. Those lines are written as they are; it gets all others.
    """

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._is_bare = not console.is_terminal and console.color_system is None
        self._width = console.width
        self._write = console.file.write

    def print(self, text: "Text | None" = None) -> None:
        """Prints one text; nothing: an empty line."""
        plain = "" if text is None else text.plain
        if self._is_bare and plain.isascii() and self._fits(plain):
            self._write(f"{plain}\n")
        elif text is None:
            self._console.print()
        else:
            self._console.print(text)

    def line(self, *pieces: tuple[str, str]) -> None:
        """Prints one line of texts with their styles; no object is made of one that is bare."""
        plain = "".join(text for text, _style in pieces)
        if self._is_bare and plain.isascii() and plain.isprintable() and len(plain) <= self._width:
            self._write(f"{plain}\n")
            return
        from rich.text import Text

        (first, style), *others = pieces
        whole = Text(first, style=style)
        for text, own in others:
            whole.append(text, style=own)
        self.print(whole)

    def _fits(self, plain: str) -> bool:
        if len(plain) <= self._width:
            return True
        return "\n" in plain and all(len(line) <= self._width for line in plain.split("\n"))
