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

    And what recoveries of its environment have left behind: while anything of that is open it exits
    8, else 0. With --exit-status it leaves as the run did (0 while it is live).

    Example: drctl status
    """
    with errors_shown():
        from drctl.app.compose import parts
        from drctl.app.debts import open_debts
        from drctl.app.reading import find_run
        from drctl.app.standing import standing_of
        from drctl.cli.debt import document
        from drctl.cli.execute import exit_code
        from drctl.cli.exit import Exit
        from drctl.view.status import status_document, status_lines

        made = parts()
        here = standing_of(made, find_run(made, run))
        owed = open_debts(made).of(here.plan.environment)
        if output is Format.TEXT:
            for line in status_lines(here):
                typer.echo(line)
            for one in owed.open:
                typer.echo(f"  owed       {one.what}  ({one.id}: {one.remedy})")
            for unread in owed.unreadable:
                typer.echo(f"  owed       run {unread} cannot be read: not known")
        else:
            print_json({**status_document(here), "debts": document(owed)})
        if exit_status and here.standing != "running":
            end = here.state.finished
            raise typer.Exit(exit_code(end) if end else Exit.INTERRUPTED)
        if owed.open and not exit_status:
            raise typer.Exit(Exit.MISSED)
