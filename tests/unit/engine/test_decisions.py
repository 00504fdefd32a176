"""What starts when, what stops it, and how a run ends."""

import itertools

import pytest
from engine_model import RESUMED, Fake, approve, drive, plan_of, registry_for, started, step

from drctl.actions import errors as words
from drctl.actions.contract import CannotTell, Done, Effect, NoOutputs
from drctl.cli.execute import exit_code
from drctl.engine import commands as c
from drctl.engine import events as e
from drctl.engine.decide import NOTIFY_GRACE_S, decide
from drctl.engine.fold import ANY_LOSS_S, fold, loss_is_allowed
from drctl.engine.state import Record, initial
from drctl.kernel.clock import Instant
from drctl.plan.model import PlannedGate, Retry
from drctl.simulated.clock import EPOCH

READ, CHANGE, NOTIFY = Effect.READ, Effect.CHANGE, Effect.NOTIFY
NO = words.Rejected("no")
GATE = {"go": PlannedGate(title="Go", expires_s=60.0, approvers=("boss",))}


def at(boot_s, boot="one"):
    return Instant(wall=EPOCH, boot_s=boot_s, boot_id=boot)


def folded(plan, *events, boot="one"):
    state = initial(plan)
    for seq, (boot_s, event) in enumerate(events, start=1):
        state = fold(plan, state, Record(seq=seq, at=at(boot_s, boot), event=event))
    return state


# -- order


def test_a_step_waits_for_all_its_needs_and_independent_steps_run_together():
    plan = plan_of(step("a"), step("b"), step("c", needs=("a", "b")))
    ran = drive(plan, Fake("a", READ, takes_s=1), Fake("b", READ, takes_s=5))
    assert ran.at_s(e.StepStarted, "a") == ran.at_s(e.StepStarted, "b") == 0
    assert ran.at_s(e.StepStarted, "c") == 5


def test_nothing_starts_before_the_run_has():
    plan = plan_of(step("a"))
    assert decide(plan, initial(plan), at(0)) == ()


def test_a_skipped_need_opens_the_way_and_its_outputs_are_unknown():
    plan = plan_of(
        step("a", when="1 == 2"),
        step("b", needs=("a",)),
        step("c", needs=("a",), with_={"x": "${{ steps.a.outputs.y }}"}),
        types={"steps.a.outputs.y": "string"},
    )
    ran = drive(plan, never := Fake("a", READ))
    assert never.calls == []
    assert "skipped" == ran.finished("a")[0].outcome
    assert "succeeded" == ran.finished("b")[0].outcome
    assert ("failed", "unresolved") == (ran.finished("c")[0].outcome, ran.finished("c")[0].error)


@pytest.mark.parametrize("when", ["steps.a.outputs.y == 'x'", "1 / 0 == 1"])
def test_a_condition_that_cannot_be_decided_is_a_no_with_a_reason(when):
    plan = plan_of(
        step("a", when="false"),
        step("b", when=when, needs=("a",)),
        types={"steps.a.outputs.y": "string"},
    )
    ran = drive(plan, never := Fake("b", READ))
    assert never.calls == []
    assert "unresolved" == ran.finished("b")[0].error
    assert ran.end.result == "refused"


def test_a_refusal_stops_what_was_decided_beside_it():
    """Both were ready in one look; the first says no, so the second must not start."""
    plan = plan_of(step("a", when="1 / 0 == 1"), step("b", effect=CHANGE))
    ran = drive(plan, never := Fake("b"))
    assert never.calls == []
    assert ran.end.result == "refused"


def test_a_retry_is_not_asked_again_whether_it_should_run():
    """Else a step that failed turns into one that was skipped, and what needs it goes on."""
    plan = plan_of(
        step(
            "a",
            effect=CHANGE,
            when="rto.elapsed < duration('2s')",
            retry={"attempts": 3, "backoff_s": 5.0, "on_errors": ("throttled",)},
        ),
        step("b", effect=CHANGE, needs=("a",)),
        types={"rto.elapsed": "duration"},
    )
    slow = words.Throttled("slow down")
    ran = drive(plan, Fake("a", takes_s=3, raises={1: slow, 2: slow, 3: slow}), never := Fake("b"))
    assert ["failed"] * 3 == [event.outcome for event in ran.finished("a")]
    assert never.calls == []
    assert ran.end.result == "failed"


