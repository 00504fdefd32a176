"""Ways back: each restored instance has exactly the data of its moment, and AWS's own defaults."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from botocore.exceptions import ClientError

from .conftest import DATABASE, EAST, MASTER, PASSWORD, WEST, Estate, until

TIMES = 20
"""So many random moments are restored."""


@pytest.fixture(scope="module")
def written(estate: Estate) -> Iterator[tuple[str, list[datetime]]]:
    """A primary with a row for each number, and the server's time after each of them."""
    with estate.primary() as name:
        until(lambda: window(estate, name))
        estate.sql(name, "CREATE TABLE numbers (n int)")
        times = []
        for number in range(2 * TIMES):
            estate.sql(name, f"INSERT INTO numbers SELECT {number}")
            [(now,)] = estate.sql(name, "SELECT clock_timestamp()")
            times.append(now)
            time.sleep(0.01)
        until(lambda: window(estate, name)["LatestTime"] > times[-1] + timedelta(seconds=1))
        yield name, times


def window(estate: Estate, name: str, region: str = EAST) -> dict[str, Any] | None:
    rds = estate.client("rds", region)
    found = rds.describe_db_instance_automated_backups(DBInstanceIdentifier=name)
    [backup] = found["DBInstanceAutomatedBackups"]
    return backup.get("RestoreWindow")


def restore(estate: Estate, source: str, **more: Any) -> str:
    name = estate.new_name("restored")
    more.setdefault("VpcSecurityGroupIds", [estate.security_group(EAST, cidr="127.0.0.0/8")])
    made = estate.client("rds", EAST).restore_db_instance_to_point_in_time(
        SourceDBInstanceIdentifier=source, TargetDBInstanceIdentifier=name, **more
    )["DBInstance"]
    assert made["DBInstanceStatus"] == "creating"
    assert "Endpoint" not in made
    assert "LatestRestorableTime" not in made
    born = estate.await_status(EAST, name, "available")
    assert "ReadReplicaSourceDBInstanceIdentifier" not in born
    return name


def numbers(estate: Estate, name: str) -> list[int]:
    return [n for (n,) in estate.sql(name, "SELECT n FROM numbers ORDER BY n")]


@pytest.mark.timeout(900)
def test_a_restored_instance_has_the_rows_before_the_moment_and_none_after(
    estate: Estate, written: tuple[str, list[datetime]]
) -> None:
    source, times = written
    whole = estate.sql(source, "SELECT count(*), sum(n) FROM numbers")
    for index in random.Random(7).sample(range(len(times)), TIMES):
        name = restore(estate, source, RestoreTime=times[index])
        try:
            assert numbers(estate, name) == list(range(index + 1))
            estate.sql(name, "INSERT INTO numbers VALUES (99)")
        finally:
            estate.delete(EAST, name)
    assert estate.sql(source, "SELECT count(*), sum(n) FROM numbers") == whole


def test_the_latest_restorable_time_moves_on_and_has_everything_before_it(
    estate: Estate, written: tuple[str, list[datetime]]
) -> None:
    source, times = written
    before = estate.described(EAST, source)["LatestRestorableTime"]
    until(lambda: estate.described(EAST, source)["LatestRestorableTime"] > before)
    name = restore(estate, source, UseLatestRestorableTime=True)
    try:
        assert numbers(estate, name) == list(range(len(times)))
        until(lambda: window(estate, name))
    finally:
        estate.delete(EAST, name)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"RestoreTime": datetime(2024, 1, 1, tzinfo=UTC)}, "InvalidRestoreFault"),
        ({"RestoreTime": datetime(2124, 1, 1, tzinfo=UTC)}, "InvalidRestoreFault"),
        ({}, "InvalidParameterCombination"),
        (
            {"RestoreTime": datetime(2124, 1, 1, tzinfo=UTC), "UseLatestRestorableTime": True},
            "InvalidParameterCombination",
        ),
        (
            {"UseLatestRestorableTime": True, "DBParameterGroupName": "none"},
            "DBParameterGroupNotFound",
        ),
    ],
)
def test_what_cannot_be_restored_is_refused(
    asked: dict[str, Any], code: str, estate: Estate, written: tuple[str, list[datetime]]
) -> None:
    with pytest.raises(ClientError, match=code):
        restore(estate, written[0], **asked)


