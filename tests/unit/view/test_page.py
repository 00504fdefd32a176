"""What is written as it is, what rich is asked for, and when it is needed at all."""

import io
import subprocess
import sys

import pytest
from rich.console import Console

from drctl.view.page import Line, Page

WIDTH = 40
LINES = [
    Line("plain"),
    Line("of", "bold red").append(" several", "dim").append(" styles"),
    Line("a word " * 20),
    Line("first\n" + "x" * (WIDTH - 1) + "\nlast", "bold red"),
    Line("one \u2713 that is not ascii"),
    Line("rings \x07 the bell \r and returns"),
    Line(""),
]


def printed(line: Line, *, on_a_page: bool, **settings) -> str:
    stream = io.StringIO()
    console = Console(file=stream, highlight=False, width=WIDTH, **settings)
    if on_a_page:
        Page.of(console).print(line)
    else:
        console.print(line.rich())
    return stream.getvalue()


@pytest.mark.parametrize(
    "settings",
    [{}, {"soft_wrap": True}, {"force_terminal": True, "color_system": "standard"}],
    ids=["bare", "soft", "colour"],
)
@pytest.mark.parametrize("line", LINES, ids=lambda line: repr(line.plain[:9]))
def test_a_line_is_as_rich_prints_it(line, settings):
    wanted = printed(line, on_a_page=False, **settings)
    assert printed(line, on_a_page=True, **settings) == wanted


def test_the_first_style_is_of_the_whole_line():
    line = Line("a", "bold").append("b")
    said = printed(line, on_a_page=True, force_terminal=True, color_system="standard")
    assert said == "\x1b[1mab\x1b[0m\n"


@pytest.mark.parametrize(
    ("words", "variables", "is_needed"),
    [
        ("plain", {}, False),
        ("\u2713" * 201, {}, False),
        ("\x07", {}, True),
        ("plain", {"FORCE_COLOR": "1"}, True),
        ("plain", {"TTY_COMPATIBLE": "1"}, True),
    ],
)
def test_rich_is_imported_where_it_is_needed(words, variables, is_needed):
    code = (
        "import sys; from drctl.view.console import make_page; from drctl.view.page import Line;"
        f"make_page(color=None).print(Line({words!r}));"
        "print('rich.console' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path), "PYTHONUTF8": "1", **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.split() == [str(is_needed)]
    assert words.strip("\x07") in done.stdout
