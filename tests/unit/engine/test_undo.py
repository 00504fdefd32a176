"""Taking back: newest first, looked at before it is sent, never past a promotion."""

import pytest
from engine_model import RESUMED, BreakingLog, Fake, drive, order, plan_of, step, undo

from drctl.actions import errors as words
from drctl.actions.contract import CannotTell, Done, Effect, NoOutputs, NotDone
from drctl.cli.execute import exit_code
from drctl.engine import events as e
from drctl.plan.model import PlannedCall

READ, CHANGE, FENCE, PROMOTE = Effect.READ, Effect.CHANGE, Effect.FENCE, Effect.PROMOTE
THERE = Done(outputs=NoOutputs())
NO = words.Rejected("no")
LOST = words.OutcomeUnknown("the connection was reset")


def back(name, **more):
    return step(name, effect=CHANGE, undo=PlannedCall(uses=f"un{name}"), **more)


PLAN = plan_of(
    back("a"),
    back("b", needs=("a",)),
    step("c", effect=CHANGE, needs=("b",)),
    step("d", effect=CHANGE, needs=("c",)),
)


def broken():
    return Fake("d", raises={1: NO})


def undone(ran):
    return [one.step for one in ran.events(e.UndoFinished) if one.outcome == "succeeded"]


def test_what_succeeded_is_undone_newest_first_and_what_has_no_undo_stays():
    first = drive(PLAN, broken())
    ran = drive(PLAN, broken(), after=first, first=undo())
    assert ["b", "a"] == undone(ran)
    assert ("undone", 0) == (ran.end.result, exit_code(ran.end))
    assert "having no undo: c" in ran.end.why
    assert ["undone", "undone", "succeeded", "failed"] == [
        ran.state.steps[name].status for name in "abcd"
    ]


def test_an_undo_is_an_effect_like_any_other_with_a_key_of_its_own():
    same = plan_of(step("a", effect=CHANGE, undo=PlannedCall(uses="a")), step("b", needs=("a",)))
    ill = Fake("b", READ, raises={1: NO})
    act = Fake("a")
    ran = drive(same, act, after=drive(same, act, ill), first=undo())
    [deed, taken_back] = ran.events(e.EffectIntended)
    assert (False, True) == (deed.undoes, taken_back.undoes)
    assert deed.key != taken_back.key
    assert 2 == len(act.calls)


def test_the_order_is_that_of_the_record_and_not_of_a_clock():
    """Two processes on two machines: the second one's clock is behind."""
    first = drive(PLAN, Fake("a", takes_s=50), Fake("b", raises={1: NO}))
    second = drive(PLAN, broken(), after=first, first=RESUMED, ordered=[order("retry", "b")])
    assert ["b", "a"] == undone(drive(PLAN, after=second, first=undo()))


def test_the_range_ends_at_the_step_that_is_named():
    first = drive(PLAN, broken())
    ran = drive(PLAN, after=first, first=undo(to="b"))
    assert ["b"] == undone(ran)
    assert "undone" == ran.end.result
    more = drive(PLAN, after=ran, first=undo())
    assert ["b", "a"] == undone(more)


def test_an_undo_sees_the_outputs_of_its_step():
    call = PlannedCall(uses="una", with_={"n": "${{ outputs.before }}"})
    plan = plan_of(
        step("a", effect=CHANGE, undo=call),
        step("b", needs=("a",)),
        types={"steps.a.outputs.before": "int"},
    )
    act, taken = Fake("a", gives={"before": 3}), Fake("una")
    ill = Fake("b", READ, raises={1: NO})
    drive(plan, taken, after=drive(plan, act, ill), first=undo())
    assert {"n": 3} == taken.calls[0][2].model_dump()


# -- the point of no return

