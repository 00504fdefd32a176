"""``drctl undo``."""

from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.complete import RunArgument, ToOption
from drctl.cli.execute import Manner, leave, views_of
from drctl.cli.exit import errors_shown
from drctl.cli.output import Color, ColorOption, Format, NoInputOption, OutputOption

if TYPE_CHECKING:
    from drctl.engine.undoing import Undoing


def undo(
    run: RunArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why; goes into the record.")],
    to: ToOption = "",
    confirm: Annotated[
        str | None,
        typer.Option("--confirm", metavar="ENV", help="The environment's name, typed ahead."),
    ] = None,
    no_input: NoInputOption = False,
    output: OutputOption = Format.TEXT,
    color: ColorOption = Color.AUTO,
) -> None:
    """
    Takes back what a run did, newest first; never past a promotion: from there only forward.

    What may have happened is looked at first. When an undo fails it stops and shows both errors;
    the same command again looks, and goes on.

    Example: drctl undo latest --reason "false alarm" --confirm prod
    """
    with errors_shown():
        import asyncio

        from drctl.app.compose import parts
        from drctl.app.reading import find_run
        from drctl.app.taking_back import look_at_undo, undo_run
        from drctl.cli.confirm import typed_name

        if not reason.strip():
            raise typer.BadParameter("say why", param_hint="--reason")
        made = parts()
        folder = find_run(made, run)
        manner = Manner(output=output, color=color, no_input=no_input)
        _show(look_at_undo(folder, to), folder.run_id)
        typed_name(confirm, manner, folder.plan().environment, "")
        end = asyncio.run(undo_run(made, folder, to, reason, views_of(made, manner)))
        leave(end, folder, manner)


def _show(found: "Undoing", run: str) -> None:
    typer.echo(f"undo of run {run}, newest first:", err=True)
    for name in found.steps:
        look = "   (looked at first: it may not have happened)" if name in found.looks else ""
        typer.echo(f"  undo   {name}{look}", err=True)
    for name in found.done:
        typer.echo(f"  done   {name}", err=True)
    for name in found.stays:
        typer.echo(f"  stays  {name}   (changed something, and has no undo)", err=True)
