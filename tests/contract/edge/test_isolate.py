"""A door is shut to everybody, and opened again to whoever was let in before."""

import urllib.error
import urllib.request

import pytest

from drctl.actions.contract import Change, Cleared, Done, NoParams, NotDone, Nothing
from drctl.actions.errors import Conflict, NotFound, Rejected
from drctl.adapters.aws.elbv2_isolate import TAG, IsolateBalancer, ReadmitBalancer

ISOLATE, READMIT, GO = IsolateBalancer(), ReadmitBalancer(), NoParams()


@pytest.fixture
def door(edge):
    name, pod = f"door-{next(edge.numbers)}", edge.pod()
    edge.balancer(name, targets=[pod])
    return name


def ask(edge, name):
    address = edge.bridge.lookup(edge.found(name)["DNSName"])
    try:
        with urllib.request.urlopen(f"http://{address}:8080/", timeout=1) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, TimeoutError):
        return None


async def test_nobody_gets_in_until_it_is_opened_again(edge, door, context):
    target = edge.target(door)
    preview = ISOLATE.preview(await ISOLATE.observe(context(), target, GO), target, GO)
    assert isinstance(preview, Change)
    assert isinstance(await ISOLATE.settled(context(), target, GO), NotDone)

    shut = await ISOLATE.perform(context(), target, GO)

    assert shut.previous == {door: (edge.open,)}
    assert shut.security_groups == {door: (edge.shut,)}
    assert "says nothing" in shut.proof[0]
    assert ask(edge, door) is None
    assert isinstance(await ISOLATE.settled(context(), target, GO), Done)
    assert isinstance(
        ISOLATE.preview(await ISOLATE.observe(context(), target, GO), target, GO), Nothing
    )
    # Somebody who does not know what was before still says it, from the tag.
    assert (await ISOLATE.perform(context(), target, GO)).previous == {door: (edge.open,)}
    assert isinstance(await READMIT.settled(context(), target, GO), NotDone)

    back = await READMIT.perform(context(), target, GO)

    assert back.security_groups == {door: (edge.open,)}
    assert ask(edge, door) is not None
    assert isinstance(await READMIT.settled(context(), target, GO), Done)
    [debt] = ISOLATE.debts(target, GO, shut)
    assert READMIT.debts(target, GO, back) == (Cleared(key=debt.key),)


async def test_the_stand_in_is_the_same_door(edge, door, context):
    edge.balancer(f"{door}-em")
    shut = await ISOLATE.perform(context(), edge.target(door), GO)
    assert set(shut.previous) == {door, f"{door}-em"}
    await READMIT.perform(context(), edge.target(door), GO)
    assert edge.found(f"{door}-em")["SecurityGroups"] == [edge.open]


async def test_a_group_that_lets_something_in_isolates_nothing(edge, door, context):
    target = edge.target(door, isolation_security_group=edge.leaky)
    with pytest.raises(Rejected, match="1 ingress rule"):
        await ISOLATE.perform(context(), target, GO)
    with pytest.raises(Rejected, match="no isolation_security_group"):
        await ISOLATE.perform(context(), edge.target(door, isolation_security_group=None), GO)
    with pytest.raises(NotFound):
        await ISOLATE.perform(context(), edge.target("never-was"), GO)
    assert edge.found(door)["SecurityGroups"] == [edge.open]


async def test_a_door_that_forgot_where_it_stood_is_opened_by_people(edge, door, context):
    target = edge.target(door)
    await ISOLATE.perform(context(), target, GO)
    arn = edge.found(door)["LoadBalancerArn"]
    edge.client("elbv2").remove_tags(ResourceArns=[arn], TagKeys=[TAG])
    with pytest.raises(Conflict, match="no tag"):
        await READMIT.perform(context(), target, GO)
