"""``drctl plan``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.exit import Exit, errors_shown
from drctl.cli.output import (
    Color,
    ColorOption,
    EnvOption,
    Format,
    InputOption,
    OutputOption,
    console,
    given,
    looking,
)

if TYPE_CHECKING:
    from drctl.plan.model import Plan


def plan(
    runbook: Annotated[str, typer.Argument(help="A file, or a name from `drctl runbook list`.")],
    env: EnvOption,
    inputs: InputOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Save the plan for `drctl run`.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Look at nothing; for CI.")] = False,
    what_if: Annotated[
        list[str] | None,
        typer.Option(
            "--what-if",
            metavar="STEP=DURATION|needs",
            help="Forecast with another length of a step; needs: what would make it fit.",
        ),
    ] = None,
    assume_down: Annotated[
        list[str] | None,
        typer.Option(
            "--assume-down",
            metavar="REGION",
            help="What fails while it is dead (or REGION=silent); not asked; may be repeated.",
        ),
    ] = None,
    output: OutputOption = Format.TEXT,
    color: ColorOption = Color.AUTO,
) -> None:
    """
    Shows what would happen now, and whether it fits the RTO. Changes nothing.

    Exits 8 when a rule finds an error that the runbook does not waive, as a forecast that misses
    the RTO: in more than one run of ten where recorded runs say so, else by the declared estimates.
    Exits 5 when a run would not succeed with what --assume-down takes away. An answer to
    --assume-down or --what-if can be neither saved nor run.

    Example: drctl plan region-failover -e lab -i incident=inc-20261122-001 --out plan.json
    """
    supposed, with_needs = _supposed(what_if)
    if what_if and out is not None:
        raise typer.BadParameter("what might be is no plan, and is not saved", param_hint="--out")
    with errors_shown():
        import asyncio

        from drctl.app.compose import parts
        from drctl.app.planning import plan_runbook
        from drctl.kernel.text import sanitize_json
        from drctl.plan.findings import gates_merge
        from drctl.view.plan_text import show_plan

        if assume_down and out is not None:
            why = "a plan with --assume-down has not looked at the world as it is"
            raise typer.BadParameter(why, param_hint="--out")
        if not offline:
            looking(env)
        made = asyncio.run(
            plan_runbook(
                parts(),
                runbook,
                env,
                given(inputs),
                offline=offline,
                assume_down=assume_down or (),
            )
        )
        if what_if:
            _answer(made, supposed, output, color, with_needs=with_needs)
            return
        if out is not None:
            try:
                out.write_bytes(made.as_saved())
            except OSError as error:
                raise typer.BadParameter(str(error), param_hint="--out") from error
        if output is Format.TEXT:
            show_plan(made, console(color))
            if out is not None:
                typer.echo(f"saved to {out}; run it with: drctl run {out}", err=True)
        else:
            typer.echo(sanitize_json(made.model_dump_json(indent=2)))
        if made.fate is not None and made.fate.ending != "succeeds":
            raise typer.Exit(Exit.REFUSED)
        if gates_merge(made.findings):
            raise typer.Exit(Exit.MISSED)


def _supposed(given: list[str] | None) -> tuple[dict[str, float], bool]:
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


def _answer(
    made: "Plan", supposed: dict[str, float], output: Format, color: Color, *, with_needs: bool
) -> None:
    from drctl.app.compose import parts
    from drctl.app.supposing import suppose
    from drctl.kernel.text import sanitize_json
    from drctl.view.what_if_text import show_what_if

    found = suppose(parts(), made, supposed, with_needs=with_needs)
    if output is Format.TEXT:
        show_what_if(found, console(color))
    else:
        typer.echo(sanitize_json(found.model_dump_json(indent=2)))
    if (found.changed or found.planned).spare_s(found.rto_s) < 0:
        raise typer.Exit(Exit.MISSED)
