"""What a plan says of a lost region: planes that are true, a run's end that follows from them."""

from pathlib import Path

import pytest

from drctl.actions.contract import Action
from drctl.actions.planes import ELSEWHERE, NOTHING, Ask, Down, Loss, control, data, needed
from drctl.actions.registry import installed
from drctl.app.compose import Parts
from drctl.app.planning import plan_loaded
from drctl.app.runbooks import find_runbook, load
from drctl.app.running import Consent, preflight
from drctl.app.saved import read_plan
from drctl.config.environment import load_environment
from drctl.kernel.clock import SystemClock
from drctl.kernel.errors import InvalidError, RefusedError
from drctl.kernel.secret import Secret
from drctl.plan.model import LossLook
from drctl.plan.refusals import refusals

ROOT = Path(__file__).parent.parent.parent.parent
ENVIRONMENTS = [
    ROOT / "examples" / "environments" / "prod.yaml",
    ROOT / "examples" / "environments" / "prod-gcp.yaml",
    ROOT / "tests" / "scenarios" / "environment.yaml",
]
MODEL = ENVIRONMENTS[-1]
REGISTRY = installed()
TARGETS = {
    (path.stem, name): target
    for path in ENVIRONMENTS
    for name, target in load_environment(path).targets.items()
}
NOWHERE = {"dns.record.resolve"}
"""Asks nameservers, which are in no region."""


class NoSecrets:
    def resolve(self, ref):
        return Secret("nothing")


@pytest.fixture
def planned(tmp_path):
    """Plans a shipped runbook offline, as if places were down."""

    async def made(runbook, *down, offline=True, model=MODEL):
        parts = Parts(registry=REGISTRY, clock=SystemClock(), secrets=NoSecrets(), runs=tmp_path)
        env = load_environment(model)
        loaded = load(
            find_runbook(str(ROOT / "runbooks" / f"{runbook}.yaml")), REGISTRY, env.targets
        )
        kind = "chg" if "switchover" in runbook else "inc"
        given = {"incident": f"{kind}-20261122-001"}
        return await plan_loaded(parts, loaded, env, given, offline=offline, assume_down=down)

    return made


def pairs():
    for action in REGISTRY:
        for (file, name), target in TARGETS.items():
            if action.targets and isinstance(target, action.targets):
                yield pytest.param(action, target, id=f"{action.name}-{file}-{name}")


@pytest.mark.parametrize(("action", "target"), pairs())
def test_what_an_action_needs_is_among_what_it_asks(action, target):
    """Two declarations that differ would let a plan and a list of actions say different things."""
    asks = [ask for ask in action.asks(target) if ask.once_moved is not False]
    wanted = [plane for plane in needed(asks) if plane != ELSEWHERE]
    assert sorted(action.planes(target)) == sorted(wanted)
    looks = {ask.plane for ask in action.asks_to_look(target)}
    assert looks <= {ask.plane for ask in action.asks(target)}


@pytest.mark.parametrize(("action", "target"), pairs())
def test_an_action_with_a_target_says_where_it_asks(action, target):
    places = {ask.plane for ask in action.asks(target)}
    assert places or action.name in NOWHERE


def test_each_pin_says_where_it_asks():
    seen = set()
    for target in TARGETS.values():
        for pin in REGISTRY.pins:
            if pin.identity(target) is not None:
                assert pin.asks(target), (type(pin).__name__, target.label)
                seen.add(type(pin))
    assert len(seen) >= 5


def test_no_irreversible_action_is_silent_about_what_is_lost():
    assert [a.name for a in REGISTRY if a.effect.is_irreversible and not a.no_way_back] == []


def test_a_call_fails_when_it_asks_what_is_lost_and_cannot_do_without():
    dead, silent = Down(lost={"a": Loss.DEAD}), Down(lost={"a": Loss.SILENT})
    needs, copes = control("a"), control("a", copes="so")
    refused = data("a", copes="it refuses", only_when_dead=True)
    assert dead.fatal((needs, copes, refused, data("b"))) == (needs,)
    assert dead.survived((needs, copes, refused)) == (copes, refused)
    assert silent.fatal((needs, copes, refused)) == (needs, refused)
    assert not NOTHING.is_touched((needs, copes, refused))
    assert dead.fatal((Ask(plane="control-plane:patroni:a"), Ask(plane="saas:a-b")))


async def test_a_failover_from_a_dead_region_comes_through(planned):
    fate = (await planned("region-failover", "us-east-1")).fate
    assert fate.ending == "succeeds"
    assert {one.part for one in fate.fails if not one.tolerated} == {"undo"}
    coped = {(one.part, one.step) for one in fate.copes}
    assert {("step", "fence_old_primary"), ("step", "one_primary")} <= coped
    # The fence that copes gives no position, so the drain is skipped: that is known beforehand.
    assert "drain_standby" in {one.step for one in fate.steps if one.outcome == "skipped"}
    assert "measure_again" not in {one.step for one in fate.steps if one.outcome == "skipped"}


async def test_a_failover_from_a_region_that_is_only_silent_stops_at_the_fence(planned):
    """Cannot reach is not a fence."""
    fate = (await planned("region-failover", "us-east-1=silent")).fate
    assert (fate.ending, fate.why) == ("pauses", "at fence_old_primary")
    reached = {one.step: one.reached for one in fate.steps}
    assert reached["fence_old_primary"] == "yes"
    assert {reached[name] for name in ("promote", "move_traffic", "one_primary")} == {"no"}
    [fence] = [one for one in fate.fails if one.step == "fence_old_primary" and one.part == "step"]
    assert fence.reached == "yes"


