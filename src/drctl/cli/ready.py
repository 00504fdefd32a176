"""``drctl ready``."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.beside import no_source
from drctl.cli.complete import scenarios
from drctl.cli.exit import Exit, errors_shown
from drctl.cli.output import (
    Color,
    ColorOption,
    EnvOption,
    InputOption,
    console,
    given,
    looking,
    print_json,
)

if TYPE_CHECKING:
    from drctl.app.compose import Parts
    from drctl.app.ready import Wanted
    from drctl.ready.model import Readiness


class Form(StrEnum):
    """Forms of a readiness."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    PROMETHEUS = "prometheus"


def ready(
    env: EnvOption,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            "--scenario",
            help="Only this one; may be repeated. Default: all but what comes after a recovery "
            "(return, reprotection, validation).",
            autocompletion=scenarios,
        ),
    ] = None,
    assume_down: Annotated[
        list[str] | None,
        typer.Option(
            "--assume-down",
            metavar="REGION",
            help="Judge as if it were lost: what fails without it, and what else is needed then; "
            "may be repeated.",
        ),
    ] = None,
    inputs: InputOption = None,
    textfile: Annotated[
        Path | None,
        typer.Option(
            "--textfile",
            callback=no_source,
            metavar="PATH",
            help="Also write it for node_exporter.",
        ),
    ] = None,
    watch: Annotated[
        str | None,
        typer.Option("--watch", metavar="DURATION", help="Look again, and print what changed."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also show what holds.")] = False,
    output: Annotated[
        Form, typer.Option("-o", "--output", help="text, json, junit or prometheus.")
    ] = Form.TEXT,
    color: ColorOption = Color.AUTO,
) -> None:
    """
    Looks whether a recovery would find what it needs, now. Reads only, changes nothing.

    For each scenario, looks at what the steps of its runbook need, and at nothing else. Exits 0
    when ready, 8 at risk, 5 not ready. It is no promise that a failover would succeed: only that
    these prerequisites hold now.

    Example: drctl ready -e prod --scenario region-outage --assume-down us-east-1
    """
    with errors_shown():
        import asyncio

        from drctl.app.compose import parts
        from drctl.app.ready import Wanted, look_whether_ready

        wanted = Wanted(
            environment=env,
            scenarios=tuple(scenario or ()),
            down=tuple(assume_down or ()),
            inputs=given(inputs),
        )
        made = parts()
        if textfile is not None:
            _check_place(textfile)
        if watch is not None:
            if output not in {Form.TEXT, Form.JSON}:
                raise typer.BadParameter("--watch prints text or json", param_hint="-o")
            asyncio.run(_watch(made, wanted, _every_s(watch), textfile, output))
            return
        looking(env)
        seen = asyncio.run(look_whether_ready(made, wanted))
        _show(seen, made, output, color, verbose=verbose)
        if textfile is not None:
            _write(textfile, made, seen)
        codes = {"ready": Exit.DONE, "at risk": Exit.MISSED, "not ready": Exit.REFUSED}
        raise typer.Exit(codes[seen.result])


def _show(seen: "Readiness", made: "Parts", output: Form, color: Color, *, verbose: bool) -> None:
    from drctl.view.ready_metrics import prometheus
    from drctl.view.ready_text import junit, show_readiness

    match output:
        case Form.TEXT:
            show_readiness(seen, console(color), verbose=verbose)
        case Form.JSON:
            print_json(seen.model_dump(mode="json"))
        case Form.JUNIT:
            typer.echo(junit(seen), nl=False)
        case Form.PROMETHEUS:
            typer.echo(prometheus(seen, made.clock.now().wall.timestamp()), nl=False)


async def _watch(
    made: "Parts", wanted: "Wanted", every_s: float, textfile: Path | None, output: Form
) -> None:
    """Looks again and again, until it is interrupted; prints what is otherwise than before."""
    from drctl.app.ready import look_whether_ready
    from drctl.kernel.text import sanitize_json
    from drctl.view.ready_text import changes

    before: Readiness | None = None
    while True:
        seen = await look_whether_ready(made, wanted)
        lines = changes(before, seen)
        if output is Form.JSON and lines:
            typer.echo(sanitize_json(seen.model_dump_json()))
        elif output is Form.TEXT:
            for line in lines:
                typer.echo(line)
        if textfile is not None:
            _write(textfile, made, seen)
        before = seen
        await made.clock.sleep(every_s)


def _check_place(path: Path) -> None:
    """Before minutes of looking: whether the file could be put there."""
    why = ""
    if path.is_dir():
        why = "it is a folder"
    elif not path.parent.is_dir():
        why = f"there is no folder {path.parent}"
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        why = f"this account may not write in {path.parent}"
    if why:
        raise typer.BadParameter(f"{path} cannot be written: {why}", param_hint="--textfile")


def _write(path: Path, made: "Parts", seen: "Readiness") -> None:
    from drctl.kernel.replace import replace_text
    from drctl.view.ready_metrics import prometheus

    try:
        replace_text(path, prometheus(seen, made.clock.now().wall.timestamp()))
    except OSError as error:
        why = f"{path} could not be written: {error.strerror or 'no reason given'}"
        raise typer.BadParameter(why, param_hint="--textfile") from error


def _every_s(text: str) -> float:
    from drctl.kernel.duration import parse_duration

    try:
        every_s = parse_duration(text).total_seconds()
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--watch") from error
    if every_s <= 0:
        raise typer.BadParameter("look again after how long?", param_hint="--watch")
    return every_s
