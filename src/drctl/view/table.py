"""Rows for people, in columns."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from drctl.kernel.text import sanitize

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_GAP = 2
_LAST = 24
"""A last column with less room than that is none to read."""


def show_table(
    console: "Console", columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> None:
    """
    Prints a table without rules, as kubectl does. Only the last column wraps; where it has no room
    to, each row is a line that the terminal goes on with as it does.
    """
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    cells = [[Text(name, "bold") for name in columns]]
    cells += [[Text(sanitize(str(cell))) for cell in row] for row in rows]
    widths = [max(cell_len(row[at].plain) for row in cells) for at in range(len(columns))]
    if sum(width + _GAP for width in widths[:-1]) + min(_LAST, widths[-1]) > console.width:
        for line in _lines(cells, widths):
            console.print(line, soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    for name in columns:
        table.add_column(name, no_wrap=name != columns[-1])
    for row in cells[1:]:
        table.add_row(*row)
    console.print(table)


def _lines(cells: "Sequence[Sequence[Text]]", widths: Sequence[int]) -> "Iterator[Text]":
    from rich.text import Text

    for row in cells:
        line = Text()
        for cell, width in zip(row, widths, strict=True):
            line.append_text(cell)
            line.append(" " * (width - cell.cell_len + _GAP))
        line.rstrip()
        yield line