# -- retries and polls


@pytest.mark.parametrize(("attempts", "calls"), [(1, 1), (2, 2), (5, 3)])
def test_a_failure_that_is_named_is_tried_again_so_often(attempts, calls):
    slow = words.Throttled("slow down")
    act = Fake("a", raises={1: slow, 2: slow})
    retry = {"attempts": attempts, "backoff_s": 4.0, "on_errors": ("throttled",)}
    ran = drive(plan_of(step("a", effect=CHANGE, retry=retry)), act)
    assert calls == len(act.calls)
    assert (ran.end.result == "succeeded") == (calls == 3)
    assert list(range(1, calls + 1)) == [event.attempt for event in ran.events(e.StepStarted)]


def test_a_failure_that_is_not_named_is_not_tried_again():
    act = Fake("a", raises={1: words.Conflict("busy")})
    retry = {"attempts": 5, "on_errors": ("throttled",)}
    drive(plan_of(step("a", effect=CHANGE, retry=retry)), act)
    assert 1 == len(act.calls)


def test_a_backoff_grows_to_its_limit_and_is_the_same_draw_every_time():
    slow = words.Throttled("slow down")
    retry = {"attempts": 9, "backoff_s": 8.0, "max_backoff_s": 20.0, "on_errors": ("throttled",)}
    plan = plan_of(step("a", effect=CHANGE, retry=retry))

    def waits():
        act = Fake("a", takes_s=0, raises=dict.fromkeys(range(1, 9), slow))
        drive(plan, act)
        moments = [moment for moment, _key, _params in act.calls]
        return [after - before for before, after in itertools.pairwise(moments)]

    first = waits()
    assert first == waits()
    assert 8 == len(first)
    assert len(set(first)) > 4
    assert all(0 <= wait <= min(20, 8 * 2**n) for n, wait in enumerate(first))


def test_a_wish_to_wait_is_honoured_beyond_our_own_backoff():
    """A 429 with Retry-After: 30 is not asked again after 8 seconds at most."""
    slow = words.Throttled("slow down", retry_after_s=30.0)
    retry = {"attempts": 2, "backoff_s": 8.0, "max_backoff_s": 8.0, "on_errors": ("throttled",)}
    act = Fake("a", takes_s=0, raises={1: slow})
    drive(plan_of(step("a", effect=CHANGE, retry=retry)), act)
    [first, second] = [moment for moment, _key, _params in act.calls]
    assert second - first == 30.0


def test_a_backoff_survives_a_reboot():
    """Boot seconds start again: a moment of the old boot could be days away in the new one."""
    retry = {"attempts": 2, "backoff_s": 8.0, "on_errors": ("throttled",)}
    plan = plan_of(step("a", retry=retry))
    failed = e.StepFinished(step="a", attempt=1, outcome="failed", error="throttled")
    state = folded(
        plan,
        (90000.0, started(plan)),
        (90000.0, e.StepStarted(step="a", attempt=1)),
        (90001.0, failed),
    )
    wakes = [w.boot_s for w in decide(plan, state, at(10.0, "two")) if isinstance(w, c.WakeAt)]
    assert all(wake <= 10.0 + 8.0 for wake in wakes)


def test_a_look_is_repeated_until_it_shows_what_is_wanted():
    async def look(ctx, call):
        if call == 2:
            raise words.Unavailable("not yet")
        return {"n": call}

    plan = plan_of(
        step("a", until="outputs.n >= 4", every_s=2.0), types={"steps.a.outputs.n": "int"}
    )
    ran = drive(plan, seen := Fake("a", READ, does=look))
    assert 4 == len(seen.calls)
    assert {"n": 4} == dict(ran.finished("a")[0].outputs)
    assert 1 == len(ran.events(e.StepStarted))


