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
    output: OutputOption = Format.TEXT,
    color: ColorOption = Color.AUTO,
) -> None:
    """
    Shows what would happen now, and whether it fits the RTO. Changes nothing.

    Exits 8 when the forecast misses the RTO.

    Example: drctl plan region-failover -e lab -i incident=inc-20261122-001 --out plan.json
    """
    with errors_shown():
        import asyncio

        from drctl.app.compose import parts
        from drctl.app.planning import plan_runbook
        from drctl.kernel.text import sanitize_json
        from drctl.view.plan_text import show_plan

        if not offline:
            looking(env)
        made = asyncio.run(plan_runbook(parts(), runbook, env, given(inputs), offline=offline))
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
        if made.spare_s < 0:
            raise typer.Exit(Exit.MISSED)
