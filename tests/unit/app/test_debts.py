"""What runs leave behind: booked with the effect, cleared by whoever pays, shown until then."""

import asyncio

import pytest
from engine_model import Fake, plan_of, registry_for, step

from drctl.actions.contract import Cleared, Debt, Effect
from drctl.actions.errors import Rejected
from drctl.app import debts as use_case
from drctl.app.compose import Parts
from drctl.app.debts import close_debt, debt_id, open_debts
from drctl.app.reading import fold_run
from drctl.app.running import Consent, run_plan
from drctl.app.taking_back import undo_run
from drctl.config.secrets import LocalSecrets
from drctl.kernel.clock import SystemClock
from drctl.kernel.errors import InvalidError
from drctl.plan.model import PlannedCall

KEY = "standby:postgres:73"


class Leaves(Fake):
    def __init__(self, name, *debts, **more):
        super().__init__(name, more.pop("effect", Effect.CHANGE), takes_s=0, **more)
        self._debts = debts

    def debts(self, target, params, outputs):
        return self._debts


def owing(name, what="one database, no standby", key=KEY, **more):
    return Leaves(name, Debt(key=key, what=what, remedy="build one"), **more)


@pytest.fixture
def run(tmp_path):
    def start(*actions, plan=None):
        plan = plan or plan_of(*(step(one.name, effect=one.effect) for one in actions))
        made = Parts(
            registry=registry_for(plan, actions, ()),
            clock=SystemClock(),
            secrets=LocalSecrets(),
            runs=tmp_path / "runs",
        )
        end, folder = asyncio.run(run_plan(made, plan, Consent(), []))
        return made, end, folder

    return start


def keys(made):
    return [debt.key for debt in open_debts(made).open]


def test_a_success_is_owed_for_until_another_run_pays(run):
    made, _end, folder = run(owing("promote"))
    assert [KEY] == keys(made)
    assert ["promote"] == [owed.step for owed in fold_run(folder)[0].debts.values()]
    made, _end, _folder = run(Leaves("rebuild", Cleared(key=KEY)))
    assert keys(made) == []


def test_what_failed_leaves_nothing_and_what_only_failed_its_check_does(run):
    made, end, _folder = run(owing("promote", raises={1: Rejected("no")}))
    assert ("failed", []) == (end.result, keys(made))
    check = Fake("check", Effect.READ, takes_s=0, raises={1: Rejected("not writable")})
    call = PlannedCall(uses="check", with_={})
    plan = plan_of(step("fence", effect=Effect.CHANGE, verify=(call,)))
    made, end, _folder = run(owing("fence"), check, plan=plan)
    assert ("failed", [KEY]) == (end.result, keys(made))


def test_an_undo_takes_back_its_own_run_s_debt_and_no_other(run):
    made, _end, _older = run(owing("a", key="other:1"))
    undo = PlannedCall(uses="back", with_={})
    plan = plan_of(step("a", effect=Effect.CHANGE, undo=undo))
    made, _end, folder = run(owing("a"), Leaves("back"), plan=plan)
    assert ["other:1", KEY] == keys(made)
    asyncio.run(undo_run(made, folder, "", "false alarm", []))
    assert ["other:1"] == keys(made)


def test_a_person_closes_one_and_it_stays_in_the_record(run):
    made, _end, folder = run(owing("promote"), owing("lb", key="lb:1", what="emergency"))
    with pytest.raises(InvalidError) as caught:
        close_debt(made, "standby-000000", "done")
    assert caught.value.problems[0].code == "DR4010"
    assert close_debt(made, debt_id(KEY), "it streams").key == KEY
    assert ["lb:1"] == keys(made)
    state, chain = fold_run(folder)
    assert ["lb:1"] == list(state.debts)
    assert "succeeded" == folder.standing(chain)


def test_a_record_that_does_not_verify_is_said_to_be_unknown(run):
    made, _end, folder = run(owing("promote"))
    data = folder.journal.read_bytes()
    folder.journal.write_bytes(data.replace(b"no standby", b"no standbx"))
    found = open_debts(made)
    assert ([], [folder.run_id]) == (list(found.open), list(found.unreadable))


def test_a_lab_that_is_gone_owes_nothing(run, tmp_path, monkeypatch):
    promote = owing("promote")
    plan = plan_of(step("promote", effect=Effect.CHANGE), world="lab")
    monkeypatch.setattr(use_case, "lab_root", lambda: tmp_path)
    (tmp_path / "environment.yaml").touch()
    made, _end, _folder = run(promote, plan=plan)
    assert [KEY] == keys(made)
    (tmp_path / "environment.yaml").unlink()
    assert keys(made) == []
    (tmp_path / "environment.yaml").touch()  # another lab
    assert keys(made) == []
