"""``drctl runbook graph`` and ``new``: for who writes runbooks."""

from enum import StrEnum
from typing import Annotated

import typer

from drctl.cli.complete import RunbookArgument, runbooks, scenarios
from drctl.cli.exit import errors_shown
from drctl.cli.reference import runbook_app

app = runbook_app


class Drawing(StrEnum):
    """Forms of a drawing."""

    TEXT = "text"
    SVG = "svg"
    MERMAID = "mermaid"
    DOT = "dot"


@app.command("graph")
def graph(
    name: RunbookArgument,
    output: Annotated[
        Drawing, typer.Option("-o", "--output", help="text, svg, mermaid or dot.")
    ] = Drawing.TEXT,
) -> None:
    """
    Draws a runbook: waves, the critical path, gates, and the line after which nothing goes back.

    Example: drctl runbook graph region-failover -o svg > region-failover.svg
    """
    with errors_shown():
        from drctl.actions.registry import installed
        from drctl.app.runbooks import find_runbook, load
        from drctl.plan.inline import Room
        from drctl.plan.sketch import sketch
        from drctl.view.drawing import markup, svg, text

        registry = installed()
        loaded = load(find_runbook(name), registry)
        drawn = sketch(Room(scope="", source=loaded.source, registry=registry))
        forms = {
            Drawing.TEXT: text.as_text,
            Drawing.SVG: svg.as_svg,
            Drawing.MERMAID: markup.as_mermaid,
            Drawing.DOT: markup.as_dot,
        }
        typer.echo(forms[output](drawn), nl=False)


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="In kebab-case; the file is runbooks/NAME.yaml.")],
    scenario: Annotated[
        str,
        typer.Option(
            "--scenario", help="What it is for, as in region-outage.", autocompletion=scenarios
        ),
    ],
    like: Annotated[
        str | None,
        typer.Option(
            "--like",
            help="Which shipped runbook to begin with, where several fit.",
            autocompletion=runbooks,
        ),
    ] = None,
) -> None:
    """
    Writes a draft of your own runbook, in the shape of the one that drctl ships for the scenario.

    The draft is valid. What you must decide yourself is marked TODO, and `drctl validate` counts
    what is left. A file that is there is never written over.

    Example: drctl runbook new orders-region --scenario region-outage
    """
    with errors_shown():
        from drctl.actions.registry import installed
        from drctl.app.authoring import new_runbook

        made = new_runbook(installed(), name, scenario, like)
        typer.echo(f"{made.path}: a draft from {made.like}, {made.marks} things to decide (TODO)")
        typer.echo(f"  next: drctl validate {made.path} -e ENV", err=True)
        if not made.replaces:
            chosen = f"runbooks: {{{scenario}: {name}}}"
            typer.echo(f"  in the environment, so that the verbs find it: {chosen}", err=True)
