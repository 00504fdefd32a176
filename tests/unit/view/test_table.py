"""Columns that fit, and columns that do not."""

import pytest
from rich.console import Console

from drctl.view.table import show_table

ROWS = [("aws.rds.promote", "change", "Promote a replica"), ("http.probe", "read", "日本 asks")]


@pytest.mark.parametrize("width", [30, 80])
def test_no_cell_is_cut_whatever_the_width(width):
    console = Console(width=width, force_terminal=False, highlight=False, record=True)
    with console.capture() as caught:
        show_table(console, ("ACTION", "EFFECT", "WHAT"), ROWS)
    shown = caught.get()
    assert "…" not in shown
    assert all(cell in shown for row in ROWS for cell in row)
    places = [line.index(word) for line, word in zip(shown.splitlines(), ("EFF", "change", "read"),
                                                     strict=True)]  # fmt: skip
    assert len(set(places)) == 1, "columns stand below each other"
