"""``drctl plan``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.beside import keep_apart, no_source
from drctl.cli.brief import brief
from drctl.cli.complete import RunbookArgument
from drctl.cli.defaulted import DEFAULT, DefaultCommand, Defaulted
from drctl.cli.exit import Exit, errors_shown
from drctl.cli.output import Color, ColorOption, EnvOption, InputOption, given, looking, page
from drctl.cli.plan_diff import diff
from drctl.cli.reports import CiFormat, CiOutputOption, JunitOption, Reports, SarifOption
from drctl.cli.what_if import WhatIfOption, answer, supposed

if TYPE_CHECKING:
    from drctl.plan.model import Plan

app = typer.Typer(cls=Defaulted, help="Shows what would happen now, and whether it fits the RTO.")
app.command("diff")(diff)


@app.command(DEFAULT, cls=DefaultCommand)
def plan(
    runbook: RunbookArgument,
    env: EnvOption,
    inputs: InputOption = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", callback=no_source, help="Save the plan for `drctl run`."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Look at nothing; for CI.")] = False,
    what_if: WhatIfOption = None,
    assume_down: Annotated[
        list[str] | None,
        typer.Option(
            "--assume-down",
            metavar="REGION",
            help="What fails while it is dead (or REGION=silent); not asked; may be repeated.",
        ),
    ] = None,
    output: CiOutputOption = CiFormat.TEXT,
    junit: JunitOption = None,
    sarif: SarifOption = None,
    color: ColorOption = Color.AUTO,
) -> None:
    """
    Shows what would happen now, and whether it fits the RTO. Changes nothing.

    Exits 8 when a rule finds an error that the runbook does not waive, as a forecast that misses
    the RTO: in more than one run of ten where recorded runs say so, else by the declared estimates.
    Exits 5 when a run would not come through: another account, cluster or database answers than the
    environment pins, more writes would be lost than the RPO allows, or --assume-down takes away
    what it needs. An answer to --assume-down or --what-if can be neither saved nor run.

    Example: drctl plan region-failover -e lab -i incident=inc-20261122-001 --out plan.json
    """
    others = supposed(what_if)
    if out is not None and (what_if or assume_down):
        why = "what might be is no plan of the world as it is, and is not saved"
        raise typer.BadParameter(why, param_hint="--out")
    if what_if and (assume_down or junit or sarif or output is CiFormat.GITHUB):
        why = "it answers in text or json, and about the world as it is: give it alone"
        raise typer.BadParameter(why, param_hint="--what-if")
    reports = Reports(command="plan", output=output, junit=junit, sarif=sarif)
    keep_apart((runbook, env), {"--out": out, "--junit": junit, "--sarif": sarif})
    with brief(), errors_shown(), reports.of_errors([runbook]):
        import asyncio

        from drctl.app.compose import parts
        from drctl.app.planning import plan_runbook

        if not offline and output is not CiFormat.GITHUB:
            looking(env)
        making = plan_runbook(
            parts(), runbook, env, given(inputs), offline=offline, assume_down=assume_down or ()
        )
        made = asyncio.run(making)
        if what_if:
            answer(made, others, output, color)
            return
        if out is not None:
            _save(made, out)
        reports.plan(made, next(iter(made.sources), runbook))
        _show(made, output, color)
        if out is not None and output is CiFormat.TEXT:
            typer.echo(f"saved to {out}; {_what_now(made, out)}", err=True)
        _end(made)


def _what_now(made: "Plan", out: Path) -> str:
    from drctl.plan.refusals import refusals

    if made.is_offline:
        return "it was made without looking, so it is to read and to compare, and is never run"
    how = "a run of it would not come through" if refusals(made) else "run it with"
    return f"{how}: drctl run {out}"


def _save(made: "Plan", out: Path) -> None:
    try:
        out.write_bytes(made.as_saved())
    except OSError as error:
        raise typer.BadParameter(str(error), param_hint="--out") from error


def _show(made: "Plan", output: CiFormat, color: Color) -> None:
    from drctl.kernel.text import sanitize_json
    from drctl.view.plan_text import show_plan

    if output is CiFormat.TEXT:
        show_plan(made, page(color))
    elif output is not CiFormat.GITHUB:
        indent = 2 if output is CiFormat.JSON else None
        typer.echo(sanitize_json(made.model_dump_json(indent=indent)))


def _end(made: "Plan") -> None:
    from drctl.plan.findings import gates_merge
    from drctl.plan.refusals import refusals

    if refusals(made):
        raise typer.Exit(Exit.REFUSED)
    if gates_merge(made.findings):
        raise typer.Exit(Exit.MISSED)