def test_a_look_that_never_shows_it_ends_with_what_was_seen_last():
    plan = plan_of(
        step("a", until="outputs.n >= 4", every_s=2.0, timeout_s=20.0),
        types={"steps.a.outputs.n": "int"},
    )
    ran = drive(plan, Fake("a", READ, gives={"n": 1}))
    done = ran.finished("a")[0]
    assert ("failed", "until") == (done.outcome, done.error)
    assert "last seen: n=1" in done.why
    assert ran.ended_s <= 20


def test_a_poll_gives_up_on_a_failure_that_waiting_does_not_mend():
    plan = plan_of(step("a", until="true"))
    ran = drive(plan, seen := Fake("a", READ, raises={1: words.NotFound("gone")}))
    assert (1, "not_found") == (len(seen.calls), ran.finished("a")[0].error)


def test_an_unknown_outcome_is_not_turned_into_a_failure_by_a_poll():
    plan = plan_of(step("a", effect=CHANGE, until="false", timeout_s=5.0))
    ran = drive(plan, Fake("a", takes_s=1e6, settled=CannotTell(why="?")))
    assert "unknown" == ran.finished("a")[0].outcome
    assert 10 == exit_code(ran.end)


# -- promotion


def promotion(*, fence=None, loss=None, continues=False, rpo_s=300.0, needs=("measure", "fence")):
    how = "continue" if continues else "pause"
    return plan_of(
        step("measure", effect=READ, measures_loss=True, on_failure=how),
        step("fence", effect=Effect.FENCE, when=fence),
        step("promote", effect=Effect.PROMOTE, needs=needs),
        step("proof", effect=CHANGE, proves_one_primary=True, needs=("promote",)),
        rpo_s=rpo_s,
    )


def measures(**gives):
    return Fake("measure", READ, gives={"source": "test", **gives}, loss=True)


@pytest.mark.parametrize(
    ("bound", "accepted", "goes"),
    [
        (0.0, None, True),
        (299.0, None, True),
        (300.0, None, True),
        (300.001, None, False),
        (3600.0, None, False),
        (3600.0, 3599.0, False),
        (3600.0, 3600.0, True),
        (3600.0, ANY_LOSS_S, True),
        (None, None, False),
        (None, 3600.0, False),
        (None, ANY_LOSS_S, True),
        (-5.0, None, False),
        ("garbage", None, False),
        (float("nan"), None, False),
        (float("inf"), None, False),
    ],
)
def test_a_promotion_needs_a_loss_bound_that_is_known_and_allowed(bound, accepted, goes):
    ran = drive(
        promotion(),
        measures(bound=bound),
        act := Fake("promote", Effect.PROMOTE),
        accepted_loss_s=accepted,
    )
    assert goes == bool(act.calls), ran.end
    assert ("succeeded" if goes else "paused", goes or 7) == (
        ran.end.result,
        ran.end.result == "succeeded" or exit_code(ran.end),
    )


def test_a_measure_with_a_field_of_its_own_is_still_a_measure():
    ran = drive(promotion(), measures(bound=1.0, sample=3), act := Fake("promote", Effect.PROMOTE))
    assert (1.0, 1) == (ran.end.loss_bound_s, len(act.calls))


def test_a_promotion_does_not_start_when_the_measure_failed_and_may_be_passed_over():
    act = Fake("promote", Effect.PROMOTE)
    broken = Fake("measure", READ, raises={1: words.Unavailable("down")}, loss=True)
    ran = drive(promotion(continues=True), broken, act)
    assert act.calls == []
    assert "guard" == ran.finished("promote")[0].error


def test_a_promotion_does_not_start_behind_a_fence_that_was_skipped_or_is_not_there():
    act = Fake("promote", Effect.PROMOTE)
    ran = drive(promotion(fence="false"), measures(bound=1.0), act)
    assert "fence has not" in ran.finished("promote")[0].why
    drive(promotion(needs=("measure",)), measures(bound=1.0), act)
    assert act.calls == []


