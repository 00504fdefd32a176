"""The console that everything for people is printed on."""

import os
import sys
from typing import TYPE_CHECKING

from drctl.view.page import Page

if TYPE_CHECKING:
    from rich.console import Console

_ASKS_RICH = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
"""With these set, rich may see a terminal where there is none."""


def make_console(*, color: bool | None) -> "Console":
    """
    A console on stdout that is plain off a terminal; there it is wide, so that nothing wraps.

    Args:
        color: ``None``: as the terminal and NO_COLOR say.
    """
    from rich.console import Console

    class Lasting(Console):
        """A reader who goes away is the caller's business: a run goes on without one."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would end the process

    is_terminal = sys.stdout.isatty()
    return Lasting(
        force_terminal=True if color else None,
        no_color=True if color is False else None,
        highlight=False,
        width=None if is_terminal else 200,
        soft_wrap=not is_terminal,
    )


def make_page(*, color: bool | None) -> Page:
    """A page on such a console, which is not made before a line needs it."""
    asks_rich = color or sys.stdout.isatty() or any(name in os.environ for name in _ASKS_RICH)
    if asks_rich:
        return Page.of(make_console(color=color))
    return Page(lambda: make_console(color=color), sys.stdout, None)
