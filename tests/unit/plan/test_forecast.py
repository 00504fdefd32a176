"""Finish times from whole runs: slack, people, detection, and whose word each length is."""

import pytest
from engine_model import plan_of, step
from hypothesis import given, settings
from hypothesis import strategies as st

from drctl.actions.contract import Effect
from drctl.plan.forecast import Progress, forecast_s
from drctl.plan.forecast_make import Changes, longest_s, priced, pricing_of
from drctl.plan.forecast_past import Past, quantile
from drctl.plan.model import Objectives, PlannedCall, PlannedGate, Retry

GATE = PlannedGate(title="go?", expires_s=120.0)


def night(*more, starts_at="run", detection_s=None):
    steps = (
        step("look", estimate_s=5.0),
        step("warm", estimate_s=60.0, needs=("look",)),
        step("go", gate="go", estimate_s=30.0, needs=("look",), timeout_s=120.0),
        step("move", estimate_s=100.0, needs=("go", "warm")),
        step("beside", estimate_s=500.0, needs=("look",)),
        step("tell", estimate_s=9.0, is_final=True),
        *more,
    )
    plan = plan_of(*steps, gates={"go": GATE})
    return plan.model_copy(
        update={
            "objectives": Objectives(
                rto_s=300, rpo_s=1, starts_at=starts_at, stops_after=("move",),
                detection_s=detection_s,
            )
        }
    )  # fmt: skip


def rows(*lengths):
    return Past(rows=tuple(dict(one) for one in lengths))


def test_declared_lengths_are_points_and_state_no_rate():
    forecast = priced(night(), Past()).forecast
    assert (forecast.p10_s, forecast.p50_s, forecast.p90_s) == (165.0, 165.0, 165.0)
    assert (forecast.rate, forecast.runs) == (None, 0)
    assert forecast.unmeasured == ("look", "warm", "go", "move")
    assert {one.source for one in forecast.steps} == {"declared"}


def test_slack_is_what_a_step_may_take_more():
    placed = {one.step: one for one in priced(night(), Past()).forecast.steps}
    assert placed["warm"].slack_s == 0.0
    assert placed["go"].slack_s == 30.0
    assert placed["beside"].slack_s is None, "the clock does not wait for it"
    assert "tell" not in placed, "nor for what is in finally"
    assert (placed["move"].start_s, placed["move"].finish_s) == (65.0, 165.0)
    assert [placed[name].wave for name in ("look", "warm", "go", "move")] == [1, 2, 2, 3]


@settings(max_examples=60)
@given(st.data())
def test_using_up_the_slack_delays_nothing_and_more_does(data):
    plan = night()
    name = data.draw(st.sampled_from(["look", "warm", "go", "move"]))
    pricing = pricing_of(plan, Past())
    slack_s = next(one.slack_s for one in pricing.forecast().steps if one.step == name)
    assert pricing.at(0.5, Changes(less_s={name: -slack_s})) == 165.0
    more_s = data.draw(st.floats(0.1, 99))
    assert pricing.at(0.5, Changes(less_s={name: -slack_s - more_s})) == pytest.approx(165 + more_s)


def test_people_cost_what_the_end_gains_without_them():
    forecast = priced(night(), Past()).forecast
    assert (forecast.machine_s, forecast.people_s) == (165.0, 0.0), "warm takes longer anyway"
    slow = night(step("late", gate="go", estimate_s=50.0, timeout_s=120.0))
    slow = slow.model_copy(
        update={
            "steps": tuple(
                one.model_copy(update={"needs": ("go", "warm", "late")})
                if one.id == "move"
                else one
                for one in slow.steps
            )
        }
    )
    assert priced(slow, Past()).forecast.people_s == 0.0
    pricing = pricing_of(slow, Past())
    assert pricing.people == {"go", "late"}


