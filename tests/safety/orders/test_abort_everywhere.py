"""
A run is given up everywhere, and taken back: as it was before, or forward only.

Everywhere: a cancellation, and a kill, at each event of each plan. Oracle: the model estate itself,
not the record.
"""

import itertools

import pytest
from abort_model import Estate, plans
from engine_model import drive, order, undo
from results import is_full, record

from drctl.actions import errors as words
from drctl.actions.contract import Effect
from drctl.cli.execute import exit_code
from drctl.engine import events as e
from drctl.engine.undoing import undoing

SUITE = "orders"
PLANS = plans()


def whole(name):
    plan, says = PLANS[name]
    return drive(plan, *Estate().fakes(plan), says=says)


def moments(name):
    """A little after each start of a step, and between: seconds of virtual time."""
    seen = {r.at.boot_s for r in whole(name).records if r.at.boot_s > 0}
    found = sorted({*(at + 0.2 for at in seen), *(at + 1.0 for at in seen), 0.2})
    return found[:-1]


CANCELS = [(name, at) for name in PLANS for at in moments(name)]


def check_taken_back(plan, ran, estate, sent_before):
    """After the undo: nothing is left, or nothing was touched because there is no way back."""
    promoted = "promote" in estate.marks
    if promoted:
        assert not estate.undone, "past the point of no return nothing is undone"
        assert "only forward" in ran.end.why
        return
    assert "undone" == ran.end.result, ran.end.why
    assert not estate.marks, "as before the run"
    assert len(estate.undone) == len(set(estate.undone)), "nothing is undone twice"
    assert estate.sent == sent_before, "an undo goes forward nowhere"


def test_cancelled_anywhere_and_undone_the_estate_is_as_before():
    violations = 0
    for name, at_s in CANCELS:
        plan, says = PLANS[name]
        estate = Estate()
        fakes = estate.fakes(plan)
        ran = drive(plan, *fakes, says=[*says, (at_s, order("cancel"))])
        told = [r.seq for r in ran.records if isinstance(r.event, e.OrderGiven)]
        if told:
            late = [
                r for r in ran.records if r.seq > told[0] and isinstance(r.event, e.StepStarted)
            ]
            assert [] == late, (name, at_s)
            assert "cancelled" == ran.end.result
            assert exit_code(ran.end) == (6 if estate.marks else 5)
        sent = list(estate.sent)
        if estate.marks:
            try:
                ran = drive(plan, *fakes, after=ran, first=undo())
                check_taken_back(plan, ran, estate, sent)
            except AssertionError:
                violations += 1
                raise
            ends = {r.event.step: r.seq for r in ran.records if _is_success(r.event)}
            order_of = [ends[one] for one in estate.undone]
            assert order_of == sorted(order_of, reverse=True), "newest first"
        else:
            assert () == undoing(plan, ran.state, "").steps
    record(f"{SUITE}-cancel", "I12", cases=len(CANCELS), violations=violations)


def test_killed_at_any_event_and_undone_the_estate_is_as_before():
    """What was under way has happened, or has not: only the read-back knows."""
    cases = 0
    for name in PLANS:
        plan, _says = PLANS[name]
        run = whole(name)
        for count, happened in itertools.product(range(2, len(run.records)), (True, False)):
            records = run.records[:count]
            intents = [r.event.step for r in records if isinstance(r.event, e.EffectIntended)]
            done = [r.event.step for r in records if isinstance(r.event, e.StepFinished)]
            estate = Estate()
            estate.marks = {one for one in intents if one in done or happened}
            estate.sent = [one for one in intents if one in estate.marks]
            if not intents:
                continue
            cases += 1
            ran = drive(plan, *estate.fakes(plan), after=records, first=undo())
            check_taken_back(plan, ran, estate, estate.sent)
    record(f"{SUITE}-kill", "I12", cases=cases, violations=0)


@pytest.mark.parametrize("name", PLANS)
def test_each_undo_that_fails_is_told_beside_the_first_error(name):
    plan, says = PLANS[name]
    names = [one.id for one in plan.steps if one.undo]
    cases = 0
    for broken in names if is_full() else names[:6]:
        estate = Estate()
        fakes = {fake.name: fake for fake in estate.fakes(plan)}
        last = next(r.at.boot_s for r in reversed(whole(name).records))
        stops = next(
            (one.id for one in plan.steps if one.effect is Effect.PROMOTE), plan.steps[-1].id
        )
        fakes[stops]._does = None
        fakes[stops]._raises = {1: words.Rejected("the first error")}
        first = drive(plan, *fakes.values(), says=says)
        assert last
        if broken not in estate.marks:
            continue
        fakes[f"un_{broken}"]._does = None
        fakes[f"un_{broken}"]._raises = {1: words.Conflict("the second error")}
        ran = drive(plan, *fakes.values(), after=first, first=undo())
        assert ("failed", 6) == (ran.end.result, exit_code(ran.end))
        assert "the second error" in ran.end.why
        assert first.end.why in ran.end.why
        assert "the first error" == ran.state.steps[stops].why
        assert broken in estate.marks
        cases += 1
    record(f"{SUITE}-both-errors-{name}", "I12", cases=cases, violations=0)


UNFORESEEN = [
    ZeroDivisionError("x"), KeyError("x"), OSError(5, "EIO"), MemoryError(), RecursionError(),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), AssertionError("x"), StopAsyncIteration(),
]  # fmt: skip


def test_an_error_that_nobody_foresaw_stops_everything():
    """I13: nothing that needs the step starts, and nothing else that changes anything either."""
    cases = 0
    for name, (plan, says) in PLANS.items():
        for one in plan.steps:
            if not one.effect.changes_something:
                continue
            for error in UNFORESEEN if is_full() else UNFORESEEN[:3]:
                estate = Estate()
                fakes = {fake.name: fake for fake in estate.fakes(plan)}
                fakes[one.id]._does = None
                fakes[one.id]._raises = {1: error}
                fakes[one.id].settled = _cannot_tell
                ran = drive(plan, *fakes.values(), says=says)
                told = next(r.seq for r in ran.records if _ended(r.event, one.id))
                late = [
                    r.event for r in ran.records
                    if r.seq > told and isinstance(r.event, e.StepStarted)
                ]  # fmt: skip
                assert [] == late, (name, one.id, error)
                assert ("unknown", 10) == (ran.end.result, exit_code(ran.end))
                cases += 1
    record(SUITE, "I13", cases=cases, violations=0, note="unforeseen errors, engine level")


async def _cannot_tell(ctx, target, params):
    raise OSError("nobody answers")


def _is_success(event):
    return isinstance(event, e.StepFinished) and event.outcome == "succeeded"


def _ended(event, name):
    return isinstance(event, e.StepFinished) and event.step == name


def test_a_step_that_hangs_gives_back_control_in_time():
    """I11: the step's own time, and as long again as a read-back may take."""
    cases = 0
    for name, (plan, says) in PLANS.items():
        for one in plan.steps:
            if one.call is None:
                continue
            estate = Estate()
            fakes = {fake.name: fake for fake in estate.fakes(plan)}
            if one.id in fakes:
                fakes[one.id]._does, fakes[one.id]._takes_s = None, 1e9
            else:
                continue
            ran = drive(plan, *fakes.values(), says=says)
            begun, ended = ran.at_s(e.StepStarted, one.id), ran.at_s(e.StepFinished, one.id)
            assert ended - begun <= one.timeout_s + 30 + 2, (name, one.id)
            cases += 1
    record(SUITE, "I11", cases=cases, violations=0, note="each step hangs, engine level")
