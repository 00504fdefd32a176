"""``drctl plan``."""

from pathlib import Path
from typing import Annotated

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


def plan(
    runbook: Annotated[str, typer.Argument(help="A file, or a name from `drctl runbook list`.")],
    env: EnvOption,
    inputs: InputOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Save the plan for `drctl run`.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Look at nothing; for CI.")] = False,
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

    Exits 8 when the forecast misses the RTO, and 5 when a run would not succeed with what
    --assume-down takes away. Such a plan can be neither saved nor run.

    Example: drctl plan region-failover -e lab -i incident=inc-20261122-001 --out plan.json
    """
    with errors_shown():
        import asyncio

        from drctl.app.compose import parts
        from drctl.app.planning import plan_runbook
        from drctl.kernel.text import sanitize_json
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
        if made.forecast_s > made.objectives.rto_s:
            raise typer.Exit(Exit.MISSED)
