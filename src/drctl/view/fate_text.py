"""What fails while something is down, for people."""

from drctl.kernel.text import sanitize
from drctl.plan.fate_model import CallFate, Fate
from drctl.view.page import Line, Page

ENDINGS = {
    "succeeds": "would come through that",
    "refused": "would be REFUSED",
    "pauses": "would PAUSE",
    "stops": "would STOP",
    "depends": "may fail",
}
_STYLES = {"succeeds": "bold green", "depends": "bold magenta"}
_REACHED = {
    "yes": "",
    "perhaps": "  (if the run comes as far)",
    "no": "  (the run does not come as far)",
}


def show_fate(fate: Fate, console: Page) -> None:
    """Prints what is assumed, every call that fails, what goes on without, and the end of it."""
    lost = ", ".join(f"{place} is {_how(how)}" for place, how in fate.lost.items())
    console.print()
    console.print(Line(sanitize(f"Assumed: {lost}; nothing there was asked"), style="bold"))
    style = _STYLES.get(fate.ending, "bold red")
    line = Line("  a run ").append(ENDINGS[fate.ending], style=style)
    console.print(line.append(sanitize(f": {fate.why}")))
    counted = [one for one in fate.fails if not one.tolerated]
    borne = [one for one in fate.fails if one.tolerated]
    console.print(Line(f"  {len(counted)} call(s) fail", style="bold"))
    for one in counted:
        _show(one, console, "red")
    if borne:
        console.print(Line(f"  {len(borne)} more fail, and the run bears it", style="bold"))
        for one in borne:
            _show(one, console, "yellow")
    console.print(Line(f"  {len(fate.copes)} ask there and go on without", style="bold"))
    for one in fate.copes:
        _show(one, console, "green")
    skipped = [end.step for end in fate.steps if end.outcome == "skipped"]
    if skipped:
        console.print(Line(sanitize(f"  skipped by their when: {', '.join(skipped)}")))


def _show(one: CallFate, console: Page, style: str) -> None:
    where = f"{one.step} " if one.step else ""
    line = Line(sanitize(f"    {one.part:<6} {where}"), style=style)
    line.append(sanitize(f"{one.uses} {one.target}"))
    console.print(line.append(_REACHED[one.reached] if one.part != "undo" else "", style="dim"))
    console.print(Line(sanitize(f"           {one.why}"), style="dim"))
    if one.tolerated:
        console.print(Line(sanitize(f"           borne: {one.tolerated}"), style="dim"))
    if one.alternative:
        text = f"           data-plane alternative: {one.alternative}"
        console.print(Line(sanitize(text), style="dim"))


def _how(how: str) -> str:
    return "dead" if how == "dead" else "silent, and may be alive"
