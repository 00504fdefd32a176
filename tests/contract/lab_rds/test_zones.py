"""What RDS does by itself when an availability zone dies, and what it does not."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

import asyncpg
import pytest
from botocore.exceptions import ClientError

from .conftest import EAST, PROD, STANDBY, WEST, Estate, until

A, B = "us-east-1a", "us-east-1b"
_GONE = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


@pytest.fixture
def double(estate: Estate) -> Iterator[str]:
    """A Multi-AZ instance; afterwards every zone is as it was."""
    with estate.primary() as identifier:
        rds = estate.client("rds", EAST)
        rds.modify_db_instance(DBInstanceIdentifier=identifier, MultiAZ=True)
        estate.sql(identifier, "CREATE TABLE kept (n int PRIMARY KEY)")
        try:
            yield identifier
        finally:
            restore(estate)


def lose(estate: Estate, zone: str) -> None:
    estate.run(estate.bridge.lose_zone(zone))


def restore(estate: Estate) -> None:
    async def work() -> None:
        estate.bridge.restore_zones()
        await estate.bridge.mend()

    estate.run(work())


async def write_until(estate: Estate, identifier: str, ended: asyncio.Event) -> list[int]:
    """Writes one number after the other, as often as needed; returns the acknowledged ones."""
    acknowledged: list[int] = []
    connection = None
    number = 0
    while not ended.is_set():
        number += 1
        try:
            connection = connection or await estate.connect(identifier, timeout_s=0.5)
            await connection.execute("INSERT INTO kept VALUES ($1)", number, timeout=0.5)
            acknowledged.append(number)
        except _GONE:
            if connection is not None:
                connection.terminate()
                connection = None
        await asyncio.sleep(0.01)
    if connection is not None:
        await connection.close()
    return acknowledged


def test_a_multi_az_instance_goes_on_in_its_other_zone_with_all_that_was_acknowledged(
    estate: Estate, double: str
) -> None:
    before = estate.described(EAST, double)
    assert (before["AvailabilityZone"], before["SecondaryAvailabilityZone"]) == (A, B)
    assert "SecondaryAvailabilityZone" not in estate.described(EAST, PROD)

    async def story() -> list[int]:
        ended = asyncio.Event()
        writing = asyncio.create_task(write_until(estate, double, ended))
        await asyncio.sleep(0.5)
        await estate.bridge.lose_zone(A)
        assert estate.bridge.instances[double].described.status == "rebooting"
        await estate.bridge._failovers[double]
        await asyncio.sleep(1)
        ended.set()
        return await writing

    acknowledged = estate.run(story())

    after = estate.described(EAST, double)
    assert (after["AvailabilityZone"], after["SecondaryAvailabilityZone"]) == (B, A)
    assert after["Endpoint"] == before["Endpoint"]
    kept = {row[0] for row in estate.sql(double, "SELECT n FROM kept")}
    assert set(acknowledged) <= kept
    assert acknowledged[-1] > len(acknowledged), "nobody noticed anything"
    told = estate.client("rds", EAST).describe_events(
        SourceIdentifier=double, SourceType="db-instance"
    )["Events"]
    assert [one["Message"] for one in told][-2:] == [
        "Multi-AZ instance failover started.",
        "Multi-AZ instance failover completed.",
    ]

    # The one that has no standby stays away until its zone is back; nobody is refused, either.
    assert estate.described(EAST, PROD)["DBInstanceStatus"] == "failed"
    with pytest.raises(TimeoutError):
        estate.run(estate.connect(PROD, timeout_s=0.5))
    assert estate.described(WEST, STANDBY)["DBInstanceStatus"] == "available"

    # And after the other zone there is nothing left to go to.
    lose(estate, B)
    assert estate.described(EAST, double)["DBInstanceStatus"] == "failed"
    restore(estate)
    for identifier in (double, PROD):
        assert estate.described(EAST, identifier)["DBInstanceStatus"] == "available"
        assert estate.sql(identifier, "SELECT 1") == [(1,)]
    until(lambda: estate.described(WEST, STANDBY)["StatusInfos"][0]["Normal"])


def test_a_failover_that_loses_its_other_zone_too_does_not_arrive(
    estate: Estate, double: str
) -> None:
    lose(estate, A)
    lose(estate, B)
    time.sleep(1)  # longer than a failover takes here
    assert estate.described(EAST, double)["DBInstanceStatus"] == "failed"
    assert not estate.bridge.instances[double].server.is_running
    restore(estate)
    assert estate.described(EAST, double)["AvailabilityZone"] == A
    assert estate.sql(double, "SELECT count(*) FROM kept") == [(0,)]


def test_nothing_is_made_in_a_zone_that_is_lost_or_that_is_none(
    estate: Estate, double: str
) -> None:
    rds = estate.client("rds", EAST)

    def make(**more: object) -> str:
        identifier = estate.new_name("placed")
        rds.create_db_instance(
            DBInstanceIdentifier=identifier,
            DBInstanceClass="db.t3.medium",
            Engine="postgres",
            AllocatedStorage=20,
            MasterUsername="master",
            MasterUserPassword="correct horse battery",
            **more,
        )
        return identifier

    with pytest.raises(ClientError, match="InvalidParameterCombination"):
        make(MultiAZ=True, AvailabilityZone=A)
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        make(AvailabilityZone="us-west-2a")
    lose(estate, A)
    for asked in ({"AvailabilityZone": A}, {"MultiAZ": True}):
        with pytest.raises(ClientError, match="InsufficientDBInstanceCapacity"):
            make(**asked)
    made = make()
    try:
        assert estate.await_status(EAST, made, "available")["AvailabilityZone"] == B
    finally:
        with contextlib.suppress(ClientError):
            estate.delete(EAST, made)
