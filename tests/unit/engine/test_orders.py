"""What people may tell a run, when, and what comes of it."""

import pytest
from engine_model import RESUMED, Fake, approve, drive, order, plan_of, step

from drctl.actions import errors as words
from drctl.actions.contract import CannotTell, Done, Effect, NoOutputs, NotDone
from drctl.cli.execute import exit_code
from drctl.engine import events as e
from drctl.plan.model import PlannedCall, PlannedGate

READ, CHANGE, NOTIFY = Effect.READ, Effect.CHANGE, Effect.NOTIFY
NO = words.Rejected("no")
LOST = words.OutcomeUnknown("the connection was reset")
GATE = {"go": PlannedGate(title="Go", expires_s=60.0)}
CHAIN = plan_of(
    step("a", effect=CHANGE),
    step("b", effect=CHANGE, needs=("a",)),
    step("c", effect=CHANGE, needs=("b",)),
    step("news", effect=NOTIFY, is_final=True),
    ends=("c",),
)


def refused(ran):
    return [(one.order, one.why) for one in ran.events(e.OrderRefused)]


# -- pause and continue


def test_a_pause_holds_what_has_not_started_until_somebody_says_continue():
    says = [(5, order("pause")), (100, order("continue"))]
    ran = drive(CHAIN, Fake("a", takes_s=10), says=says)
    assert 10 == ran.finished("a")[0].attempt * 10
    assert 100 <= ran.at_s(e.StepStarted, "b") < 100.1
    assert "succeeded" == ran.end.result
    assert ran.end.rta_s > 100, "the incident clock goes on"


def test_a_paused_run_stays_and_waits_for_ever():
    """Nothing is due any more: the virtual loop says so instead of turning round and round."""
    never = Fake("b")
    with pytest.raises(RuntimeError, match="would wait for ever"):
        drive(CHAIN, Fake("a", takes_s=10), never, says=[(5, order("pause"))])
    assert never.calls == []


@pytest.mark.parametrize(
    ("then", "result"), [("cancel", "cancelled"), ("continue", "succeeded"), (None, "interrupted")]
)
def test_a_paused_run_hears_cancel_continue_and_a_signal(then, result):
    says = [(5, order("pause"))] + ([(50, order(then))] if then else [])
    slow = Fake("a", takes_s=10)
    ran = drive(CHAIN, slow, says=says, interrupt_at_s=None if then else 50)
    assert result == ran.end.result


def test_a_failure_during_a_pause_can_be_mended_while_the_run_is_held():
    says = [(1, order("pause")), (20, order("retry", "a")), (30, order("continue"))]
    act = Fake("a", takes_s=5, raises={1: NO})
    ran = drive(CHAIN, act, says=says)
    assert 2 == len(act.calls)
    assert act.calls[1][0] >= 30, "held means held: nothing starts before it goes on"
    assert "succeeded" == ran.end.result


def test_a_gate_that_ran_out_during_a_pause_is_asked_again():
    plan = plan_of(step("go", gate="go"), step("a", effect=CHANGE, needs=("go",)), gates=GATE)
    says = [(5, order("pause")), (100, order("continue")), approve(120, "go")]
    ran = drive(plan, says=says)
    assert 2 == len(ran.events(e.GateOpened))
    assert "succeeded" == ran.end.result


def test_messages_are_not_given_up_by_a_pause():
    plan = plan_of(
        step("tell", effect=NOTIFY),
        step("a", effect=CHANGE),
        step("b", effect=CHANGE, needs=("a",)),
    )
    says = [(1, order("pause")), (60, order("continue"))]
    ran = drive(plan, Fake("tell", NOTIFY, takes_s=30), Fake("a", takes_s=20), says=says)
    assert "succeeded" == ran.finished("tell")[0].outcome


def test_a_run_with_nothing_left_to_start_does_not_stay_for_a_pause():
    plan = plan_of(step("a", effect=CHANGE))
    ran = drive(plan, Fake("a", takes_s=10), says=[(5, order("pause"))])
    assert ("succeeded", 10) == (ran.end.result, ran.ended_s)


def test_what_cannot_be_followed_is_refused_and_says_why():
    says = [(1, order("continue")), (2, order("pause")), (3, order("pause", by="dave"))]
    ran = drive(CHAIN, Fake("a", takes_s=10), says=[*says, (9, order("continue"))])
    assert [
        ("continue", "nobody has paused the run"),
        ("pause", "the run is paused by carol already"),
    ] == refused(ran)


# -- cancel


