"""
The emergency verbs: ``drctl failover region`` and its kin. Choose the runbook for what happened,
plan, show, confirm, run.

A verb and a noun are one *scenario*; which runbook is for it, the environment says, or else the
only runbook here that says it is. All verbs take the same flags, so that nobody has to remember at
3 a.m. which of them knows ``--accept-data-loss``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final

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
    moment,
    show_findings,
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
    given,
    looking,
    page,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One emergency command."""

    words: tuple[str, str]
    """As typed after ``drctl``."""
    scenario: str
    """What happened, as runbooks and environments name it."""
    what: str
    """Its help, one line."""
    confirm: str
    """The input whose value must be typed; the environment's name where the runbook has none."""
    to: str = ""
    """The input that ``--to`` fills; empty: the verb has no ``--to``."""


VERBS: Final = (
    Verb(words=("failover", "region"), scenario="region-outage", confirm="to_region",
         what="Fail over to the recovery region: the primary one is lost."),
    Verb(words=("failover", "database"), scenario="database-outage", confirm="",
         what="Make the standby the primary: the primary database is lost."),
    Verb(words=("failover", "cache"), scenario="cache-failure", confirm="",
         what="Make a replica the cache's primary: its primary is lost."),
    Verb(words=("switchover", "region"), scenario="region-maintenance", confirm="to_region",
         what="Move to the recovery region while both live, without losing a write."),
    Verb(words=("switchover", "database"), scenario="database-maintenance", confirm="",
         what="Swap primary and standby while both live, without losing a write."),
    Verb(words=("failback", "region"), scenario="region-return", confirm="to_region",
         what="Rebuild the region that was lost, and move back to it without losing a write."),
    Verb(words=("failback", "database"), scenario="database-return", confirm="",
         what="Rebuild the old primary as a standby, and make it the primary again."),
    Verb(words=("restore", "database"), scenario="database-corruption", confirm="", to="time",
         what="Restore the database to a moment before it was damaged, beside the damaged one."),
    Verb(words=("rollback", "app"), scenario="app-bad-release", confirm="",
         what="Take the application back to the newest revision that is known to be good."),
    Verb(words=("rebuild", "lb"), scenario="load-balancer-loss", confirm="",
         what="Build the lost load balancer anew, and move traffic once it serves."),
    Verb(words=("isolate", "app"), scenario="security-breach", confirm="",
         what="Cut the application off, keep the evidence, rotate what may be known, come back."),
)  # fmt: skip

ToOption = Annotated[
    str | None,
    typer.Option("--to", metavar="TIME", help="With its offset, as 2026-11-22T10:04:05Z."),
]
IncidentOption = Annotated[
    str | None, typer.Option("--incident", help="Incident id. Default: inc-<today>-001.")
]
ListOption = Annotated[
    bool, typer.Option("--list", help="Only say which runbook would be chosen, and why.")
]
ConfirmOption = Annotated[
    str | None,
    typer.Option(
        "--confirm",
        metavar="NAME",
        help="The recovery region's or the environment's name, typed ahead.",
    ),
]


def _command(verb: Verb) -> Callable[..., None]:
    def command(
        env: EnvOption,
        incident: IncidentOption = None,
        inputs: InputOption = None,
        confirm: ConfirmOption = None,
        accept_data_loss: AcceptOption = None,
        again: AgainOption = False,
        force_ungraceful: ForceOption = False,
        reason: ReasonOption = None,
        started_at: StartedOption = None,
        as_: AsOption = None,
        show_choice: ListOption = False,
        no_input: NoInputOption = False,
        output: OutputOption = Format.TEXT,
        color: ColorOption = Color.AUTO,
    ) -> None:
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
            loaded, why = for_scenario(verb.scenario, environment, made.registry)
            if show_choice:
                typer.echo(f"{loaded.runbook.metadata.name} ({loaded.path}): {why}")
                return
            values = given(inputs)
            if "incident" in loaded.runbook.inputs and "incident" not in values:
                values["incident"] = incident or f"inc-{made.clock.now().wall:%Y%m%d}-001"
            looking(environment.name)
            plan = asyncio.run(plan_loaded(made, loaded, environment, values))
            if output is Format.TEXT:
                show_plan(plan, page(color))
            else:
                show_findings(plan)
            preflight(plan, agreed)
            manner = Manner(output=output, color=color, no_input=no_input)
            wanted = str(plan.inputs.get(verb.confirm, plan.environment))
            confirmed(plan, confirm, manner, wanted)
            execute(made, plan, agreed, manner)

    command.__doc__ = _help(verb)
    return command


def _restoring(verb: Verb) -> Callable[..., None]:
    """The same with a moment, which nobody may leave to a default."""
    import functools
    import inspect

    plain = _command(verb)

    @functools.wraps(plain)
    def command(to: ToOption = None, inputs: InputOption = None, **others: object) -> None:
        if to is None and not others["show_choice"]:
            message = "say which moment, before the damage: --to 2026-11-22T10:04:05Z"
            raise typer.BadParameter(message, param_hint="--to")
        if to is not None:
            moment(to, "--to")
            inputs = [*(inputs or []), f"{verb.to}={to}"]
        plain(inputs=inputs, **others)

    # Typer reads the signature: that of the other verbs, with `--to` before it.
    signature = inspect.signature(plain)
    first = inspect.Parameter(
        "to", inspect.Parameter.KEYWORD_ONLY, annotation=ToOption, default=None
    )
    rest = [
        one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in signature.parameters.values()
    ]
    command.__signature__ = signature.replace(parameters=[first, *rest])  # type: ignore[attr-defined]
    return command


def _help(verb: Verb) -> str:
    word, noun = verb.words
    region = verb.confirm == "to_region"
    typed = "us-west-2" if region else "prod"
    moment = " --to 2026-11-22T10:04:05Z" if verb.to else ""
    return (
        f"{verb.what}\n\nChooses the runbook for the scenario {verb.scenario}, plans, shows, asks,"
        f" runs.\n\nExample: drctl {word} {noun} -e prod{moment} --confirm {typed}"
    )


def _group(word: str, text: str) -> typer.Typer:
    made = typer.Typer(help=text, no_args_is_help=True)
    made.callback()(_nothing)
    for verb in VERBS:
        if verb.words[0] == word:
            made.command(verb.words[1])(_restoring(verb) if verb.to else _command(verb))
    return made


def _nothing() -> None:
    pass


failover = _group("failover", "The standby takes over because the primary is lost (ungraceful).")
switchover = _group("switchover", "Primary and standby change places while both live (graceful).")
failback = _group("failback", "Home again, once what was lost is rebuilt.")
restore = _group("restore", "Back to a moment before the damage, beside what was damaged.")
rollback = _group("rollback", "Back to what was known to be good.")
rebuild = _group("rebuild", "Anew, from what is left of it.")
isolate = _group("isolate", "Cut off what may be in somebody else's hands.")
