"""Two emulated regions on loopback, with the lab's strict overlays in place."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config

from drctl.lab.aws.delays import VendorDelays
from drctl.lab.aws.elbv2 import Elbv2Overlay
from drctl.lab.aws.plane import AwsControlPlane
from drctl.lab.aws.route53 import Route53Overlay, health_checks
from drctl.lab.checks import HealthCheckers
from drctl.lab.names import NameServer
from drctl.lab.plan import AddressPlan
from drctl.lab.zones import Resolution

PLAN = AddressPlan(120)
EAST, WEST = PLAN.REGIONS


@dataclass(frozen=True)
class Aws:
    """boto3 clients of the two regions; Route 53 lives in the east."""

    def client(self, service: str, region: str = EAST) -> Any:
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=PLAN.aws_url(region),
            aws_access_key_id="AKIALABLABLABLABLAB1",
            aws_secret_access_key="not-a-secret",
            config=Config(
                retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, read_timeout=10
            ),
        )


async def until(holds: Callable[[], bool], *, seconds: float = 10.0) -> float:
    """Polls until something holds; returns how long that took."""
    start = time.monotonic()
    while not await asyncio.to_thread(holds):
        if time.monotonic() - start > seconds:
            raise AssertionError(f"did not come true within {seconds} s")
        await asyncio.sleep(0.02)
    return time.monotonic() - start


@pytest.fixture
def dns_control() -> Route53Overlay:
    return Route53Overlay(VendorDelays(insync_s=0.4))


@pytest.fixture
def balancing() -> Elbv2Overlay:
    return Elbv2Overlay(provisioning_s=0.2)


@pytest.fixture
def aws(dns_control: Route53Overlay, balancing: Elbv2Overlay) -> Iterator[Aws]:
    plane = AwsControlPlane(PLAN, overlays=[dns_control.install, balancing.install])
    plane.start()
    yield Aws()
    plane.stop()


@pytest.fixture
async def checkers(aws: Aws, dns_control: Route53Overlay) -> AsyncIterator[HealthCheckers]:
    checkers = HealthCheckers(health_checks)
    dns_control.watch(checkers)
    await checkers.start()
    yield checkers
    await checkers.stop()


@pytest.fixture
async def names(
    dns_control: Route53Overlay, checkers: HealthCheckers
) -> AsyncIterator[dict[str, str]]:
    """A running name server; the dict is the register of AWS-owned names."""
    register: dict[str, str] = {}
    resolution = Resolution(
        zones=dns_control.zones, is_healthy=checkers.healthy, extra=register.get
    )
    server = NameServer(resolution)
    await server.start(*PLAN.dns)
    yield register
    await server.stop()
