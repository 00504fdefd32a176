"""What would make it fit: every number is the forecast once more, and no order of safety is cut."""

import pytest
from engine_model import plan_of, step

from drctl.actions.contract import Effect
from drctl.kernel.errors import InvalidError
from drctl.plan.forecast_make import Changes, pricing_of
from drctl.plan.forecast_past import Past
from drctl.plan.model import Objectives, PlannedGate
from drctl.plan.what_if import Asking, are_free, beside, what_if

CHANGE = Effect.CHANGE


def change(name, **more):
    return step(name, effect=CHANGE, **more)


def pricing(rto_s=100.0):
    plan = plan_of(
        change("one", estimate_s=40.0, target="room"),
        change("two", estimate_s=50.0, target="other", needs=("one",)),
        step("go", gate="go", estimate_s=30.0, needs=("two",)),
        change("last", estimate_s=10.0, target="room", needs=("go",)),
        gates={"go": PlannedGate(title="go?", expires_s=60)},
    )
    objectives = Objectives(rto_s=rto_s, rpo_s=1, starts_at="run", stops_after=("last",))
    return pricing_of(plan.model_copy(update={"objectives": objectives}), Past())


def test_each_cure_by_itself_does_what_it_says():
    asked = pricing()
    needs = Asking(pricing=asked, budget_s=100.0).needs()
    assert (needs.fits, needs.over_s) == (False, 30.0)
    by_kind = {(cure.kind, cure.steps): cure for cure in needs.cures}
    people = by_kind["people", ("go",)]
    assert (people.gain_s, people.is_enough) == (30.0, True)
    side = by_kind["parallel", ("one", "two")]
    assert (side.gain_s, side.p90_s, side.is_enough) == (40.0, 90.0, True)
    two = by_kind["shorter", ("two",)]
    assert two.less_s == pytest.approx(30.0, abs=0.1)
    assert asked.p90_s(Changes(less_s={"two": two.less_s + 0.05})) <= 100.0
    assert asked.p90_s(Changes(less_s={"two": two.less_s - 0.2})) > 100.0
    assert not by_kind["shorter", ("last",)].is_enough, "ten seconds are not thirty"


def test_together_says_how_much_faster_machines_must_be():
    needs = Asking(pricing=pricing(), budget_s=30.0).needs()
    assert needs.together is not None
    assert needs.together.fits
    # Side by side 50, then 10, nobody waits: 60, of which half must go.
    assert needs.together.faster == pytest.approx(0.5, abs=0.01)


def test_what_fits_says_how_much_room_there_is():
    needs = Asking(pricing=pricing(), budget_s=150.0).needs()
    assert needs.fits
    assert {room.step: room.more_s for room in needs.room}["two"] == pytest.approx(20.0, abs=0.1)


def test_another_length_is_beside_the_planned_one_and_no_word_of_the_runbook():
    changed = what_if(pricing(), {"two": 9.0}).forecast()
    assert changed.p50_s == 130.0 - 41.0
    assert next(one.source for one in changed.steps if one.step == "two") == "supposed"


def test_a_step_that_is_not_there_is_said():
    with pytest.raises(InvalidError, match='did you mean "two"'):
        what_if(pricing(), {"tow": 9.0})


FIRST = change("one", target="room")
LOOK = step("one", target="room")


@pytest.mark.parametrize(
    ("before", "after", "free"),
    [
        (FIRST, change("two", target="other"), True),
        (LOOK, step("two", target="room"), True),
        (FIRST, change("two", target="room"), False),
        (LOOK, change("two", target="other"), False),
        (FIRST, step("two", target="other"), False),
        (FIRST, change("two", target="other", when="steps.one.status == 'succeeded'"), False),
        (FIRST, change("two", target="other", with_={"a": ["${{ steps.one.outputs.x }}"]}), False),
        (FIRST, change("two", target="other", show=("${{ steps . one.status }}",)), False),
        (FIRST, change("two"), False),
        (FIRST, step("two", gate="go"), False),
        (step("one", gate="go"), FIRST, False),
        *((FIRST, step("two", effect=effect, target="other"), False)
          for effect in (Effect.FENCE, Effect.PROMOTE, Effect.TRAFFIC, Effect.DESTROY)),
        *((step("one", effect=effect, target="room"), change("two", target="other"), False)
          for effect in (Effect.FENCE, Effect.PROMOTE, Effect.TRAFFIC, Effect.DESTROY)),
        (step("one", measures_loss=True), step("two"), False),
        (step("one"), step("two", proves_one_primary=True), False),
        (FIRST, change("in.two", scope="in", target="other"), False),
    ],
)  # fmt: skip
def test_only_what_has_no_reason_to_wait_is_suggested(before, after, free):
    assert are_free(before, after) is free


def test_what_comes_after_still_waits_for_both():
    steps = pricing().steps
    one, two = steps[0], steps[1]
    assert beside(steps, one, two) == {"two": (), "go": ("two", "one")}
