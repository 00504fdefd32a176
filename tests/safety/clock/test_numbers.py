"""
I23: what is reported is what the events say; where they say nothing, "not measured".

A hundred journals with answers known from how they were drawn. Then each again without one piece
of evidence.
"""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import results
from sim_plans import made_up

from drctl.engine import commands as c
from drctl.engine import events as e
from drctl.engine.decide import decide
from drctl.engine.fold import fold
from drctl.engine.state import Record, State, initial
from drctl.kernel.clock import Instant

JOURNALS = 100
STAGES = [
    stage
    for stage in (made_up(seed) for seed in range(400))
    if stage.plan.objectives.stops_after == ("prove",)
    and not any(step.gate for step in stage.plan.steps if step.id != "decide")
]


@dataclass(frozen=True)
class Drawn:
    """A journal, and what must be said of it."""

    number: int
    records: list[Record]
    rta_s: float
    bound_s: float


def _drawn(number: int) -> Drawn:
    r = random.Random(number)
    plan = STAGES[number % len(STAGES)].plan
    now_s, records = r.uniform(1, 1e6), []
    elapsed_s = began_s = 0.0

    def add(event: e.Event, after_s: float = 0.0) -> None:
        nonlocal now_s
        now_s = round(now_s + after_s, 6)
        # The wall clock is no evidence: it says what it likes.
        wall = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=r.uniform(-1e6, 1e6))
        at = Instant(wall=wall, boot_s=now_s, boot_id="one")
        records.append(Record(seq=len(records) + 1, at=at, event=event))

    before_s, bound_s = round(r.uniform(0, 500), 3), round(r.uniform(0, 300), 3)
    add(e.RunStarted(
        run_id="r", plan_digest="", runbook="", environment="", world="simulated", operator="a",
        host="h", version="0", rto_s=900, rpo_s=300, elapsed_before_s=before_s, clock_source="flag",
    ))  # fmt: skip
    began_s = now_s
    for step in plan.steps:
        if step.is_final:
            continue
        if step.gate:
            add(e.GateOpened(step=step.id, gate="go", title="", show=(), approvers=(),
                             quorum=plan.gates["go"].quorum, expires_s=180), 1.0)  # fmt: skip
            for person in ("alice", "bob")[: plan.gates["go"].quorum]:
                add(e.GateAnswered(step=step.id, answer="approve", by=person, via="x"), 1.0)
            continue
        add(e.StepStarted(step=step.id, attempt=1), round(r.uniform(0, 5), 6))
        outputs = {"bound": bound_s, "source": "x"} if step.measures_loss else {}
        finished = e.StepFinished(step=step.id, attempt=1, outcome="succeeded", outputs=outputs)
        add(finished, round(r.uniform(0, 300), 6))
        if step.id == "prove":
            elapsed_s = before_s + now_s - began_s
    return Drawn(number, records, elapsed_s, bound_s)


def _told(number: int, records: list[Record]) -> tuple[float | None, float | None, State]:
    """What the core would report: the length, and the bound."""
    plan = STAGES[number % len(STAGES)].plan
    state = initial(plan)
    for record in records:
        state = fold(plan, state, record)
    at = records[-1].at
    late = Instant(wall=at.wall, boot_s=at.boot_s + 1000.0, boot_id=at.boot_id)
    restored = [one for one in decide(plan, state, late) if isinstance(one, c.Restored)]
    bound_s = state.loss.bound_s if state.loss else None
    return (restored[0].rta_s if restored else None), bound_s, state


@pytest.mark.parametrize("number", range(JOURNALS))
def test_numbers_are_exact_and_missing_evidence_is_not_measured(number):
    """The length to the microsecond, the bound as it was; without the proof, without a number."""
    drawn = _drawn(number)
    rta_s, bound_s, _state = _told(number, drawn.records)
    assert rta_s == pytest.approx(drawn.rta_s, abs=1e-5)
    assert bound_s == drawn.bound_s
    for step, missing in (("prove", 0), ("measure", 1)):
        without = [
            record
            for record in drawn.records
            if not (isinstance(record.event, e.StepFinished) and record.event.step == step)
        ]
        told = _told(number, without)
        assert told[missing] is None, f"{step} was taken out of journal {number}"


def test_a_hundred_were_tried():
    """For the table; the cases above fail on their own."""
    results.record("clock", "I23", cases=2 * JOURNALS, violations=0)
    assert len(STAGES) > 10
