"""``drctl debt``: what runs have left behind for people to put right."""

from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.exit import Exit, errors_shown
from drctl.cli.output import Color, ColorOption, Format, OutputOption, console, print_json

if TYPE_CHECKING:
    from drctl.app.debts import Debts

app = typer.Typer(
    help="Debts: what recoveries have left behind for people to put right.", no_args_is_help=True
)


@app.command("list")
def list_debts(
    env: Annotated[
        str | None, typer.Option("-e", "--env", help="Only those of this environment.")
    ] = None,
    output: OutputOption = Format.TEXT,
    color: ColorOption = Color.AUTO,
) -> None:
    """
    Lists what is open, oldest first: a missing standby, a fence, an emergency load balancer.

    Exits 8 while anything is open, 9 when a run's record cannot be read.

    Example: drctl debt list -e prod
    """
    with errors_shown():
        from drctl.app.compose import parts
        from drctl.app.debts import open_debts

        found = open_debts(parts())
        found = found if env is None else found.of(env)
        if output is not Format.TEXT:
            print_json({"version": 1, **document(found)})
        else:
            _show(found, color)
        if found.unreadable:
            raise typer.Exit(Exit.UNVERIFIED)
        if found.open:
            raise typer.Exit(Exit.MISSED)


@app.command()
def close(
    debt: Annotated[str, typer.Argument(help="Its id, as `drctl debt list` shows it.")],
    reason: Annotated[str, typer.Option("--reason", help="How it was put right; on record.")],
) -> None:
    """
    Says that a person has put a debt right; it goes into the record of the run that left it.

    Example: drctl debt close standby-3f9a1c --reason "replica healing-guard-dr2 streams"
    """
    if not reason.strip():
        raise typer.BadParameter("say how", param_hint="--reason")
    with errors_shown():
        from drctl.app.compose import parts
        from drctl.app.debts import close_debt

        closed = close_debt(parts(), debt, reason)
        typer.echo(f"closed {closed.id}: {closed.what}")


def document(found: "Debts") -> dict[str, object]:
    """The list for programs."""
    from dataclasses import asdict

    return {
        "open": [asdict(one) | {"since": one.since.isoformat()} for one in found.open],
        "unreadable": list(found.unreadable),
    }


def _show(found: "Debts", color: Color) -> None:
    from drctl.view.table import show_table

    for run in found.unreadable:
        typer.echo(f"what run {run} owes is not known: its record cannot be read", err=True)
    if not found.open:
        typer.echo("nothing is owed", err=True)
        return
    rows = [
        (one.id, one.environment, f"{one.since:%Y-%m-%d %H:%M}Z", one.what, one.remedy, one.run)
        for one in found.open
    ]
    show_table(console(color), ("DEBT", "ENV", "SINCE", "WHAT", "DO", "RUN"), rows)