FAILOVER = plan_of(
    step("measure", measures_loss=True),
    back("warm", needs=("measure",)),
    step("fence", effect=FENCE, undo=PlannedCall(uses="unfence"), needs=("warm",)),
    step("promote", effect=PROMOTE, needs=("fence",)),
    step("proof", effect=CHANGE, needs=("promote",), proves_one_primary=True),
    back("move", needs=("promote",)),
    step("end", effect=CHANGE, needs=("move",)),
)
MEASURE = Fake("measure", READ, gives={"bound": 1.0, "source": "x"}, loss=True)  # keeps no state


REPLICA = NotDone(why="still a replica")


@pytest.mark.parametrize(
    ("way", "seen", "result"),
    [
        # Said to have failed: it is looked at all the same, before a fence is opened on that word.
        ({"raises": {1: NO}}, REPLICA, "undone"),
        ({"raises": {1: NO}}, CannotTell(why="?"), "unknown"),
        ({"raises": {1: NO}}, THERE, "failed"),
        ({"raises": {1: words.Throttled("later")}}, REPLICA, "undone"),
        ({"raises": {1: LOST}, "settled": REPLICA}, REPLICA, "undone"),
        ({"raises": {1: LOST}, "settled": CannotTell(why="?")}, CannotTell(why="?"), "unknown"),
        ({"raises": {1: LOST}, "settled": CannotTell(why="?")}, NotDone(why="no"), "undone"),
        ({"raises": {1: LOST}, "settled": CannotTell(why="?")}, THERE, "failed"),
        ({"takes_s": 1e6, "settled": CannotTell(why="?")}, CannotTell(why="?"), "unknown"),
        ({"raises": {1: ZeroDivisionError("bug")}}, ValueError("?"), "unknown"),
        ({}, None, "failed"),
    ],
)
def test_nothing_is_undone_past_a_promotion_that_may_have_happened(way, seen, result):
    end = Fake("end", raises={1: NO})
    first = drive(FAILOVER, MEASURE, Fake("promote", PROMOTE, **way), end)
    fence, again = Fake("unfence"), Fake("promote", PROMOTE, settled=seen)
    ran = drive(FAILOVER, fence, again, after=first, first=undo())
    assert result == ran.end.result
    assert (result == "undone") == bool(fence.calls)
    assert [] == again.calls
    if result == "failed":
        assert "only forward" in ran.end.why
        has_moved = any(r.event.step == "move" for r in first.records if hasattr(r.event, "step"))
        assert ("undo --to move" in ran.end.why) == has_moved
    if result != "undone":
        assert [] == ran.events(e.UndoStarted)


def test_a_promotion_whose_check_failed_has_happened():
    check = PlannedCall(uses="check")
    steps = tuple(
        s.model_copy(update={"verify": (check,)}) if s.id == "promote" else s
        for s in FAILOVER.steps
    )
    plan = plan_of(*steps)
    first = drive(plan, MEASURE, Fake("check", READ, raises={1: NO}))
    assert "failed" == first.state.steps["promote"].status
    there = Fake("promote", PROMOTE, settled=THERE)
    ran = drive(plan, there, unfence := Fake("unfence"), after=first, first=undo())
    assert ("failed", []) == (ran.end.result, unfence.calls)
    assert "only forward" in ran.end.why


@pytest.mark.parametrize("way", ["forward", "back"])
def test_a_promotion_under_way_when_the_process_died_is_looked_at(way):
    """And when it turns out to have happened, nothing is undone and the run may go on."""
    first = drive(FAILOVER, MEASURE)
    cut = next(
        n
        for n, r in enumerate(first.records)
        if isinstance(r.event, e.EffectIntended) and r.event.step == "promote"
    )
    seen = THERE if way == "forward" else NotDone(why="still a replica")
    there = Fake("promote", PROMOTE, settled=seen)
    ran = drive(FAILOVER, MEASURE, there, after=first.records[: cut + 1], first=undo())
    if way == "back":
        assert (["fence", "warm"], "undone") == (undone(ran), ran.end.result)
        return
    assert "only forward" in ran.end.why
    assert [] == ran.events(e.UndoStarted)
    on = drive(FAILOVER, MEASURE, there, after=ran, first=RESUMED)
    assert ("succeeded", []) == (on.end.result, there.calls)