@pytest.mark.parametrize("way", [{"raises": {1: NO}}, {"takes_s": 1e6}])
@pytest.mark.parametrize("how", ["pause", "stop"])
def test_a_promotion_does_not_start_behind_a_fence_that_failed(way, how):
    plan = promotion().model_copy()
    steps = tuple(
        s.model_copy(update={"on_failure": how}) if s.id == "fence" else s for s in plan.steps
    )
    act = Fake("promote", Effect.PROMOTE)
    drive(
        plan.model_copy(update={"steps": steps}),
        measures(bound=1.0),
        Fake("fence", Effect.FENCE, **way),
        act,
    )
    assert act.calls == []


def unproven(**more):
    """The promotion's plan without its proof, or with another one."""
    steps = [s for s in promotion().steps if s.id != "proof"]
    extra = [step("proof", effect=CHANGE, proves_one_primary=True, **more)] if more else []
    return plan_of(*steps, *extra)


@pytest.mark.parametrize(
    ("plan", "fakes", "result"),
    [
        (promotion(), (), "succeeded"),
        (unproven(), (), "unsafe"),
        (unproven(needs=("fence",)), (), "unsafe"),
        (unproven(needs=("promote",), when="false"), (), "unsafe"),
        (promotion(), (Fake("proof", raises={1: NO}),), "unsafe"),
        (promotion(), (Fake("proof", takes_s=1e6, settled=CannotTell(why="?")),), "unsafe"),
        (promotion(), (Fake("promote", Effect.PROMOTE, raises={1: NO}),), "failed"),
        (
            promotion(),
            (Fake("promote", Effect.PROMOTE, takes_s=1e6, settled=CannotTell(why="?")),),
            "unknown",
        ),
    ],
)
def test_a_run_that_promoted_ends_well_only_with_a_proof_after_it(plan, fakes, result):
    ran = drive(plan, measures(bound=1.0), *fakes)
    assert result == ran.end.result, ran.end
    if result == "unsafe":
        assert ran.end.why.startswith("two primaries may take writes")
        assert 6 == exit_code(ran.end)


@pytest.mark.parametrize(
    ("reason", "goes"), [("the region is gone, says AWS", True), ("", False), ("  ", False)]
)
def test_a_forced_promotion_goes_on_without_a_fence_when_it_says_why(reason, goes):
    plan, act = promotion(), Fake("promote", Effect.PROMOTE)
    ran = drive(
        plan,
        measures(bound=1.0),
        Fake("fence", Effect.FENCE, raises={1: NO}),
        act,
        forced_reason=reason,
    )
    assert goes == bool(act.calls)
    assert ("succeeded" if goes else "failed") == ran.end.result, "the proof succeeded"
    ran = drive(
        plan,
        measures(bound=1.0),
        Fake("fence", Effect.FENCE, raises={1: NO}),
        Fake("promote", Effect.PROMOTE),
        Fake("proof", raises={1: NO}),
        forced_reason=reason,
    )
    assert ("unsafe" if goes else "failed") == ran.end.result


def test_a_forced_promotion_without_a_reason_does_not_start_behind_a_fence_either():
    act = Fake("promote", Effect.PROMOTE)
    drive(promotion(), measures(bound=1.0), act, forced_reason=" ")
    assert act.calls == []


def test_allowed_loss_is_a_table():
    assert loss_is_allowed(0.0, 0.0, None)
    assert not loss_is_allowed(None, 1e9, 1e9)


# -- gates


def gated(quorum=1):
    gates = {"go": GATE["go"].model_copy(update={"quorum": quorum})}
    return plan_of(
        step("go", gate="go"),
        step("slow", "slow"),
        step("act", effect=CHANGE, needs=("go",)),
        step("both", effect=CHANGE, needs=("go", "slow")),
        gates=gates,
    )


def test_a_gate_holds_until_somebody_says_go():
    ran = drive(gated(), Fake("slow", READ), says=[approve(30, "go")])
    assert 30 <= ran.at_s(e.StepStarted, "act") < 30.2
    assert "succeeded" == ran.end.result


