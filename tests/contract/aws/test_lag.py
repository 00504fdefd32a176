"""The loss bound comes from what somebody else saw, through the recovery region's own S3."""

import json
from datetime import UTC, datetime

import pytest

from drctl.actions.contract import NoParams
from drctl.actions.errors import Rejected
from drctl.adapters.aws.rds_lag import MeasureLag

EAST, WEST = "us-east-1", "us-west-2"
PROD, STANDBY = "healing-guard-prod", "healing-guard-dr"
LAG, GO = MeasureLag(), NoParams()


@pytest.fixture
def s3(estate):
    client = estate.client("s3", WEST)
    if "witness" not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
        client.create_bucket(
            Bucket="witness", CreateBucketConfiguration={"LocationConstraint": WEST}
        )
    yield client
    client.delete_object(Bucket="witness", Key="prod.json")


@pytest.fixture
def standby(estate):
    bare = estate.target(STANDBY, WEST)
    witness = {"aws": bare.aws, "bucket": "witness", "key": "prod.json"}
    return estate.target(STANDBY, WEST, witness=witness)


async def sighting(estate, s3, **changed):
    """What a witness would write now, after a heartbeat that the standby has."""
    session = await estate.connect(PROD, "drctl")
    now = datetime.now(UTC)
    await session.execute("UPDATE drctl.heartbeat SET at = $1, seq = seq + 1", now)
    lsn = await session.fetchval("SELECT pg_current_wal_lsn()::text")
    system = await session.fetchval("SELECT system_identifier::text FROM pg_control_system()")
    await session.close()
    standby = await estate.connect(STANDBY, "drctl")
    while await standby.fetchval("SELECT pg_last_wal_replay_lsn() < $1::text::pg_lsn", lsn):
        pass
    await standby.close()
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    document = {
        "version": 1,
        "system_identifier": system,
        "timeline": 1,
        "lsn": lsn,
        "seq": 1,
        "last_ok_at": at,
        "checked_at": at,
        "refused_since": None,
        "last_error": None,
    }
    s3.put_object(Bucket="witness", Key="prod.json", Body=json.dumps(document | changed).encode())
    return now


async def test_the_bound_is_the_age_of_what_the_standby_has(estate, s3, standby, context):
    beat = await sighting(estate, s3)
    loss = await LAG.perform(context(), standby, GO)
    assert beat == loss.safe_until
    assert 0 <= loss.bound.total_seconds() < 10
    assert loss.lag_bytes == 0
    readings = (await LAG.observe(context(), standby, GO)).readings
    assert readings["bound_s"] >= loss.bound.total_seconds()


async def test_without_a_witness_the_bound_is_unknown(s3, standby, context):
    """The standby's own opinion alone is worth nothing: cut off, it believes to be up to date."""
    loss = await LAG.perform(context(), standby, GO)
    assert loss.bound is None
    assert "no witness document" in loss.source


async def test_a_witness_of_another_database_is_no_witness(estate, s3, standby, context):
    await sighting(estate, s3, system_identifier="1")
    assert (await LAG.perform(context(), standby, GO)).bound is None


async def test_a_database_that_is_no_replica_has_no_bound(estate, s3, standby, context):
    await sighting(estate, s3)
    primary = estate.target(PROD, EAST, witness=standby.witness)
    assert (await LAG.perform(context(), primary, GO)).bound is None


async def test_a_target_without_a_witness_is_refused(estate, context):
    with pytest.raises(Rejected, match="witness"):
        await LAG.perform(context(), estate.target(STANDBY, WEST), GO)


def test_it_needs_the_recovery_regions_data_plane_only(standby):
    assert LAG.planes(standby) == ("data-plane:us-west-2",)
