"""What stands between a decision and an effect; each guard by itself."""

import asyncio

import pytest
from engine_model import (
    RESUMED,
    AnyOutputs,
    BreakingLog,
    Fake,
    FakePin,
    LostLog,
    drive,
    plan_of,
    step,
    undo,
)

from drctl.actions import errors as words
from drctl.actions.contract import CannotTell, Done, Effect, NoOutputs, NotDone, Repeat
from drctl.engine import events as e
from drctl.engine import readback
from drctl.kernel.errors import CredentialsError, JournalError, Problem
from drctl.plan.model import PlannedCall, PlannedPin

PIN = PlannedPin(
    name="fake.account", subject="here", targets=("room", "other"), expected="us", found="us"
)


def one(effect=Effect.CHANGE, **more):
    return plan_of(step("act", effect=effect, **more))


def dangerous(effect, pins=(PIN,)):
    """One step of that effect on a pinned target; a promotion with what must come before it."""
    if effect is not Effect.PROMOTE:
        return plan_of(step("act", effect=effect, target="room"), pins=pins)
    return plan_of(
        step("measure", effect=Effect.READ, measures_loss=True),
        step("fence", effect=Effect.FENCE, needs=("measure",)),
        step("act", effect=effect, target="room", needs=("fence",)),
        pins=pins,
    )


def measure():
    return Fake("measure", Effect.READ, gives={"bound": 1.0, "source": "test"}, loss=True)


def test_an_effect_is_intended_on_record_before_it_is_sent():
    ran = drive(one(), act := Fake("act"))
    kinds = [type(record.event).__name__ for record in ran.records]
    assert ["RunStarted", "StepStarted", "EffectIntended", "StepFinished", "RunFinished"] == kinds
    intent = ran.events(e.EffectIntended)[0]
    assert (intent.key, intent.attempt, intent.action, intent.changes) == (
        act.calls[0][1],
        1,
        "act",
        True,
    )
    assert len(intent.key) == 32
    for record in ran.records:
        assert record.at.boot_id
        assert record.at.wall.tzinfo is not None


def test_a_read_needs_no_intent_and_a_message_has_one_that_changes_nothing():
    assert drive(one(Effect.READ)).events(e.EffectIntended) == []
    ran = drive(one(Effect.NOTIFY))
    assert [False] == [event.changes for event in ran.events(e.EffectIntended)]
    assert ran.end.changed is False


def test_an_intent_that_cannot_be_written_sends_nothing():
    act = Fake("act")
    ran = drive(
        one(),
        act,
        log=lambda clock: BreakingLog(clock, lambda ev: isinstance(ev, e.EffectIntended)),
    )
    assert isinstance(ran.error, JournalError)
    assert act.calls == []


def test_a_run_that_was_taken_away_sends_nothing():
    act = Fake("act")
    ran = drive(one(), act, log=LostLog)
    assert isinstance(ran.error, JournalError)
    assert ran.error.problems[0].code == "DR4002"
    assert act.calls == []


def test_no_time_left_sends_nothing_and_has_changed_nothing():
    """The pin took all of it."""
    plan = plan_of(step("act", target="room", effect=Effect.FENCE, timeout_s=1.0), pins=(PIN,))
    ran = drive(plan, act := Fake("act", Effect.FENCE), pins=[FakePin("us", takes_s=1.5)])
    assert act.calls == []
    assert ran.events(e.EffectIntended) == []
    assert (ran.end.result, ran.end.changed) == ("refused", False)


@pytest.mark.parametrize("word", sorted(set(words.WORDS) - {"outcome_unknown"}))
def test_a_word_of_an_adapter_is_a_failure_with_its_name_and_no_read_back(word):
    act = Fake("act", raises={1: words.WORDS[word]("said \x1b[31mno")})
    ran = drive(one(), act)
    done = ran.finished("act")[0]
    assert ("failed", word) == (done.outcome, done.error)
    assert "\x1b" not in done.why
    assert act.reads == 0
    assert ran.end.result == "failed"


