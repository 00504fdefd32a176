"""The name that a person types before something that has no way back."""

import sys
from typing import TYPE_CHECKING

import typer

from drctl.cli.execute import Manner
from drctl.cli.exit import Exit

if TYPE_CHECKING:
    from drctl.plan.model import Plan


def confirmed(plan: "Plan", typed: str | None, manner: Manner, wanted: str) -> None:
    """
    Asks for *wanted* where nobody has typed it ahead; anything else is a no.

    Raises:
        typer.Exit: Not confirmed; nothing was changed.
    """
    irreversible = ", ".join(step.id for step in plan.steps if step.prediction.symbol == "!")
    typed_name(typed, manner, wanted, f"\nNo way back after: {irreversible or 'nothing'}")


def typed_name(typed: str | None, manner: Manner, wanted: str, first: str) -> None:
    """
    The same, with *first* said before it asks.

    Raises:
        typer.Exit: Not confirmed; nothing was changed.
    """
    from drctl.kernel.text import sanitize

    if typed is None and manner.asks:
        if first:
            typer.echo(first, err=True)
        sys.stderr.write(f"Type {sanitize(wanted)} to go: ")
        sys.stderr.flush()
        typed = sys.stdin.readline().strip()
    if typed == wanted:
        return
    said = "nothing was typed" if not typed else f'"{typed}" is not "{wanted}"'
    typer.echo(f"error DR3102: not confirmed: {sanitize(said)}", err=True)
    typer.echo("  now  nothing was changed", err=True)
    typer.echo(f"  do   add --confirm {sanitize(wanted)}", err=True)
    raise typer.Exit(Exit.REFUSED)
