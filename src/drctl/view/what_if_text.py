"""What a plan would be if something were otherwise, beside what it is."""

from collections.abc import Iterator

from drctl.kernel.duration import format_duration
from drctl.kernel.text import sanitize
from drctl.plan.forecast_model import Forecast
from drctl.plan.what_if_model import Cure, Needs, Together, WhatIf
from drctl.view.forecast_text import verdict
from drctl.view.page import Line, Page

_MOST_DIFFERENCES = 12


def show_what_if(found: WhatIf, console: Page) -> None:
    """Prints both forecasts beside each other, and what would make the plan fit."""
    console.print(Line(sanitize(f"What if: {found.runbook}, environment {found.environment}")))
    for step, seconds in found.supposed.items():
        was = next(one for one in found.planned.steps if one.step == step)
        line = f"  {step} takes {format_duration(seconds)}, not {format_duration(was.p50_s)}"
        console.print(Line(sanitize(line), style="bold"))
        if seconds > was.longest_s:
            given = format_duration(was.longest_s)
            why = f"    no run takes so long: it is given {given}, and fails then or runs out"
            console.print(Line(why, style="bold yellow"))
    if found.changed is not None:
        for text in _beside(found.planned, found.changed):
            console.print(Line(text))
    console.print()
    if found.changed is not None:
        console.print(verdict(found.planned, found.rto_s, "  as planned"))
        console.print(verdict(found.changed, found.rto_s, "  what if   "))
    else:
        console.print(verdict(found.planned, found.rto_s))
    if found.needs is not None:
        for answer in _needs(found.needs, found.changed or found.planned):
            console.print(answer)
    console.print(Line("\n  a question, not a plan: it cannot be saved or run", style="dim"))


def _beside(planned: Forecast, changed: Forecast) -> Iterator[str]:
    yield f"\n  {'':28} {'as planned':>12} {'what if':>12}"
    rows = (
        *_percentiles(planned, changed),
        ("machines", planned.machine_s, changed.machine_s),
        ("waiting for people", planned.people_s, changed.people_s),
    )
    for name, before_s, now_s in rows:
        yield f"  {name:28} {format_duration(before_s):>12} {format_duration(now_s):>12}"
    moved = [
        (before, now)
        for before, now in zip(planned.steps, changed.steps, strict=True)
        if (before.start_s, before.slack_s) != (now.start_s, now.slack_s)
    ]
    if moved:
        yield "  steps that start at another time, or have other slack:"
    for before, now in moved[:_MOST_DIFFERENCES]:
        places = [f"at {format_duration(one.start_s)}" for one in (before, now)]
        slacks = [_slack(one.slack_s) for one in (before, now)]
        yield f"    {before.step:26} {places[0]:>12} {places[1]:>12}  {slacks[0]} -> {slacks[1]}"
    if len(moved) > _MOST_DIFFERENCES:
        yield f"    and {len(moved) - _MOST_DIFFERENCES:,} more: -o json has them"


def _percentiles(planned: Forecast, changed: Forecast) -> tuple[tuple[str, float, float], ...]:
    if not planned.runs and not changed.runs:
        return (("by declared estimates", planned.p50_s, changed.p50_s),)
    return (("p50", planned.p50_s, changed.p50_s), ("p90", planned.p90_s, changed.p90_s))


def _slack(slack_s: float | None) -> str:
    if slack_s is None:
        return "not waited for"
    return f"slack {format_duration(slack_s)}" if slack_s else "critical"


def _needs(needs: Needs, forecast: Forecast) -> Iterator[Line]:
    if needs.fits:
        yield Line("\n  It fits. How much more each of the longest on the way, by itself, may take")
        yield Line("  before it does not:")
        longest_s = {step.step: step.longest_s for step in forecast.steps}
        for room in needs.room:
            more, now = format_duration(room.more_s), format_duration(room.now_s)
            line = Line(f"    {room.step:28} {more:>8} more than its {now}")
            given_s = longest_s[room.step]
            if room.now_s + room.more_s > given_s:
                line.append(f"; it is given {format_duration(given_s)} at all", style="dim")
            yield line
        return
    over = format_duration(needs.over_s)
    yield Line(f"\n  It needs {over} less. Each by itself, enough and cheap first:", style="bold")
    for cure in needs.cures:
        mark = "enough " if cure.is_enough else "not enough"
        yield Line(f"    {mark:10} -{format_duration(cure.gain_s):7} {_said(cure)}")
    if any(cure.kind == "parallel" for cure in needs.cures):
        yield Line(
            "    Side by side is a suggestion: drctl sees no value, target or point of order\n"
            "    between the two; whether the order has another reason, you know.",
            style="dim",
        )
    if needs.together is not None:
        yield from _together(needs.together)


def _said(cure: Cure) -> str:
    if cure.kind != "shorter" or not cure.is_enough:
        return cure.what
    share = cure.less_s / cure.now_s if cure.now_s else 1.0
    less, now = format_duration(cure.less_s), format_duration(cure.now_s)
    return f"{cure.what}: {less} less than its {now} ({share:.0%})"


def _together(together: Together) -> Iterator[Line]:
    first = "; ".join(together.steps) or "nothing else changed"
    if together.faster is None:
        yield Line("  Together: not even if machines took no time: fewer steps, or another RTO.")
    elif not together.faster:
        yield Line(f"  Together: {first}: {format_duration(together.p90_s)}, fits.")
    else:
        yield Line(
            f"  Together: {first}, and every machine step {together.faster:.0%} faster:"
            f" {format_duration(together.p90_s)}, fits."
        )