LOST = {
    "reply lost": {"raises": {1: words.OutcomeUnknown("no answer")}},
    "a bug after sending": {"raises": {1: ZeroDivisionError("oops")}},
    "hangs": {"takes_s": 1e6},
    "cancels itself": {"raises": {1: asyncio.CancelledError()}},
}
READ_BACKS = {
    "done": (Done(outputs=AnyOutputs(x=1)), "succeeded"),
    "not done": (NotDone(why="not \x1bthere"), "failed"),
    "cannot tell": (CannotTell(why="both \x1bdiffer"), "unknown"),
    "cannot be read": (words.Unavailable("down"), "unknown"),
    "bug": (ValueError("oops"), "unknown"),
}


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("read_back", READ_BACKS)
def test_an_effect_without_an_answer_is_looked_for(lost, read_back):
    answer, outcome = READ_BACKS[read_back]
    act = Fake("act", settled=answer, **LOST[lost])
    ran = drive(one(), act)
    done = ran.finished("act")[0]
    assert outcome == done.outcome
    assert "\x1b" not in (done.why or "")
    assert len(act.calls) == 1
    # An answer is an answer; what cannot be told is asked again while the step has time, and the
    # effect never is.
    assert (act.reads == 1) == (outcome != "unknown" or lost == "hangs")
    assert {"succeeded": "succeeded", "failed": "failed", "unknown": "unknown"}[
        outcome
    ] == ran.end.result
    assert dict(done.outputs) == ({"x": 1} if outcome == "succeeded" else {})


def test_a_read_back_that_cannot_tell_yet_is_asked_until_it_can():
    """RDS says "modifying" for minutes: that is no reason to leave the outcome unknown."""

    class Late(Fake):
        async def settled(self, ctx, target, params):
            self.reads += 1
            return CannotTell(why="modifying") if self.reads < 4 else Done(outputs=AnyOutputs(x=1))

    act = Late("act", raises={1: words.OutcomeUnknown("no answer")})
    ran = drive(one(), act)
    assert ran.end.result == "succeeded"
    assert (1, 4) == (len(act.calls), act.reads)


@pytest.mark.parametrize("lost", LOST)
def test_a_read_without_an_answer_has_failed_and_is_not_looked_for(lost):
    act = Fake("act", Effect.READ, **LOST[lost])
    ran = drive(one(Effect.READ), act)
    assert ran.finished("act")[0].outcome == "failed"
    assert act.reads == 0


def test_a_read_back_that_hangs_ends_too():
    async def hang(ctx, target, params):
        await ctx.clock.sleep(1e9)

    act = Fake("act", raises={1: words.OutcomeUnknown("lost")})
    act.settled = hang
    ran = drive(one(), act)
    assert ran.end.result == "unknown"
    assert ran.ended_s <= ran.plan.by_id["act"].timeout_s + 2


def test_control_is_back_within_two_seconds_of_the_deadline():
    act = Fake("act", takes_s=1e6, settled=CannotTell(why="modifying"))
    ran = drive(one(), act)
    assert ran.end.result == "unknown"
    assert ran.ended_s <= ran.plan.by_id["act"].timeout_s + 2


class Sends(Fake):
    """Asks for permission, so that a request may have left."""

    async def perform(self, ctx, target, params):
        ctx.permit()
        return await super().perform(ctx, target, params)


def test_it_did_not_happen_is_believed_only_when_it_cannot_happen_late():
    act = Sends("act", raises={1: words.OutcomeUnknown("lost")}, settled=NotDone(why="not there"))
    ran = drive(one(), act)
    assert ran.finished("act")[0].outcome == "failed"
    assert 20 <= ran.ended_s <= 25
    assert len(act.calls) == 1


def test_what_may_still_arrive_when_the_time_is_over_is_unknown():
    """A network may deliver what its client has given up; only the end of its patience tells."""
    act = Sends("act", takes_s=1e6, settled=NotDone(why="not there"))
    retry = {"attempts": 5, "backoff_s": 1.0, "on_errors": ("outcome_unknown", "timeout", "bug")}
    ran = drive(one(retry=retry), act)
    assert ran.finished("act")[0].outcome == "unknown"
    assert "may still arrive" in ran.finished("act")[0].why
    assert len(act.calls) == 1


def test_an_unknown_outcome_is_never_sent_again():
    act = Fake("act", raises={1: words.OutcomeUnknown("lost")}, settled=CannotTell(why="?"))
    retry = {"attempts": 5, "backoff_s": 1.0, "on_errors": ("outcome_unknown", "timeout", "bug")}
    assert drive(one(retry=retry), act).end.result == "unknown"
    assert len(act.calls) == 1


