"""Where things are printed: data to stdout, talk to stderr."""

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drctl.cli.complete import environments

if TYPE_CHECKING:
    from rich.console import Console

    from drctl.view.page import Page


class Format(StrEnum):
    """Forms of output."""

    TEXT = "text"
    JSON = "json"
    JSONL = "jsonl"


class Color(StrEnum):
    """When to colour."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


OutputOption = Annotated[
    Format, typer.Option("-o", "--output", help="text, json (one document) or jsonl (events).")
]
ColorOption = Annotated[Color, typer.Option("--color", help="NO_COLOR is honoured.")]
EnvOption = Annotated[
    str,
    typer.Option(
        "-e",
        "--env",
        help="Environment: a file, or a name from `drctl env list`.",
        autocompletion=environments,
    ),
]
InputOption = Annotated[
    list[str] | None, typer.Option("-i", "--input", help="name=value; may be repeated.")
]
NoInputOption = Annotated[bool, typer.Option("--no-input", help="Never ask on the terminal.")]


_WANTED = {Color.ALWAYS: True, Color.NEVER: False}


def console(color: Color) -> "Console":
    """The console of `--color`."""
    from drctl.view.console import make_console

    return make_console(color=_WANTED.get(color))


def page(color: Color) -> "Page":
    """The same for what is long and mostly plain."""
    from drctl.view.console import make_page

    return make_page(color=_WANTED.get(color))


def looking(where: str) -> None:
    """Says what is going on while a plan asks the world; what does not answer costs seconds."""
    typer.echo(f"looking at {where} ...", err=True)


def print_json(document: Any) -> None:
    """Prints one document to stdout."""
    from drctl.kernel.text import sanitize_json

    typer.echo(sanitize_json(json.dumps(document, indent=2, ensure_ascii=False, default=str)))


def print_line(document: Any) -> None:
    """Prints one document to stdout, in a line, as readers of `-o jsonl` take them."""
    from drctl.kernel.text import sanitize_json

    typer.echo(sanitize_json(json.dumps(document, ensure_ascii=False, default=str)))


def given(pairs: list[str] | None) -> dict[str, str]:
    """
    Reads ``name=value`` pairs.

    Raises:
        typer.BadParameter: No equals sign, or a name twice.
    """
    found: dict[str, str] = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            message = f'"{pair}" is not name=value'
            raise typer.BadParameter(message, param_hint="-i")
        if name in found:
            message = f'"{name}" is given twice'
            raise typer.BadParameter(message, param_hint="-i")
        found[name] = value
    return found