def test_a_gate_is_denied_by_one_and_the_run_pauses():
    ran = drive(gated(), act := Fake("act"), says=[approve(3, "go", answer="deny")])
    assert act.calls == []
    assert ("refused", 5) == (ran.end.result, exit_code(ran.end))
    assert "gate denied by alice" in ran.end.why


def test_a_gate_denied_after_a_change_is_a_pause():
    plan = plan_of(step("a", effect=CHANGE), step("go", gate="go", needs=("a",)), gates=GATE)
    ran = drive(plan, says=[approve(3, "go", answer="deny")])
    assert ("paused", 7) == (ran.end.result, exit_code(ran.end))


def test_a_gate_that_nobody_answers_expires():
    ran = drive(gated(), act := Fake("act"), says=[approve(61, "go")])
    assert act.calls == []
    assert 60 <= ran.at_s(e.GateExpired, "go") < 60.2
    assert "refused" == ran.end.result


def test_a_quorum_counts_people_not_answers():
    twice = [approve(1, "go", "alice"), approve(2, "go", "alice"), approve(3, "go", "alice")]
    ran = drive(gated(quorum=2), act := Fake("act"), says=twice)
    assert act.calls == []
    assert ran.events(e.GateExpired)
    ran = drive(gated(quorum=2), says=[*twice, approve(9, "go", "bob")])
    assert 9 <= ran.at_s(e.StepStarted, "act") < 9.2


@pytest.mark.parametrize("answer", ["approve", "deny"])
@pytest.mark.parametrize("later_s", [0.0, 2.0])
def test_an_answer_after_the_gate_was_passed_changes_nothing(answer, later_s):
    """The second one used to settle the gate again, which opened steps before their other needs."""
    says = [approve(1, "go"), approve(1 + later_s, "go", "bob", answer)]
    ran = drive(gated(), Fake("slow", READ, takes_s=20), says=says)
    assert 1 == len(ran.events(e.GateAnswered))
    assert 20 <= ran.at_s(e.StepStarted, "both")
    assert "succeeded" == ran.end.result


def test_an_answer_twice_in_a_record_is_folded_once():
    plan = gated()
    yes = e.GateAnswered(step="go", answer="approve", by="a", via="t")
    opened = e.GateOpened(
        step="go", gate="go", title="", show=(), approvers=(), quorum=1, expires_s=9
    )
    once = folded(plan, (0, started(plan)), (1, opened), (2, yes))
    late = [
        yes,
        e.GateAnswered(step="go", answer="deny", by="b", via="t"),
        e.GateExpired(step="go"),
    ]
    for event in late:
        again = folded(plan, (0, started(plan)), (1, opened), (2, yes), (2, event))
        assert (once.unmet, once.ready, once.pause) == (again.unmet, again.ready, again.pause)
    never = folded(plan, (0, started(plan)), (1, late[1]))
    assert never.pause is None


def test_what_was_said_before_the_gate_opened_is_no_answer():
    plan = plan_of(step("a"), step("go", gate="go", needs=("a",)), gates=GATE)
    ran = drive(plan, Fake("a", READ, takes_s=10), says=[approve(2, "go")])
    assert ran.events(e.GateAnswered) == []
    assert ran.events(e.GateExpired)


def test_an_answer_to_a_gate_that_there_is_not_is_nothing():
    ran = drive(gated(), says=[approve(1, "nowhere"), approve(2, "act"), approve(3, "go")])
    assert 1 == len(ran.events(e.GateAnswered))


def test_names_and_reasons_of_people_are_inert():
    ran = drive(gated(), says=[approve(1, "go", by="al\x1b[2Jice")])
    assert "\x1b" not in ran.events(e.GateAnswered)[0].by


# -- messages


def test_a_message_that_hangs_ends_with_the_recovery_and_fails_nothing():
    plan = plan_of(step("tell", effect=NOTIFY), step("act", effect=CHANGE))
    ran = drive(plan, Fake("tell", NOTIFY, takes_s=1e6), Fake("act", takes_s=20))
    assert ("succeeded", 20 + NOTIFY_GRACE_S) == (ran.end.result, ran.ended_s)
    assert "undelivered" == ran.finished("tell")[0].error