def test_all_attempts_at_one_effect_carry_the_same_key_and_another_step_another():
    first = Fake("act", raises={1: words.Throttled("slow down")})
    retry = {"attempts": 2, "on_errors": ("throttled",)}
    drive(plan_of(step("act", retry=retry), step("again", "act", needs=("act",))), first)
    keys = [key for _at, key, _params in first.calls]
    assert keys[0] == keys[1] != keys[2]


def test_a_secret_that_cannot_be_read_is_a_failure_before_anything_was_sent():
    error = CredentialsError((Problem(code="DR5101", what="the secret env:\x1bX is empty"),))
    done = drive(one(), Fake("act", raises={1: error})).finished("act")[0]
    assert ("failed", "auth_rejected") == (done.outcome, done.error)
    assert "\x1b" not in done.why


def test_an_action_that_is_not_installed_or_params_that_do_not_fit_are_rejected():
    from pydantic import BaseModel

    class Typed(BaseModel):
        count: int

    act = Fake("act")
    act.params = Typed
    done = drive(one(with_={"count": "many"}), act).finished("act")[0]
    assert ("failed", "rejected", []) == (done.outcome, done.error, act.calls)


PINS = {
    "match": ("us", {}),
    "mismatch": ("them\x1b[2J", {}),
    "unreachable": (words.Unavailable("down"), {}),
    "a bug": (RuntimeError("oops"), {}),
    "silent": ("us", {"takes_s": 100.0}),
}


@pytest.mark.parametrize(
    "effect", [Effect.CHANGE, Effect.TRAFFIC, Effect.FENCE, Effect.PROMOTE, Effect.DESTROY]
)
@pytest.mark.parametrize("case", PINS)
def test_an_identity_is_asked_before_a_change(effect, case):
    """A wrong identity stops all; one that does not answer stops all but a fence."""
    found, more = PINS[case]
    act = Fake("act", effect)
    ran = drive(dangerous(effect), act, measure(), pins=[FakePin(found, **more)])
    sent = case == "match" or (effect is Effect.FENCE and case != "mismatch")
    assert ran.error is None
    assert len(act.calls) == sent
    verdict = {"match": "match", "mismatch": "mismatch"}.get(case, "unreachable")
    assert verdict == ran.events(e.PinChecked)[0].verdict
    if not sent:
        assert not [i for i in ran.events(e.EffectIntended) if i.step == "act"]
        assert ran.finished("act")[0].error == ("pin" if case == "mismatch" else "unavailable")
    assert "\x1b" not in str(ran.records)


@pytest.mark.parametrize("effect", [Effect.READ, Effect.NOTIFY])
def test_a_look_and_a_message_ask_for_no_identity(effect):
    pin = FakePin("them")
    assert drive(dangerous(effect), pins=[pin]).end.result == "succeeded"
    assert pin.asked == 0


def test_an_identity_is_asked_once_a_target_and_again_before_a_point_of_no_return():
    plan = plan_of(
        step("measure", effect=Effect.READ, measures_loss=True),
        step("a", effect=Effect.CHANGE, target="room", needs=("measure",)),
        step("b", effect=Effect.CHANGE, target="room", needs=("a",)),
        step("c", effect=Effect.CHANGE, target="other", needs=("b",)),
        step("fence", effect=Effect.FENCE, target="room", needs=("c",)),
        step("promote", effect=Effect.PROMOTE, target="room", needs=("fence",)),
        pins=(PIN,),
    )
    ran = drive(plan, measure(), pins=[FakePin("us")])
    asked = [(event.step, event.target) for event in ran.events(e.PinChecked)]
    assert [("a", "room"), ("c", "other"), ("promote", "room")] == asked


def test_a_pin_that_nothing_installed_can_read_refuses():
    ran = drive(dangerous(Effect.CHANGE), act := Fake("act"))
    assert act.calls == []
    assert "nothing installed" in ran.finished("act")[0].why


def test_an_answer_that_json_cannot_hold_ends_no_run(tmp_path):
    """A response may hold NaN, infinities and halves of characters."""
    from drctl.kernel.canonical import canonical

    gives = {"a": float("nan"), "b": [float("inf"), "\ud800x"], "c": {"\udfff": 1}}
    ran = drive(one(), Fake("act", gives=gives))
    assert ran.end.result == "succeeded"
    canonical(dict(ran.finished("act")[0].outputs))


def test_params_are_on_record_as_they_were_sent():
    ran = drive(one(with_={"replicas": 3}), Fake("act"))
    assert {"replicas": 3} == dict(ran.events(e.EffectIntended)[0].params)