def test_a_promotion_that_was_skipped_after_it_may_have_happened_is_not_passed():
    blind = Fake("promote", PROMOTE, raises={1: LOST}, settled=CannotTell(why="?"))
    end = Fake("end", raises={1: NO})
    first = drive(FAILOVER, MEASURE, blind, end)
    skipped = drive(
        FAILOVER, MEASURE, end, after=first, first=RESUMED, ordered=[order("skip", "promote")]
    )
    assert "skipped" == skipped.state.steps["promote"].status
    ran = drive(FAILOVER, blind, unfence := Fake("unfence"), after=skipped, first=undo())
    assert ("unknown", []) == (ran.end.result, unfence.calls)


def test_what_came_after_the_promotion_can_be_undone_by_itself():
    first = drive(FAILOVER, MEASURE, Fake("end", raises={1: NO}))
    ran = drive(FAILOVER, after=first, first=undo(to="move"))
    assert (["move"], "undone") == (undone(ran), ran.end.result)


# -- what is not known


@pytest.mark.parametrize(
    ("settled", "expected", "result"),
    [
        (Done(outputs=NoOutputs()), ["b", "a"], "undone"),
        (NotDone(why="no"), ["a"], "undone"),
        (CannotTell(why="two answers"), [], "unknown"),
    ],
)
def test_what_may_have_happened_is_looked_at_before_anything_is_undone(settled, expected, result):
    first = drive(PLAN, Fake("b", raises={1: LOST}, settled=CannotTell(why="?")))
    assert "unknown" == first.end.result
    act = Fake("b", settled=settled)
    ran = drive(PLAN, act, after=first, first=undo())
    assert (expected, result, []) == (undone(ran), ran.end.result, act.calls)
    if result == "unknown":
        assert "two answers" in ran.end.why


def test_a_failure_with_a_request_behind_it_is_looked_at():
    """Half a fence may be there."""
    first = drive(PLAN, Fake("b", raises={1: NO}))
    act = Fake("b", settled=Done(outputs=NoOutputs()))
    assert ["b", "a"] == undone(drive(PLAN, act, after=first, first=undo()))


def test_an_undo_whose_reply_is_lost_is_looked_for_and_not_sent_twice():
    taken = Fake("unb", raises={1: LOST}, settled=Done(outputs=NoOutputs()))
    ran = drive(PLAN, taken, after=drive(PLAN, broken()), first=undo())
    assert (["b", "a"], 1) == (undone(ran), len(taken.calls))


# -- an undo that fails


def test_an_undo_that_fails_stops_and_shows_both_errors():
    first = drive(PLAN, broken())
    bad = Fake("unb", raises={1: words.Conflict("busy")})
    ran = drive(PLAN, bad, older := Fake("una"), after=first, first=undo())
    assert ("failed", 6) == (ran.end.result, exit_code(ran.end))
    assert "busy" in ran.end.why
    assert first.end.why in ran.end.why
    assert older.calls == []


def test_the_same_command_again_goes_on_where_it_failed():
    bad = Fake("una", raises={1: words.Conflict("busy")})
    failed = drive(PLAN, bad, after=drive(PLAN, broken()), first=undo())
    assert ["b"] == undone(failed)
    good = Fake("una")
    ran = drive(PLAN, good, newer := Fake("unb"), after=failed, first=undo())
    assert (["b", "a"], "undone", 1, []) == (
        undone(ran),
        ran.end.result,
        len(good.calls),
        newer.calls,
    )
    assert [1, 2] == [u.attempt for u in ran.events(e.UndoStarted) if u.step == "a"]