@pytest.mark.parametrize("at_s", [0.5, 1.5, 2.5])
def test_a_cancelled_run_starts_nothing_finishes_what_runs_and_tells_people(at_s):
    acts = [Fake(name, takes_s=1) for name in "abc"]
    news = Fake("news", NOTIFY)
    ran = drive(CHAIN, *acts, news, says=[(at_s, order("cancel"))])
    begun = int(at_s) + 1
    assert [1] * begun + [0] * (3 - begun) == [len(act.calls) for act in acts]
    assert all(f.outcome == "succeeded" for act in acts[:begun] for f in ran.finished(act.name))
    assert 1 == len(news.calls)
    assert ("cancelled", 6) == (ran.end.result, exit_code(ran.end))
    assert "cancelled by carol: because" in ran.end.why


def test_a_cancel_at_a_gate_closes_it_and_nothing_was_changed():
    plan = plan_of(step("go", gate="go"), step("a", effect=CHANGE, needs=("go",)), gates=GATE)
    ran = drive(plan, act := Fake("a"), says=[(5, order("cancel")), approve(6, "go")])
    assert act.calls == []
    assert ("cancelled", 5) == (ran.end.result, exit_code(ran.end))
    assert ran.ended_s < 6


def test_a_cancel_after_a_failure_beside_work_is_what_the_run_ends_with():
    plan = plan_of(
        step("a", effect=CHANGE),
        step("b", effect=CHANGE),
        step("c", effect=CHANGE, needs=("a", "b")),
        step("news", effect=NOTIFY, is_final=True),
    )
    fakes = [Fake("a", raises={1: NO}), Fake("b", takes_s=30), Fake("news", NOTIFY)]
    ran = drive(plan, *fakes, says=[(5, order("cancel"))])
    assert "cancelled" == ran.end.result
    assert 1 == len(fakes[2].calls)


def test_an_unknown_outcome_weighs_more_than_a_cancellation():
    lost = Fake("a", takes_s=5, raises={1: LOST}, settled=CannotTell(why="?"))
    ran = drive(CHAIN, lost, says=[(1, order("cancel"))])
    assert ("unknown", 10) == (ran.end.result, exit_code(ran.end))


def test_a_cancelled_run_takes_no_order_but_a_look_and_a_note():
    lost = Fake("a", takes_s=5, raises={1: LOST}, settled=CannotTell(why="?"))
    ran = drive(CHAIN, lost, says=[(1, order("cancel"))])
    assert refusal_of(ran, "skip", "b").startswith("the run was cancelled by carol")
    assert refusal_of(ran, "retry", "a") is None
    assert refusal_of(ran, "note") is None
    known = Fake("a", settled=NotDone(why="nothing there"))
    again = drive(CHAIN, known, after=ran, first=RESUMED, ordered=[order("retry", "a")])
    assert ("cancelled", []) == (again.end.result, known.calls)


def refusal_of(ran, word, name="", **more):
    from drctl.engine.orders import refusal

    return refusal(ran.plan, ran.state, order(word, name, **more))


# -- retry


def test_a_failed_step_is_tried_again_with_all_its_attempts():
    retry = {"attempts": 2, "backoff_s": 1.0, "on_errors": ("throttled",)}
    plan = plan_of(step("a", effect=CHANGE, retry=retry), step("b", effect=CHANGE, needs=("a",)))
    slow = words.Throttled("slow down")
    first = drive(plan, Fake("a", raises={1: slow, 2: slow}))
    assert "failed" == first.end.result
    act = Fake("a", raises={1: slow})
    ran = drive(plan, act, after=first, first=RESUMED, ordered=[order("retry", "a")])
    assert 2 == len(act.calls)
    assert [3, 4] == [s.attempt for s in ran.events(e.StepStarted) if s.step == "a"][2:]
    assert "succeeded" == ran.end.result


@pytest.mark.parametrize(
    ("settled", "sent", "result"),
    [
        (Done(outputs=NoOutputs()), 0, "succeeded"),
        (NotDone(why="nothing there"), 1, "succeeded"),
        (CannotTell(why="still modifying"), 0, "unknown"),
    ],
)
def test_an_unknown_step_is_looked_at_before_it_is_sent_again(settled, sent, result):
    blind = Fake("a", raises={1: LOST}, settled=CannotTell(why="no answer"))
    first = drive(CHAIN, blind)
    assert ("unknown", 10) == (first.end.result, exit_code(first.end))
    act = Fake("a", settled=settled)
    ran = drive(CHAIN, act, after=first, first=RESUMED, ordered=[order("retry", "a")])
    assert (sent, result) == (len(act.calls), ran.end.result)
    assert act.reads


