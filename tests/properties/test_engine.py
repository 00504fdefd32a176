"""
Random runbooks and random faults through the real driver, in virtual time.

Held for every one: no step starts early, none is lost, nothing is sent that was not intended or
sent twice after an unknown outcome, the run ends, and its record folds to what the driver knew.
"""

from typing import Any

import pytest
from engine_model import RESUMED, Fake, approve, drive, order, plan_of, step, undo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drctl.actions import errors as words
from drctl.actions.contract import CannotTell, Done, Effect, NoOutputs, NotDone
from drctl.cli.execute import exit_code
from drctl.engine import events as e
from drctl.engine.orders import refusal
from drctl.journal.chain import GENESIS, decode, encode
from drctl.kernel.errors import JournalError
from drctl.plan.model import PlannedGate

FAULTS: list[dict[str, Any]] = [
    {},
    {},
    {},
    {"takes_s": 1e7},
    *({"raises": {1: kind("no")}} for kind in words.WORDS.values()),
    {"raises": {1: words.Throttled("a"), 2: words.Throttled("b"), 3: words.Throttled("c")}},
    {"raises": {1: ZeroDivisionError("bug")}},
    {"gives": {"x": float("nan"), "y": "\ud800"}},
]
SETTLED = [None, Done(outputs=NoOutputs()), NotDone(why="no"), CannotTell(why="?"), ValueError("x")]
EFFECTS = [Effect.READ, Effect.READ, Effect.NOTIFY, Effect.CHANGE, Effect.CHANGE, Effect.TRAFFIC]
LONGEST_S = 5000.0


@st.composite
def runs(draw):
    steps, fakes = [], []
    count = draw(st.integers(1, 10))
    for index in range(count):
        name = f"s{index}"
        needs = draw(st.sets(st.integers(0, index - 1), max_size=3)) if index else set()
        more: dict[str, Any] = {"needs": tuple(f"s{n}" for n in sorted(needs))}
        more["on_failure"] = draw(st.sampled_from(["pause", "pause", "stop"]))
        if draw(st.integers(0, 7)) == 0:
            steps.append(step(name, gate="go", **more))
            continue
        effect = draw(st.sampled_from(EFFECTS))
        more["when"] = draw(st.sampled_from([None, None, None, "true", "false", "1 / 0 == 1"]))
        more["retry"] = draw(
            st.sampled_from([{}, {"attempts": 3, "on_errors": tuple(words.WORDS)}])
        )
        if effect is Effect.READ:
            more["on_failure"] = draw(st.sampled_from(["pause", "continue"]))
        more["timeout_s"] = draw(st.sampled_from([1.0, 10.0, 60.0]))
        steps.append(step(name, effect=effect, **more))
        fault = draw(st.sampled_from(FAULTS))
        took = {"takes_s": draw(st.sampled_from([0.0, 0.5, 3.0, 20.0]))}
        settled = draw(st.sampled_from(SETTLED))
        fakes.append(Fake(name, effect, settled=settled, **(took | fault)))
    if draw(st.booleans()):
        steps.append(step("news", effect=Effect.NOTIFY, is_final=True))
        fakes.append(Fake("news", Effect.NOTIFY, **draw(st.sampled_from(FAULTS))))
    ends = tuple(
        draw(st.sets(st.sampled_from([s.id for s in steps if not s.is_final]), max_size=2))
    )
    gates = {"go": PlannedGate(title="Go", expires_s=90.0, quorum=draw(st.sampled_from([1, 2])))}
    people = st.tuples(
        st.floats(0, 120),
        st.sampled_from([s.id for s in steps]),
        st.sampled_from(["alice", "bob"]),
        st.sampled_from(["approve", "approve", "approve", "deny"]),
    )
    says = [approve(*said) for said in draw(st.lists(people, max_size=8))]
    interrupt = draw(st.sampled_from([None, None, 0.0, 1.0, 5.0, 30.0]))
    return plan_of(*steps, ends=ends, gates=gates), fakes, says, interrupt


def counts_as_done(plan, need, status):
    on_its_way = status in {"succeeded", "skipped"}
    one = plan.by_id[need]
    return on_its_way or (
        (one.is_message or one.on_failure == "continue") and status in {"failed", "unknown"}
    )


