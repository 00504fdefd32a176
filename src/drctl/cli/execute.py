"""Runs a plan for a person or a script: consent, views, gates on the terminal, the exit code."""

import os
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from drctl.cli.exit import Exit, show_problems
from drctl.cli.output import Color, Format, console, print_json

if TYPE_CHECKING:
    from drctl.app.compose import Parts
    from drctl.app.running import Consent, Watching
    from drctl.engine.events import RunFinished
    from drctl.journal.folder import Folder
    from drctl.plan.model import Plan

AcceptOption = Annotated[
    str | None,
    typer.Option(
        "--accept-data-loss",
        metavar="DURATION|unknown",
        help="Go although up to this much of acknowledged writes may be lost; needs --reason.",
    ),
]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Why; goes into the record.")]
AgainOption = Annotated[
    bool,
    typer.Option(
        "--again",
        help="Fail the same targets over a second time within the cool-down; needs --reason.",
    ),
]
ForceOption = Annotated[
    bool,
    typer.Option(
        "--force-ungraceful",
        help="Promote also without a proven fence: both sides may take writes; needs --reason.",
    ),
]
StartedOption = Annotated[
    str | None,
    typer.Option(
        "--started-at",
        metavar="TIME",
        help="When the incident started, RFC 3339 with offset. Default: what the witness saw.",
    ),
]

AsOption = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="PERSON",
        help="Who of the enrolled people you are, where your login does not say so.",
    ),
]


def consent(
    accept: str | None,
    reason: str | None,
    started_at: str | None,
    *,
    force: bool = False,
    again: bool = False,
    claimed: str | None = None,
) -> "Consent":
    """
    Reads what the operator says beyond the plan.

    Raises:
        typer.BadParameter: A duration or a time that is none, or consent without a reason.
    """
    has_reason = bool(reason and reason.strip())
    if force and not has_reason:
        raise typer.BadParameter("say why: --reason TEXT", param_hint="--force-ungraceful")
    from drctl.app.running import Consent
    from drctl.engine.fold import ANY_LOSS_S
    from drctl.kernel.duration import parse_duration

    if again and not (reason and reason.strip()):
        raise typer.BadParameter("say why: --reason TEXT", param_hint="--again")
    accepted_s = None
    if accept is not None:
        if not has_reason:
            raise typer.BadParameter("say why: --reason TEXT", param_hint="--accept-data-loss")
        try:
            accepted_s = (
                ANY_LOSS_S
                if accept == "unknown"
                # A number, however large, is consent to a bound; "unknown" is a word of its own.
                else min(parse_duration(accept).total_seconds(), ANY_LOSS_S / 2)
            )
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--accept-data-loss") from error
    return Consent(
        accepted_loss_s=accepted_s,
        reason=reason,
        started_at=None if started_at is None else moment(started_at, "--started-at"),
        again=again,
        claimed=claimed,
        forced_reason=reason if force else None,
    )


def moment(text: str, option: str) -> datetime:
    """
    Reads a time that a person has typed.

    Raises:
        typer.BadParameter: It is none, or has no offset: which hour it means is not known then.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"{error}; write it as 2026-11-22T10:04:05Z"
        raise typer.BadParameter(message, param_hint=option) from error
    if found.tzinfo is None:
        message = f"{text} has no offset; say which one, as in 2026-11-22T10:04:05Z"
        raise typer.BadParameter(message, param_hint=option)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How to talk while running."""

    output: Format
    color: Color
    no_input: bool

    @property
    def asks(self) -> bool:
        """True when a person sits at this terminal and may be asked."""
        return not self.no_input and sys.stdin.isatty() and sys.stdout.isatty()


def show_findings(plan: "Plan") -> None:
    """
    Says what the rules find, one line each, and goes on: they are for the pull request. What must
    stop a run is validation and the preflight.
    """
    from drctl.view.findings import short_lines

    for line in short_lines(plan.findings):
        typer.echo(line, err=True)


def execute(parts: "Parts", plan: "Plan", agreed: "Consent", manner: Manner) -> None:
    """
    Runs the plan and leaves with the exit code of what came of it.

    Raises:
        typer.Exit: Always, unless an error is on its way.
    """
    import asyncio

    from drctl.app.running import preflight, run_plan

    preflight(plan, agreed)
    if agreed.started_at is not None and agreed.started_at > parts.clock.now().wall:
        message = f"{agreed.started_at.isoformat()} has not come yet"
        raise typer.BadParameter(message, param_hint="--started-at")
    end, folder = asyncio.run(run_plan(parts, plan, agreed, views_of(parts, manner)))
    leave(end, folder, manner)


