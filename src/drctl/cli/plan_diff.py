"""``drctl plan diff``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.exit import Exit, errors_shown
from drctl.cli.output import Color, ColorOption, console, print_json, print_line
from drctl.cli.reports import CiFormat, CiOutputOption, step_summary

if TYPE_CHECKING:
    from drctl.plan.diff import Diff


def diff(
    before: Annotated[Path, typer.Argument(metavar="BEFORE.json", help="A saved plan.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER.json", help="Another one.")],
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 8 when they differ, 0 when not.")
    ] = False,
    output: CiOutputOption = CiFormat.TEXT,
    color: ColorOption = Color.AUTO,
) -> None:
    """
    Shows what a change does to a recovery: two saved plans, compared by what they would do.

    The files are only read, and may be of other versions of drctl. `-o github` prints Markdown for
    a comment, and appends it to the step summary.

    Example: drctl plan diff before.json after.json
    """
    with errors_shown():
        from drctl.app.comparing import compare_files

        found = compare_files(before, after)
        _show(found, output, color)
        if exit_code and not found.is_same:
            raise typer.Exit(Exit.MISSED)


def _show(found: "Diff", output: CiFormat, color: Color) -> None:
    if output is CiFormat.GITHUB:
        from drctl.view.ci.diff_markdown import diff_markdown

        markdown = diff_markdown(found)
        typer.echo(markdown, nl=False)
        step_summary(markdown)
    elif output is CiFormat.TEXT:
        from drctl.view.diff_text import show_diff

        show_diff(found, console(color))
    elif output is CiFormat.JSONL:
        print_line(found.as_json())
    else:
        print_json(found.as_json())
