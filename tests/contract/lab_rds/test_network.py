"""Security groups, black holes, a region that nobody can reach."""

from __future__ import annotations

import asyncio
import time

import asyncpg
import pytest
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from .conftest import EAST, PROD, WEST, Estate, postgres_from, until


def is_denied(estate: Estate, identifier: str) -> bool:
    """Whether a new session gets no answer at all."""
    try:
        session = estate.run(estate.connect(identifier, timeout_s=0.4))
    except TimeoutError:
        return True
    estate.run(session.close())
    return False


def test_a_group_without_ingress_denies_new_sessions_and_keeps_old_ones(estate: Estate) -> None:
    with estate.primary() as own:
        session = estate.run(estate.connect(own))
        fence = estate.security_group(EAST, cidr=None)
        answer = estate.client("rds", EAST).modify_db_instance(
            DBInstanceIdentifier=own, VpcSecurityGroupIds=[fence]
        )
        groups = answer["DBInstance"]["VpcSecurityGroups"]
        assert {"VpcSecurityGroupId": fence, "Status": "adding"} in groups
        until(
            lambda: (
                estate.described(EAST, own)["VpcSecurityGroups"]
                == [{"VpcSecurityGroupId": fence, "Status": "active"}]
            )
        )
        assert is_denied(estate, own)
        assert estate.run(session.fetchval("SELECT 1")) == 1
        assert estate.run(estate.bridge.instances[own].relay.cut()) == 1
        with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)):
            estate.run(session.fetchval("SELECT 1"))


def test_rules_of_an_attached_group_are_followed(estate: Estate, own: str) -> None:
    [group] = estate.described(EAST, own)["VpcSecurityGroups"]
    group_id = group["VpcSecurityGroupId"]
    estate.client("ec2", EAST).revoke_security_group_ingress(
        GroupId=group_id, IpPermissions=[postgres_from("127.0.0.0/8")]
    )
    until(lambda: is_denied(estate, own))
    estate.authorize(EAST, group_id, "10.0.0.0/8")
    assert is_denied(estate, own)
    estate.authorize(EAST, group_id, "127.0.0.1/32")
    until(lambda: not is_denied(estate, own))


def test_a_cut_off_endpoint_is_a_black_hole_until_it_is_not(estate: Estate, own: str) -> None:
    session = estate.run(estate.connect(own))
    estate.run(estate.bridge.cut_off(own, is_cut_off=True))
    assert is_denied(estate, own)
    answer = asyncio.run_coroutine_threadsafe(session.fetchval("SELECT 1"), estate.loop)
    with pytest.raises(TimeoutError):
        answer.result(0.3)
    estate.run(estate.bridge.cut_off(own, is_cut_off=False))
    assert answer.result(10) == 1
    estate.run(session.close())


def test_an_unreachable_region_hangs_until_the_client_gives_up(estate: Estate) -> None:
    estate.plane.set_reachable(WEST, False)
    try:
        rds = estate.client("rds", WEST, timeout_s=0.5)
        before = time.monotonic()
        with pytest.raises(ReadTimeoutError):
            rds.describe_db_instances()
        assert time.monotonic() - before >= 0.5
        estate.client("rds", EAST).describe_db_instances()
    finally:
        estate.plane.set_reachable(WEST, True)
    estate.client("rds", WEST).describe_db_instances()


def test_who_still_hangs_when_a_region_is_reachable_again_is_reset(estate: Estate) -> None:
    estate.plane.set_reachable(WEST, False)
    estate.loop.call_soon_threadsafe(
        estate.loop.call_later, 0.3, estate.plane.set_reachable, WEST, True
    )
    with pytest.raises(ConnectionClosedError):
        estate.client("rds", WEST).describe_db_instances()


def test_a_crashed_region_refuses_and_comes_back_with_its_data_and_its_rules(
    estate: Estate, own: str
) -> None:
    instance = estate.bridge.instances[own]
    fence = estate.security_group(EAST, cidr=None)
    # Only this instance crashes: the others of the region are shared with other tests.
    estate.run(instance.relay.kill())
    estate.run(instance.server.kill())
    with pytest.raises(ConnectionRefusedError):
        estate.run(estate.connect(own))
    instance.described.enforced_group_ids = [fence]
    estate.run(estate.bridge.recover_region(EAST))
    assert is_denied(estate, own)
    instance.described.enforced_group_ids = tuple(instance.described.vpc_security_group_ids)
    until(lambda: not is_denied(estate, own))
    assert estate.sql(own, "SELECT n FROM kept") == [(1,)]
    assert estate.sql(PROD, "SELECT 1") == [(1,)]
