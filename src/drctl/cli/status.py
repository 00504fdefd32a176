"""``drctl status``."""

from typing import Annotated

import typer

from drctl.cli.complete import runs
from drctl.cli.exit import errors_shown
from drctl.cli.output import Format, OutputOption, print_json


def status(
    run: Annotated[
        str,
        typer.Argument(help="Run id, its beginning, or `latest`.", autocompletion=runs),
    ] = "latest",
    exit_status: Annotated[
        bool, typer.Option("--exit-status", help="Leave with the exit code of the run's end.")
    ] = False,
    output: OutputOption = Format.TEXT,
) -> None:
    """
    Says on one screen where a run stands, what runs, what is asked, and what to type next.

    Exits 0 when it could say so; with --exit-status as the run did (0 while it is live).

    Example: drctl status
    """
    with errors_shown():
        from drctl.app.compose import parts
        from drctl.app.reading import find_run
        from drctl.app.standing import standing_of
        from drctl.cli.execute import exit_code
        from drctl.cli.exit import Exit
        from drctl.view.status import status_document, status_lines

        made = parts()
        here = standing_of(made, find_run(made, run))
        if output is Format.TEXT:
            for line in status_lines(here):
                typer.echo(line)
        else:
            print_json(status_document(here))
        if exit_status and here.standing != "running":
            end = here.state.finished
            raise typer.Exit(exit_code(end) if end else Exit.INTERRUPTED)
