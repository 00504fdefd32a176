"""Customers are sent elsewhere through whichever endpoint is there, and never nowhere."""

import dataclasses

import pytest

from drctl.actions.contract import CannotTell, Change, Done, NotDone, Nothing
from drctl.actions.errors import (
    AuthRejected,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Unavailable,
)
from drctl.actions.targets import RoutingControls
from drctl.adapters.aws.arc import SetParams, SetRoutingControls
from drctl.lab.arc import REGIONS, AtLeast, control_arn

SET = SetRoutingControls()
WEST = SetParams(states={"east": "Off", "west": "On"})
EAST = SetParams(states={"east": "On", "west": "Off"})


@pytest.fixture
async def cluster(edge):
    """Five endpoints that are there; customers go east."""
    arc = edge.arc
    arc.states = {control_arn("east"): "On", control_arn("west"): "Off"}
    arc.rules, arc.updates, arc.asked = [], [], []
    arc.away.clear()
    yield arc
    arc.away.clear()
    for region in REGIONS:
        edge.run(arc.open(region))


@pytest.fixture
def target(edge, cluster):
    def make(**more):
        known = {
            "aws": edge.connection(),
            "cluster_endpoints": cluster.endpoints,
            "controls": {"east": control_arn("east"), "west": control_arn("west")},
        }
        return RoutingControls.model_validate(known | more)

    return make


def on(cluster):
    return {arn.rsplit("/", 1)[-1] for arn, state in cluster.states.items() if state == "On"}


async def test_customers_are_sent_west_in_one_change_that_is_read_back(cluster, target, context):
    seen = await SET.observe(context(), target(), WEST)
    assert seen.facts == {"east": "On", "west": "Off"}
    preview = SET.preview(seen, target(), WEST)
    assert isinstance(preview, Change) and preview.after == "east Off, west On"
    assert isinstance(await SET.settled(context(), target(), WEST), NotDone)
    done = await SET.perform(context(), target(), WEST)
    assert (done.changed, done.previous) == (True, {"east": "On", "west": "Off"})
    assert done.states == {"east": "Off", "west": "On"}
    assert on(cluster) == {"west"} and context.permits == 1
    assert [region for region, _asked in cluster.updates] == [done.endpoint]
    assert isinstance(await SET.settled(context(), target(), WEST), Done)
    again = await SET.perform(context(), target(), WEST)
    assert (again.changed, again.endpoint, context.permits) == (False, "", 0)
    seen = await SET.observe(context(), target(), WEST)
    assert isinstance(SET.preview(seen, target(), WEST), Nothing)
    assert (await SET.perform(context(), target(), EAST)).changed is True


async def test_endpoints_are_tried_until_one_is_there(edge, cluster, target, context):
    """One is dead, one is being maintained: what AWS promises is that three are not."""
    edge.run(cluster.close("us-east-1"))
    cluster.away.add("us-west-2")
    for number in range(6):
        done = await SET.perform(context(), target(), (WEST, EAST)[number % 2])
        assert done.endpoint in REGIONS[2:]
    assert len(cluster.updates) == 6


async def test_the_order_is_random(cluster, target, context):
    """Everybody who begins with the first one takes that one down."""
    firsts = set()
    for _number in range(20):
        cluster.asked.clear()
        await SET.observe(context(), target(), WEST)
        firsts.add(cluster.asked[0])
    assert len(firsts) > 1


async def test_without_a_quorum_nothing_is_changed_and_nothing_is_claimed(
    edge, cluster, target, context
):
    for region in REGIONS[:3]:
        edge.run(cluster.close(region))
    with pytest.raises(Unavailable, match="no endpoint of the routing controls answers"):
        await SET.perform(context(), target(), WEST)
    assert isinstance(await SET.settled(context(), target(), WEST), CannotTell)
    assert cluster.updates == [] and on(cluster) == {"east"}


