"""``drctl approve`` and ``drctl deny``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from drctl.cli.exit import errors_shown

RunArgument = Annotated[str, typer.Argument(help="Run id, or `latest`.")]
GateArgument = Annotated[str, typer.Argument(help="The gate's step id.")]
KeyOption = Annotated[
    Path | None, typer.Option("--key", help="File of your private key: signs the answer here.")
]
TokenOption = Annotated[
    str | None,
    typer.Option("--token", metavar="LINE", help="An answer from `drctl approval sign`."),
]


def approve(
    run: RunArgument,
    gate: GateArgument,
    reason: Annotated[str, typer.Option("--reason", help="Goes into the record.")] = "",
    key: KeyOption = None,
    token: TokenOption = None,
) -> None:
    """
    Says go to an open gate of a live run. Where people are enrolled, with --key or --token.

    Example: drctl approve latest go --key alice.key --reason "us-east-1 is gone"
    """
    _answer(run, gate, "approve", reason, key, token)


def deny(
    run: RunArgument,
    gate: GateArgument,
    reason: Annotated[str, typer.Option("--reason", help="Goes into the record.")] = "",
    key: KeyOption = None,
    token: TokenOption = None,
) -> None:
    """
    Says no to an open gate; the run pauses, and its plan is not run again.

    Example: drctl deny latest go --reason "the region is coming back"
    """
    if not reason.strip() and token is None:
        message = "say why: --reason TEXT"
        raise typer.BadParameter(message, param_hint="--reason")
    _answer(run, gate, "deny", reason, key, token)


def _answer(
    run: str,
    gate: str,
    answer: Literal["approve", "deny"],
    reason: str,
    key: Path | None,
    token: str | None,
) -> None:
    if key is not None and token is not None:
        message = "an answer is signed here or elsewhere, not both"
        raise typer.BadParameter(message, param_hint="--token")
    with errors_shown():
        import asyncio

        from drctl.app.answering import answer_gate, was_heard
        from drctl.app.compose import parts

        made = parts()
        left = answer_gate(made, run, gate, answer, reason, key=key, token=token)
        is_heard = asyncio.run(was_heard(made, left, gate))
        said = "taken at" if is_heard else "left for"
        yet = "" if is_heard else "; the run has not taken it yet"
        typer.echo(f"{answer} {said} gate {gate} of run {left.folder.run_id}{yet}")
