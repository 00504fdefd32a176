"""A run that dies anywhere, and is taken up again, ends as if it had not; in virtual time."""

import pytest
from harness import HERE, REPOSITORY, People, fold_states, read_world, tell
from harness import _Inbox as Inbox

from drctl.actions.registry import installed
from drctl.config.secrets import LocalSecrets
from drctl.engine.driver import Driver
from drctl.engine.events import (
    EffectIntended,
    RunResumed,
    StepFinished,
    UndoFinished,
    UndoRequested,
)
from drctl.engine.fold import fold
from drctl.engine.state import initial
from drctl.simulated.clock import VirtualClock, run_virtual
from drctl.simulated.log import MemoryLog
from drctl.simulated.world import Behaviour, Fault, Ledger, registry_of

WORLD = read_world(HERE / "base_world.yaml").model_copy(
    update={"says": read_world(HERE / "region_lost" / "world.yaml").says}
)
FIRST = tell(
    REPOSITORY / "runbooks" / "region-failover.yaml", WORLD, {"incident": "inc-20260101-001"}
)
ONCE = {"aws.rds.promote_replica", "aws.rds.fence"}
"""What must not be sent a second time; the others are idempotent or carry a key."""


async def _take_up(records, applied, world=WORLD, first=None):
    """Continues after *records* in a world in which *applied* has happened."""
    clock, ledger = VirtualClock(), Ledger()
    ledger.applied = list(applied)
    log = MemoryLog(clock)
    log.records = list(records)
    state = initial(FIRST.plan)
    for record in records:
        state = fold(FIRST.plan, state, record)
    driver = Driver(
        FIRST.plan,
        state,
        log=log,
        registry=registry_of(world, installed(), ledger),
        clock=clock,
        secrets=LocalSecrets(),
        inbox=Inbox(People(WORLD.says), clock),
    )
    end = await driver.run(first or RunResumed(operator="bob", host="other", version="0"))
    return end, ledger, log.records


def _intents(records):
    return [(r.event.action, r.event.key) for r in records if isinstance(r.event, EffectIntended)]


def _unfinished(records):
    done = {r.event.step for r in records if isinstance(r.event, StepFinished)}
    return [
        (r.event.action, r.event.key)
        for r in records
        if isinstance(r.event, EffectIntended) and r.event.step not in done
    ]


@pytest.mark.parametrize("has_happened", [True, False], ids=["after_effect", "before_effect"])
def test_a_run_killed_after_any_event_ends_as_if_it_had_not(has_happened):
    """Each event is a place to die; what was under way there has either happened or not."""
    assert FIRST.end.result == "succeeded"
    uninterrupted = sorted(set(FIRST.ledger.applied))
    for count in range(2, len(FIRST.records)):
        records = FIRST.records[:count]
        applied = _intents(records)
        if not has_happened:
            left = _unfinished(records)
            applied = [one for one in applied if one not in left]
        end, ledger, after = run_virtual(_take_up(records, applied))
        if any(name.startswith(("slack", "statuspage")) for name, _key in _unfinished(records)):
            continue  # a message may be lost or told again; the promise is about effects
        assert end.result == "succeeded", (count, end.why)
        changes = [one for one in ledger.applied if not one[0].startswith(("slack", "statuspage"))]
        wanted = [one for one in uninterrupted if not one[0].startswith(("slack", "statuspage"))]
        assert sorted(set(changes)) == wanted, (count, records[-1].event)
        once = [one for one in changes if one[0] in ONCE]
        assert len(once) == len(set(once)), (count, records[-1].event)
        assert [r.seq for r in after] == list(range(1, len(after) + 1))


def test_every_prefix_of_a_run_folds():
    """State is the fold of events: no prefix may fail, and the last one is the end."""
    states = fold_states(FIRST.plan, FIRST.records)
    assert states[-1].finished == FIRST.end


def test_a_resumed_run_measures_the_loss_anew_while_nothing_is_fenced():
    """Two seconds were measured before the interruption; twenty minutes are at stake now."""
    worse = Behaviour(takes="2s", outputs={"bound": 1200.0, "source": "heartbeat, witness"})
    world = WORLD.model_copy(update={"actions": {**WORLD.actions, "aws.rds.measure_lag": worse}})
    measured = next(
        index
        for index, record in enumerate(FIRST.records, start=1)
        if isinstance(record.event, StepFinished) and record.event.step == "measure_lag"
    )
    records = FIRST.records[: measured + 1]
    end, ledger, _after = run_virtual(_take_up(records, _intents(records), world))
    assert end.result in {"paused", "refused"}
    assert end.loss_bound_s == 1200.0
    assert not {"aws.rds.fence", "aws.rds.promote_replica"} & {name for name, _ in ledger.applied}


def test_an_unknown_outcome_is_looked_at_once_more_on_resume():
    """Whether the standby was promoted could not be told; now it can, and is not sent again."""
    lost = Fault(call=1, error="outcome_unknown", applied=True)
    promote = WORLD.actions["aws.rds.promote_replica"]
    blind = promote.model_copy(update={"faults": (lost,), "settled": "cannot_tell"})
    world = WORLD.model_copy(
        update={"actions": {**WORLD.actions, "aws.rds.promote_replica": blind}}
    )
    first = tell(
        REPOSITORY / "runbooks" / "region-failover.yaml", world, {"incident": "inc-20260101-001"}
    )
    assert first.end.result == "unknown"
    end, ledger, _after = run_virtual(_take_up(first.records, first.ledger.applied))
    assert end.result == "succeeded"
    assert [name for name, _ in ledger.applied].count("aws.rds.promote_replica") == 1


BACK = UndoRequested(by="bob", host="other", version="0", reason="false alarm")


@pytest.mark.parametrize("has_happened", [True, False], ids=["after_effect", "before_effect"])
def test_the_shipped_failover_killed_anywhere_is_undone_or_goes_only_forward(has_happened):
    """Before the promotion all that has an undo is taken back; after it nothing is."""
    undos = {s.id: s.undo.uses for s in FIRST.plan.steps if s.undo}
    by_step = {
        r.event.step: (r.event.action, r.event.key)
        for r in reversed(FIRST.records)  # a step's own intent comes before those of its checks
        if isinstance(r.event, EffectIntended)
    }
    for count in range(2, len(FIRST.records)):
        records = FIRST.records[:count]
        applied = _intents(records)
        if not has_happened:
            left = _unfinished(records)
            applied = [one for one in applied if one not in left]
        there = [name for name in undos if by_step[name] in applied]
        end, ledger, after = run_virtual(_take_up(records, applied, first=BACK))
        sent = ledger.applied[len(applied) :]
        told = [r.event.step for r in after if isinstance(r.event, UndoFinished)]
        if by_step["promote"] in applied:
            assert end.result == "failed"
            assert "only forward" in end.why
            assert sent == [] == told, (count, sent)
            continue
        assert end.result == "undone", (count, end.why)
        assert sorted(told) == sorted(there), count
        assert [action for action, _key in sent] == [undos[name] for name in told]
        assert not {key for _action, key in sent} & {key for _action, key in applied}
