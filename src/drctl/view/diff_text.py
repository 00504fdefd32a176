"""A comparison of two plans on a terminal."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from drctl.kernel.text import sanitize
from drctl.plan.diff import Diff
from drctl.plan.diff_parts import NameChange, PartChange
from drctl.view.diff_words import change, forecast, notes, place

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {"+": "green", "-": "red", "~": "yellow", ">": "cyan"}
_OF_NAMES = {"+": "yellow", "-": "yellow"}
"""More that changes, or has no way back, is neither good nor bad in itself."""
_OF_FINDINGS = {"+": "red", "-": "green"}


def show_diff(found: Diff, console: "Console") -> None:
    """Prints what differs; what is weaker first, since that is what a review is for."""
    after = found.after
    _line(console, f"Plan diff: {after.title or after.runbook}", style="bold")
    _line(console, f"  runbook {after.runbook}, environment {after.environment}")
    for note in notes(found):
        _line(console, f"  note: {note}", style="magenta")
    if found.is_same:
        _line(console, "\n  nothing that a run would do differs", style="green")
    if found.weaker:
        _line(console, "\nweaker than before", style="bold red")
        for sentence in found.weaker:
            _line(console, f"  ! {sentence}", style="red")
    _line(console, f"\n  forecast {forecast(found)}")
    old, new = (" > ".join(plan.critical_path) for plan in (found.before, found.after))
    _line(console, f"  critical path {new}")
    if old != new:
        _line(console, f"           was  {old}")
    _set(console, "changes", found.reach)
    _set(console, "no way back after", found.no_way_back)
    _set(console, "planes needed", found.planes)
    _set(console, "findings", found.findings, _OF_FINDINGS)
    _set(console, "code of actions", found.code)
    for field in found.whole:
        before, now = change(field)
        _line(console, f"  ~ {field.name}  {before} -> {now}", style="yellow")
    _parts(console, "waivers", found.waivers, _OF_FINDINGS)
    _parts(console, "steps", found.steps)
    _parts(console, "gates", found.gates)
    _parts(console, "people", found.people)
    _parts(console, "targets", found.targets)
    _parts(console, "pins", found.pins)
    _parts(console, "seen otherwise (the world, not the change)", found.seen)


def _set(
    console: "Console",
    name: str,
    names: NameChange | None,
    styles: Mapping[str, str] = _OF_NAMES,
) -> None:
    if not names:
        return
    _line(console, f"  {name}")
    for sign, ones in (("+", names.added), ("-", names.removed)):
        for one in ones:
            _line(console, f"    {sign} {one}", style=styles[sign])


def _parts(
    console: "Console",
    title: str,
    parts: tuple[PartChange, ...],
    styles: Mapping[str, str] = _STYLES,
) -> None:
    if not parts:
        return
    _line(console, f"\n{title}", style="bold")
    for part in parts:
        about = ", ".join(text for text in (part.about, place(part)) if text)
        words = f"  {part.sign} {part.name}" + (f"  {about}" if about else "")
        _line(console, words, style=styles.get(part.sign, _STYLES[part.sign]))
        for field in part.fields:
            before, now = change(field)
            _line(console, f"      {field.name}  {before} -> {now}")


def _line(console: "Console", text: str, style: str = "") -> None:
    from rich.text import Text

    start = "\n" if text.startswith("\n") else ""
    console.print(Text(start + sanitize(text.removeprefix("\n"), limit=1000), style=style))
