"""
I22: a wall clock that jumps changes labels and nothing else.

The oracle is the same run with a right clock: every event at the same second of boot time, and the
same numbers. 8 jumps at 60 points each are 480 runs.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import results
from clock_runs import BASE, JUMPS, POINTS, killed, lines, measured, run, without_labels
from sim_plans import shipped

from drctl.engine.events import RunResumed, RunStarted
from drctl.engine.fold import fold
from drctl.engine.state import Record, initial
from drctl.kernel.clock import Instant, length_between

RIGHT = run(BASE, lambda _true_s: 0.0)
END_S = lines(RIGHT)[-1]["at"]["boot_s"]


def _points():
    # Every third in the slice.
    return [END_S * n / POINTS for n in range(0, POINTS, 1 if results.is_full() else 3)]


def test_a_jump_at_any_point_changes_labels_only():
    """Deadlines, gates, back-off, polling, the incident clock: all are lengths of boot time."""
    assert RIGHT.result == "succeeded"
    wanted, broken = without_labels(RIGHT), []
    for name, jump in JUMPS.items():
        for from_s in _points():
            came = run(BASE, jump(from_s))
            if without_labels(came) != wanted or came.violations:
                broken.append((name, from_s))
    results.record("clock", "I22", cases=len(JUMPS) * len(_points()), violations=len(broken))
    assert not broken


def test_an_open_gate_expires_after_its_length_whatever_the_wall_says():
    """Nobody answers; three minutes are three minutes."""
    quiet = run(replace(BASE, said=()), lambda _s: 0.0)
    wanted = without_labels(quiet)
    assert any(event["type"] == "gate_expired" for event in wanted)
    for jump in JUMPS.values():
        for from_s in (1.0, 30.0, 100.0, 181.9):
            came = run(quiet.story, jump(from_s))
            assert without_labels(came) == wanted


@pytest.mark.parametrize("name", JUMPS)
def test_the_same_boot_measures_exactly_after_a_death(name):
    """The clock jumps while the process is dead: boot time went on."""
    right = measured(run(killed(20, 100.0, "same"), lambda _s: 0.0))
    came = run(killed(20, 100.0, "same"), JUMPS[name](60.0))
    seen = measured(came)
    assert seen.rta_s == pytest.approx(right.rta_s, abs=1e-6)
    assert (seen.is_certain, seen.says) == (True, True)
    assert not came.violations


@pytest.mark.parametrize("name", JUMPS)
@pytest.mark.parametrize("at_event", [5, 14, 20, 26])
def test_a_reboot_makes_a_length_uncertain_and_never_negative(name, at_event):
    """It is at least what both boots measured themselves, and said to be uncertain."""
    story = killed(at_event, 100.0, "rebooted")
    came = run(story, JUMPS[name](60.0))
    seen, events = measured(came), lines(came)
    own_s = 0.0
    for boot in {event["at"]["boot_id"] for event in events}:
        until = [
            e["at"]["boot_s"] for e in events
            if e["at"]["boot_id"] == boot and e["type"] != "run_finished"
            and e["seq"] <= next(x["seq"] for x in events if x["type"] == "service_restored")
        ]  # fmt: skip
        own_s += max(until) - min(until)
    assert seen.rta_s >= own_s + events[0]["elapsed_before_s"] - 1e-6
    assert (seen.is_certain, seen.says) == (False, False)
    assert not came.violations
    wall_gap_s = JUMPS[name](60.0)(1e6) - JUMPS[name](60.0)(0.0)
    if wall_gap_s == 0.0:
        assert seen.rta_s == pytest.approx(own_s + 112.5, abs=1.0)


def test_a_right_wall_clock_measures_a_reboot_within_a_second():
    """Uncertain, and right."""
    right = measured(run(killed(20, 100.0, "same"), lambda _s: 0.0))
    seen = measured(run(killed(20, 100.0, "rebooted"), lambda _s: 0.0))
    assert seen.rta_s == pytest.approx(right.rta_s, abs=1.0)
    assert not seen.says


def _instant(boot: str, boot_s: float, wall_s: float) -> Instant:
    wall = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=wall_s)
    return Instant(wall=wall, boot_s=boot_s, boot_id=boot)


def _started() -> RunStarted:
    return RunStarted(
        run_id="r", plan_digest="", runbook="", environment="", world="simulated", operator="a",
        host="h", version="0", rto_s=1, rpo_s=1, elapsed_before_s=10.0, clock_source="flag",
    )  # fmt: skip


@pytest.mark.parametrize("skew_s", [-86400.0, -3600.0, -1.0, 0.0, 1.0, 3600.0, 86400.0])
def test_two_machines_with_different_wall_clocks_take_turns(skew_s):
    """What one boot has measured is never taken back; back at the first, its clock counts again."""
    plan = shipped().plan
    again = RunResumed(operator="b", host="h", version="0")
    state = initial(plan)
    moments = [  # true seconds 0, 300, 400, 500, 600
        ("one", 1000.0, 0.0, _started(), 10.0, True),
        ("one", 1300.0, 300.0, again, 310.0, True),
        ("two", 50.0, 400.0 + skew_s, again, 310.0 + max(0.0, 100.0 + skew_s), False),
        ("two", 150.0, 500.0 + skew_s, again, 410.0 + max(0.0, 100.0 + skew_s), False),
        ("one", 1600.0, 600.0, again, 610.0, True),
    ]
    for number, (boot, boot_s, wall_s, event, elapsed_s, is_certain) in enumerate(moments, start=1):
        at = _instant(boot, boot_s, wall_s)
        before = state.elapsed(at) if number > 1 else None
        state = fold(plan, state, Record(seq=number, at=at, event=event))
        now = state.elapsed(at)
        assert (now.seconds, now.is_certain) == (elapsed_s, is_certain), (number, now)
        assert before is None or before == now, "an event changes nothing about the time"


@pytest.mark.parametrize("wall_s", [-1e9, -86400.0, -1.0, 0.0, 5.0])
def test_a_length_is_never_negative(wall_s):
    """Neither in one boot nor across two."""
    start = _instant("one", 100.0, 0.0)
    assert length_between(start, _instant("two", 1.0, wall_s)).seconds == max(0.0, wall_s)
    assert not length_between(start, _instant("two", 1.0, wall_s)).is_certain
    assert length_between(start, _instant("one", 99.0, wall_s)).seconds == 0.0
