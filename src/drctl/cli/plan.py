"""``drctl plan``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.complete import RunbookArgument
from drctl.cli.defaulted import DEFAULT, DefaultCommand, Defaulted
from drctl.cli.exit import Exit, errors_shown
from drctl.cli.output import (
    Color,
    ColorOption,
    EnvOption,
    InputOption,
    console,
    given,
    looking,
    print_json,
)
from drctl.cli.reports import (
    CiFormat,
    CiOutputOption,
    JunitOption,
    Reports,
    SarifOption,
    step_summary,
)

if TYPE_CHECKING:
    from drctl.plan.diff import Diff

app = typer.Typer(cls=Defaulted, help="Shows what would happen now, and whether it fits the RTO.")


@app.command(DEFAULT, cls=DefaultCommand)
def plan(
    runbook: RunbookArgument,
    env: EnvOption,
    inputs: InputOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Save the plan for `drctl run`.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Look at nothing; for CI.")] = False,
    output: CiOutputOption = CiFormat.TEXT,
    junit: JunitOption = None,
    sarif: SarifOption = None,
    color: ColorOption = Color.AUTO,
) -> None:
    """
    Shows what would happen now, and whether it fits the RTO. Changes nothing.

    Exits 8 when the forecast misses the RTO.

    Example: drctl plan region-failover -e lab -i incident=inc-20261122-001 --out plan.json
    """
    reports = Reports(output=output, junit=junit, sarif=sarif)
    with errors_shown(), reports.of_errors([runbook]):
        import asyncio

        from drctl.app.compose import parts
        from drctl.app.planning import plan_runbook
        from drctl.kernel.text import sanitize_json
        from drctl.view.plan_text import show_plan

        if not offline and output is not CiFormat.GITHUB:
            looking(env)
        made = asyncio.run(plan_runbook(parts(), runbook, env, given(inputs), offline=offline))
        if out is not None:
            try:
                out.write_bytes(made.as_saved())
            except OSError as error:
                raise typer.BadParameter(str(error), param_hint="--out") from error
        reports.plan(made, next(iter(made.sources), runbook))
        if output is CiFormat.TEXT:
            show_plan(made, console(color))
            if out is not None:
                typer.echo(f"saved to {out}; run it with: drctl run {out}", err=True)
        elif output is not CiFormat.GITHUB:
            typer.echo(sanitize_json(made.model_dump_json(indent=2)))
        if made.forecast_s > made.objectives.rto_s:
            raise typer.Exit(Exit.MISSED)


@app.command("diff")
def diff(
    before: Annotated[Path, typer.Argument(metavar="BEFORE.json", help="A saved plan.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER.json", help="Another one.")],
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 8 when they differ, 0 when not.")
    ] = False,
    output: CiOutputOption = CiFormat.TEXT,
    color: ColorOption = Color.AUTO,
) -> None:
    """
    Shows what a change does to a recovery: two saved plans, compared by what they would do.

    The files are only read, and may be of other versions of drctl. `-o github` prints Markdown for
    a comment, and appends it to the step summary.

    Example: drctl plan diff before.json after.json
    """
    with errors_shown():
        from drctl.app.comparing import compare_files

        found = compare_files(before, after)
        _show(found, output, color)
        if exit_code and not found.is_same:
            raise typer.Exit(Exit.MISSED)


def _show(found: "Diff", output: CiFormat, color: Color) -> None:
    if output is CiFormat.GITHUB:
        from drctl.view.ci.diff_markdown import diff_markdown

        markdown = diff_markdown(found)
        typer.echo(markdown, nl=False)
        step_summary(markdown)
    elif output is CiFormat.TEXT:
        from drctl.view.diff_text import show_diff

        show_diff(found, console(color))
    else:
        print_json(found.as_json())