@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(runs())
def test_whatever_happens_a_run_keeps_its_promises(made):
    plan, fakes, says, interrupt = made
    ran = drive(plan, *fakes, says=says, interrupt_at_s=interrupt)
    assert ran.error is None
    assert ran.end is not None, "it ends"
    assert ran.ended_s < LONGEST_S
    blocked_at = next(
        (n for n, state in enumerate(ran.before) if state.is_blocked), len(ran.records)
    )
    ended = set()
    for number, (before, record) in enumerate(zip(ran.before, ran.records, strict=True)):
        match record.event:
            case e.StepStarted(step=name) | e.GateOpened(step=name):
                statuses = {n: before.steps[n].status for n in plan.by_id[name].needs}
                assert all(counts_as_done(plan, n, s) for n, s in statuses.items()), "never early"
                assert name not in ended, "never again after its end"
                assert number < blocked_at or plan.by_id[name].is_final, "never while blocked"
            case e.StepFinished(step=name):
                if ran.before[number + 1].steps[name].status != "waiting":
                    assert name not in ended, "settled once"
                    ended.add(name)
    for fake in fakes:
        if fake.effect is not Effect.READ:
            intents = [i for i in ran.events(e.EffectIntended) if i.step == fake.name]
            assert len(fake.calls) <= len(intents), "nothing is sent without an intent"
            assert len({key for _at, key, _params in fake.calls}) <= 1
        outcomes = [f.outcome for f in ran.finished(fake.name)]
        assert "unknown" not in outcomes[:-1], "unknown is never tried again"
    check_end(plan, ran)


def check_end(plan, ran):
    """The last word is true."""
    state, code = ran.state, exit_code(ran.end)
    work = [s for s in plan.steps if not s.is_message and not s.is_final]
    if code in {0, 8}:
        for one in work:
            status = state.steps[one.id].status
            good = {"succeeded", "skipped"} | (
                {"failed"} if one.on_failure == "continue" else set()
            )
            assert status in good, "no step is lost in a success"
        assert not plan.objectives.stops_after or ran.end.rta_s is not None
        assert state.pause is None
    if any(state.steps[s.id].status == "unknown" for s in plan.steps if not s.is_message):
        assert code == 10
    if code == 5:
        assert not ran.end.changed
    left = state.running - state.gates.keys()
    assert not left or ran.end.signal, "only an interrupt leaves work under way"
    assert all(name in ran.end.why for name in left) or code == 10, "and says so"
    data, head = b"", GENESIS
    for record in ran.records:
        line, head = encode(record, head)
        data += line
    assert decode(data, name="x").records


@settings(max_examples=60, deadline=None)
@given(runs(), st.data())
def test_a_record_that_is_damaged_anywhere_is_found(made, data):
    plan, fakes, says, interrupt = made
    head, lines = GENESIS, []
    for record in drive(plan, *fakes, says=says, interrupt_at_s=interrupt).records:
        line, head = encode(record, head)
        lines.append(line)
    whole = b"".join(lines)
    place = data.draw(st.integers(0, len(whole) - 2))
    new = data.draw(st.integers(0, 255))
    damaged = whole[:place] + bytes([new]) + whole[place + 1 :]
    if damaged == whole:
        return
    if new == 0 and place >= len(whole) - len(lines[-1]):
        # A zero in the last line is what a crash leaves of one that nobody was told of.
        chain = decode(damaged, name="x")
        assert len(chain.records) == len(lines) - 1
        assert chain.torn_bytes == len(lines[-1])
        return
    with pytest.raises(JournalError) as found:
        decode(damaged, name="x")
    number = int(str(found.value.problems[0].at).rpartition(":")[2])
    assert number == whole[:place].count(b"\n") + 1


ORDERS = ["pause", "continue", "continue", "cancel", "retry", "skip", "note", "force"]
DONE = {"succeeded", "skipped"}


