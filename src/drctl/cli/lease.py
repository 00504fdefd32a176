"""``drctl lease``: who may change what, and taking that away from a run that is dead."""

from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.exit import errors_shown
from drctl.cli.output import Color, ColorOption, Format, OutputOption, console, print_json

if TYPE_CHECKING:
    from drctl.app.compose import Parts
    from drctl.journal.access import Access

app = typer.Typer(help="Leases: who may change which targets.", no_args_is_help=True)
EnvOption = Annotated[
    str | None,
    typer.Option("-e", "--env", help="Whose store of leases. Default: this machine's."),
]


@app.command("list")
def list_leases(
    env: EnvOption = None, output: OutputOption = Format.TEXT, color: ColorOption = Color.AUTO
) -> None:
    """
    Lists who holds what, and which failovers the cool-down still knows.

    Example: drctl lease list -e lab
    """
    with errors_shown():
        import asyncio
        from dataclasses import asdict

        from drctl.app.compose import parts
        from drctl.app.leasing import read_book
        from drctl.view.table import show_table

        access = _access(parts(), env)
        book = asyncio.run(read_book(access))
        if output is not Format.TEXT:
            print_json({"version": 1, "store": access.cell.label, **asdict(book)})
            return
        typer.echo(f"leases in {access.cell.label}", err=True)
        rows = [
            (one.run, "live" if one.is_live else one.state, one.operator, one.host, one.taken_at,
             ", ".join(one.identities))
            for one in book.holders
        ]  # fmt: skip
        rows += [
            (one.run, "ended", one.what, "", one.wall, ", ".join(one.identities))
            for one in book.recent
        ]
        columns = ("RUN", "STATUS", "BY", "HOST", "SINCE", "TARGETS")
        show_table(console(color), columns, rows)


@app.command("break")
def break_(
    run: Annotated[str, typer.Option("--run", help="The run's whole id.")],
    reason: Annotated[str, typer.Option("--reason", help="Goes into the record.")],
    env: EnvOption = None,
) -> None:
    """
    Takes the lease of a dead run away; refuses when it is seen to live. Its cool-down begins now.

    Example: drctl lease break --run 20261122T100405-k3f9 -e lab --reason "laptop is lost"
    """
    if not reason.strip():
        raise typer.BadParameter("say why", param_hint="--reason")
    with errors_shown():
        import asyncio

        from drctl.app.compose import parts
        from drctl.app.leasing import break_lease

        said: set[str] = set()

        def say(text: str) -> None:
            if text not in said:
                said.add(text)
                typer.echo(text, err=True)

        access = _access(parts(), env)
        holder = asyncio.run(break_lease(access, run, reason, say=say))
        typer.echo(f"the lease of run {holder.run} is broken; it held {len(holder.identities)}")


def _access(made: "Parts", env: str | None) -> "Access":
    from drctl.app.leasing import access_to
    from drctl.config.environment import find_environment, load_environment
    from drctl.plan.leases import planned_lease
    from drctl.plan.model import PlannedLease

    if env is None:
        return access_to(made, PlannedLease())
    environment = load_environment(find_environment(env))
    lease = planned_lease(made.registry, environment, (), {})
    return access_to(made, lease, environment.resolvers)