async def test_losing_the_recovery_region_refuses_the_run_before_it_begins(planned):
    fate = (await planned("region-failover", "us-west-2")).fate
    assert fate.ending == "refused"
    assert "measure_lag cannot bound the loss" in fate.why
    assert "aws.account of us-west-2 does not answer" in fate.why
    assert {one.reached for one in fate.steps if one.outcome != "skipped"} == {"no"}


@pytest.fixture
def watched(tmp_path):
    """The model, with a witness that is read from the other region, where the leases are too."""
    text = MODEL.read_text()
    witness = "sightings_url: http://witness.west/seen, sightings_region: us-west-2, "
    text = text.replace("name: orders-standby, sql", f"name: orders-standby, {witness}sql")
    text = text.replace(
        "\ntargets:", "\nlease: {store: s3, aws: west, bucket: l, key: k}\ntargets:", 1
    )
    assert witness in text
    file = tmp_path / "watched.yaml"
    file.write_text(text)
    return file


async def test_without_the_witness_a_candidate_is_said_to_be_unfit_and_no_lease_is_asked(
    planned, watched
):
    """As the run does: nothing says which timeline the primary was on."""
    fate = (await planned("database-failover-kubernetes", "us-west-2", model=watched)).fate
    assert fate.ending == "refused"
    assert "promote: it is said to be unfit" in fate.why
    reached = {(one.part, one.step): one.reached for one in fate.fails}
    assert reached["step", "measure_lag"] == "no"
    assert reached["lease", ""] == "no"
    assert ("look", "promote") in {(one.part, one.step) for one in fate.copes}


async def test_a_loss_that_nobody_bounds_may_be_accepted_and_then_the_lease_is_asked(
    planned, watched
):
    text = watched.read_text()
    witness = "{aws: west, bucket: w, key: k}"
    watched.write_text(
        text.replace("instance: orders-standby,", f"instance: orders-standby, witness: {witness},")
    )
    fate = (await planned("database-failover-rds", "us-west-2", model=watched)).fate
    assert fate.ending == "refused"
    [lease] = [one for one in fate.fails if one.part == "lease"]
    assert lease.reached == "perhaps"


async def test_a_record_of_route_53_needs_us_east_1_and_has_an_alternative(planned):
    fate = (await planned("lb-rebuild", "us-east-1")).fate
    [move] = [one for one in fate.fails if one.step == "move_name" and one.part == "step"]
    assert move.why == "needs control-plane:us-east-1 (Route 53 records)"
    assert "failover_switch.engage" in move.alternative


async def test_messages_are_borne_and_ask_no_region(planned):
    fate = (await planned("region-failover", "us-east-1", "us-west-2")).fate
    assert not {"announce", "open_incident", "update_status"} & {one.step for one in fate.fails}


async def test_a_name_that_is_nowhere_in_the_environment_is_refused(planned):
    for word in ("us-esat-1", "us-east-1=gone", "slack"):
        with pytest.raises(InvalidError) as caught:
            await planned("region-failover", word)
        assert caught.value.problems[0].code == "DR3221"


async def test_such_a_plan_is_neither_run_nor_read_back(planned, tmp_path):
    plan = await planned("region-failover", "us-east-1")
    online = plan.model_copy(update={"is_offline": False})
    with pytest.raises(RefusedError) as refused:
        preflight(online, Consent())
    assert "DR3222" in {problem.code for problem in refused.value.problems}
    saved = tmp_path / "plan.json"
    saved.write_bytes(plan.as_saved())
    with pytest.raises(InvalidError) as caught:
        read_plan(saved)
    assert [problem.code for problem in caught.value.problems] == ["DR3222"]


async def test_nothing_of_the_lost_region_is_asked(planned, monkeypatch):
    """Not a look, not a pin, not the measurement: the region may be what one dares not touch."""
    asked = []

    async def silent(_ctx, target, *_rest):
        asked.append(target)
        raise TimeoutError

    for action in REGISTRY:
        if type(action).observe is not Action.observe:
            monkeypatch.setattr(action, "observe", silent, raising=False)
        monkeypatch.setattr(action, "perform", silent, raising=False)
    for pin in REGISTRY.pins:
        monkeypatch.setattr(pin, "read", silent, raising=False)
    await planned("region-failover", "us-east-1", offline=False)
    assert {target.label for target in asked if "us-west-2" in target.places}
    assert [target.label for target in asked if "us-east-1" in target.places] == []


async def test_a_loss_that_survivors_do_not_bound_is_in_the_way_whatever_is_assumed(planned):
    """What was asked, and did not answer, is no part of what is assumed."""
    plan = await planned("region-failover", "us-east-1")
    assert refusals(plan) == ()
    unknown = LossLook(step="measure_lag", bound_s=None, source="the standby does not answer")
    [refusal] = refusals(plan.model_copy(update={"loss": unknown}))
    assert (refusal.code, refusal.ending) == ("DR2003", "pauses")
    assert "cannot be bounded" in refusal.what


async def test_a_loss_that_nobody_asked_for_is_told_once(planned):
    plan = await planned("region-failover", "us-west-2")
    unknown = LossLook(step="measure_lag", bound_s=None, source="not measured")
    [refusal] = refusals(plan.model_copy(update={"loss": unknown}))
    assert refusal.ending == "refused"