def leave(end: "RunFinished", folder: "Folder", manner: Manner) -> NoReturn:
    """
    Says what came of a run.

    Raises:
        typer.Exit: Always, with the exit code that belongs to it.
    """
    try:
        _tell(end, folder, manner)
        sys.stdout.flush()
    except BrokenPipeError:
        # Nobody reads any more; the exit code is still the run's.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(exit_code(end))


def exit_code(end: "RunFinished") -> Exit:  # noqa: PLR0911 (a table)
    """The exit code of a run's end; a success that missed an objective is a miss."""
    match end.result:
        case "failed" | "unsafe":
            return Exit.FAILED
        case "cancelled":
            return Exit.FAILED if end.changed else Exit.REFUSED
        case "undone":
            return Exit.DONE
        case "paused":
            return Exit.PAUSED
        case "refused":
            return Exit.REFUSED
        case "unknown":
            return Exit.UNKNOWN
        case "interrupted":
            return Exit.TERMINATED if end.signal == "SIGTERM" else Exit.INTERRUPTED
        case "succeeded":
            late = end.rta_s is not None and end.rta_s > end.rto_s
            lost = end.loss_bound_s is not None and end.loss_bound_s > end.rpo_s
            return Exit.MISSED if late or lost else Exit.DONE


def views_of(parts: "Parts", manner: Manner) -> "list[Watching]":
    """Who watches a run that is shown in this manner."""
    from drctl.cli.prompt import TerminalGates
    from drctl.view.jsonl import JsonLines
    from drctl.view.lines import Lines
    from drctl.view.live import LiveView

    if manner.output is Format.JSONL:
        return [JsonLines(typer.echo)]
    if manner.output is Format.JSON:
        return [Lines(lambda line: typer.echo(line, err=True), parts.clock)]
    screen = console(manner.color)
    if not screen.is_terminal or screen.is_dumb_terminal:
        return [Lines(typer.echo, parts.clock)]
    view = LiveView(screen, parts.clock, asks=manner.asks)
    return [view, TerminalGates()] if manner.asks else [view]


def _tell(end: "RunFinished", folder: "Folder", manner: Manner) -> None:
    """The last words: what was achieved, and what to do now."""
    from drctl.kernel.duration import format_duration
    from drctl.kernel.text import sanitize

    if manner.output is Format.JSONL:
        return
    if manner.output is Format.JSON:
        from dataclasses import asdict

        print_json({"version": 1, "run_id": folder.run_id, **asdict(end)})
        return
    rto, rpo = format_duration(end.rto_s), format_duration(end.rpo_s)
    rta = "not measured" if end.rta_s is None else format_duration(end.rta_s)
    if not end.rta_is_certain:
        rta += ", not certain: the machine was rebooted or changed in between"
    loss = (
        "not measured"
        if end.loss_bound_s is None
        else f"at most {format_duration(end.loss_bound_s)}"
    )
    typer.echo("")
    word = "UNSAFE" if end.result == "unsafe" else end.result
    typer.echo(sanitize(f"run {folder.run_id} {word}: {end.why}"))
    typer.echo(f"  RTA {rta} (RTO {rto})")
    typer.echo(f"  RPA {loss} (RPO {rpo})")
    for line in _notes(folder):
        typer.echo(f"  {line}")
    from drctl.app.ending import troubles

    show_problems(troubles(folder))


def _notes(folder: "Folder") -> list[str]:
    """What the run leaves behind that does not last, and who let it go on from elsewhere."""
    from drctl.engine.events import GateAnswered
    from drctl.kernel.text import sanitize

    events = [record.event for record in folder.read().records]
    elsewhere = [e for e in events if isinstance(e, GateAnswered) and e.via == "offline"]
    return [
        *(
            sanitize(
                f"BREAK-GLASS: gate {event.step}: {event.answer} OFFLINE by {event.person}, key"
                f" {event.key}: {event.reason or 'no reason given'}; review it"
            )
            for event in elsewhere
        ),
        *_passing(folder),
        *_owed(folder),
    ]


def _owed(folder: "Folder") -> list[str]:
    from drctl.app.debts import debt_id
    from drctl.app.reading import fold_run
    from drctl.kernel.text import sanitize

    state, _chain = fold_run(folder)
    return [
        sanitize(f"to put right: {owed.what} ({debt_id(key)}: {owed.remedy})")
        for key, owed in state.debts.items()
    ]


def _passing(folder: "Folder") -> list[str]:
    from drctl.engine.events import StepFinished
    from drctl.kernel.text import sanitize

    return [
        sanitize(f"note: {event.step} does not last: {event.outputs.get('note') or 'see outputs'}")
        for record in folder.read().records
        if isinstance(event := record.event, StepFinished) and event.outputs.get("durable") is False
    ]
