"""What refuses before a run, since when the incident lasts, and which run is meant."""

import asyncio
import os
import signal
from datetime import timedelta

import pytest
from engine_model import BreakingLog, Fake, FakePin, plan_of, registry_for, step

from drctl.actions.contract import Effect
from drctl.app import answering, running
from drctl.app.answering import answer_gate, was_heard
from drctl.app.compose import Parts
from drctl.app.reading import find_run, fold_run
from drctl.app.running import Consent, preflight, run_plan
from drctl.app.saved import read_plan, still_holds
from drctl.config.secrets import LocalSecrets
from drctl.engine import events as e
from drctl.engine.fold import ANY_LOSS_S
from drctl.journal.folder import Journal
from drctl.journal.inbox import FolderInbox
from drctl.kernel.clock import SystemClock
from drctl.kernel.errors import BrokenOffError, InvalidError, JournalError, Problem, RefusedError
from drctl.kernel.ids import RunId
from drctl.plan.model import LossLook, PlannedGate, PlannedPin
from drctl.simulated.clock import EPOCH


def pin(found, targets=("room",)):
    return PlannedPin(
        name="fake.account", subject="here", targets=targets, expected="us", found=found
    )


def codes(plan, **consent):
    try:
        preflight(plan, Consent(**consent))
    except RefusedError as error:
        return [problem.code for problem in error.problems]
    return []


CHANGE = step("a", effect=Effect.CHANGE, target="room")
FENCE = step("a", effect=Effect.FENCE, target="room")
LOOK = step("a", effect=Effect.READ, target="room")


def loss(bound_s):
    return LossLook(step="a", bound_s=bound_s, source="here")


@pytest.mark.parametrize(
    ("plan", "consent", "expected"),
    [
        (plan_of(CHANGE, pins=[pin("us")]), {}, []),
        (plan_of(CHANGE, pins=[pin("us")], is_offline=True), {}, ["DR3202"]),
        (plan_of(CHANGE, pins=[pin("them")]), {}, ["DR5201"]),
        (plan_of(CHANGE, pins=[pin(None)]), {}, ["DR5202"]),
        (plan_of(FENCE, pins=[pin(None)]), {}, []),
        (plan_of(FENCE, pins=[pin("them")]), {}, ["DR5201"]),
        (plan_of(LOOK, pins=[pin(None)]), {}, []),
        (plan_of(LOOK, pins=[pin("them")]), {}, ["DR5201"]),
        (plan_of(CHANGE, loss=loss(300.0)), {}, []),
        (plan_of(CHANGE, loss=loss(300.1)), {}, ["DR3101"]),
        (plan_of(CHANGE, loss=loss(300.1)), {"accepted_loss_s": 300.0}, ["DR3101"]),
        (plan_of(CHANGE, loss=loss(300.1)), {"accepted_loss_s": 301.0}, []),
        (plan_of(CHANGE, loss=loss(None)), {}, ["DR3101"]),
        (plan_of(CHANGE, loss=loss(None)), {"accepted_loss_s": 1e9}, ["DR3101"]),
        (plan_of(CHANGE, loss=loss(None)), {"accepted_loss_s": ANY_LOSS_S}, []),
        (
            plan_of(CHANGE, pins=[pin("them")], loss=loss(None), is_offline=True),
            {},
            ["DR3202", "DR5201", "DR3101"],
        ),
    ],
)
def test_what_must_not_begin_is_refused_with_every_reason(plan, consent, expected):
    assert expected == codes(plan, **consent)


def seen(ago_s):
    at = None if ago_s is None else (EPOCH - timedelta(seconds=ago_s)).isoformat()
    return LossLook(step="a", bound_s=1.0, source="w", primary_last_seen=at)


@pytest.mark.parametrize(
    ("starts_at", "flag_s", "seen_s", "expected"),
    [
        ("incident", None, 120, (120.0, "witness")),
        ("incident", None, 1, (0.0, "declared")),
        ("incident", None, None, (0.0, "declared")),
        ("incident", None, -50, (0.0, "declared")),
        ("incident", 300, 120, (300.0, "flag")),
        ("incident", -300, 120, (0.0, "flag")),
        ("declared", None, 120, (0.0, "declared")),
        ("declared", 60, 120, (60.0, "flag")),
        ("run", 300, 120, (0.0, "run")),
    ],
)
def test_the_incident_began_when_the_best_witness_says(starts_at, flag_s, seen_s, expected):
    plan = plan_of(LOOK, loss=seen(seen_s))
    objectives = plan.objectives.model_copy(update={"starts_at": starts_at})
    plan = plan.model_copy(update={"objectives": objectives})
    flag = None if flag_s is None else EPOCH - timedelta(seconds=flag_s)
    assert expected == running._incident_clock(plan, Consent(started_at=flag), EPOCH)


