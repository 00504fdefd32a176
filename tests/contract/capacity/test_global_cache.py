"""The recovery region's member becomes the primary once, when ElastiCache says so itself."""

import asyncio
import dataclasses
import itertools

import pytest
from botocore.exceptions import ClientError

from drctl.actions.contract import (
    CannotTell,
    Change,
    Cleared,
    Debt,
    Done,
    NoParams,
    NotDone,
    Nothing,
)
from drctl.actions.errors import Conflict, NotFound, OutcomeUnknown
from drctl.actions.targets import ElastiCacheGlobal
from drctl.adapters.aws.elasticache import FailoverDatastore

EAST, WEST = "us-east-1", "us-west-2"
FAILOVER, GO = FailoverDatastore(), NoParams()
_NUMBERS = itertools.count(1)


def make(edge):
    """A datastore with its primary in the east and a follower in the west; its id."""
    number = next(_NUMBERS)
    shared = {
        "ReplicationGroupDescription": "d",
        "Engine": "redis",
        "AutomaticFailoverEnabled": True,
    }
    shared |= {"CacheNodeType": "cache.r6g.large", "NumCacheClusters": 2}
    east, west = edge.client("elasticache"), edge.client("elasticache", WEST)
    east.create_replication_group(ReplicationGroupId=f"east-{number}", **shared)
    name = east.create_global_replication_group(
        GlobalReplicationGroupIdSuffix=f"cache-{number}",
        PrimaryReplicationGroupId=f"east-{number}",
    )["GlobalReplicationGroup"]["GlobalReplicationGroupId"]
    west.create_replication_group(
        ReplicationGroupId=f"west-{number}", GlobalReplicationGroupId=name, **shared
    )
    return name, number


def target(edge, name, number, region=WEST, url=None):
    group = f"{'west' if region == WEST else 'east'}-{number}"
    aws = edge.connection(url, region)
    return ElastiCacheGlobal.model_validate(
        {"aws": aws, "datastore": name, "replication_group": group}
    )


def roles(edge, name):
    [found] = edge.client("elasticache", WEST).describe_global_replication_groups(
        GlobalReplicationGroupId=name, ShowMemberInfo=True
    )["GlobalReplicationGroups"]
    return found["Status"], {one["ReplicationGroupRegion"]: one["Role"] for one in found["Members"]}


def ask(edge, name, group, region=WEST):
    edge.client("elasticache", WEST).failover_global_replication_group(
        GlobalReplicationGroupId=name, PrimaryRegion=region, PrimaryReplicationGroupId=group
    )


async def test_the_stand_in_takes_its_time_and_gives_the_vendor_s_errors(edge):
    name, number = make(edge)
    with pytest.raises(ClientError, match="GlobalReplicationGroupNotFoundFault"):
        ask(edge, "never-was", f"west-{number}")
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        ask(edge, name, f"east-{number}", EAST)
    ask(edge, name, f"west-{number}")
    assert roles(edge, name) == ("modifying", {EAST: "PRIMARY", WEST: "SECONDARY"})
    with pytest.raises(ClientError, match="InvalidGlobalReplicationGroupState"):
        ask(edge, name, f"west-{number}")
    await asyncio.sleep(0.7)
    assert roles(edge, name) == ("available", {EAST: "SECONDARY", WEST: "PRIMARY"})
    # For drills, and not here: a client hears of it as of any action that a service lacks.
    with pytest.raises(ClientError, match="InvalidAction"):
        edge.client("elasticache").test_failover(
            ReplicationGroupId=f"east-{number}", NodeGroupId="0001"
        )


async def test_the_recovery_region_becomes_the_primary_once(edge, context):
    name, number = make(edge)
    there = target(edge, name, number)
    seen = await FAILOVER.observe(context(), there, GO)
    assert isinstance(FAILOVER.preview(seen, there, GO), Change)
    assert isinstance(await FAILOVER.settled(context(), there, GO), NotDone)
    done = await FAILOVER.perform(context(), there, GO)
    assert context.permits == 1
    assert (done.primary, done.region, done.changed) == (f"west-{number}", WEST, True)
    assert (done.previous, done.previous_region) == (f"east-{number}", EAST)
    assert done.endpoint and done.port == 6379
    assert roles(edge, name)[1] == {EAST: "SECONDARY", WEST: "PRIMARY"}
    key = f"standby:{there.identities[0]}"
    assert (done.followers, done.apart) == ([f"east-{number}"], [])
    assert FAILOVER.debts(there, GO, done) == (Cleared(key=key),)
    assert isinstance(await FAILOVER.settled(context(), there, GO), Done)
    again = await FAILOVER.perform(context(), there, GO)
    assert (again.changed, context.permits) == (False, 0)
    seen = await FAILOVER.observe(context(), there, GO)
    assert isinstance(FAILOVER.preview(seen, there, GO), Nothing)


async def test_the_lost_region_is_not_asked(edge, context):
    name, number = make(edge)
    edge.plane.set_reachable(EAST, reachable=False)
    try:
        done = await FAILOVER.perform(context(), target(edge, name, number), GO)
    finally:
        edge.plane.set_reachable(EAST, reachable=True)
    assert done.primary == f"west-{number}"


async def test_a_member_that_stopped_following_is_not_promoted(edge, context):
    name, number = make(edge)
    there = target(edge, name, number)
    edge.caches.disassociate(name, WEST)
    with pytest.raises(Conflict, match="does not follow the primary"):
        await FAILOVER.perform(context(), there, GO)
    assert context.permits == 0
    seen = await FAILOVER.observe(context(), there, GO)
    assert isinstance(FAILOVER.preview(seen, there, GO), CannotTell)


async def test_a_follower_that_is_left_behind_is_owed(edge, context):
    name, number = make(edge)
    there = target(edge, name, number)
    edge.caches.disassociate(name, EAST)
    done = await FAILOVER.perform(context(), there, GO)
    [debt] = FAILOVER.debts(there, GO, done)
    assert isinstance(debt, Debt) and f"east-{number}" in debt.what
    alone = done.model_copy(update={"followers": [], "apart": []})
    assert done.followers == []
    [debt] = FAILOVER.debts(there, GO, alone)
    assert isinstance(debt, Debt) and "no other member" in debt.what


async def test_what_is_under_way_or_moved_meanwhile_is_refused(edge, context):
    name, number = make(edge)
    there, back = target(edge, name, number), target(edge, name, number, EAST)
    edge.caches.failover_s = 30.0
    try:
        with pytest.raises(OutcomeUnknown, match="modifying"):
            await FAILOVER.perform(context(3.5), there, GO)
        assert isinstance(await FAILOVER.settled(context(), there, GO), CannotTell)
        with pytest.raises(Conflict, match='it is "modifying"'):
            await FAILOVER.perform(context(), there, GO)
        assert context.permits == 0
    finally:
        edge.caches.failover_s = 0.6
    name, number = make(edge)
    there, back = target(edge, name, number), target(edge, name, number, EAST)
    stale = {"primary": f"{WEST}/west-{number}"}
    with pytest.raises(Conflict, match="was us-west-2/west-"):
        await FAILOVER.perform(dataclasses.replace(context(), seen=stale), there, GO)
    assert (await FAILOVER.perform(context(), back, GO)).changed is False


async def test_a_datastore_that_is_not_there_is_no_success(edge, context):
    name, number = make(edge)
    with pytest.raises(NotFound):
        await FAILOVER.perform(context(), target(edge, "never-was", number), GO)
    with pytest.raises(Conflict, match="no member"):
        await FAILOVER.perform(context(), target(edge, name, 999), GO)