def test_a_name_that_is_taken_a_source_that_is_not_and_a_replica_are_refused(
    estate: Estate, written: tuple[str, list[datetime]]
) -> None:
    rds = estate.client("rds", EAST)
    latest = {"UseLatestRestorableTime": True}
    with pytest.raises(ClientError, match="DBInstanceAlreadyExists"):
        rds.restore_db_instance_to_point_in_time(
            SourceDBInstanceIdentifier=written[0], TargetDBInstanceIdentifier=written[0], **latest
        )
    with pytest.raises(ClientError, match="DBInstanceNotFound"):
        restore(estate, "nobody", **latest)
    with estate.replica(written[0]) as spare, pytest.raises(ClientError, match="NotEnabled"):
        estate.client("rds", WEST).restore_db_instance_to_point_in_time(
            SourceDBInstanceIdentifier=spare, TargetDBInstanceIdentifier="other", **latest
        )


def test_what_is_not_said_is_the_default_and_not_the_source_s(
    estate: Estate, written: tuple[str, list[datetime]]
) -> None:
    source, rds = written[0], estate.client("rds", EAST)
    rds.modify_db_instance(DBInstanceIdentifier=source, DeletionProtection=True, MultiAZ=True)
    own = estate.described(EAST, source)
    assert (own["DeletionProtection"], own["MultiAZ"]) == (True, True)
    name = restore(estate, source, UseLatestRestorableTime=True, VpcSecurityGroupIds=[])
    try:
        made = estate.described(EAST, name)
        assert (made["DeletionProtection"], made["MultiAZ"]) == (False, False)
        assert made["IAMDatabaseAuthenticationEnabled"] is False
        groups = [one["VpcSecurityGroupId"] for one in made["VpcSecurityGroups"]]
        assert groups != [one["VpcSecurityGroupId"] for one in own["VpcSecurityGroups"]]
        assert made["DBInstanceClass"] == own["DBInstanceClass"]
        with pytest.raises(TimeoutError):
            estate.run(estate.connect(name, timeout_s=0.5))
    finally:
        estate.delete(EAST, name)
        with pytest.raises(ClientError, match="protected"):
            rds.delete_db_instance(DBInstanceIdentifier=source, SkipFinalSnapshot=True)
        rds.modify_db_instance(DBInstanceIdentifier=source, DeletionProtection=False)


async def _from_outside(estate: Estate, name: str) -> None:
    instance = estate.bridge.instances[name]
    host, _ = estate.plan.rds_public(instance.region, instance.number)
    session = await asyncpg.connect(
        host=host, user=MASTER, password=PASSWORD, database=DATABASE, timeout=2
    )
    await session.close()


def test_a_network_with_an_internet_gateway_makes_instances_public_unless_told_otherwise(
    estate: Estate, written: tuple[str, list[datetime]]
) -> None:
    """E23: the plan's restore puts a copy of production on a public address."""
    ec2 = estate.client("ec2", EAST)
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    names = []
    try:
        for asked in ({}, {"PubliclyAccessible": False}):
            made = restore(estate, written[0], UseLatestRestorableTime=True, **asked)
            names.append(made)
        public, private = (estate.described(EAST, name)["PubliclyAccessible"] for name in names)
        assert (public, private) == (True, False)
        estate.run(_from_outside(estate, names[0]))
        with pytest.raises(ConnectionRefusedError):
            estate.run(_from_outside(estate, names[1]))
    finally:
        ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        ec2.delete_internet_gateway(InternetGatewayId=gateway)
        for name in names:
            estate.delete(EAST, name)