def test_a_message_that_fails_fails_nothing():
    plan = plan_of(step("tell", effect=NOTIFY), step("act", effect=CHANGE))
    ran = drive(plan, Fake("tell", NOTIFY, raises={1: NO}))
    assert ("succeeded", "failed") == (ran.end.result, ran.finished("tell")[0].outcome)


def test_a_message_that_waits_for_a_retry_is_not_waited_for():
    retry = {"attempts": 9, "backoff_s": 600.0, "max_backoff_s": 600.0, "on_errors": ("throttled",)}
    plan = plan_of(step("tell", effect=NOTIFY, retry=retry), step("act", effect=CHANGE))
    slow = dict.fromkeys(range(9), words.Throttled("later"))
    ran = drive(plan, Fake("tell", NOTIFY, raises=slow))
    assert ran.end.result == "succeeded"
    assert ran.ended_s <= 1 + NOTIFY_GRACE_S


def test_a_step_that_waits_for_nothing_but_a_message_does_not_wait_long():
    plan = plan_of(step("tell", effect=NOTIFY), step("look", needs=("tell",)), ends=("look",))
    ran = drive(plan, Fake("tell", NOTIFY, takes_s=1e6))
    assert NOTIFY_GRACE_S == ran.at_s(e.StepStarted, "look")


def test_a_message_that_died_with_its_process_has_its_time_again():
    """Nobody waited for it while no process was there to send it."""
    plan = plan_of(step("tell", effect=NOTIFY), step("act", effect=CHANGE))
    state = folded(
        plan,
        (0.0, started(plan)),
        (0.0, e.StepStarted(step="tell", attempt=1)),
        (0.0, e.StepStarted(step="act", attempt=1)),
        (1.0, e.StepFinished(step="act", attempt=1, outcome="succeeded")),
        (60.0, RESUMED),
    )
    kinds = {type(one) for one in decide(plan, state, at(60.0))}
    assert c.Start in kinds
    assert c.Abandon not in kinds


def test_a_message_beside_work_has_its_own_time():
    plan = plan_of(step("tell", effect=NOTIFY), step("a"), step("look", needs=("tell", "a")))
    ran = drive(plan, Fake("tell", NOTIFY, takes_s=15), Fake("a", READ, takes_s=20))
    assert "succeeded" == ran.finished("tell")[0].outcome


FINAL = step("news", effect=NOTIFY, is_final=True)


@pytest.mark.parametrize(("how", "told"), [("stop", True), ("pause", False)])
def test_news_at_the_end_are_sent_after_a_stop_and_not_after_a_pause(how, told):
    plan = plan_of(step("a", effect=CHANGE, on_failure=how), FINAL)
    ran = drive(plan, Fake("a", raises={1: NO}), news := Fake("news", NOTIFY))
    assert told == bool(news.calls)
    assert "failed" == ran.end.result


def test_news_at_the_end_wait_for_all_else_and_hold_nothing_up():
    plan = plan_of(step("a", effect=CHANGE), step("b", effect=CHANGE), FINAL)
    ran = drive(plan, Fake("b", takes_s=9), Fake("news", NOTIFY, takes_s=1e6))
    assert 9 == ran.at_s(e.StepStarted, "news")
    assert ("succeeded", 9 + NOTIFY_GRACE_S) == (ran.end.result, ran.ended_s)


def test_a_stop_waits_for_what_is_under_way_before_it_tells():
    plan = plan_of(step("a", effect=CHANGE, on_failure="stop"), step("b", effect=CHANGE), FINAL)
    ran = drive(plan, Fake("a", raises={1: NO}), Fake("b", takes_s=30))
    assert 30 == ran.at_s(e.StepStarted, "news")


# -- interrupts, ends