def test_a_retry_that_cannot_tell_is_refused_with_both_readings():
    """While the run is live, so that whoever gave the order hears it."""
    plan = plan_of(step("a", effect=CHANGE), step("slow", effect=CHANGE, timeout_s=900))
    act = Fake("a", raises={1: LOST}, settled=CannotTell(why="still modifying"))
    ran = drive(plan, act, Fake("slow", takes_s=500), says=[(100, order("retry", "a"))])
    [(word, why)] = refused(ran)
    assert "retry" == word
    assert "the process that asked" in why
    assert "still modifying" in why
    assert 1 == len(act.calls)
    assert 10 == exit_code(ran.end)


def test_a_failure_after_the_effect_is_looked_at_and_not_sent_again():
    """Its verify failed: the effect is there, and another one would be a second."""
    check = PlannedCall(uses="check")
    plan = plan_of(step("a", effect=CHANGE, verify=(check,)))
    first = drive(plan, Fake("a"), Fake("check", READ, raises={1: NO}))
    assert ("failed", "verify") == (first.finished("a")[0].outcome, first.finished("a")[0].error)
    act = Fake("a", settled=Done(outputs=NoOutputs()))
    good = Fake("check", READ)
    ran = drive(plan, act, good, after=first, first=RESUMED, ordered=[order("retry", "a")])
    assert ([], 1, "succeeded") == (act.calls, len(good.calls), ran.end.result)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("b", "has not run yet"),
        ("nope", "no step is called"),
        ("c", "has not run yet"),
    ],
)
def test_only_what_failed_or_is_unknown_is_tried_again(name, why):
    first = drive(CHAIN, Fake("a", raises={1: NO}))
    assert why in refusal_of(first, "retry", name)


def test_what_was_passed_over_is_not_tried_again():
    """What needed it has gone on: settling it twice would open steps before their other needs."""
    plan = plan_of(
        step("look", on_failure="continue"),
        step("a", effect=CHANGE),
        step("b", effect=CHANGE, needs=("look", "a")),
    )
    ran = drive(plan, Fake("look", READ, raises={1: NO}), Fake("a", raises={1: NO}))
    assert "passed over" in refusal_of(ran, "retry", "look")
    assert refusal_of(ran, "retry", "a") is None


def test_one_of_two_failures_that_is_mended_leaves_the_other():
    plan = plan_of(step("a", effect=CHANGE), step("b", effect=CHANGE), step("c", needs=("a", "b")))
    first = drive(plan, Fake("a", raises={1: NO}), Fake("b", raises={1: NO}, takes_s=2))
    good = Fake("a")
    ran = drive(plan, good, after=first, first=RESUMED, ordered=[order("retry", "a")])
    assert good.calls == [], "b still holds up the run"
    assert "step b failed" in ran.end.why
    last = drive(plan, good, after=ran, first=RESUMED, ordered=[order("retry", "b")])
    assert "succeeded" == last.end.result


def test_a_stop_that_is_mended_tells_people_again_at_the_real_end():
    plan = plan_of(
        step("a", effect=CHANGE, on_failure="stop"), step("news", effect=NOTIFY, is_final=True)
    )
    news = Fake("news", NOTIFY)
    first = drive(plan, Fake("a", raises={1: NO}), news)
    assert 1 == len(news.calls)
    ran = drive(plan, Fake("a"), news, after=first, first=RESUMED, ordered=[order("retry", "a")])
    assert ("succeeded", 2) == (ran.end.result, len(news.calls))


def test_a_loss_that_was_too_large_is_measured_again_when_a_person_says_so():
    plan = plan_of(step("m", measures_loss=True), step("a", effect=CHANGE, needs=("m",)))
    bad = Fake("m", READ, gives={"bound": 900.0, "source": "x"}, loss=True)
    first = drive(plan, bad)
    assert "objective" in first.end.why
    good = Fake("m", READ, gives={"bound": 1.0, "source": "x"}, loss=True)
    ran = drive(plan, good, after=first, first=RESUMED, ordered=[order("retry", "m")])
    assert ("succeeded", 1.0) == (ran.end.result, ran.end.loss_bound_s)
    again = drive(plan, bad, after=first, first=RESUMED, ordered=[order("retry", "m")])
    assert again.end.result in {"paused", "refused"}


# -- skip


