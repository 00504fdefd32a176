"""A lost load balancer is copied, once, and serves before it is called built."""

import asyncio
import json
import ssl
import urllib.request

import pytest

from drctl.actions.contract import CannotTell, Change, Done, NoParams, NotDone, Nothing
from drctl.actions.errors import Conflict, NotFound, OutcomeUnknown, Rejected
from drctl.adapters.aws.elbv2_check import AssertServing, CheckBalancer, CheckParams
from drctl.adapters.aws.elbv2_rebuild import DeleteEmergencyBalancer, RebuildBalancer, RebuildParams

CHECK, ASSERT, REBUILD, DELETE = (
    CheckBalancer(),
    AssertServing(),
    RebuildBalancer(),
    DeleteEmergencyBalancer(),
)
NOW = CheckParams()


@pytest.fixture
def lost(edge):
    """A load balancer with a healthy pod behind it that is lost; its name and the pod."""
    name = f"lb-{next(edge.numbers)}"
    pod = edge.pod()
    edge.balancer(name, targets=[pod])
    edge.lose(name)
    yield name, pod
    edge.elbv2.restore()


def params(*addresses, **more):
    return RebuildParams(addresses=addresses, **more)


async def test_a_lost_one_is_built_again_and_answers_before_it_is_called_built(edge, lost, context):
    name, pod = lost
    target, wanted = edge.target(name), params(pod)
    seen = await CHECK.perform(context(), target, NOW)
    assert (seen.is_serving, seen.state) == (False, "failed")
    with pytest.raises(Rejected, match=f'{name} .*it is "failed"'):
        await ASSERT.perform(context(), target, NOW)
    preview = REBUILD.preview(await REBUILD.observe(context(), target, wanted), target, wanted)
    assert isinstance(preview, Change)
    assert preview.creates
    assert isinstance(await REBUILD.settled(context(), target, wanted), NotDone)

    built = await REBUILD.perform(context(), target, wanted)

    assert built.created
    assert built.registered == (pod,)
    assert built.dns_name == edge.found(f"{name}-em")["DNSName"]
    url = f"http://{edge.bridge.lookup(built.dns_name)}:8080/x"
    assert await asyncio.to_thread(_asked, url) == {"at": pod}
    checked = await ASSERT.perform(context(), target, CheckParams(name=built.name))
    assert (checked.healthy, checked.ports) == (1, (8080,))
    assert isinstance(await REBUILD.settled(context(), target, wanted), Done)


async def test_twice_is_one_and_follows_the_pods(edge, lost, context):
    """Pod addresses rot; running it again is what looks after them."""
    name, pod = lost
    target, newer = edge.target(name), edge.pod()
    first = await REBUILD.perform(context(), target, params(pod))
    assert isinstance(await REBUILD.settled(context(), target, params(newer)), NotDone)
    again = await REBUILD.perform(context(), target, params(newer))
    assert (again.created, again.dns_name) == (False, first.dns_name)
    assert (again.registered, again.dropped) == ((newer,), (pod,))
    named = [
        one["LoadBalancerName"]
        for one in edge.client("elbv2").describe_load_balancers()["LoadBalancers"]
    ]
    assert named.count(f"{name}-em") == 1
    [debt] = REBUILD.debts(target, params(newer), again)
    assert debt.key.startswith("emergency-lb:aws:123456789012:us-east-1:elbv2:")


async def test_a_listener_with_tls_is_copied_with_its_certificate(edge, context):
    arn, text = edge.certificate()
    name, pod = f"tls-{next(edge.numbers)}", edge.pod()
    edge.balancer(name, ports=(8080, 8443), certificate=arn, targets=[pod])
    edge.lose(name)
    built = await REBUILD.perform(context(30), edge.target(name), params(pod))
    trusted = ssl.create_default_context(cadata=text.decode())
    trusted.check_hostname = False  # connected to by address
    url = f"https://{edge.bridge.lookup(built.dns_name)}:8443/x"
    # The API knows of a listener before its nodes do.
    async with asyncio.timeout(10):
        while (told := await asyncio.to_thread(_asked, url, trusted)) is None:  # noqa: ASYNC110 (a poll)
            await asyncio.sleep(0.1)
    assert told == {"at": pod}
    edge.elbv2.restore()


