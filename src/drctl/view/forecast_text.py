"""When a plan would be over, for people: a line for each step, the way through, the verdict."""

from collections.abc import Iterator, Sequence

from drctl.kernel.duration import format_duration
from drctl.kernel.text import sanitize
from drctl.plan.forecast_model import Forecast, StepForecast
from drctl.plan.model import Plan
from drctl.view.page import Line, Page

MOST_STEPS = 60
"""More are not drawn: nobody reads a chart of a thousand lines. JSON has all of them."""
_NAMED = 6
"""Names that a sentence lists."""
_BAR = 16
_NAME = 20


def show_forecast(plan: Plan, console: Page) -> None:
    """Prints the timeline and the verdict."""
    forecast = plan.forecast
    if forecast is None:
        return
    show_timeline(forecast, plan.critical_path, console)
    for line in summary(forecast, plan.objectives.rto_s):
        console.print(line)


def show_timeline(forecast: Forecast, critical: Sequence[str], console: Page) -> None:
    """Prints a line for each step that the clock waits for; of very many only the critical ones."""
    way = set(critical)
    waited = [step for step in forecast.steps if step.slack_s is not None]
    shown = waited
    if len(waited) > MOST_STEPS:
        shown = [step for step in waited if step.step in way][:MOST_STEPS]
    end_s = max((step.finish_s for step in waited), default=0.0)
    name = max(min(max((len(step.step) for step in shown), default=0), 28), _NAME)
    head = f"\n  {'timeline':{name + 2}} {'start':>6} {'length':>7} {'slack':>6}  from"
    console.print(Line(head, style="bold"))
    for step in shown:
        console.print(_row(step, name, end_s, is_critical=step.step in way))
    if len(shown) < len(waited):
        left = len(waited) - len(shown)
        console.print(Line(f"    and {left:,} more steps: -o json has them", style="dim"))
    beside = len(forecast.steps) - len(waited)
    if beside:
        what = "1 step that the clock does" if beside == 1 else f"{beside:,} that the clock does"
        console.print(Line(f"    (not drawn: {what} not wait for)", style="dim"))


def _row(step: StepForecast, name: int, end_s: float, *, is_critical: bool) -> Line:
    # A long name takes its own line: a name that is cut cannot be given to --what-if.
    shown = step.step if len(step.step) <= name else f"{step.step}\n    {'':{name}}"
    slack = "-" if is_critical else format_duration(step.slack_s or 0.0)
    line = Line("  ")
    line.append("* " if is_critical else "  ", style="bold")
    line.append(
        f"{shown:{name}} {format_duration(step.start_s):>6} {format_duration(step.p50_s):>7}"
        f" {slack:>6}  "
    )
    line.append(f"{origin(step):10}", style="" if step.source == "history" else "dim")
    line.append(_bar(step, end_s), style="cyan" if step.who == "people" else "")
    return line


def origin(step: StepForecast) -> str:
    """Where a length is from, in a word or two."""
    match step.source:
        case "history":
            return f"{step.runs} runs"
        case "declared":
            return "declared"
        case "supposed":
            return "what if"
        case "none":
            return "NO WORD"


def _bar(step: StepForecast, end_s: float) -> str:
    """When it is under way; of a person's time other signs, and dots for the slack."""
    if not end_s:
        return ""
    start, over = (round(at / end_s * _BAR) for at in (step.start_s, step.finish_s))
    free = round((step.finish_s + (step.slack_s or 0.0)) / end_s * _BAR)
    sign = "o" if step.who == "people" else "="
    bar = " " * start + sign * max(1, over - start)
    return bar[: _BAR + 1].ljust(min(free, _BAR), ".")


def summary(forecast: Forecast, rto_s: float) -> Iterator[Line]:
    """Finish times, how far they can be trusted, and the verdict."""
    yield Line(f"\n  finish      {_finish(forecast)}", style="bold")
    for line in _trust(forecast):
        yield Line(f"              {line}", style="dim")
    people = format_duration(forecast.people_s)
    machine = format_duration(forecast.machine_s)
    yield Line(f"  of that     machines {machine}, waiting for people {people} (o in the timeline)")
    worst = format_duration(forecast.longest_s)
    yield Line(f"  at worst    {worst} (all timeouts, repeats and gate expiries used up)")
    yield Line(f"  detection   {_detection(forecast)}")
    yield verdict(forecast, rto_s)


def _finish(forecast: Forecast) -> str:
    p50, p90 = format_duration(forecast.p50_s), format_duration(forecast.p90_s)
    if not forecast.runs:
        return f"{p50} by declared estimates"
    if forecast.rate is None:
        return f"p50 {p50}, p90 {p90}, with declared steps at their estimates"
    return f"p50 {p50} (half of the runs are over), p90 {p90} (nine of ten)"


def _trust(forecast: Forecast) -> Iterator[str]:
    if forecast.rate is not None:
        low, high = format_duration(forecast.p10_s), format_duration(forecast.p90_s)
        yield f"8 of 10 runs end between {low} and {high}, judged by {forecast.runs} on record"
    elif not forecast.runs:
        yield "fewer than 5 runs on record: p90 is not known, no rate is stated"
    else:
        yield f"no rate is stated; not measured: {_names(forecast.unmeasured)}"
    if forecast.unpriced:
        yield f"without estimate, counted as nothing: {_names(forecast.unpriced)}"


def _names(names: Sequence[str]) -> str:
    left = len(names) - _NAMED
    more = f" and {left:,} more" if left > 0 else ""
    return sanitize(", ".join(names[:_NAMED])) + more


def _detection(forecast: Forecast) -> str:
    if not forecast.in_budget:
        return "not in this budget: the clock does not start at the incident"
    if forecast.detection_s is None:
        return "not declared: the time until somebody knows is NOT in this forecast"
    return f"{format_duration(forecast.detection_s)} as declared, inside the budget"


def verdict(forecast: Forecast, rto_s: float, before: str = "") -> Line:
    """One line: whether it fits, at which percentile, and by how much; after words of one's own."""
    spare_s = forecast.spare_s(rto_s)
    half_s = rto_s - forecast.before_s - forecast.p50_s
    total = format_duration(forecast.before_s + forecast.p90_s)
    which = "p90 " if forecast.runs else ""
    line = Line(f"{before}  forecast {which}{total} of RTO {format_duration(rto_s)}: ")
    if spare_s >= 0:
        return line.append(f"fits, {format_duration(spare_s)} to spare", style="bold green")
    line.append(f"MISSES by {format_duration(-spare_s)}", style="bold red")
    if half_s >= 0:
        line.append(f" (at p50 it fits, {format_duration(half_s)} to spare)")
    return line
