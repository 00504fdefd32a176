"""The words of a comparison of two plans, for a terminal and for Markdown alike."""

import json
from collections.abc import Iterator
from typing import Any

from drctl.kernel.duration import format_duration
from drctl.plan.diff import Diff
from drctl.plan.diff_parts import FieldChange, PartChange
from drctl.plan.outline import Outline


def shown(value: Any, *, is_seconds: bool = False) -> str:
    """A value in a few words."""
    if value is None:
        return "none"
    if is_seconds and isinstance(value, int | float):
        return format_duration(float(value))
    if isinstance(value, str):
        return value or '""'
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return ", ".join(value) or "none"
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def change(field: FieldChange) -> tuple[str, str]:
    """Both values of a field."""
    seconds = field.is_seconds
    return shown(field.before, is_seconds=seconds), shown(field.after, is_seconds=seconds)


def place(part: PartChange) -> str:
    """Where a step stands in the order, when that says something."""
    if part.wave_before == part.wave_after:
        return ""
    if part.wave_before is None or part.wave_after is None:
        if part.sign not in "+-":
            return ""  # it is of finally in one of them, and a field says so
        wave = part.wave_after if part.wave_before is None else part.wave_before
        return f"wave {wave}"
    return f"wave {part.wave_before} to {part.wave_after}"


def verdict(plan: Outline) -> str:
    """Whether a plan fits its RTO."""
    spare = plan.spare_s
    lacks = ", without detection" if plan.objectives.budget.lacks_detection else ""
    if spare < 0:
        return f"MISSES by {format_duration(-spare)}{lacks}"
    return f"fits, {format_duration(spare)} to spare{lacks}"


def forecast(found: Diff) -> str:
    """The forecast before and after, detection and all; of recorded runs the p90, as in `plan`."""
    old, new = found.before.takes_s, found.after.takes_s
    rto = format_duration(found.after.objectives.rto_s)
    if old == new:
        return f"{format_duration(new)}, as before, of RTO {rto}: {verdict(found.after)}"
    more = "longer" if new > old else "shorter"
    by = format_duration(abs(new - old))
    return (
        f"{format_duration(old)} to {format_duration(new)} ({by} {more}) of RTO {rto}:"
        f" {verdict(found.after)}"
    )


def notes(found: Diff) -> Iterator[str]:
    """What a reader must know about the two files before they believe a comparison."""
    old, new = found.before, found.after
    if old.drctl != new.drctl:
        yield f"made by two versions of drctl: {old.drctl} and {new.drctl}"
    if (old.runbook, old.environment) != (new.runbook, new.environment):
        yield (
            f"these are two recoveries: {old.runbook} for {old.environment},"
            f" {new.runbook} for {new.environment}"
        )
    yield from found.unnamed
    if old.is_offline or new.is_offline:
        yield "planned offline: what was observed is not compared"
    if found.planes is None:
        yield "planes were not looked at"