@pytest.mark.parametrize("fault", [{"raises": {1: NO}}, {"takes_s": 1e6}])
def test_a_failed_or_unknown_step_is_skipped_with_its_reason(fault):
    first = drive(CHAIN, Fake("a", **fault))
    ran = drive(CHAIN, after=first, first=RESUMED, ordered=[order("skip", "a")])
    assert ("skipped", "skipped by carol: because") == (
        ran.finished("a")[-1].outcome,
        ran.finished("a")[-1].why,
    )
    assert "succeeded" == ran.end.result


def test_a_step_that_has_not_run_is_skipped_when_it_is_its_turn_and_not_before():
    """What needs it also needs what comes before it."""
    ran = drive(CHAIN, Fake("a", takes_s=30), never := Fake("b"), says=[(1, order("skip", "b"))])
    assert never.calls == []
    assert 30 <= ran.at_s(e.StepStarted, "c")
    assert "succeeded" == ran.end.result


def test_a_skip_is_folded_after_a_crash():
    ran = drive(CHAIN, Fake("a", takes_s=30), says=[(1, order("skip", "b"))])
    cut = next(n for n, r in enumerate(ran.records) if isinstance(r.event, e.OrderGiven)) + 1
    act = Fake("a", settled=Done(outputs=NoOutputs()))
    again = drive(CHAIN, act, never := Fake("b"), after=ran.records[:cut], first=RESUMED)
    assert ([], "succeeded") == (never.calls, again.end.result)


@pytest.mark.parametrize(
    ("word", "name", "reason", "why"),
    [
        ("skip", "a", "", "reason"),
        ("skip", "a", "  ", "reason"),
        ("cancel", "", "", "reason"),
        ("force", "", " ", "reason"),
        ("note", "", "", "reason"),
        ("skip", "", "x", "step"),
        ("retry", "", "x", "step"),
        ("skip", "go", "x", "is a gate"),
        ("force", "go", "x", "is a gate"),
        ("skip", "nope", "x", "no step"),
        ("skip", "done", "x", "has succeeded"),
        ("skip", "a", "x", None),
        ("skip", "b", "x", None),
    ],
)
def test_what_may_be_skipped_is_a_table(word, name, reason, why):
    plan = plan_of(
        step("done"),
        step("a", effect=CHANGE, needs=("done",)),
        step("go", gate="go", needs=("a",)),
        step("b", effect=CHANGE, needs=("go",)),
        gates=GATE,
    )
    said = refusal_of(drive(plan, Fake("a", raises={1: NO})), word, name, reason=reason)
    assert (said is None) if why is None else (why in said)


def test_a_persons_task_may_be_skipped_and_a_gate_may_not():
    plan = plan_of(
        step("flip", gate="task:flip", effect=CHANGE),
        step("a", effect=CHANGE, needs=("flip",)),
        gates={"task:flip": PlannedGate(title="Flip", expires_s=600)},
    )
    ran = drive(plan, says=[(5, order("skip", "flip"))])
    assert ("skipped", "succeeded") == (ran.finished("flip")[0].outcome, ran.end.result)


# -- notes, ends


def test_a_note_is_in_the_record_and_changes_nothing():
    ran = drive(CHAIN, says=[(0.5, order("note", reason="case \x1b[2J 1234"))])
    [note] = ran.events(e.OrderGiven)
    assert "case" in note.reason
    assert "\x1b" not in note.reason
    assert "succeeded" == ran.end.result


def test_a_run_that_is_done_takes_nothing_but_a_note():
    ran = drive(CHAIN)
    for word in ("pause", "continue", "cancel", "retry", "skip", "force"):
        assert refusal_of(ran, word, "a" if word in {"retry", "skip"} else "") is not None
    assert refusal_of(ran, "note") is None


@pytest.mark.parametrize(
    "way",
    [
        {"raises": {1: LOST}},
        {"raises": {1: ZeroDivisionError("bug")}},
        {"takes_s": 1e6},
    ],
    ids=["reply lost", "bug", "timeout"],
)
def test_what_cannot_be_told_ends_with_both_readings_and_is_looked_at_once_more(way):
    """500 after sending, a reset and a lost reply are all `OutcomeUnknown` to the engine."""
    first = drive(CHAIN, Fake("a", settled=CannotTell(why="two answers differ"), **way))
    done = first.finished("a")[0]
    assert ("unknown", 10) == (done.outcome, exit_code(first.end))
    assert "looked again: two answers differ" in done.why
    act = Fake("a", settled=Done(outputs=NoOutputs()))
    ran = drive(CHAIN, act, after=first, first=RESUMED)
    assert ([], "succeeded") == (act.calls, ran.end.result)
