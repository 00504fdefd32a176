"""A running control plane with real servers, on a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import asyncpg
import boto3
import pytest
from botocore.config import Config

from drctl.lab import control
from drctl.lab.aws.delays import VendorDelays
from drctl.lab.aws.plane import AwsControlPlane
from drctl.lab.aws.rds import RdsBridge
from drctl.lab.plan import AddressPlan

NET = 110
EAST, WEST = "us-east-1", "us-west-2"
KEY_ID = "AKIATESTTESTTESTTES1"
MASTER, PASSWORD = "master", "correct horse battery"
DATABASE = "healing_guard"
PROD, STANDBY = "healing-guard-prod", "healing-guard-dr"

DELAYS = VendorDelays(promote_s=0.6, ship_s=0.5, failover_s=0.6)

T = TypeVar("T")


class Estate:
    """The plane, the bridge, and clients that know nothing of them but endpoints."""

    def __init__(self, net: int = NET) -> None:
        control.down(net)  # what a test run that was killed has left: its data would be taken up
        self.plan = AddressPlan(net)
        self.loop = asyncio.new_event_loop()
        # Of a daemon: when anything below fails, the tests still end.
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.bridge = RdsBridge(self.plan, delays=DELAYS)
        self.plane = AwsControlPlane(
            self.plan, access_keys={KEY_ID}, overlays=[self.bridge.install]
        )
        self.run(self.bridge.start())
        self.plane.start()
        self._names = 0
        self._clients: dict[tuple[object, ...], Any] = {}

    def stop(self) -> None:
        self.plane.stop()
        self.run(self.bridge.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
        shutil.rmtree(self.plan.lab_root())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def client(
        self,
        service: str,
        region: str,
        *,
        signed_for: str | None = None,
        key_id: str = KEY_ID,
        timeout_s: float = 10,
    ) -> Any:
        # Making a client costs more than using it.
        wanted = (service, region, signed_for or region, key_id, timeout_s)
        if wanted not in self._clients:
            self._clients[wanted] = self._new_client(*wanted)
        return self._clients[wanted]

    def _new_client(
        self, service: str, region: str, signed_for: str, key_id: str, timeout_s: float
    ) -> Any:
        return boto3.client(
            service,
            region_name=signed_for,
            endpoint_url=self.plan.aws_url(region),
            aws_access_key_id=key_id,
            aws_secret_access_key="secret",
            config=Config(
                retries={"total_max_attempts": 1},
                connect_timeout=timeout_s,
                read_timeout=timeout_s,
                s3={"addressing_style": "path"},
            ),
        )

    def described(self, region: str, identifier: str) -> dict[str, Any]:
        found = self.client("rds", region).describe_db_instances(DBInstanceIdentifier=identifier)
        [instance] = found["DBInstances"]
        return instance

    def await_status(self, region: str, identifier: str, status: str) -> dict[str, Any]:
        return until(
            lambda: (
                found
                if (found := self.described(region, identifier))["DBInstanceStatus"] == status
                else None
            )
        )

    def new_name(self, prefix: str) -> str:
        self._names += 1
        return f"{prefix}-{self._names}"

    def security_group(self, region: str, *, cidr: str | None) -> str:
        ec2 = self.client("ec2", region)
        vpc_id = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        group_id: str = ec2.create_security_group(
            GroupName=self.new_name("group"), Description="test", VpcId=vpc_id
        )["GroupId"]
        if cidr is not None:
            self.authorize(region, group_id, cidr)
        return group_id

    def authorize(self, region: str, group_id: str, cidr: str) -> None:
        self.client("ec2", region).authorize_security_group_ingress(
            GroupId=group_id, IpPermissions=[postgres_from(cidr)]
        )

    def create_primary(self, region: str, identifier: str) -> dict[str, Any]:
        created: dict[str, Any] = self.client("rds", region).create_db_instance(
            DBInstanceIdentifier=identifier,
            DBInstanceClass="db.t3.medium",
            Engine="postgres",
            AllocatedStorage=20,
            DBName=DATABASE,
            MasterUsername=MASTER,
            MasterUserPassword=PASSWORD,
            VpcSecurityGroupIds=[self.security_group(region, cidr="127.0.0.0/8")],
        )["DBInstance"]
        return created

    def create_replica(self, identifier: str, source: str) -> dict[str, Any]:
        created: dict[str, Any] = self.client("rds", WEST).create_db_instance_read_replica(
            DBInstanceIdentifier=identifier,
            SourceDBInstanceIdentifier=self.described(EAST, source)["DBInstanceArn"],
            SourceRegion=EAST,
            VpcSecurityGroupIds=[self.security_group(WEST, cidr="127.0.0.0/8")],
        )["DBInstance"]
        return created

    @contextmanager
    def replica(self, source: str = PROD) -> Iterator[str]:
        """A replica that a test may do anything to."""
        identifier = self.new_name("spare")
        self.create_replica(identifier, source)
        self.await_status(WEST, identifier, "available")
        try:
            yield identifier
        finally:
            self.delete(WEST, identifier)

    @contextmanager
    def primary(self, region: str = EAST) -> Iterator[str]:
        """A primary that a test may do anything to."""
        identifier = self.new_name("own")
        self.create_primary(region, identifier)
        self.await_status(region, identifier, "available")
        try:
            yield identifier
        finally:
            self.delete(region, identifier)

    def delete(self, region: str, identifier: str) -> None:
        until(lambda: self.bridge.instances[identifier].described.status != "modifying")
        rds = self.client("rds", region)
        rds.delete_db_instance(DBInstanceIdentifier=identifier, SkipFinalSnapshot=True)
        until(lambda: identifier not in self.bridge.instances)

    async def connect(self, identifier: str, *, timeout_s: float = 5) -> asyncpg.Connection:
        """Connects as a customer does: endpoint, port, password."""
        return await asyncpg.connect(
            host=self.bridge.instances[identifier].endpoint_ip,
            port=5432,
            user=MASTER,
            password=PASSWORD,
            database=DATABASE,
            timeout=timeout_s,
        )

    def sql(self, identifier: str, statement: str) -> list[Any]:
        async def work() -> list[Any]:
            connection = await self.connect(identifier)
            try:
                return [tuple(row) for row in await connection.fetch(statement)]
            finally:
                await connection.close()

        return self.run(work())


def postgres_from(cidr: str) -> dict[str, Any]:
    return {
        "IpProtocol": "tcp",
        "FromPort": 5432,
        "ToPort": 5432,
        "IpRanges": [{"CidrIp": cidr}],
    }


def until(look: Callable[[], T | None], within_s: float = 60) -> T:
    deadline = time.monotonic() + within_s
    while not (seen := look()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return seen


@pytest.fixture(scope="package")
def estate() -> Iterator[Estate]:
    """One primary in the east, its replica in the west; tests leave both as they are."""
    running = Estate()
    try:
        running.create_primary(EAST, PROD)
        running.await_status(EAST, PROD, "available")
        running.create_replica(STANDBY, PROD)
        running.await_status(WEST, STANDBY, "available")
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="package")
def own(estate: Estate) -> Iterator[str]:
    """One more primary, alone; tests may stop it, crash it, cut it off, and bring it back."""
    with estate.primary() as identifier:
        estate.sql(identifier, "CREATE TABLE kept AS SELECT 1 AS n")
        yield identifier
