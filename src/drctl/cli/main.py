"""The command line's door: every command by its name, each imported when it is asked for."""

import atexit
import gc
import os
import sys
from collections import UserDict
from functools import cache
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

_COMMANDS: Final = {
    "validate": "validate:validate",
    "ready": "ready:ready",
    "plan": "plan:app",
    "run": "run:run",
    "status": "status:status",
    "resume": "resume:resume",
    "approve": "gates:approve",
    "deny": "gates:deny",
    "pause": "orders:pause",
    "cancel": "orders:cancel",
    "retry": "orders:retry",
    "skip": "orders:skip",
    "note": "orders:note",
    "force-ungraceful": "orders:force_ungraceful",
    "undo": "undo:undo",
    "explain": "reference:explain",
    "version": "reference:version",
    "failover": "verbs:failover",
    "switchover": "verbs:switchover",
    "failback": "verbs:failback",
    "restore": "verbs:restore",
    "rollback": "verbs:rollback",
    "rebuild": "verbs:rebuild",
    "isolate": "verbs:isolate",
    "approval": "approval:app",
    "key": "key:app",
    "runs": "runs:app",
    "lease": "lease:app",
    "debt": "debt:app",
    "lab": "lab:app",
    "runbook": "authoring:app",
    "action": "reference:action_app",
    "env": "reference:env_app",
}
"""Where each is, as ``module:name``, in the order of the help."""


@cache
def _made(name: str) -> Any:
    module, _, attribute = _COMMANDS[name].partition(":")
    found = getattr(import_module(f"drctl.cli.{module}"), attribute)
    holder = typer.Typer(add_completion=False, rich_markup_mode=None)
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name)
    else:
        holder.command(name)(found)
    return typer.main.get_group(holder).commands[name]


class _Commands(UserDict[str, Any]):
    """Makes a command when it is asked for: a line names one, and all take 30 ms to make."""

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(name)
        return _made(name)


class _Door(TyperGroup):
    """Has every command, and imports those that are needed."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands(_COMMANDS)


app = typer.Typer(
    name="drctl",
    cls=_Door,
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


def _arm(text: str) -> None:
    """For tests of what a death leaves; a word that means nothing ends the command."""
    from drctl.kernel import failpoints

    try:
        failpoints.arm(failpoints.parse(text))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="DRCTL_FAILPOINTS") from error


_GARBAGE_AFTER = 100_000


def _nowhere_for_closed() -> None:
    """
    Opens nowhere for each standard stream that came closed (``>&-``): the next file that is opened
    would have its number, and be written to by whoever means the stream.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115 (to the end)


def main() -> None:
    """Starts drctl."""
    _nowhere_for_closed()
    # Nearly all that is made while a large runbook is read stays: looking through it for garbage
    # at every 700th object takes longer than reading it.
    gc.set_threshold(_GARBAGE_AFTER, 20, 50)
    # Its plug-ins are other tools': looking for them reads every installed package's entry points,
    # and nobody else's code has a say in how a runbook is read.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # At the end the interpreter takes all classes apart, one by one, for nobody: a fifth of the
    # time of a short command. What is frozen it leaves to the process's end. Handlers of exit run
    # in reverse, so those of others, which may still have something to write, come before this.
    atexit.register(gc.freeze)
    app()