@st.composite
def ordered_runs(draw):
    """A run that promotes behind a fence, beside random work, with people who give orders."""
    plan, fakes, says, interrupt = draw(runs())
    fence_fault = draw(st.sampled_from(FAULTS))
    more = [
        step("measure", measures_loss=True),
        step("gate", gate="go", needs=("measure",)),
        step("fence", effect=Effect.FENCE, needs=("gate",), timeout_s=5.0),
        step("promote", effect=Effect.PROMOTE, needs=("fence",), timeout_s=5.0),
    ]
    fakes = [
        *fakes,
        Fake("measure", Effect.READ, loss=True, gives={"bound": 1.0, "source": "x"}),
        Fake("fence", Effect.FENCE, settled=draw(st.sampled_from(SETTLED)), **fence_fault),
        Fake("promote", Effect.PROMOTE, settled=draw(st.sampled_from(SETTLED))),
    ]
    plan = plan_of(*plan.steps, *more, gates=dict(plan.gates))
    names = [one.id for one in plan.steps]
    given_orders = st.tuples(
        st.floats(0, 120), st.sampled_from(ORDERS), st.sampled_from(["", *names]),
        st.sampled_from(["because", "because", ""]),
    )  # fmt: skip
    says += [
        (at_s, order(word, name, reason))
        for at_s, word, name, reason in draw(st.lists(given_orders, max_size=8))
    ]
    says.append(approve(draw(st.floats(1, 30)), "gate"))
    # Somebody comes back in the end: a held run would rightly wait for ever.
    return plan, fakes, [*says, *((at_s, order("continue")) for at_s in (400, 800))], interrupt


def check_orders(plan, ran):
    """What holds for every record, whatever people wanted."""
    sent: set[tuple[str, int, bool]] = set()
    for before, record in zip(ran.before, ran.records, strict=True):
        match record.event:
            case e.EffectIntended(step=name, attempt=attempt, undoes=undoes):
                assert (name, attempt, undoes) not in sent or plan.by_id[name].verify
                sent.add((name, attempt, undoes))
            case e.StepStarted(step="promote"):
                fence = before.steps["fence"]
                forced = [said for said in before.forced if said.reason.strip()]
                assert fence.status == "succeeded" or forced, "no fence, and nobody forced it"
                assert before.steps["gate"].status == "succeeded"
            case e.StepStarted(step=name) | e.GateOpened(step=name):
                assert before.held is None, "held means held"
                assert before.undo is None, "turned round means back"
                assert before.cancelled is None or plan.by_id[name].is_final
                needs = {n: before.steps[n] for n in plan.by_id[name].needs}
                assert all(
                    (need.is_settled and counts_as_done(plan, n, need.status))
                    or (before.forced_for(n) is not None and need.is_settled)
                    for n, need in needs.items()
                ), (name, needs)  # fmt: skip
            case e.OrderGiven() as given_order:
                word, name, reason = given_order.order, given_order.step, given_order.reason
                assert refusal(plan, before, order(word, name, reason)) is None
    settled = [s for s in ran.state.steps.values() if s.is_settled]
    left = ran.state.open_work + ran.state.open_messages + ran.state.open_final
    assert len(settled) + left == len(plan.steps), "each step is counted once"


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(ordered_runs(), st.data())
def test_whatever_people_order_a_run_keeps_its_promises(made, data):
    plan, fakes, says, interrupt = made
    ran = drive(plan, *fakes, says=says, interrupt_at_s=interrupt)
    assert ran.error is None
    assert ran.end is not None, "it ends"
    check_orders(plan, ran)
    for _again in range(data.draw(st.integers(0, 3))):
        word = data.draw(st.sampled_from(["retry", "skip", "force", "cancel", "resume", "undo"]))
        name = data.draw(st.sampled_from(["", *(one.id for one in plan.steps)]))
        says = [approve(1, "gate"), *((at_s, order("continue")) for at_s in (400, 800))]
        if word == "undo":
            ran = drive(plan, *fakes, after=ran, first=undo())
        elif ran.state.is_turned_round:
            break
        elif word == "resume":
            ran = drive(plan, *fakes, after=ran, first=RESUMED, says=says)
        elif refusal(plan, ran.state, order(word, name)) is None:
            given_order = [order(word, name)]
            ran = drive(plan, *fakes, after=ran, first=RESUMED, ordered=given_order, says=says)
        assert ran.error is None
        assert ran.end is not None, "it ends"
        check_orders(plan, ran)