def test_four_runs_are_too_few_and_five_are_enough():
    four = rows(*({"move": 80.0 + n} for n in range(4)))
    five = rows(*({"move": 80.0 + n} for n in range(5)))
    by = {one.step: one for one in priced(night(), four).forecast.steps}
    assert (by["move"].source, by["move"].runs, by["move"].p50_s) == ("declared", 0, 100.0)
    by = {one.step: one for one in priced(night(), five).forecast.steps}
    assert (by["move"].source, by["move"].runs, by["move"].p50_s) == ("history", 5, 82.0)
    assert priced(night(), five).forecast.rate is None, "the others are only declared"


def test_slow_nights_stay_together():
    """Each run is timed as a whole: two steps that are slow on the same night are not averaged."""
    plan = night()
    lengths = ({"look": 1.0, "warm": n, "go": 1.0, "move": n} for n in range(10, 101, 10))
    together = priced(plan, rows(*lengths)).forecast
    assert together.rate == 0.8
    assert together.runs == 10
    crossed = zip(range(10, 101, 10), range(100, 9, -10), strict=True)
    apart = priced(
        plan, rows(*({"look": 1.0, "warm": a, "go": 1.0, "move": b} for a, b in crossed))
    ).forecast
    assert apart.p10_s == apart.p90_s == 111.0, "what one loses the other gains, in every run"
    assert together.p90_s - together.p10_s > 100


def test_runs_that_never_ended_are_left_out_when_enough_did():
    whole = [{"look": 1.0, "warm": 10.0, "go": 1.0, "move": 10.0}] * 5
    broken = [{"look": 999.0}] * 5
    assert priced(night(), rows(*broken, *whole)).forecast.p90_s == 21.0


@pytest.mark.parametrize(
    ("starts_at", "detection_s", "before_s"),
    [
        ("incident", 180.0, 180.0),
        ("incident", None, 0.0),
        ("declared", 180.0, 0.0),
        ("run", 9.0, 0.0),
    ],
)
def test_detection_is_in_the_budget_when_the_clock_starts_at_the_incident(
    starts_at, detection_s, before_s
):
    plan = priced(night(starts_at=starts_at, detection_s=detection_s), Past())
    assert plan.forecast.detection_s == detection_s
    assert plan.spare_s == 300 - before_s - 165


def test_the_pace_of_a_run_counts_by_the_same_lengths():
    past = rows(*({"look": 1.0, "warm": 10.0, "go": 1.0, "move": 10.0} for _ in range(5)))
    plan = priced(night(), past)
    assert forecast_s(plan, Progress()) == plan.forecast_s == 21.0
    assert forecast_s(plan, Progress(settled=frozenset({"look", "warm", "go"}))) == 10.0


def test_the_same_plan_has_the_same_forecast():
    past = rows(
        *({"look": 1.0, "warm": n, "move": n} for n in range(5)), {"look": 1.0, "move": 7.0}
    )
    assert priced(night(), past).sealed().digest == priced(night(), past).sealed().digest


def test_the_longest_is_every_attempt_to_its_timeout_with_waits_and_checks():
    retry = Retry(attempts=3, backoff_s=5.0, max_backoff_s=8.0)
    checks = (PlannedCall(uses="x", timeout_s=7.0),)
    one = step("a", effect=Effect.CHANGE, timeout_s=60.0, retry=retry, verify=checks)
    assert longest_s(one) == 60 * 3 + 5 + 8 + 7


@given(st.lists(st.floats(0, 1e6), min_size=5, max_size=50), st.floats(0.01, 0.99))
def test_quantiles_grow_with_their_share_and_hold_the_middle(values, share):
    found = quantile(values, share)
    assert found >= 0
    assert found <= quantile(values, min(0.995, share + 0.005)) + 1e-6
    inner = 1 / (len(values) + 1) <= share <= len(values) / (len(values) + 1)
    assert not inner or min(values) - 1e-6 <= found <= max(values) + 1e-6