@pytest.fixture
def parts(tmp_path):
    def of(plan, *fakes, pins=()):
        return Parts(
            registry=registry_for(plan, fakes, pins),
            clock=SystemClock(),
            secrets=LocalSecrets(),
            runs=tmp_path / "runs",
        )

    return of


def quick(name, effect=Effect.CHANGE, **more):
    return Fake(name, effect, takes_s=0, **more)


PLAN = plan_of(step("a", effect=Effect.CHANGE), ends=("a",))


def test_a_run_leaves_a_record_that_folds_to_its_end(parts):
    made = parts(PLAN, quick("a"))
    end, folder = asyncio.run(run_plan(made, PLAN, Consent(), []))
    state, chain = fold_run(folder)
    assert ("succeeded", end) == (end.result, state.finished)
    assert folder.standing(chain) == "succeeded"
    assert not folder.is_held()


def test_a_run_whose_plan_was_replaced_is_not_folded(parts):
    made = parts(PLAN, quick("a"))
    _end, folder = asyncio.run(run_plan(made, PLAN, Consent(), []))
    other = PLAN.model_copy(update={"title": "Other"}).sealed()
    (folder.path / "plan.json").write_text(other.model_dump_json())
    with pytest.raises(JournalError) as caught:
        fold_run(folder)
    assert caught.value.problems[0].code == "DR4005"


class Broken:
    def __getattr__(self, name):
        def fail(*_args):
            raise BrokenPipeError

        return fail


def test_a_view_that_breaks_costs_nothing(parts, monkeypatch):
    monkeypatch.setattr(running, "TICK_S", 0.0)
    end, folder = asyncio.run(run_plan(parts(PLAN, quick("a")), PLAN, Consent(), [Broken()]))
    assert end.result == "succeeded"
    assert not folder.is_held()


def test_no_place_for_the_record_is_a_refusal(parts, tmp_path):
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(RefusedError):
        asyncio.run(run_plan(parts(PLAN, fake := quick("a")), PLAN, Consent(), []))
    assert fake.calls == []


@pytest.mark.parametrize(
    ("breaks_at", "error", "is_known"),
    [
        (e.EffectIntended, RefusedError, None),
        (e.StepFinished, BrokenOffError, False),
        (e.RunFinished, BrokenOffError, True),
    ],
)
def test_a_disk_that_fills_up_says_what_is_known_of_the_world(
    parts, monkeypatch, breaks_at, error, is_known
):
    real = Journal.append

    def append(self, event):
        if isinstance(event, breaks_at):
            raise JournalError((Problem(code="DR4003", what="disk full"),))
        return real(self, event)

    monkeypatch.setattr(Journal, "append", append)
    with pytest.raises(error) as caught:
        asyncio.run(run_plan(parts(PLAN, quick("a")), PLAN, Consent(), []))
    if is_known is not None:
        assert is_known == caught.value.is_known
    assert BreakingLog


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_gracefully(parts, number):
    async def hit(ctx, call):
        os.kill(os.getpid(), number)
        await asyncio.sleep(0)
        return {}

    plan = plan_of(step("a", effect=Effect.CHANGE), step("b", effect=Effect.CHANGE, needs=("a",)))
    made = parts(plan, quick("a", does=hit), never := quick("b"))
    end, folder = asyncio.run(run_plan(made, plan, Consent(), []))
    assert ("interrupted", number.name) == (end.result, end.signal)
    assert never.calls == []
    assert fold_run(folder)[0].steps["a"].status == "succeeded"


