"""``drctl approve`` and ``drctl deny``."""

from typing import Annotated, Literal

import typer

from drctl.cli.exit import errors_shown

RunArgument = Annotated[str, typer.Argument(help="Run id, or `latest`.")]
GateArgument = Annotated[str, typer.Argument(help="The gate's step id.")]


def approve(
    run: RunArgument,
    gate: GateArgument,
    reason: Annotated[str, typer.Option("--reason", help="Goes into the record.")] = "",
) -> None:
    """
    Says go to an open gate of a live run, from any terminal of this machine.

    Example: drctl approve latest go
    """
    _answer(run, gate, "approve", reason)


def deny(
    run: RunArgument,
    gate: GateArgument,
    reason: Annotated[str, typer.Option("--reason", help="Goes into the record.")],
) -> None:
    """
    Says no to an open gate; the run pauses.

    Example: drctl deny latest go --reason "the region is coming back"
    """
    _answer(run, gate, "deny", reason)


def _answer(run: str, gate: str, answer: Literal["approve", "deny"], reason: str) -> None:
    with errors_shown():
        from drctl.app.answering import answer_gate
        from drctl.app.compose import parts

        folder = answer_gate(parts(), run, gate, answer, reason)
        typer.echo(f"{answer} left for gate {gate} of run {folder.run_id}")
