"""The life of RDS instances: every state is true of a real server."""

from __future__ import annotations

import time

import asyncpg
import pytest
from botocore.exceptions import ClientError

from .conftest import DATABASE, EAST, PROD, STANDBY, WEST, Estate, until


def test_an_instance_is_creating_without_an_endpoint_until_it_accepts(estate: Estate) -> None:
    identifier = estate.new_name("born")
    created = estate.create_primary(EAST, identifier)
    try:
        assert created["DBInstanceStatus"] == "creating"
        assert "Endpoint" not in created
        born = estate.await_status(EAST, identifier, "available")
        assert born["Endpoint"]["Address"] == (
            f"{identifier}.c9akciq32.us-east-1.rds.amazonaws.com"
        )
        assert born["Endpoint"]["Port"] == 5432
        assert estate.sql(identifier, "SELECT current_database()") == [(DATABASE,)]
        assert estate.sql(identifier, "SELECT rolsuper FROM pg_roles WHERE rolname = user") == [
            (False,)
        ]
    finally:
        estate.delete(EAST, identifier)
    with pytest.raises(ClientError, match="DBInstanceNotFound"):
        estate.described(EAST, identifier)


def test_the_engine_version_is_the_one_of_the_real_server(estate: Estate) -> None:
    [(version,)] = estate.sql(PROD, "SHOW server_version")
    assert estate.described(EAST, PROD)["EngineVersion"] == version


def test_a_replica_and_its_source_name_each_other_by_arn(estate: Estate) -> None:
    source, replica = estate.described(EAST, PROD), estate.described(WEST, STANDBY)
    assert replica["ReadReplicaSourceDBInstanceIdentifier"] == source["DBInstanceArn"]
    assert replica["DBInstanceArn"] in source["ReadReplicaDBInstanceIdentifiers"]
    assert replica["DbiResourceId"] != source["DbiResourceId"]


def test_a_row_written_on_the_primary_arrives_at_the_replica(estate: Estate) -> None:
    estate.sql(PROD, "CREATE TABLE rows AS SELECT 7 AS n")

    def arrived() -> list[object] | None:
        try:
            return estate.sql(STANDBY, "SELECT n FROM rows")
        except asyncpg.UndefinedTableError:
            return None

    assert until(arrived) == [(7,)]
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        estate.sql(STANDBY, "INSERT INTO rows VALUES (8)")


def test_a_replica_says_whether_it_really_replicates(estate: Estate) -> None:
    def info(identifier: str) -> dict[str, object]:
        [found] = estate.described(WEST, identifier)["StatusInfos"]
        return found

    with estate.replica() as spare:
        assert info(spare)["Status"] == "replicating"
        link = estate.bridge.instances[spare].link
        assert link is not None
        estate.run(link.kill())
        broken = until(lambda: found if not (found := info(spare))["Normal"] else None)
        assert broken["Status"] == "error"
        estate.run(link.start())
        until(lambda: info(spare)["Normal"])
    assert not estate.described(EAST, PROD).get("StatusInfos")


def test_a_promoted_replica_takes_writes_and_has_no_source(estate: Estate) -> None:
    with estate.replica() as spare:
        arn = estate.described(WEST, spare)["DBInstanceArn"]
        before = time.monotonic()
        answer = estate.client("rds", WEST).promote_read_replica(
            DBInstanceIdentifier=spare, BackupRetentionPeriod=3
        )
        assert answer["DBInstance"]["DBInstanceStatus"] == "modifying"
        promoted = estate.await_status(WEST, spare, "available")
        assert time.monotonic() - before >= 0.6
        assert promoted["BackupRetentionPeriod"] == 3
        assert "ReadReplicaSourceDBInstanceIdentifier" not in promoted
        assert not promoted.get("StatusInfos")
        assert arn not in estate.described(EAST, PROD)["ReadReplicaDBInstanceIdentifiers"]
        estate.sql(spare, "CREATE TABLE written_here (n int)")
        slots = estate.run(
            estate.bridge.instances[PROD].server.query_as_superuser(
                "SELECT slot_name FROM pg_replication_slots"
            )
        )
        assert [tuple(row) for row in slots] == [("postgres_healing_guard_dr",)]


def test_a_standby_is_promoted_without_its_source_and_without_what_never_reached_it(
    estate: Estate,
) -> None:
    with estate.primary() as source, estate.replica(source) as spare:
        estate.sql(source, "CREATE TABLE sent AS SELECT 1 AS n")

        def arrived() -> list[object] | None:
            try:
                return estate.sql(spare, "SELECT n FROM sent")
            except asyncpg.UndefinedTableError:
                return None

        until(arrived)
        link = estate.bridge.instances[spare].link
        assert link is not None
        estate.run(link.set_mode("blackhole"))
        estate.sql(source, "INSERT INTO sent VALUES (2)")
        estate.run(estate.bridge.instances[source].relay.kill())
        estate.run(estate.bridge.instances[source].server.kill())
        estate.client("rds", WEST).promote_read_replica(DBInstanceIdentifier=spare)
        estate.await_status(WEST, spare, "available")
        estate.sql(spare, "INSERT INTO sent VALUES (3)")
        assert estate.sql(spare, "SELECT n FROM sent ORDER BY n") == [(1,), (3,)]


def test_a_reboot_cuts_sessions_and_comes_back(estate: Estate, own: str) -> None:
    session = estate.run(estate.connect(own))
    answer = estate.client("rds", EAST).reboot_db_instance(DBInstanceIdentifier=own)
    assert answer["DBInstance"]["DBInstanceStatus"] == "rebooting"
    estate.await_status(EAST, own, "available")
    with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)):
        estate.run(session.fetch("SELECT 1"))
    assert estate.sql(own, "SELECT 1") == [(1,)]


def test_a_stopped_instance_refuses_connections_until_it_is_started(
    estate: Estate, own: str
) -> None:
    rds = estate.client("rds", EAST)
    assert rds.stop_db_instance(DBInstanceIdentifier=own)["DBInstance"]["DBInstanceStatus"] == (
        "stopping"
    )
    estate.await_status(EAST, own, "stopped")
    with pytest.raises(ConnectionRefusedError):
        estate.run(estate.connect(own))
    rds.start_db_instance(DBInstanceIdentifier=own)
    estate.await_status(EAST, own, "available")
    assert estate.sql(own, "SELECT n FROM kept") == [(1,)]


def test_the_master_password_can_be_changed(estate: Estate) -> None:
    with estate.primary() as own:
        estate.client("rds", EAST).modify_db_instance(
            DBInstanceIdentifier=own, MasterUserPassword="a different password"
        )

        def refused() -> bool:
            try:
                estate.sql(own, "SELECT 1")
            except asyncpg.InvalidPasswordError:
                return True
            return False

        until(refused)


def test_the_vendors_superuser_has_no_way_in_over_tcp(estate: Estate) -> None:
    instance = estate.bridge.instances[PROD]

    async def try_in(host: str) -> None:
        await asyncpg.connect(
            host=host,
            user="rdsadmin",
            password=instance.server._superuser_password,
            database="postgres",
        )

    for host in (instance.endpoint_ip, instance.server.address[0]):
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            estate.run(try_in(host))
