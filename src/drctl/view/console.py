"""The console that everything for people is printed on."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


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
