"""``drctl run``."""

from pathlib import Path
from typing import Annotated

import typer

from drctl.cli.complete import environments, what_runs
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
    show_findings,
)
from drctl.cli.exit import errors_shown
from drctl.cli.output import (
    Color,
    ColorOption,
    Format,
    InputOption,
    NoInputOption,
    OutputOption,
    given,
    looking,
)


def run(
    what: Annotated[
        str,
        typer.Argument(
            help="A runbook (file or name), or a saved plan.json.", autocompletion=what_runs
        ),
    ],
    env: Annotated[
        str | None,
        typer.Option(
            "-e",
            "--env",
            help="Environment; a saved plan brings its own.",
            autocompletion=environments,
        ),
    ] = None,
    inputs: InputOption = None,
    confirm: Annotated[
        str | None,
        typer.Option(
            "--confirm",
            metavar="NAME",
            help="The name of a protected environment, typed ahead.",
        ),
    ] = None,
    accept_data_loss: AcceptOption = None,
    again: AgainOption = False,
    force_ungraceful: ForceOption = False,
    reason: ReasonOption = None,
    started_at: StartedOption = None,
    as_: AsOption = None,
    no_input: NoInputOption = False,
    output: OutputOption = Format.TEXT,
    color: ColorOption = Color.AUTO,
) -> None:
    """
    Runs a runbook, or exactly the plan that was saved and approved.

    A saved plan runs only if its digest, and what it observed, still hold. A protected environment
    asks for its name.

    Example: drctl run plan.json
    """
    agreed = consent(
        accept_data_loss, reason, started_at, force=force_ungraceful, again=again, claimed=as_
    )
    with errors_shown():
        import asyncio

        from drctl.app.compose import parts
        from drctl.app.planning import plan_runbook
        from drctl.app.running import preflight

        made = parts()
        looking(env or what)
        if what.endswith(".json"):
            if env or inputs:
                message = "a saved plan has its environment and inputs; leave -e and -i out"
                raise typer.BadParameter(message)
            from drctl.app.saved import read_plan, still_holds

            plan = asyncio.run(still_holds(made, read_plan(Path(what))))
        elif env is None:
            message = "which environment? -e ENV   (drctl env list)"
            raise typer.BadParameter(message, param_hint="-e")
        else:
            plan = asyncio.run(plan_runbook(made, what, env, given(inputs)))
        manner = Manner(output=output, color=color, no_input=no_input)
        show_findings(plan)
        is_asked = plan.protected or force_ungraceful
        if is_asked and any(step.effect.changes_something for step in plan.steps):
            preflight(plan, agreed)
            confirmed(plan, confirm, manner, plan.environment)
        execute(made, plan, agreed, manner)