def test_an_interrupt_lets_what_runs_finish_and_starts_nothing():
    plan = plan_of(step("a", effect=CHANGE), step("b", effect=CHANGE, needs=("a",)))
    ran = drive(plan, Fake("a", takes_s=6), never := Fake("b"), interrupt_at_s=4)
    assert never.calls == []
    assert ["a"] == [event.step for event in ran.events(e.StepStarted)]
    assert "succeeded" == ran.finished("a")[0].outcome
    assert ("interrupted", "SIGINT", 130) == (ran.end.result, ran.end.signal, exit_code(ran.end))
    assert 6 == ran.ended_s


def test_an_interrupt_waits_three_seconds_and_leaves_the_rest_to_a_resume():
    plan = plan_of(step("a", effect=CHANGE), step("b", effect=CHANGE, needs=("a",)))
    ran = drive(plan, Fake("a", takes_s=60), Fake("b"), interrupt_at_s=4)
    assert ("interrupted", 7) == (ran.end.result, ran.ended_s)
    assert "a" in ran.end.why
    assert [] == ran.finished("a"), "nobody knows how it came out"
    assert ran.state.running == {"a"}
    assert ran.state.steps["a"].has_intent


def test_an_interrupt_at_a_gate_or_in_a_backoff_ends_at_once():
    assert 4 == drive(gated(), Fake("slow", READ), interrupt_at_s=4).ended_s
    retry = {"attempts": 2, "backoff_s": 500.0, "max_backoff_s": 500.0, "on_errors": ("throttled",)}
    plan = plan_of(step("a", effect=CHANGE, retry=retry))
    ran = drive(plan, Fake("a", raises={1: words.Throttled("x")}), interrupt_at_s=4)
    assert (4, "interrupted") == (ran.ended_s, ran.end.result)


def test_an_unknown_outcome_weighs_more_than_a_failure_before_it():
    plan = plan_of(step("a", effect=CHANGE), step("b", effect=CHANGE))
    lost = Fake(
        "b", takes_s=5, raises={1: words.OutcomeUnknown("lost")}, settled=CannotTell(why="?")
    )
    ran = drive(plan, Fake("a", raises={1: NO}), lost)
    assert ("unknown", 10) == (ran.end.result, exit_code(ran.end))


def test_a_failure_before_any_change_is_a_refusal():
    ran = drive(
        plan_of(step("a"), step("b", effect=CHANGE, needs=("a",))), Fake("a", READ, raises={1: NO})
    )
    assert ("refused", False, 5) == (ran.end.result, ran.end.changed, exit_code(ran.end))


def test_a_run_without_proof_of_service_is_no_success():
    for more, fake in (
        ({"on_failure": "continue"}, Fake("look", READ, raises={1: NO})),
        ({"when": "false"}, Fake("look", READ)),
    ):
        plan = plan_of(
            step("act", effect=CHANGE), step("look", needs=("act",), **more), ends=("look",)
        )
        ran = drive(plan, fake)
        assert ("failed", None) == (ran.end.result, ran.end.rta_s)
        assert "not proven" in ran.end.why


def test_the_clock_stops_at_the_last_proof_and_not_at_the_last_step():
    plan = plan_of(step("p"), step("q"), step("tidy", effect=CHANGE), ends=("p", "q"))
    ran = drive(
        plan, Fake("p", READ, takes_s=7), Fake("q", READ, takes_s=12), Fake("tidy", takes_s=99)
    )
    assert 12 == ran.end.rta_s
    assert 12 == ran.events(e.ServiceRestored)[0].rta_s


def test_a_proof_that_was_skipped_leaves_the_other_to_prove():
    plan = plan_of(step("p", when="false"), step("q"), ends=("p", "q"))
    assert ("succeeded", 1.0) == ((ran := drive(plan)).end.result, ran.end.rta_s)


def test_a_run_in_which_nothing_can_start_ends():
    """A ring of needs passes no lint, but a plan is a file."""
    plan = plan_of(step("a", needs=("b",)), step("b", needs=("a",)))
    ran = drive(plan)
    assert ("refused", "nothing can start: a, b") == (ran.end.result, ran.end.why)


def test_a_length_across_a_reboot_is_uncertain_and_never_negative():
    plan = plan_of(step("a"), ends=("a",))
    state = folded(plan, (500.0, started(plan, elapsed_before_s=5.0)))
    late = state.elapsed(at(3.0, "two"))
    assert (5.0, False) == (late.seconds, late.is_certain)


