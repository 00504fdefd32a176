"""From graceful to ungraceful in the middle of a run, with a reason and an approval of its own."""

import pytest
from engine_model import RESUMED, Fake, approve, drive, order, plan_of, step

from drctl.actions import errors as words
from drctl.actions.contract import CannotTell, Effect
from drctl.engine import events as e
from drctl.engine.orders import refusal
from drctl.plan.model import PlannedGate

READ, CHANGE, FENCE, PROMOTE = Effect.READ, Effect.CHANGE, Effect.FENCE, Effect.PROMOTE
NO = words.Rejected("no")
GATE = {"go": PlannedGate(title="Go", expires_s=600.0)}
BAD_FENCES = {
    "failed": {"raises": {1: NO}},
    "unknown": {"raises": {1: words.OutcomeUnknown("lost")}, "settled": CannotTell(why="?")},
}


def failover(*, has_gate=True, more=()):
    gate = (step("go", gate="go", needs=("measure",)),) if has_gate else ()
    return plan_of(
        step("measure", measures_loss=True),
        *gate,
        step("fence", effect=FENCE, needs=("go",) if has_gate else ("measure",)),
        step(
            "drain",
            needs=("fence",),
            when="steps.fence.outputs.lsn != ''",
            with_={"lsn": "${{ steps.fence.outputs.lsn }}"},
        ),
        step("promote", effect=PROMOTE, needs=("drain",)),
        step("mode", effect=CHANGE, needs=("promote",), with_={"m": "${{ run.mode }}"}),
        step("proof", effect=CHANGE, needs=("mode",), proves_one_primary=True),
        *more,
        gates=GATE if has_gate else {},
        types={"steps.fence.outputs.lsn": "string", "run.mode": "string"},
        inputs={"mode": "graceful"},
        ends=("mode",),
    )


def measures(bound=1.0):
    return Fake("measure", READ, gives={"bound": bound, "source": "x"}, loss=True)


@pytest.mark.parametrize("way", BAD_FENCES)
def test_a_promotion_goes_past_a_fence_that_did_not_hold_when_people_say_so_again(way):
    plan = failover()
    promote, seen = Fake("promote", PROMOTE), Fake("mode")
    fence = Fake("fence", FENCE, **BAD_FENCES[way])
    first = drive(plan, measures(), fence, promote, says=[approve(2, "go")])
    assert promote.calls == []
    says = [approve(5, "go", by="boss")]
    ran = drive(
        plan, measures(), promote, seen,
        after=first, first=RESUMED, ordered=[order("force", reason="us-east-1 is gone")], says=says,
    )  # fmt: skip
    assert "succeeded" == ran.end.result, ran.end
    assert 1 == len(promote.calls)
    asked = ran.events(e.GateOpened)[-1].show[0]
    assert asked.startswith("FORCED by carol: us-east-1 is gone")
    assert "may still take writes" in asked
    assert "FORCED by carol: us-east-1 is gone" in ran.end.why
    assert {"m": "ungraceful"} == seen.calls[0][2].model_dump()
    assert 1 == len(fence.calls)


def test_without_the_approval_of_its_own_nothing_is_promoted():
    plan = failover()
    bad = Fake("fence", FENCE, **BAD_FENCES["failed"])
    first = drive(plan, measures(), bad, says=[approve(2, "go")])
    promote = Fake("promote", PROMOTE)
    for says in ([], [approve(5, "go", answer="deny")]):
        ran = drive(
            plan, measures(), promote, drain := Fake("drain", READ),
            after=first, first=RESUMED, ordered=[order("force")], says=says,
        )  # fmt: skip
        assert promote.calls == []
        assert drain.calls == [], "nothing on the way to it starts either"
        assert ran.end.result == "paused"


def test_a_gate_that_is_open_is_asked_anew():
    plan = failover()
    bad = Fake("fence", FENCE, **BAD_FENCES["failed"])
    says = [(5, order("force")), approve(10, "go")]
    ran = drive(plan, measures(), bad, says=says)
    assert 2 == len(ran.events(e.GateOpened))
    assert ran.events(e.GateOpened)[1].show[0].startswith("FORCED")
    assert "succeeded" == ran.end.result


def test_forced_at_the_start_the_gate_says_so_the_first_time():
    plan = failover()
    bad = Fake("fence", FENCE, **BAD_FENCES["unknown"])
    ran = drive(plan, measures(), bad, forced_reason="it burns", says=[approve(3, "go")])
    [asked] = ran.events(e.GateOpened)
    assert asked.show[0].startswith("FORCED by alice: it burns")
    assert "succeeded" == ran.end.result
    assert "FORCED by alice: it burns" in ran.end.why


@pytest.mark.parametrize("bound", [900.0, None])
def test_forcing_never_passes_the_loss(bound):
    plan = failover()
    promote = Fake("promote", PROMOTE)
    bad = Fake("fence", FENCE, **BAD_FENCES["failed"])
    first = drive(plan, measures(), bad, says=[approve(2, "go")])
    ran = drive(
        plan, measures(bound), promote,
        after=first, first=RESUMED, ordered=[order("force")], says=[approve(5, "go")],
    )  # fmt: skip
    assert promote.calls == []
    assert ran.end.result == "paused"
    assert bound == ran.end.loss_bound_s


