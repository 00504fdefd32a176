"""``drctl failover``: the emergency verb. Choose the runbook, plan, show, confirm, run."""

from typing import Annotated

import typer

from drctl.cli.confirm import confirmed
from drctl.cli.execute import (
    AcceptOption,
    AgainOption,
    AsOption,
    ForceOption,
    Manner,
    ReasonOption,
    StartedOption,
    consent,
    execute,
)
from drctl.cli.exit import errors_shown
from drctl.cli.output import (
    Color,
    ColorOption,
    EnvOption,
    Format,
    InputOption,
    NoInputOption,
    OutputOption,
    console,
    given,
    looking,
)

app = typer.Typer(
    help="The standby takes over because the primary is lost (ungraceful).", no_args_is_help=True
)


@app.callback()
def _group() -> None:
    pass


@app.command()
def region(
    env: EnvOption,
    incident: Annotated[
        str | None,
        typer.Option("--incident", help="Incident id. Default: inc-<today>-001."),
    ] = None,
    inputs: InputOption = None,
    confirm: Annotated[
        str | None,
        typer.Option(
            "--confirm", metavar="REGION", help="The recovery region's name, typed ahead."
        ),
    ] = None,
    accept_data_loss: AcceptOption = None,
    again: AgainOption = False,
    force_ungraceful: ForceOption = False,
    reason: ReasonOption = None,
    started_at: StartedOption = None,
    as_: AsOption = None,
    show_choice: Annotated[
        bool, typer.Option("--list", help="Only say which runbook would be chosen, and why.")
    ] = False,
    no_input: NoInputOption = False,
    output: OutputOption = Format.TEXT,
    color: ColorOption = Color.AUTO,
) -> None:
    """
    Fails over to the recovery region: chooses the runbook, plans, shows, asks, runs.

    Example: drctl failover region -e lab --confirm us-west-2
    """
    agreed = consent(
        accept_data_loss, reason, started_at, force=force_ungraceful, again=again, claimed=as_
    )
    with errors_shown():
        import asyncio

        from drctl.app.compose import parts
        from drctl.app.planning import plan_loaded
        from drctl.app.runbooks import for_scenario
        from drctl.app.running import preflight
        from drctl.config.environment import find_environment, load_environment
        from drctl.view.plan_text import show_plan

        made = parts()
        environment = load_environment(find_environment(env))
        loaded, why = for_scenario("region-outage", environment, made.registry)
        if show_choice:
            typer.echo(f"{loaded.runbook.metadata.name} ({loaded.path}): {why}")
            return
        values = given(inputs)
        if "incident" in loaded.runbook.inputs and "incident" not in values:
            values["incident"] = incident or f"inc-{made.clock.now().wall:%Y%m%d}-001"
        looking(environment.name)
        plan = asyncio.run(plan_loaded(made, loaded, environment, values))
        if output is Format.TEXT:
            show_plan(plan, console(color))
        preflight(plan, agreed)
        manner = Manner(output=output, color=color, no_input=no_input)
        confirmed(plan, confirm, manner, str(plan.inputs.get("to_region", plan.environment)))
        execute(made, plan, agreed, manner)