def _asked(url, trusted=None):
    try:
        with urllib.request.urlopen(url, timeout=3, context=trusted) as answer:  # noqa: S310 (ours)
            return json.load(answer)
    except OSError:
        return None


async def test_attributes_are_copied_but_not_the_protection_against_deletion(edge, lost, context):
    name, pod = lost
    elbv2 = edge.client("elbv2")
    pairs = {"idle_timeout.timeout_seconds": "77", "deletion_protection.enabled": "true"}
    elbv2.modify_load_balancer_attributes(
        LoadBalancerArn=edge.found(name)["LoadBalancerArn"],
        Attributes=[{"Key": key, "Value": value} for key, value in pairs.items()],
    )
    await REBUILD.perform(context(), edge.target(name), params(pod))
    found = elbv2.describe_load_balancer_attributes(
        LoadBalancerArn=edge.found(f"{name}-em")["LoadBalancerArn"]
    )["Attributes"]
    have = {one["Key"]: one["Value"] for one in found}
    assert have["idle_timeout.timeout_seconds"] == "77"
    assert have["deletion_protection.enabled"] == "false"


async def test_it_is_not_built_while_its_targets_are_not_healthy(edge, lost, context):
    name, pod = lost
    ill = edge.pod(status=500)
    with pytest.raises(OutcomeUnknown, match=r"1 of 2 targets are healthy"):
        await REBUILD.perform(context(5), edge.target(name), params(pod, ill))
    settled = await REBUILD.settled(context(), edge.target(name), params(pod, ill))
    assert isinstance(settled, CannotTell)
    enough = params(pod, ill, healthy_at_least=1)
    assert (await REBUILD.perform(context(), edge.target(name), enough)).healthy == 1


async def test_what_cannot_be_copied_is_refused(edge, lost, context):
    name, pod = lost
    with pytest.raises(Rejected, match="2 healthy targets of 1"):
        await REBUILD.perform(context(), edge.target(name), params(pod, healthy_at_least=2))
    with pytest.raises(Rejected, match="no emergency_name"):
        await REBUILD.perform(context(), edge.target(name, emergency_name=None), params(pod))
    with pytest.raises(NotFound):
        await REBUILD.perform(context(), edge.target("never-was"), params(pod))
    isolated = edge.target(name, isolation_security_group=edge.open)
    with pytest.raises(Conflict, match="isolated"):
        await REBUILD.perform(context(), isolated, params(pod))
    assert edge.found(f"{name}-em") is None


async def test_somebody_elses_load_balancer_is_never_used_or_deleted(edge, lost, context):
    name, pod = lost
    edge.balancer(f"{name}-em")
    with pytest.raises(Conflict, match="was not made to stand in"):
        await REBUILD.perform(context(), edge.target(name), params(pod))
    with pytest.raises(Conflict, match="was not made to stand in"):
        await DELETE.perform(context(), edge.target(name), NoParams())
    assert edge.found(f"{name}-em") is not None


async def test_the_stand_in_is_taken_away_with_its_targets_and_nothing_else(edge, lost, context):
    name, pod = lost
    target, go = edge.target(name), NoParams()
    await REBUILD.perform(context(), target, params(pod))
    assert isinstance(await DELETE.settled(context(), target, go), NotDone)
    gone = await DELETE.perform(context(), target, go)
    assert gone.deleted
    assert edge.found(f"{name}-em") is None
    assert edge.found(name) is not None
    groups = edge.client("elbv2").describe_target_groups()["TargetGroups"]
    assert f"{name}-em" not in {group["TargetGroupName"] for group in groups}
    assert isinstance(await DELETE.settled(context(), target, go), Done)
    seen = await DELETE.observe(context(), target, go)
    assert isinstance(DELETE.preview(seen, target, go), Nothing)
    assert not (await DELETE.perform(context(), target, go)).deleted
