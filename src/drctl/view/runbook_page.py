"""
A runbook as a page of Markdown, for people who decide about it or follow it by hand: generated, so
that it never says anything else than what would run.
"""

from collections.abc import Iterable, Iterator, Sequence

from drctl.actions.catalogue import planes_of
from drctl.kernel.duration import format_duration
from drctl.kernel.text import sanitize
from drctl.plan.inline import Room, joined
from drctl.runbook.include import INCLUDE
from drctl.runbook.models import Runbook, Step
from drctl.view.ci.markdown import code, plain, table

_STARTS = {
    "incident": "when the outage began",
    "declared": "when a person declares it",
    "run": "with the run",
}


def runbook_page(room: Room, source: str) -> str:
    """
    Writes the page.

    Args:
        room: The runbook with those that it includes.
        source: Its text; the comment at its head is the page's introduction.
    """
    parts = (
        _head(room.runbook),
        _introduction(source),
        _inputs(room.runbook),
        _targets(room),
        _gates(room),
        _steps(room, is_final=False),
        _steps(room, is_final=True),
        _planes(room),
        _waivers(room),
    )
    return "\n".join(line for part in parts for line in part).strip() + "\n"


def _head(runbook: Runbook) -> Iterator[str]:
    about, goals = runbook.metadata, runbook.objectives
    stops = ", ".join(f"`{step}`" for step in goals.clock.stops_after)
    yield from (f"# {plain(about.title)}", "")
    facts = [code(about.name), f"owner: {plain(about.owner)}"]
    facts += [f"scenario: {about.scenario}"] if about.scenario else []
    facts += [f"category {about.category}"] if about.category else []
    yield from (" · ".join(facts), "")
    yield (
        f"RTO {format_duration(goals.rto)}, RPO {format_duration(goals.rpo)}. The clock starts "
        f"{_STARTS[goals.clock.starts_at]} and stops after {stops}."
    )
    yield ""


def _introduction(source: str) -> Iterator[str]:
    for line in source.splitlines():
        if not line.startswith("#"):
            break
        if "yaml-language-server" not in line:
            yield sanitize(line.removeprefix("#").strip()).replace("<", "\\<")
    yield ""


def _inputs(runbook: Runbook) -> Iterator[str]:
    rows = [
        (
            f"`{name}`",
            spec.type,
            "required" if spec.default is None else code(_written(spec.default)),
            plain(spec.description or ""),
        )
        for name, spec in runbook.inputs.items()
    ]
    yield from _table("What you give it", ("Input", "Type", "Default", "What"), rows)


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _targets(room: Room) -> Iterator[str]:
    rows = [
        (
            f"`{alias}`",
            code(name),
            ", ".join(_users(room.runbook, alias)),
        )
        for alias, name in room.runbook.targets.items()
    ]
    yield from _table("What it acts on", ("Alias", "Target of the environment", "Steps"), rows)


def _users(runbook: Runbook, alias: str) -> Iterator[str]:
    """The steps that act on a target, or hand it to the runbook that they include."""
    for step in (*runbook.steps, *runbook.finally_):
        handed = step.with_.get("targets", {}) if step.uses == INCLUDE else {}
        if step.target == alias or alias in handed.values():
            yield step.id


def _gates(room: Room) -> Iterator[str]:
    rows = []
    for inner, step, _final in room.walk():
        if step.gate is None:
            continue
        gate = inner.runbook.gates[step.gate]
        people = f" ({gate.quorum} people)" if gate.quorum > 1 else ""
        who = " or ".join(map(plain, gate.approvers)) + people
        shown = "<br>".join(map(code, step.show))
        rows.append(
            (_name(inner, step), plain(gate.title), who, format_duration(gate.expires_after), shown)
        )
    columns = ("Gate", "What is decided", "Who", "Silence is a no after", "What they are shown")
    yield from _table("What people decide", columns, rows)


def _steps(room: Room, *, is_final: bool) -> Iterator[str]:
    rows = []
    for number, (inner, step, final) in enumerate(room.walk(), start=1):
        if final is is_final:
            rows.append(_row(number, inner, step, final=final))
    title = "In the end, however it ended" if is_final else "What happens"
    columns = ("", "Step", "What", "Does", "After", "Takes", "At most", "Taken back by")
    yield from _table(title, columns, rows)


def _row(number: int, room: Room, step: Step, *, final: bool) -> tuple[str, ...]:
    action = room.registry.get(step.uses) if step.uses else None
    does = "a person decides" if step.gate else f"`{step.uses}`"
    if action is not None:
        does += f" ({action.effect}{'; no way back' if action.effect.is_irreversible else ''})"
    return (
        str(number),
        _name(room, step),
        plain(step.label) + (f"; only when {code(step.when)}" if step.when else ""),
        does,
        ", ".join(room.needs(step, is_final=final)) or ("all else" if final else "at once"),
        "" if step.estimate is None else format_duration(step.estimate),
        "" if step.timeout is None else format_duration(step.timeout),
        "" if step.undo is None else f"`{step.undo.uses}`",
    )


def _planes(room: Room) -> Iterator[str]:
    needed: dict[str, list[str]] = {}
    for inner, step, _final in room.walk():
        action = inner.registry.get(step.uses) if step.uses else None
        for plane in planes_of(action) if action is not None else ():
            needed.setdefault(plane, []).append(_name(inner, step))
    rows = [(f"`{plane}`", ", ".join(steps)) for plane, steps in sorted(needed.items())]
    yield from _table("What it cannot work without", ("Plane", "Steps"), rows)


def _name(room: Room, step: Step) -> str:
    return joined(room.scope, step.id)


def _waivers(room: Room) -> Iterator[str]:
    rows = [
        (
            f"`{waiver.rule}`",
            code(joined(inner.scope, waiver.step) if waiver.step else waiver.store or "anywhere"),
            plain(waiver.reason),
            waiver.until.isoformat(),
        )
        for inner in room.rooms()
        for waiver in inner.runbook.waivers
    ]
    yield from _table("What is known and stands", ("Rule", "Where", "Because", "Until"), rows)


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A heading with a table, cells already made inert; nothing when it has no rows."""
    lines = table(columns, rows)
    if lines:
        yield from (f"## {title}", "", *lines)
