"""``drctl lab``: the embedded two-region estate."""

import os
from enum import StrEnum
from typing import Annotated

import typer

from drctl.cli.exit import Exit, errors_shown
from drctl.cli.output import Format, OutputOption, print_json

app = typer.Typer(
    help="A two-region estate on this machine: real PostgreSQL, real processes, emulated clouds.",
    no_args_is_help=True,
)


class How(StrEnum):
    """Ways to lose something."""

    KILL = "kill"
    PARTITION = "partition"


def _net() -> int:
    return int(os.environ.get("DRCTL_LAB_NET", "70"))


def _say(line: str) -> None:
    typer.echo(line, err=True)


@app.command()
def up(
    shape: Annotated[
        str, typer.Option("--shape", help="What it is made of; `region` unless said.")
    ] = "region",
) -> None:
    """
    Starts the estate: a few seconds, no root, no Docker, nothing outside loopback.

    Example: drctl lab up && drctl plan region-failover -e lab -i incident=inc-20261122-001
    """
    with errors_shown():
        from drctl.lab import control

        report = control.up(_net(), say=_say, shape=shape)
        typer.echo(f"lab is up in {report.took_s:.1f}s at {report.root}")
        typer.echo(f"  service     {report.url} (only nameserver {report.resolver} knows it)")
        typer.echo(f"  environment {report.environment} (drctl … -e lab)")
        for region, path in report.kubeconfigs.items():
            typer.echo(f"  kubectl     --kubeconfig {path}   ({region})")


@app.command()
def status(output: OutputOption = Format.TEXT) -> None:
    """Shows what of the lab runs."""
    with errors_shown():
        from dataclasses import asdict

        from drctl.lab import control

        seen = control.status(_net())
        if output is not Format.TEXT:
            print_json({"version": 1, **asdict(seen)})
            return
        typer.echo("up" if seen.is_up else "down")
        for region, how in seen.regions.items():
            typer.echo(f"  {region:<12} {how}")
            for zone, state in seen.zones.items():
                if zone.startswith(region) and state != how:
                    typer.echo(f"    {zone:<10} {state}")
        if seen.replication:
            typer.echo(f"  {'replication':<12} {seen.replication}")
        for name, pid in sorted(seen.processes.items()):
            typer.echo(f"  {name:<40} pid {pid}")


@app.command()
def traffic(
    stop: Annotated[
        bool, typer.Option("--stop", help="Stop the client; its record stays.")
    ] = False,
) -> None:
    """
    Starts an independent client that writes through the public name and notes what it is told.
    """
    with errors_shown():
        from drctl.lab import control

        if stop:
            control.stop_traffic(_net())
            typer.echo("traffic stopped")
        else:
            typer.echo(f"traffic runs, pid {control.start_traffic(_net())}")


@app.command("break")
def break_(
    what: Annotated[
        str,
        typer.Argument(
            help="region, zone, replication, or what a part of this lab's shape offers."
        ),
    ],
    name: Annotated[
        str,
        typer.Argument(
            help="Which one: us-east-1 or us-west-2 for a region; each has two zones, us-east-1a "
            "and us-east-1b."
        ),
    ] = "",
    how: Annotated[
        How,
        typer.Option(
            "--how", help="kill: SIGKILL; partition (a region): alive, and nobody reaches it."
        ),
    ] = How.KILL,
) -> None:
    """
    Takes something away: its processes, its endpoints, its link.

    A region lives on in the zone that is left; without both it is lost.

    Example: drctl lab break region us-east-1 --how partition; drctl lab break zone us-east-1a
    """
    with errors_shown():
        from drctl.lab import control

        struck = control.strike(what, _net(), name=name, how=how.value)
        typer.echo(f"{struck.what} {struck.how} at {struck.began.wall.isoformat()}")


@app.command()
def heal() -> None:
    """Makes everything reachable again and restarts what was killed, as it was before."""
    with errors_shown():
        from drctl.lab import control

        left = control.heal(_net())
        for line in left:
            typer.echo(f"not healed: {line}", err=True)
        if left:
            raise typer.Exit(Exit.FAILED)
        typer.echo("healed")


@app.command()
def ledger(output: OutputOption = Format.TEXT) -> None:
    """
    Shows every change that a stand-in of the lab applied, whoever asked for it.

    Example: drctl lab ledger -o json
    """
    with errors_shown():
        from drctl.lab import control

        lines = control.ledger(_net())
        if output is not Format.TEXT:
            print_json({"version": 1, "applied": lines})
            return
        for line in lines:
            typer.echo(
                f"{line['wall'][:23]}Z  {line['where']:<22} {line['operation']:<34} "
                f"{line['target']}"
            )


@app.command()
def verdict(
    run: Annotated[str | None, typer.Argument(help="A run to judge, or `latest`.")] = None,
    output: OutputOption = Format.TEXT,
) -> None:
    """Says what the client saw: its outage, its lost writes; beside what drctl says of a run."""
    with errors_shown():
        from drctl.app.compose import parts
        from drctl.app.reading import find_run
        from drctl.lab import control

        folder = find_run(parts(), run).path if run else None
        judged = control.verdict(folder, _net())
        if output is not Format.TEXT:
            print_json(judged)
            return
        for side, facts in judged.items():
            if not isinstance(facts, dict):
                continue
            typer.echo(side)
            for name, value in facts.items():
                typer.echo(f"  {name:<22} {'not measured' if value is None else value}")


@app.command()
def down() -> None:
    """Takes the lab down, also one that was killed: no process, port or file is left."""
    with errors_shown():
        from drctl.lab import control

        left = control.down(_net())
        for name in left:
            typer.echo(f"still there: {name}", err=True)
        if left:
            raise typer.Exit(Exit.FAILED)
        typer.echo("lab is down")
