"""History: only runs of the same runbook, environment and world, and steps that did the same."""

from datetime import UTC, datetime

import pytest
from engine_model import plan_of, step

from drctl.app import past as history
from drctl.app.compose import Parts
from drctl.config.secrets import LocalSecrets
from drctl.engine import events as e
from drctl.engine.lengths import lengths_s
from drctl.engine.state import Record
from drctl.journal.folder import Journal
from drctl.kernel.clock import Instant, SystemClock
from drctl.kernel.ids import RunId
from drctl.plan.model import PlannedGate

PLAN = plan_of(step("a", "x.do", target="room"), step("b", "x.look", needs=("a",)))


class Hands(SystemClock):
    """A clock that is set by hand."""

    def __init__(self):
        self.s, self.boot = 0.0, "one"

    def now(self):
        return Instant(wall=datetime(2026, 1, 1, tzinfo=UTC), boot_s=self.s, boot_id=self.boot)


def told(*timed):
    found = []
    for seq, (at_s, event, *boot) in enumerate(timed, 1):
        at = Instant(wall=datetime(2026, 1, 1, tzinfo=UTC), boot_s=at_s, boot_id=(*boot, "one")[0])
        found.append(Record(seq=seq, at=at, event=event))
    return lengths_s(found)


def began(step_id, attempt=1):
    return e.StepStarted(step=step_id, attempt=attempt)


def over(step_id, outcome="succeeded", attempt=1):
    return e.StepFinished(step=step_id, attempt=attempt, outcome=outcome)


def order(word):
    return e.OrderGiven(order=word, by="a", via="v")


RESUMED = e.RunResumed(operator="", host="", version="")
OPENED = e.GateOpened(
    step="g", gate="go", title="", show=(), approvers=(), quorum=2, expires_s=60
)  # fmt: skip


@pytest.mark.parametrize(
    ("timed", "expected"),
    [
        ([(1.0, began("a")), (5.5, over("a"))], {"a": 4.5}),
        ([(1, began("a")), (2, over("a", "failed")), (4, began("a", 2)), (9, over("a"))], {"a": 8}),
        ([(1, began("a")), (5, over("a", "failed"))], {}),
        ([(1, began("a")), (5, over("a", "unknown")), (6, over("a"))], {}),
        ([(1, began("a")), (2, order("retry")), (5, over("a"))], {}),
        ([(1, began("a")), (2, order("note")), (5, over("a"))], {"a": 4}),
        ([(1, began("a")), (5, over("a"), "two")], {}),
        ([(1, began("a")), (2, RESUMED), (5, over("a"))], {}),
        ([(1, OPENED), (4, e.GateAnswered(step="g", answer="approve", by="a", via="v")),
          (9, e.GateAnswered(step="g", answer="approve", by="b", via="v"))], {"g": 8}),
        ([(1, OPENED), (4, e.GateAnswered(step="g", answer="approve", by="a", via="v")),
          (9, e.GateAnswered(step="g", answer="deny", by="b", via="v"))], {}),
        ([(1, OPENED), (9, e.GateExpired(step="g"))], {}),
    ],
)  # fmt: skip
def test_a_length_is_from_the_first_start_to_the_success(timed, expected):
    assert told(*timed) == expected


@pytest.fixture
def parts(tmp_path):
    return Parts(registry=None, clock=Hands(), secrets=LocalSecrets(), runs=tmp_path / "runs")


def run(parts, number, plan=PLAN, took_s=3.0, **first):
    clock = parts.clock
    journal = Journal.create(parts.runs, RunId(f"2026010{number}t000000-{number:04}"), plan, clock)
    given = {
        "run_id": journal.folder.run_id, "plan_digest": plan.digest, "runbook": "fake",
        "environment": "model", "world": "simulated", "operator": "", "host": "", "version": "",
        "rto_s": 1.0, "rpo_s": 1.0, "elapsed_before_s": 0.0, "clock_source": "run",
    }  # fmt: skip
    journal.append(e.RunStarted(**(given | first)))
    for name in ("a", "b"):
        journal.append(began(name))
        clock.s += took_s
        journal.append(over(name))
    journal.close()
    return journal.folder


def test_runs_of_the_same_are_counted_oldest_first(parts):
    for number in (1, 2, 3):
        run(parts, number, took_s=float(number))
    assert history.past_of(parts, PLAN).rows == tuple({"a": n, "b": n} for n in (1.0, 2.0, 3.0))


@pytest.mark.parametrize("other", ["runbook", "environment", "world"])
def test_worlds_environments_and_runbooks_are_never_mixed(parts, other):
    run(parts, 1, **{other: "live" if other == "world" else "another"})
    assert history.past_of(parts, PLAN).rows == ()


def test_a_step_of_the_same_name_that_does_something_else_has_no_history(parts):
    run(parts, 1)
    other = plan_of(step("a", "x.do", target="other"), step("b", "x.look", needs=("a",)))
    assert history.past_of(parts, other).rows == ({"b": 3.0},)
    asked = plan_of(
        step("a", "x.do", target="room"), step("b", gate="go"),
        gates={"go": PlannedGate(title="", expires_s=1)},
    )  # fmt: skip
    assert history.past_of(parts, asked).rows == ({"a": 3.0},)


def test_a_journal_that_does_not_verify_says_nothing(parts):
    folder = run(parts, 1)
    run(parts, 2)
    folder.journal.write_bytes(folder.journal.read_bytes().replace(b'"attempt":1', b'"attempt":2'))
    assert len(history.past_of(parts, PLAN).rows) == 1


def test_only_the_newest_are_counted(parts, monkeypatch):
    monkeypatch.setattr(history, "COUNTED", 2)
    for number in (1, 2, 3):
        run(parts, number, took_s=float(number))
    assert [row["a"] for row in history.past_of(parts, PLAN).rows] == [2.0, 3.0]
