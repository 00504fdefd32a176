"""Runs whose wall clock is wrong: the shipped runbook with a retry, a time-out and an open gate."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import sim_night
from sim_night import Came, live
from sim_story import Death, Said, Story

from drctl.simulated.models import Fault

Jump = Callable[[float], Callable[[float], float]]
"""A moment to what the wall clock is wrong by from then on."""


def _step(by_s: float) -> Jump:
    return lambda from_s: lambda true_s: by_s if true_s >= from_s else 0.0


JUMPS: dict[str, Jump] = {
    "back 1 s": _step(-1),
    "back 1 h": _step(-3600),
    "back 1 d": _step(-86400),
    "on 1 h": _step(3600),
    "on 1 d": _step(86400),
    "on 10 y": _step(315_576_000),
    # The second before is told twice.
    "leap second": lambda from_s: lambda true_s: -min(1.0, max(0.0, true_s - from_s)),
    "flap at 10 Hz": lambda from_s: (
        lambda true_s: (1.0 if int(true_s * 10) % 2 else -1.0) if true_s >= from_s else 0.0
    ),
}
POINTS = 60

BASE = Story(
    seed=0,
    made=None,
    said=(Said(at_s=40.0, word="approve", step="go", by="alice"),),
    faults=(
        ("aws.rds.measure_lag", Fault(call=1, error="throttled")),
        ("aws.rds.promote_replica", Fault(call=1, calls=2, error="unavailable")),
        ("slack.message.post", Fault(call=1, error="hang")),
        ("statuspage.incident.open", Fault(call=1, calls=2, error="throttled")),
        ("http.probe", Fault(call=1, error="unavailable")),
    ),
)
"""Everything that waits for a length is in it: back-off, polling, a time-out, a gate."""


def run(story: Story, wrong_by_s: Callable[[float], float]) -> Came:
    """Lives through *story* with this wall clock on every machine."""
    before = sim_night._wrong_by
    sim_night._wrong_by = lambda _story, _machine: wrong_by_s
    try:
        return live(story)
    finally:
        sim_night._wrong_by = before


def lines(came: Came) -> list[dict[str, Any]]:
    """The journal."""
    return [json.loads(line) for line in came.journal.splitlines()]


def without_labels(came: Came) -> list[dict[str, Any]]:
    """The journal without what a wall clock may change: labels, and the hashes over them."""
    kept = []
    for event in lines(came):
        event["at"].pop("wall")
        kept.append({name: event[name] for name in event if name not in {"prev", "hash"}})
    return kept


@dataclass(frozen=True)
class Measured:
    """What a run says of its length."""

    rta_s: float
    is_certain: bool
    says: bool
    """What the last event says."""


def measured(came: Came) -> Measured:
    """Reads it from the journal."""
    events = lines(came)
    restored = next(event for event in events if event["type"] == "service_restored")
    return Measured(restored["rta_s"], restored["is_certain"], events[-1]["rta_is_certain"])


def killed(at_event: int, down_s: float, machine: str) -> Story:
    """The same night with one death."""
    death = Death(at_event=at_event, how="after", down_s=down_s, machine=machine)
    said = tuple(replace(one, again_s=20.0) for one in BASE.said)
    return replace(BASE, deaths=(death,), said=said)