def test_a_snapshot_holds_what_was_there_and_outlives_its_instance(estate: Estate) -> None:
    rds, group = estate.client("rds", EAST), estate.security_group(EAST, cidr="127.0.0.0/8")
    name = estate.new_name("mortal")
    estate.create_primary(EAST, name)
    estate.await_status(EAST, name, "available")
    estate.sql(name, "CREATE TABLE numbers AS SELECT 1 AS n")
    taken = rds.create_db_snapshot(DBInstanceIdentifier=name, DBSnapshotIdentifier="first")
    assert taken["DBSnapshot"]["Status"] == "creating"
    with pytest.raises(ClientError, match="InvalidDBSnapshotState"):
        rds.restore_db_instance_from_db_snapshot(
            DBInstanceIdentifier="early", DBSnapshotIdentifier="first"
        )

    def status(snapshot: str) -> str:
        [found] = rds.describe_db_snapshots(DBSnapshotIdentifier=snapshot)["DBSnapshots"]
        return str(found["Status"])

    until(lambda: status("first") == "available")
    with pytest.raises(ClientError, match="AlreadyExists"):
        rds.create_db_snapshot(DBInstanceIdentifier=name, DBSnapshotIdentifier="first")
    estate.sql(name, "INSERT INTO numbers VALUES (2)")
    rds.delete_db_instance(DBInstanceIdentifier=name, FinalDBSnapshotIdentifier="final")
    until(lambda: name not in estate.bridge.instances)
    assert status("final") == "available"
    for snapshot, there in (("first", [1]), ("final", [1, 2])):
        again = estate.new_name("again")
        rds.restore_db_instance_from_db_snapshot(
            DBInstanceIdentifier=again, DBSnapshotIdentifier=snapshot, VpcSecurityGroupIds=[group]
        )
        estate.await_status(EAST, again, "available")
        assert numbers(estate, again) == there
        estate.delete(EAST, again)
        rds.delete_db_snapshot(DBSnapshotIdentifier=snapshot)
    with pytest.raises(ClientError, match="DBSnapshotNotFound"):
        rds.delete_db_snapshot(DBSnapshotIdentifier="first")


def test_a_renamed_instance_keeps_its_data_and_frees_its_name_for_a_replica_of_its_successor(
    estate: Estate,
) -> None:
    with estate.primary() as first, estate.replica(first) as successor:
        rds = estate.client("rds", EAST)
        estate.client("rds", WEST).promote_read_replica(DBInstanceIdentifier=successor)
        estate.await_status(WEST, successor, "available")
        estate.sql(successor, "CREATE TABLE after (n int)")
        aside = f"{first}-aside"
        answer = rds.modify_db_instance(
            DBInstanceIdentifier=first, NewDBInstanceIdentifier=aside, ApplyImmediately=True
        )
        assert answer["DBInstance"]["DBInstanceStatus"] == "renaming"

        def is_there() -> bool:
            try:
                return bool(estate.described(EAST, aside))
            except ClientError:
                return False

        until(is_there)
        estate.await_status(EAST, aside, "available")
        try:
            with pytest.raises(ClientError, match="DBInstanceNotFound"):
                estate.described(EAST, first)
            assert estate.described(EAST, aside)["Endpoint"]["Address"].startswith(aside)
            estate.sql(aside, "SELECT 1")
            rds.create_db_instance_read_replica(
                DBInstanceIdentifier=first,
                SourceDBInstanceIdentifier=estate.described(WEST, successor)["DBInstanceArn"],
                SourceRegion=WEST,
                VpcSecurityGroupIds=[estate.security_group(EAST, cidr="127.0.0.0/8")],
            )
            estate.await_status(EAST, first, "available")
            until(lambda: estate.sql(first, "SELECT count(*) FROM after") == [(0,)])
        finally:
            estate.delete(EAST, aside)
