"""Where long texts are printed: as rich would, without asking it about each of 30,000 lines."""

from collections.abc import Callable
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


class Line:
    """Words with their styles: what rich calls a ``Text``, and not yet one."""

    __slots__ = ("_pieces",)

    def __init__(self, text: str, style: str = "", *more: tuple[str, str]) -> None:
        self._pieces = [(text, style), *more]

    def append(self, text: str, style: str = "") -> "Line":
        """Adds words, in their own style over that of the first; returns itself."""
        self._pieces.append((text, style))
        return self

    @property
    def plain(self) -> str:
        """Its words."""
        return "".join(text for text, _style in self._pieces)

    def rich(self) -> "Text":
        """As rich has it."""
        from rich.text import Text

        (first, style), *others = self._pieces
        whole = Text(first, style=style)
        for text, own in others:
            whole.append(text, style=own)
        return whole


class Page:
    """
    A console for plain lines.

    Rich takes 0.1 ms for a line, most of it to find out that there is nothing to do: no colour, and
    room enough. Those lines are written as they are; it gets all others, and where there are no
    others it is not even imported.

    Args:
        make: The console, made when a line needs it.
        bare: Where lines go to that need nothing done, ``None`` if all do.
        width: Of *bare*, in columns; ``None`` if nothing wraps.
    """

    def __init__(
        self, make: "Callable[[], Console]", bare: IO[str] | None, width: int | None
    ) -> None:
        self._make = make
        self._bare = bare
        self._width = width
        self._console: Console | None = None

    @classmethod
    def of(cls, console: "Console") -> "Page":
        """On a console that is there."""
        is_bare = not console.is_terminal and console.color_system is None
        width = None if console.soft_wrap else console.width
        return cls(lambda: console, console.file if is_bare else None, width)

    def print(self, line: Line | None = None) -> None:
        """Prints one line, or one of several; nothing: an empty one."""
        plain = "" if line is None else line.plain
        if self._bare is not None and self._fits(plain):
            self._bare.write(f"{plain}\n")
            return
        if self._console is None:
            self._console = self._make()
        self._console.print("" if line is None else line.rich())

    def _fits(self, plain: str) -> bool:
        """What is not ASCII may be wider than it is long."""
        if self._width is None:
            return plain.isprintable() or all(map(str.isprintable, plain.split("\n")))
        return plain.isascii() and all(
            part.isprintable() and len(part) <= self._width for part in plain.split("\n")
        )
