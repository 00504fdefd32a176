"""``drctl plan --what-if``: the forecast with other lengths, and what would make it fit."""

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from drctl.cli.exit import Exit
from drctl.cli.output import Color, page
from drctl.cli.reports import CiFormat

if TYPE_CHECKING:
    from drctl.plan.model import Plan

WhatIfOption = Annotated[
    list[str] | None,
    typer.Option(
        "--what-if",
        metavar="STEP=DURATION|needs",
        help="Forecast with another length of a step; needs: what would make it fit.",
    ),
]
Supposed: TypeAlias = tuple[dict[str, float], bool]
"""Other lengths in seconds, by step; and whether to say what would make the plan fit."""


def supposed(given: list[str] | None) -> Supposed:
    """Reads ``step=duration`` and ``needs``."""
    from drctl.kernel.duration import parse_duration

    lengths: dict[str, float] = {}
    for one in given or []:
        name, equals, length = one.partition("=")
        if one == "needs":
            continue
        if not equals or not name:
            message = f'"{one}" is neither step=duration nor needs'
            raise typer.BadParameter(message, param_hint="--what-if")
        try:
            lengths[name] = parse_duration(length).total_seconds()
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--what-if") from error
    return lengths, "needs" in (given or [])


def answer(made: "Plan", given: Supposed, output: CiFormat, color: Color) -> None:
    """Prints what would be; exits 8 when it does not fit."""
    from drctl.app.compose import parts
    from drctl.app.supposing import suppose
    from drctl.kernel.text import sanitize_json
    from drctl.view.what_if_text import show_what_if

    lengths, with_needs = given
    found = suppose(parts(), made, lengths, with_needs=with_needs)
    if output is CiFormat.TEXT:
        show_what_if(found, page(color))
    else:
        typer.echo(sanitize_json(found.model_dump_json(indent=2)))
    if (found.changed or found.planned).spare_s(found.rto_s) < 0:
        raise typer.Exit(Exit.MISSED)