@pytest.mark.parametrize(
    ("settled", "sent"), [(Done(outputs=NoOutputs()), 1), (NotDone(why="no"), 2)]
)
def test_an_undo_that_is_unknown_is_looked_at_by_the_next_one(settled, sent):
    blind = Fake("unb", raises={1: LOST}, settled=CannotTell(why="two answers"))
    first = drive(PLAN, blind, after=drive(PLAN, broken()), first=undo())
    assert ("unknown", 10) == (first.end.result, exit_code(first.end))
    blind._settled = settled
    ran = drive(PLAN, blind, after=first, first=undo())
    assert ("undone", sent) == (ran.end.result, len(blind.calls))


def test_an_undo_that_dies_anywhere_ends_as_if_it_had_not():
    whole = drive(PLAN, after=drive(PLAN, broken()), first=undo())
    begin = next(n for n, r in enumerate(whole.records) if isinstance(r.event, e.UndoRequested))
    for count in range(begin + 1, len(whole.records)):
        for happened in (True, False):
            seen = Done(outputs=NoOutputs()) if happened else NotDone(why="no")
            fakes = [Fake("una", settled=seen), Fake("unb", settled=seen)]
            ran = drive(PLAN, *fakes, after=whole.records[:count], first=undo())
            assert "undone" == ran.end.result, (count, ran.end.why)
            assert all(len(fake.calls) <= 1 for fake in fakes)


def test_an_interrupted_undo_takes_nothing_further_back():
    first = drive(PLAN, broken())
    ran = drive(PLAN, Fake("unb", takes_s=10), after=first, first=undo(), interrupt_at_s=5)
    assert (["b"], "interrupted", 130) == (undone(ran), ran.end.result, exit_code(ran.end))
    assert "undone" == drive(PLAN, after=ran, first=undo()).end.result


def test_an_undo_never_goes_forward_again():
    first = drive(PLAN, broken())
    ran = drive(PLAN, after=first, first=undo())
    before = len([r for r in first.records if isinstance(r.event, e.StepStarted)])
    assert before == len(ran.events(e.StepStarted))


def test_without_the_journal_nothing_is_undone():
    first = drive(PLAN, broken())
    act = Fake("unb")
    ran = drive(
        PLAN,
        act,
        after=first,
        first=undo(),
        log=lambda clock: BreakingLog(
            clock, lambda event: isinstance(event, e.EffectIntended) and event.undoes
        ),
    )
    assert ran.error is not None
    assert act.calls == []


def test_a_fence_of_which_a_part_is_there_is_taken_back():
    """Shut and not proven: nobody gets in, and an undo that only says "it did not happen" lies."""
    part = NotDone(why="it is closed, and that is not proven", remains=True)
    first = drive(FAILOVER, MEASURE, Fake("fence", FENCE, raises={1: NO}))
    assert "failed" == first.end.result
    there = Fake("fence", FENCE, settled=part)
    ran = drive(FAILOVER, there, opened := Fake("unfence"), after=first, first=undo())
    assert ("undone", 1) == (ran.end.result, len(opened.calls))
    assert "fence" in ran.end.why

    knows = NotDone(why="it is closed", remains=True, outputs={"before": 3})
    call = PlannedCall(uses="unfence", with_={"n": "${{ outputs.before }}"})
    asks = plan_of(
        step("fence", effect=FENCE, undo=call), types={"steps.fence.outputs.before": "int"}
    )
    first_of = drive(asks, Fake("fence", FENCE, raises={1: NO}))
    there = Fake("fence", FENCE, settled=knows)
    ran = drive(asks, there, opened := Fake("unfence"), after=first_of, first=undo())
    assert "undone" == ran.end.result, "what it was before is known to the look alone"
    assert {"n": 3} == opened.calls[0][2].model_dump()

    nothing = Fake("fence", FENCE, settled=NotDone(why="it is open"))
    ran = drive(FAILOVER, nothing, opened := Fake("unfence"), after=first, first=undo())
    assert ("undone", 0) == (ran.end.result, len(opened.calls))