async def test_a_safety_rule_is_honoured_and_named(cluster, target, context):
    rule = AtLeast(name="two", controls=frozenset(cluster.states), threshold=2)
    cluster.states = dict.fromkeys(cluster.states, "On")
    cluster.rules.append(rule)
    with pytest.raises(Conflict, match=r"violates the safety rule .*safetyrule/two"):
        await SET.perform(context(), target(), WEST)
    assert on(cluster) == {"east", "west"}
    assert context.permits == 1, "a refusal is no reason to ask another endpoint"


async def test_somewhere_stays_on(cluster, target, context):
    """Also when nobody has made a safety rule."""
    nowhere = SetParams(states={"east": "Off"})
    with pytest.raises(Rejected, match="sent everywhere"):
        await SET.perform(context(), target(), nowhere)
    with pytest.raises(Rejected, match="no routing control north"):
        await SET.perform(context(), target(), SetParams(states={"north": "On"}))
    assert context.permits == 0 and cluster.updates == []
    seen = await SET.observe(context(), target(), nowhere)
    assert isinstance(SET.preview(seen, target(), nowhere), CannotTell)


async def test_what_somebody_set_since_the_plan_is_not_overwritten(cluster, target, context):
    ctx = dataclasses.replace(context(), seen={"east": "Off", "west": "Off"})
    with pytest.raises(Conflict, match="east: set by something else"):
        await SET.perform(ctx, target(), WEST)
    assert cluster.updates == []


async def test_silence_is_looked_into_before_anything_is_sent_again(
    edge, cluster, target, context, monkeypatch
):
    """Four endpoints take a change and do not say so."""
    taken = []
    original = type(cluster)._update

    def mute(self, region, asked):
        original(self, region, asked)
        taken.append(region)
        raise RuntimeError("the answer is lost")

    monkeypatch.setattr(type(cluster), "_update", mute)
    done = await SET.perform(context(), target(), WEST)
    assert done.changed and on(cluster) == {"west"}
    assert len(taken) == 1, "sent twice"


async def test_silence_everywhere_stays_unknown(cluster, target, context, monkeypatch):
    def mute(self, region, asked):
        raise RuntimeError("nothing comes back")

    monkeypatch.setattr(type(cluster), "_update", mute)
    with pytest.raises(OutcomeUnknown, match="may have taken it"):
        await SET.perform(context(), target(), WEST)
    assert context.permits == 5


async def test_a_refusal_after_silence_says_nothing_of_the_silent_one(
    cluster, target, context, monkeypatch
):
    """It may have taken the change, and the other one refuses because of that, say."""
    asked = []

    async def mutate(self, *_call, **_more):
        asked.append(self)
        raise OutcomeUnknown("no answer") if len(asked) == 1 else Conflict("a safety rule")

    monkeypatch.setattr("drctl.adapters.aws.client.Aws.mutate", mutate)
    with pytest.raises(OutcomeUnknown, match=r"may have taken it, and .*: a safety rule"):
        await SET.perform(context(), target(), WEST)
    assert len(asked) == 2


async def test_wrong_keys_and_wrong_controls_are_not_success(edge, cluster, target, context):
    stranger = edge.connection() | {"access_key_id": "env:AKIASOMEBODYELSE0000"}
    with pytest.raises(AuthRejected):
        await SET.perform(context(), target(aws=stranger), WEST)
    gone = {"east": control_arn("east"), "west": control_arn("gone")}
    with pytest.raises(NotFound):
        await SET.perform(context(), target(controls=gone), WEST)
    # Signed for another region than the endpoint's own.
    swapped = dict(zip(REGIONS, reversed(list(cluster.endpoints.values())), strict=True))
    swapped.pop(REGIONS[2])  # the one in the middle is its own mirror image
    with pytest.raises(AuthRejected, match="scoped to a valid region"):
        await SET.perform(context(), target(cluster_endpoints=swapped), WEST)
    with pytest.raises(ValueError, match="at least 1"):
        SetParams(states={})
