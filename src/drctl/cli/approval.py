"""``drctl approval``: an answer to a gate from a machine that has a key and nothing else."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drctl.cli.exit import Exit, errors_shown
from drctl.cli.gates import GateArgument, RunArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

app = typer.Typer(
    help="Answers to gates from elsewhere, when chat and identity provider are down.",
    no_args_is_help=True,
)


@app.command()
def request(run: RunArgument, gate: GateArgument) -> None:
    """
    Prints what a gate asks, and one line that takes it to where a key is.

    Example: drctl approval request latest go
    """
    with errors_shown():
        from drctl.app.answering import open_gate
        from drctl.app.compose import parts
        from drctl.app.signing import asked
        from drctl.engine.statement import write_question

        folder, state = open_gate(parts(), run, gate)
        question = asked(folder.plan(), state, gate)
        _show(question)
        typer.echo("\nsign it where the key is: drctl approval sign LINE --key FILE", err=True)
        how = f"bring the answer back: drctl approve {folder.run_id} {gate} --token LINE"
        typer.echo(how, err=True)
        typer.echo(write_question(question))


@app.command()
def sign(
    line: Annotated[str, typer.Argument(help="What drctl approval request printed.")],
    key: Annotated[Path, typer.Option("--key", help="File of your private key.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; goes into the record.")],
    deny: Annotated[bool, typer.Option("--deny", help="Say no; final for this plan.")] = False,
    valid: Annotated[
        str, typer.Option("--valid", metavar="DURATION", help="How long the answer counts.")
    ] = "15m",
    confirm: Annotated[
        str | None, typer.Option("--confirm", metavar="GATE", help="The gate's id, typed ahead.")
    ] = None,
) -> None:
    """
    Shows a question and signs your answer to it. Needs no network and no run.

    Example: drctl approval sign "$(cat question)" --key alice.key --reason "region is gone"
    """
    with errors_shown():
        from drctl.app.compose import parts
        from drctl.app.signing import read_asked, signed_elsewhere

        counts_for = _valid(valid)
        question = read_asked(line)
        _show(question)
        gate = str(question["gate"])
        word = "deny" if deny else "approve"
        if confirm is None and sys.stdin.isatty():
            typer.echo(f"\ntype {gate} to {word}: ", err=True, nl=False)
            confirm = sys.stdin.readline().strip()
        if confirm != gate:
            typer.echo("error DR3102: not confirmed; nothing was signed", err=True)
            typer.echo(f"  do   add --confirm {gate}", err=True)
            raise typer.Exit(Exit.REFUSED)
        answer = signed_elsewhere(
            parts(), question, "deny" if deny else "approve", reason, key, counts_for
        )
        typer.echo(answer)


def _valid(text: str) -> timedelta:
    from drctl.engine.approval import LONGEST_LIFE
    from drctl.kernel.duration import parse_duration

    try:
        length = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--valid") from error
    if not timedelta(0) < length <= LONGEST_LIFE:
        message = "more than 0s, and at most 24h"
        raise typer.BadParameter(message, param_hint="--valid")
    return length


def _show(question: "Mapping[str, Any]") -> None:
    from drctl.view.question import question_lines

    for shown in question_lines(question):
        typer.echo(shown, err=True)
