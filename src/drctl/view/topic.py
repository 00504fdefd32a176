"""A page of Markdown for a person: laid out on a terminal, as it is everywhere else."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def show_topic(text: str, console: "Console") -> None:
    """Prints the page; the HTML comments that mark generated parts are for no reader."""
    if not console.is_terminal:
        console.out(text, end="")
        return
    from rich.markdown import Markdown

    lines = [line for line in text.splitlines() if not line.startswith("<!--")]
    console.print(Markdown("\n".join(lines)))
