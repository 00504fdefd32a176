"""The command line's door: every command, and nothing heavy."""

import atexit
import gc
import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from drctl.cli import (
    approval,
    authoring,
    debt,
    gates,
    key,
    lab,
    lease,
    orders,
    plan,
    ready,
    reference,
    resume,
    run,
    runs,
    status,
    undo,
    validate,
    verbs,
)


class _Ordered(TyperGroup):
    """Lists `plan` where people look for it, though it has a command of its own."""

    def list_commands(self, ctx: Any) -> list[str]:
        names = [name for name in super().list_commands(ctx) if name != "plan"]
        names.insert(names.index("run"), "plan")
        return names


app = typer.Typer(
    name="drctl",
    cls=_Ordered,
    help="Disaster recovery as declarative runbooks: plan it, run it, prove it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        from drctl import __version__

        typer.echo(f"drctl {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[  # noqa: ARG001 (its callback does it)
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    armed = os.environ.get("DRCTL_FAILPOINTS")
    if armed is not None:
        _arm(armed)


for _verb, _group in verbs.groups().items():
    app.add_typer(_group, name=_verb)
app.command("validate")(validate.validate)
app.add_typer(plan.app, name="plan")
app.command("ready")(ready.ready)
app.command("run")(run.run)
app.command("status")(status.status)
app.command("resume")(resume.resume)
app.command("approve")(gates.approve)
app.command("deny")(gates.deny)
app.add_typer(approval.app, name="approval")
app.add_typer(key.app, name="key")
app.command("pause")(orders.pause)
app.command("cancel")(orders.cancel)
app.command("retry")(orders.retry)
app.command("skip")(orders.skip)
app.command("note")(orders.note)
app.command("force-ungraceful")(orders.force_ungraceful)
app.command("undo")(undo.undo)
app.add_typer(runs.app, name="runs")
app.add_typer(lease.app, name="lease")
app.add_typer(debt.app, name="debt")
app.add_typer(lab.app, name="lab")
app.add_typer(authoring.app, name="runbook")
app.add_typer(reference.action_app, name="action")
app.add_typer(reference.env_app, name="env")
app.command("explain")(reference.explain)
app.command("version")(reference.version)


def _arm(text: str) -> None:
    """For tests of what a death leaves; a word that means nothing ends the command."""
    from drctl.kernel import failpoints

    try:
        failpoints.arm(failpoints.parse(text))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="DRCTL_FAILPOINTS") from error


_GARBAGE_AFTER = 100_000


def main() -> None:
    """Starts drctl."""
    # Nearly all that is made while a large runbook is read stays: looking through it for garbage
    # at every 700th object takes longer than reading it.
    gc.set_threshold(_GARBAGE_AFTER, 20, 50)
    # At the end the interpreter takes all classes apart, one by one, for nobody: a fifth of the
    # time of a short command. What is frozen it leaves to the process's end. Handlers of exit run
    # in reverse, so those of others, which may still have something to write, come before this.
    atexit.register(gc.freeze)
    app()
