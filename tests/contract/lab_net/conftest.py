"""Two emulated regions on loopback, with the lab's strict overlays in place."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

from drctl.lab.aws import elbv2, route53
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


@pytest.fixture(scope="session")
def _servers() -> Iterator[None]:
    servers = [
        ThreadedMotoServer(*PLAN.aws_address(region), verbose=False) for region in PLAN.REGIONS
    ]
    for server in servers:
        server.start()
    yield
    for server in servers:
        server.stop()


@pytest.fixture
def aws(_servers: None) -> Aws:
    from moto.moto_api._internal.models import moto_api_backend

    moto_api_backend.reset()
    return Aws()


@pytest.fixture
def dns_control(aws: Aws) -> Iterator[route53.Route53Overlay]:
    overlay = route53.install(insync_s=0.4)
    yield overlay
    overlay.uninstall()


@pytest.fixture
def balancing(aws: Aws) -> Iterator[elbv2.Elbv2Overlay]:
    overlay = elbv2.install(provisioning_s=0.2)
    yield overlay
    overlay.uninstall()


@pytest.fixture
async def checkers(dns_control: route53.Route53Overlay) -> AsyncIterator[HealthCheckers]:
    checkers = HealthCheckers(route53.health_checks)
    dns_control.watch(checkers)
    await checkers.start()
    yield checkers
    await checkers.stop()


@pytest.fixture
async def names(
    dns_control: route53.Route53Overlay, checkers: HealthCheckers
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