def test_a_wait_that_can_never_end_is_given_up_and_an_effect_is_not():
    plan = failover(more=(step("warm", effect=CHANGE, needs=("measure",)),))
    fence = Fake("fence", FENCE, gives={"lsn": "0/1"})
    drain, warm = Fake("drain", READ, takes_s=1e6), Fake("warm", takes_s=40)
    says = [approve(2, "go"), (20, order("force")), approve(25, "go")]
    ran = drive(plan, measures(), fence, drain, warm, says=says)
    done = ran.finished("drain")[0]
    assert ("failed", "forced") == (done.outcome, done.error)
    assert 20 <= ran.at_s(e.StepFinished, "drain") < 20.1
    assert "succeeded" == ran.finished("warm")[0].outcome
    assert 2 == len(ran.finished("measure")), "people decide on a fresh number"
    assert "succeeded" == ran.end.result
    assert "the old primary is fenced" in ran.events(e.GateOpened)[1].show[0]


def test_a_measurement_before_the_fence_is_waited_for():
    slow = Fake("measure", READ, takes_s=30, gives={"bound": 1.0, "source": "x"}, loss=True)
    bad = Fake("fence", FENCE, **BAD_FENCES["failed"])
    ran = drive(failover(), slow, bad, says=[(5, order("force")), approve(40, "go")])
    assert "succeeded" == ran.finished("measure")[0].outcome
    assert "succeeded" == ran.end.result


def test_a_plan_without_a_gate_needs_no_answer():
    plan = failover(has_gate=False)
    first = drive(plan, measures(), Fake("fence", FENCE, **BAD_FENCES["failed"]))
    ran = drive(plan, measures(), after=first, first=RESUMED, ordered=[order("force")])
    assert "succeeded" == ran.end.result


def test_one_step_that_is_forced_leaves_the_others_as_they_are():
    plan = failover()
    bad = Fake("fence", FENCE, **BAD_FENCES["failed"])
    first = drive(plan, measures(), bad, says=[approve(2, "go")])
    seen = Fake("mode")
    ordered = [order("force", "fence")]
    ran = drive(
        plan, measures(), seen, after=first, first=RESUMED, ordered=ordered, says=[approve(5, "go")]
    )
    # The drain needs what the fence would have said, and nobody has forced the drain.
    assert "unresolved" == ran.finished("drain")[0].error
    more = drive(plan, after=ran, first=RESUMED, ordered=[order("skip", "drain")])
    assert "succeeded" != more.end.result or seen.calls
    assert all(call[2].model_dump() == {"m": "graceful"} for call in seen.calls)


def test_an_unknown_fence_that_was_passed_is_not_looked_at_again_on_resume():
    """It is counted: counting it twice would open what is behind it too early."""
    plan = failover(more=(step("x", effect=CHANGE, needs=("proof",)),))
    bad = Fake("fence", FENCE, **BAD_FENCES["unknown"])
    broken = Fake("x", raises={1: NO})
    ran = drive(plan, measures(), bad, broken, forced_reason="gone", says=[approve(3, "go")])
    assert "failed" == ran.end.result
    before = bad.reads
    ordered = [order("retry", "x")]
    again = drive(plan, bad, measures(), after=ran, first=RESUMED, ordered=ordered)
    assert "succeeded" == again.end.result
    assert before == bad.reads
    assert 1 == len(again.finished("measure")), "and nothing is measured after the promotion"


def test_what_may_be_forced_is_a_table():
    plan = failover()
    bad = Fake("fence", FENCE, **BAD_FENCES["failed"])
    ran = drive(plan, measures(), bad, says=[approve(2, "go")])
    assert refusal(plan, ran.state, order("force")) is None
    assert refusal(plan, ran.state, order("force", "fence")) is None
    assert "reason" in refusal(plan, ran.state, order("force", reason=""))
    assert "gate" in refusal(plan, ran.state, order("force", "go"))
    forced = drive(plan, measures(), bad, forced_reason="gone", says=[approve(2, "go")])
    assert refusal(plan, forced.state, order("force")) is not None
    end = Fake("mode", raises={1: NO})
    late = drive(plan, measures(), Fake("fence", FENCE, gives={"lsn": ""}), end,
                 says=[approve(2, "go")])  # fmt: skip
    assert "nothing left to force" in refusal(plan, late.state, order("force"))


@pytest.mark.parametrize("way", BAD_FENCES)
def test_a_fence_that_was_skipped_never_counts(way):
    plan = failover()
    bad = Fake("fence", FENCE, **BAD_FENCES[way])
    first = drive(plan, measures(), bad, says=[approve(2, "go")])
    promote = Fake("promote", PROMOTE)
    ordered = [order("skip", "fence"), order("skip", "drain")]
    ran = drive(plan, measures(), promote, after=first, first=RESUMED, ordered=ordered)
    assert promote.calls == []
    assert "guard" == ran.finished("promote")[0].error
