"""The copy of a bucket is within the RPO, or the reason why not is said."""

import asyncio
import time

import pytest
from botocore.exceptions import ClientError
from edge.edge_bench import EAST, WEST, rules

from drctl.actions.errors import Conflict, NotFound, Rejected, Unavailable
from drctl.adapters.aws.s3_replication import AssertReplication, ReplicationParams

ASSERT = AssertReplication()
NEWEST = ReplicationParams(rpo="1m", newest=10)


@pytest.fixture
def going(edge):
    """Replication that works when the test begins, and afterwards."""
    edge.replication.go_on()
    yield edge
    edge.replication.go_on()
    edge.plane.set_reachable(WEST, reachable=True)


def put(edge, name, key, body=b"x"):
    return edge.client("s3").put_object(Bucket=name, Key=key, Body=body)["VersionId"]


def status(edge, name, key, region=EAST):
    found = edge.client("s3", region).head_object(Bucket=name, Key=key)
    return found.get("ReplicationStatus")


def until(edge, name, key, wanted):
    deadline = time.monotonic() + 5
    while (seen := status(edge, name, key)) != wanted:
        assert time.monotonic() < deadline, f"{key} stays {seen}"
        time.sleep(0.02)


async def test_the_stand_in_copies_as_s3_does(going):
    """First of all: the emulator underneath stores the rules, and copies nothing."""
    name, copy = going.copied()
    version = put(going, name, "a", b"hello")
    assert status(going, name, "a") == "PENDING"
    until(going, name, "a", "COMPLETED")
    there = going.client("s3", WEST).get_object(Bucket=copy, Key="a")
    said = (there["VersionId"], there["ReplicationStatus"], there["Body"].read())
    assert said == (version, "REPLICA", b"hello")


async def test_the_stand_in_refuses_what_s3_refuses(going):
    name, copy = going.copied()
    s3 = going.client("s3")
    suspended = {"Status": "Suspended"}
    with pytest.raises(ClientError, match="InvalidBucketState"):
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=suspended)
    with pytest.raises(ClientError, match="must exist"):
        s3.put_bucket_replication(Bucket=name, ReplicationConfiguration=rules("never-was"))
    going.client("s3", WEST).put_bucket_versioning(Bucket=copy, VersioningConfiguration=suspended)
    with pytest.raises(ClientError, match="versioning enabled"):
        s3.put_bucket_replication(Bucket=name, ReplicationConfiguration=rules(copy))


async def test_what_is_copied_is_found_on_the_other_side(going, context):
    name, _copy = going.copied()
    put(going, name, "a")
    put(going, name, "b")
    until(going, name, "b", "COMPLETED")
    until(going, name, "a", "COMPLETED")
    found = await ASSERT.perform(context(), going.with_copy(name), NEWEST)
    assert (found.lag_s, found.looked_at, found.pending) == (0.0, 2, ())
    assert context.permits == 0


async def test_a_stopped_link_is_young_enough_and_then_is_not(going, context):
    """The lag is computed from S3's answers, by S3's clock."""
    name, _copy = going.copied()
    put(going, name, "a")
    until(going, name, "a", "COMPLETED")
    going.replication.stop()
    await asyncio.sleep(1.1)  # S3 knows whole seconds: "late" must be written after "a"
    put(going, name, "late")
    found = await ASSERT.perform(context(), going.with_copy(name), NEWEST)
    assert found.pending == ("late",) and 0 < found.lag_s < 60
    await asyncio.sleep(2.2)
    tight = ReplicationParams(rpo="1s", newest=1)
    with pytest.raises(Rejected, match=r"late: written \d+ s ago and not copied, the RPO is 1 s"):
        await ASSERT.perform(context(), going.with_copy(name), tight)
    one = ReplicationParams(rpo="1s", keys=("a",))
    assert (await ASSERT.perform(context(), going.with_copy(name), one)).lag_s == 0.0
    going.replication.go_on()
    until(going, name, "late", "COMPLETED")
    assert (await ASSERT.perform(context(), going.with_copy(name), tight)).newest == "late"


async def test_what_s3_gave_up_is_never_within_anything(going, context):
    name, copy = going.copied()
    there = going.client("s3", WEST)
    there.put_bucket_versioning(Bucket=copy, VersioningConfiguration={"Status": "Suspended"})
    put(going, name, "a")
    until(going, name, "a", "FAILED")
    with pytest.raises(Conflict, match=r"copied-\d+-dr .* keeps no versions"):
        await ASSERT.perform(context(), going.with_copy(name), NEWEST)
    there.put_bucket_versioning(Bucket=copy, VersioningConfiguration={"Status": "Enabled"})
    with pytest.raises(Rejected, match="gave up"):
        await ASSERT.perform(context(), going.with_copy(name), NEWEST)


async def test_what_no_rule_covers_is_not_called_copied(going, context):
    name, copy = going.copied(prefix="orders/")
    put(going, name, "other")
    with pytest.raises(Rejected, match="other: no rule covers it"):
        await ASSERT.perform(context(), going.with_copy(name), NEWEST)
    below = ReplicationParams(rpo="1m", newest=5, prefix="orders/")
    with pytest.raises(NotFound, match="no objects below orders/"):
        await ASSERT.perform(context(), going.with_copy(name), below)
    going.client("s3").put_bucket_replication(Bucket=name, ReplicationConfiguration=rules(copy))
    with pytest.raises(Rejected, match="older than the rule"):
        await ASSERT.perform(context(), going.with_copy(name), NEWEST)


async def test_a_copy_that_somebody_deleted_is_missed(going, context):
    name, copy = going.copied()
    version = put(going, name, "a")
    until(going, name, "a", "COMPLETED")
    going.client("s3", WEST).delete_object(Bucket=copy, Key="a", VersionId=version)
    with pytest.raises(Rejected, match=r"calls it copied, and .* does not have it"):
        await ASSERT.perform(context(), going.with_copy(name), NEWEST)


async def test_a_rule_that_leads_elsewhere_proves_nothing(going, context):
    name, _copy = going.copied()
    other, there = going.copied()
    put(going, name, "a")
    going.client("s3").put_bucket_replication(Bucket=name, ReplicationConfiguration=rules(there))
    with pytest.raises(Conflict, match="no rule that is enabled"):
        await ASSERT.perform(context(), going.with_copy(name), NEWEST)
    going.client("s3").delete_bucket_replication(Bucket=other)
    with pytest.raises(NotFound):
        await ASSERT.perform(context(), going.with_copy(other), NEWEST)
    with pytest.raises(Conflict, match="names no replica"):
        await ASSERT.perform(context(), going.bucket(name), NEWEST)


async def test_a_region_that_does_not_answer_leaves_the_lag_unknown(going, context):
    name, _copy = going.copied()
    put(going, name, "a")
    going.plane.set_reachable(WEST, reachable=False)
    with pytest.raises(Unavailable):
        await ASSERT.perform(context(2.0), going.with_copy(name), NEWEST)
    # The region is away, nobody's permission is wrong: S3 waits for it.
    assert status(going, name, "a") == "PENDING"


def test_it_is_told_what_to_look_at():
    with pytest.raises(ValueError, match="either keys or newest"):
        ReplicationParams(rpo="1m")
    with pytest.raises(ValueError, match="prefix is for newest"):
        ReplicationParams(rpo="1m", keys=("a",), prefix="a")
