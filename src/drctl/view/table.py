"""Rows for people, in columns."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from drctl.kernel.text import sanitize

if TYPE_CHECKING:
    from rich.console import Console


def show_table(
    console: "Console", columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> None:
    """Prints a table without rules, as kubectl does; only the last column wraps."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name, no_wrap=name != columns[-1])
    for row in rows:
        table.add_row(*(Text(sanitize(str(cell))) for cell in row))
    console.print(table)