def test_runs_are_found_by_id_by_beginning_and_as_latest(parts):
    made = parts(PLAN)
    for name in ("20260101T1000-aaaa", "20260101T1000-aaab", "20260102T1000-bbbb"):
        Journal.create(made.runs, RunId(name), PLAN, SystemClock()).close()
    assert find_run(made, "latest").run_id == "20260102T1000-bbbb"
    assert find_run(made, "20260102").run_id == "20260102T1000-bbbb"
    assert find_run(made, "20260101T1000-aaab").run_id == "20260101T1000-aaab"
    for name in ("", "2026", "20260101", "nope", "../20260102T1000-bbbb"):
        with pytest.raises(InvalidError):
            find_run(made, name)


def test_an_answer_is_left_only_for_an_open_gate_of_a_live_run(parts):
    plan = plan_of(
        step("go", gate="go"),
        step("a", effect=Effect.CHANGE, needs=("go",)),
        gates={"go": PlannedGate(title="Go", expires_s=60)},
    )
    made = parts(plan)
    journal = Journal.create(made.runs, RunId("r"), plan, SystemClock())
    from engine_model import started

    journal.append(started(plan))

    def refused(gate):
        with pytest.raises(RefusedError) as caught:
            answer_gate(made, "r", gate, "approve", "")
        return caught.value.problems[0].code

    assert refused("go") == "DR3004"
    opened = e.GateOpened(
        step="go", gate="go", title="Go", show=(), approvers=(), quorum=1, expires_s=60
    )
    journal.append(opened)
    assert refused("a") == "DR3004"
    left = answer_gate(made, "r", "go", "approve", "because")

    def heard():
        return asyncio.run(was_heard(made, left, "go"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answering, "HEARD_WITHIN", timedelta(seconds=0.1))
        assert heard() is False
    taken = e.GateAnswered(step="go", answer="approve", by="boss", via="test")
    journal.append(taken)
    assert heard() is True
    assert ["because"] == [answer.reason for answer in FolderInbox(journal.folder.inbox).take()]
    journal.close()
    assert refused("go") == "DR3003"


def test_an_answer_to_a_run_that_is_just_being_taken_up_is_said_to_be_lost(parts):
    """Whoever resumes a killed run holds its folder while it waits for the lease."""
    plan = plan_of(step("go", gate="go"), gates={"go": PlannedGate(title="Go", expires_s=60)})
    made = parts(plan)
    journal = Journal.create(made.runs, RunId("r"), plan, SystemClock())
    from engine_model import started

    journal.append(started(plan))
    journal.append(
        e.GateOpened(
            step="go", gate="go", title="Go", show=(), approvers=(), quorum=1, expires_s=60
        )
    )
    left = answer_gate(made, "r", "go", "approve", "because")
    journal.append(e.RunResumed(operator="a", host="h", version="0"))
    with pytest.raises(RefusedError) as caught:
        asyncio.run(was_heard(made, left, "go"))
    assert "was not heard" in caught.value.problems[0].now
    journal.close()


def save(path, plan):
    path.write_bytes(plan.as_saved())
    return path


def test_a_saved_plan_runs_only_as_it_was_saved(tmp_path):
    from drctl import __version__

    plan = plan_of(LOOK, drctl=__version__)
    assert plan == read_plan(save(tmp_path / "p.json", plan))
    for bad in (plan.model_copy(update={"title": "Other"}), plan_of(LOOK, drctl="99")):
        with pytest.raises(InvalidError):
            read_plan(save(tmp_path / "p.json", bad))
    for text in ("", "{}", "[]", '{"version": 2}'):
        (tmp_path / "p.json").write_text(text)
        with pytest.raises(InvalidError):
            read_plan(tmp_path / "p.json")
    with pytest.raises(InvalidError):
        read_plan(tmp_path / "nowhere.json")


def test_a_saved_plan_is_refused_in_another_world(parts):
    plan = plan_of(CHANGE, pins=[pin("us")])
    same = asyncio.run(still_holds(parts(plan, pins=[FakePin("us")]), plan))
    assert same.steps == plan.steps
    for found in ("them", ValueError("silent")):
        with pytest.raises(RefusedError) as caught:
            asyncio.run(still_holds(parts(plan, pins=[FakePin(found)]), plan))
        assert caught.value.problems[0].code == "DR3201"


def test_a_plan_that_was_made_offline_never_runs(parts):
    plan = plan_of(CHANGE, pins=[pin(None)], is_offline=True)
    with pytest.raises(RefusedError):
        preflight(asyncio.run(still_holds(parts(plan, pins=[]), plan)), Consent())