def test_a_listener_that_breaks_ends_nothing():
    class Broken:
        heard = 0

        def seen(self, record, state):
            self.heard += 1
            raise BrokenPipeError

        def said(self, step, text):
            raise BrokenPipeError

    broken = Broken()
    ran = drive(plan_of(step("a", effect=CHANGE)), listeners=[broken])
    assert ("succeeded", 1) == (ran.end.result, broken.heard)


def test_a_bug_of_ours_in_an_attempt_is_an_outcome(monkeypatch):
    from drctl.engine import attempt

    monkeypatch.setattr(attempt, "has_marks", lambda raw: 1 / 0)
    ran = drive(plan_of(step("a", effect=CHANGE), step("b", effect=CHANGE, needs=("a",))))
    assert ("failed", "bug") == (ran.finished("a")[0].outcome, ran.finished("a")[0].error)
    assert ran.end.result == "refused"


def test_a_bug_of_ours_after_an_intent_is_an_unknown_outcome():
    act = Fake("a")

    async def nothing(ctx, target, params):
        return None

    act.perform = nothing
    ran = drive(plan_of(step("a", effect=CHANGE)), act)
    assert ("unknown", "bug") == (ran.finished("a")[0].outcome, ran.finished("a")[0].error)


def test_decide_is_a_function():
    plan = gated()
    state = folded(plan, (0, started(plan)))
    assert decide(plan, state, at(1)) == decide(plan, state, at(1))
    assert registry_for(plan, [], []).names
    assert Done(outputs=NoOutputs())


# -- what a death costs


def died(step_id, attempt, at_s):
    """An attempt whose process died with its intent on record, and whose effect was not found."""
    resumed = e.RunResumed(operator="alice", host="laptop", version="0")
    intended = e.EffectIntended(
        step=step_id, attempt=attempt, action=step_id, effect="change", key="k", target="room",
        params={}, changes=True,
    )  # fmt: skip
    never = e.StepFinished(
        step=step_id, attempt=attempt, outcome="failed", error="interrupted", why="not found"
    )
    begun = e.StepStarted(step=step_id, attempt=attempt)
    return [(at_s + i, event) for i, event in enumerate((begun, intended, resumed, never))]


def test_a_death_costs_no_attempt():
    """A process that dies as often as its step may be tried leaves every try that it had."""
    retry = Retry(attempts=2, backoff_s=1.0, on_errors=("throttled",))
    plan = plan_of(step("a", effect=CHANGE, retry=retry))
    deaths = [one for n in range(1, 4) for one in died("a", n, 10.0 * n)]
    begun = (50.0, e.StepStarted(step="a", attempt=4))
    busy = e.StepFinished(step="a", attempt=4, outcome="failed", error="throttled", why="busy")
    state = folded(plan, (0.0, started(plan)), *deaths, begun, (51.0, busy))
    assert state.steps["a"].status == "waiting"
    again = e.StepFinished(step="a", attempt=5, outcome="failed", error="throttled", why="busy")
    more = ((60.0, e.StepStarted(step="a", attempt=5)), (61.0, again))
    state = folded(plan, (0.0, started(plan)), *deaths, begun, (51.0, busy), *more)
    assert state.steps["a"].status == "failed"


def test_a_run_that_is_interrupted_before_its_last_words_is_resumed_for_them():
    plan = plan_of(step("a", effect=CHANGE), step("tell", effect=NOTIFY, is_final=True))
    fakes = (Fake("a", CHANGE, takes_s=5), told := Fake("tell", NOTIFY))
    ran = drive(plan, *fakes, interrupt_at_s=3)
    assert ("interrupted", []) == (ran.end.result, told.calls)
    assert "finally" in ran.end.why
    resumed = e.RunResumed(operator="alice", host="laptop", version="0")
    again = drive(plan, *fakes, after=ran, first=resumed)
    assert ("succeeded", 1) == (again.end.result, len(told.calls))
