"""Readiness for Prometheus, so that one machine wakes people and another draws the past."""

from collections.abc import Iterator
from typing import TypeAlias

from drctl.actions.check import Standing
from drctl.kernel.text import sanitize
from drctl.ready.model import Judged, Readiness, Scenario

_METRICS = {
    "drctl_ready": "1 ready; 0 not: not ready, or at risk. Alert on == 0.",
    "drctl_ready_at_risk": "1 at risk: it would work now, as far as anybody could look; else 0.",
    "drctl_ready_prerequisites": "Prerequisites by standing.",
    "drctl_ready_not_looked_at": "Prerequisites that were not looked at.",
    "drctl_ready_steps": "Steps of the runbook that use something, by whether anything was looked "
    "at for them.",
    "drctl_ready_trouble": "1 for each prerequisite that keeps a scenario from being ready.",
    "drctl_ready_reading": "Numbers that were read while looking; of several, the largest but for "
    "what is left of something.",
    "drctl_ready_looked_at_seconds": "When this was looked at; alert when it is old.",
}
_LESS_IS_WORSE = {"left", "free"}
"""Words of readings of which a small one is the bad news."""

_Labels: TypeAlias = tuple[tuple[str, str], ...]
_Row: TypeAlias = tuple[str, dict[str, str], float]


def prometheus(seen: Readiness, at_s: float) -> str:
    """The text format of Prometheus. *at_s*: when it was looked at, as Unix time."""
    rows: dict[str, dict[_Labels, float]] = {name: {} for name in _METRICS}
    for name, labels, value in _rows(seen, at_s):
        series = tuple((label, _escaped(text)) for label, text in labels.items())
        known = rows[name]
        # A scrape with one series twice is refused as a whole, and says nothing of all the others.
        known[series] = _worse(labels, known.get(series, value), value)
    lines = []
    for name, help_ in _METRICS.items():
        lines += [f"# HELP {name} {help_}", f"# TYPE {name} gauge"]
        lines += [_line(name, series, value) for series, value in rows[name].items()]
    return "\n".join(lines) + "\n"


def _rows(seen: Readiness, at_s: float) -> Iterator[_Row]:
    for one in seen.scenarios:
        base = {
            "environment": seen.environment,
            "scenario": one.scenario,
            "assume_down": ",".join(seen.assume_down),
        }
        yield from _of_a_scenario(one, base)
        for judged in one.judged:
            yield from _of_a_prerequisite(judged, base)
    whose = {"environment": seen.environment, "assume_down": ",".join(seen.assume_down)}
    yield "drctl_ready_looked_at_seconds", whose, round(at_s, 3)


def _of_a_scenario(one: Scenario, base: dict[str, str]) -> Iterator[_Row]:
    yield "drctl_ready", base, one.result == "ready"
    yield "drctl_ready_at_risk", base, one.result == "at risk"
    for standing in Standing:
        labels = {**base, "standing": standing.value}
        yield "drctl_ready_prerequisites", labels, len(one.of(standing))
    yield "drctl_ready_not_looked_at", base, len(one.skipped)
    yield "drctl_ready_steps", {**base, "looked_at": "yes"}, one.looked_at
    yield "drctl_ready_steps", {**base, "looked_at": "no"}, one.steps - one.looked_at


def _of_a_prerequisite(judged: Judged, base: dict[str, str]) -> Iterator[_Row]:
    labels = {**base, "check": judged.check, "subject": judged.subject}
    if judged.is_trouble:
        yield "drctl_ready_trouble", {**labels, "standing": judged.standing.value}, 1
    for name, value in judged.readings.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield "drctl_ready_reading", {**labels, "reading": name}, value


def _worse(labels: dict[str, str], one: float, other: float) -> float:
    is_rest = any(word in _LESS_IS_WORSE for word in labels.get("reading", "").split("_"))
    return min(one, other) if is_rest else max(one, other)


def _line(name: str, series: _Labels, value: float) -> str:
    inside = ",".join(f'{key}="{text}"' for key, text in series)
    return f"{name}{{{inside}}} {value:.15g}"


def _escaped(text: str) -> str:
    clean = sanitize(str(text))
    return clean.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