def test_a_check_after_the_effect_goes_through_the_same_door():
    check = PlannedCall(uses="look", timeout_s=5.0)
    failing = Fake("look", Effect.READ, raises={1: words.Rejected("read only")})
    done = drive(one(verify=(check,)), failing).finished("act")[0]
    assert ("failed", "verify") == (done.outcome, done.error)
    assert "read only" in done.why
    hanging = Fake("look", Effect.READ, takes_s=1e6)
    ran = drive(one(verify=(check,)), hanging)
    assert ran.finished("act")[0].error == "verify"
    assert ran.ended_s < 10
    writing = Fake("look", Effect.CHANGE)
    assert ["act", "look"] == [
        i.action for i in drive(one(verify=(check,)), writing).events(e.EffectIntended)
    ]
    assert drive(
        one(verify=(check,)), Fake("act", raises={1: words.Rejected("no")}), unused := Fake("look")
    ).end
    assert unused.calls == []


@pytest.mark.parametrize("repeat", [Repeat.IRREVERSIBLE, Repeat.CHECK_THEN_ACT])
def test_what_a_dead_process_sent_may_arrive_after_the_first_look_of_a_resume(repeat):
    """It was on its way when the process died: "not done" was true, and it would be sent twice."""
    first = drive(one(), Fake("act"))
    cut = next(n for n, r in enumerate(first.records) if isinstance(r.event, e.EffectIntended)) + 1
    act = Fake("act")
    act.repeat = repeat

    async def arrives_late(ctx, target, params):
        is_there = ctx.clock.now().boot_s > first.records[cut - 1].at.boot_s + 12
        return Done(outputs=NoOutputs()) if is_there else NotDone(why="still as it was")

    act.settled = arrives_late
    ran = drive(one(), act, after=first.records[:cut], first=RESUMED)
    assert ("succeeded", []) == (ran.end.result, act.calls)


AGAIN = CannotTell(why="its region is silent", again_tells=True)


def _died_in(act):
    """The record of a process that died right after it had asked."""
    first = drive(one(), act)
    kinds = [type(record.event) for record in first.records]
    return first.records[: kinds.index(e.EffectIntended) + 1]


def test_what_only_a_repetition_can_tell_is_repeated_by_a_resume_at_once():
    """A fence copes with a silent region and proves itself; waiting for the region tells nobody."""
    before = _died_in(Fake("act"))
    ran = drive(one(), act := Fake("act", settled=AGAIN), after=before, first=RESUMED)
    assert ("succeeded", 1, 1) == (ran.end.result, len(act.calls), act.reads)
    assert ran.ended_s - before[-1].at.boot_s < 2 * readback.LOOK_EVERY_S


def test_what_a_repetition_can_tell_is_unknown_to_an_undo_and_waited_for():
    """To fence once more, so as to learn whether there is a fence to take back, is no look."""
    plan = one(undo=PlannedCall(uses="unact"))
    before = _died_in(Fake("act"))
    act, back = Fake("act", settled=AGAIN), Fake("unact")
    ran = drive(plan, act, back, after=before, first=undo())
    assert ("unknown", [], []) == (ran.end.result, act.calls, back.calls)
    assert act.reads > 2


def test_what_was_repeated_and_then_failed_is_still_looked_for_by_an_undo():
    refuses = Fake("act", settled=AGAIN, raises={1: words.Rejected("cannot reach is not a fence")})
    failed = drive(one(), refuses, after=_died_in(Fake("act")), first=RESUMED)
    assert ("failed", "rejected") == (
        failed.state.steps["act"].status,
        failed.finished("act")[-1].error,
    )
    assert failed.state.steps["act"].may_have_happened


def test_what_an_undo_did_not_find_may_still_arrive_however_harmless_it_is_to_repeat():
    """Else it is fenced by a request under way, after the undo has said that it is not."""
    plan = one(undo=PlannedCall(uses="unact"))
    before = _died_in(Fake("act"))
    act, back = Fake("act"), Fake("unact")
    act.repeat = Repeat.IDEMPOTENT

    async def arrives_late(ctx, target, params):
        is_there = ctx.clock.now().boot_s > before[-1].at.boot_s + 12
        return Done(outputs=NoOutputs()) if is_there else NotDone(why="still as it was")

    act.settled = arrives_late
    ran = drive(plan, act, back, after=before, first=undo())
    assert ("undone", 1) == (ran.end.result, len(back.calls))
