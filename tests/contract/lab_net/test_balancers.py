"""Load balancers of the lab: real processes in front of real HTTP servers, seen through the API."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from botocore.exceptions import ClientError

from drctl.lab.aws.bridge import BalancerBridge
from drctl.lab.aws.elbv2 import Elbv2Overlay
from drctl.lab.balancer import Balancer
from drctl.lab.targets import BalancerConfig

from .conftest import EAST, PLAN, WEST, Aws, until


class App:
    """A target: counts what reached it, and fails on demand."""

    def __init__(self, address: str, port: int = 8000) -> None:
        self.address, self.port = address, port
        self.name = f"{address}:{port}"
        self.is_well = True
        self.posts = 0
        self.runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/whoami", self._whoami)
        app.router.add_get("/chunks", self._chunks)
        app.router.add_post("/echo", self._echo)
        app.router.add_post("/die", self._die)
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, self.address, self.port).start()

    async def stop(self) -> None:
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(status=200 if self.is_well else 500)

    async def _whoami(self, request: web.Request) -> web.Response:
        return web.json_response({"at": self.name, "for": request.headers["X-Forwarded-For"]})

    async def _chunks(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for _ in range(3):
            await response.write(b"x" * 1000)
        return response

    async def _echo(self, request: web.Request) -> web.Response:
        self.posts += 1
        return web.Response(status=201, body=await request.read())

    async def _die(self, request: web.Request) -> web.Response:
        self.posts += 1
        assert request.transport is not None
        request.transport.abort()
        return web.Response()


@pytest.fixture
async def apps() -> AsyncIterator[list[App]]:
    apps = [App(f"127.121.2.{n}") for n in (1, 2)]
    for app in apps:
        await app.start()
    yield apps
    for app in apps:
        await app.stop()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        yield session


@pytest.fixture
async def balancer(tmp_path: Path) -> AsyncIterator[Balancer]:
    balancer = Balancer("trial", PLAN.balancer(EAST, 9), tmp_path)
    await balancer.start()
    yield balancer
    await balancer.kill()


def config(apps: list[App], **more: Any) -> BalancerConfig:
    names = tuple(app.name for app in apps)
    return BalancerConfig(targets=names, path="/healthz", interval_s=0.1, **more)


def states(balancer: Balancer) -> dict[str, str]:
    return {name: health.state for name, health in balancer.health().items()}


def url(balancer: Balancer, path: str) -> str:
    host, port = balancer.listen
    return f"http://{host}:{port}{path}"


async def test_requests_go_to_healthy_targets_in_turn_and_to_nobody_when_none_is(
    balancer: Balancer, apps: list[App], client: aiohttp.ClientSession
) -> None:
    async def served_by() -> str:
        async with client.get(url(balancer, "/whoami")) as response:
            document = await response.json()
            assert document["for"] == "127.0.0.1"
            return str(document["at"])

    async with client.get(url(balancer, "/whoami")) as response:
        assert response.status == 503
    balancer.configure(config(apps))
    await until(lambda: set(states(balancer).values()) == {"healthy"})
    assert {await served_by() for _ in range(4)} == {app.name for app in apps}

    apps[0].is_well = False
    await until(lambda: states(balancer)[apps[0].name] == "unhealthy")
    assert balancer.health()[apps[0].name].reason == "Target.ResponseCodeMismatch"
    assert {await served_by() for _ in range(4)} == {apps[1].name}

    await apps[1].stop()
    await until(lambda: states(balancer)[apps[1].name] == "unhealthy")
    assert balancer.health()[apps[1].name].reason == "Target.FailedHealthChecks"
    async with client.get(url(balancer, "/whoami")) as response:
        assert response.status == 503
    apps[0].is_well = True
    await until(lambda: states(balancer)[apps[0].name] == "healthy")
    assert await served_by() == apps[0].name


async def test_a_post_that_was_sent_is_never_sent_again(
    balancer: Balancer, apps: list[App], client: aiohttp.ClientSession
) -> None:
    balancer.configure(config(apps))
    await until(lambda: set(states(balancer).values()) == {"healthy"})
    async with client.post(url(balancer, "/die"), data=b"once") as response:
        assert response.status == 502
    assert sum(app.posts for app in apps) == 1


async def test_a_post_that_no_target_took_goes_to_another_one(
    balancer: Balancer, apps: list[App], client: aiohttp.ClientSession
) -> None:
    balancer.configure(config(apps, unhealthy_threshold=1000))
    await until(lambda: set(states(balancer).values()) == {"healthy"})
    await apps[0].stop()
    for _ in range(4):
        async with client.post(url(balancer, "/echo"), data=b"kept") as response:
            assert (response.status, await response.read()) == (201, b"kept")
    assert apps[1].posts == 4


async def test_bodies_pass_unchanged_and_connections_are_kept(
    balancer: Balancer, apps: list[App]
) -> None:
    balancer.configure(config(apps[:1]))
    await until(lambda: set(states(balancer).values()) == {"healthy"})
    reader, writer = await asyncio.open_connection(*balancer.listen)
    body = bytes(range(256)) * 800
    async with asyncio.timeout(5):
        for _ in range(2):
            head = f"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 201")
            assert await reader.readexactly(len(body)) == body
        writer.write(b"GET /chunks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).count(b"x" * 1000) == 3
        writer.close()
        await writer.wait_closed()
        reader, writer = await asyncio.open_connection(*balancer.listen)
        writer.write(b"nonsense\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400")
        writer.close()
        await writer.wait_closed()


async def test_a_balancer_ends_with_its_parent_and_leaves_no_pid_file(tmp_path: Path) -> None:
    balancer = Balancer("orphan", PLAN.balancer(EAST, 8), tmp_path)
    await balancer.start()
    try:
        pid_file = tmp_path / "pids" / "orphan.pid"
        pid = int(pid_file.read_text().split()[0])
        assert os.getsid(pid) == pid
        process = balancer._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(5):
            assert await process.wait() == 0
    finally:
        await balancer.kill()
    assert not pid_file.exists()


async def test_a_balancer_that_cannot_listen_says_why(balancer: Balancer, tmp_path: Path) -> None:
    other = Balancer("second", balancer.listen, tmp_path)
    with pytest.raises(RuntimeError, match="in use"):
        await other.start()
    assert not other.is_running


@pytest.fixture
async def bridge(
    aws: Aws, balancing: Elbv2Overlay, tmp_path: Path
) -> AsyncIterator[BalancerBridge]:
    bridge = BalancerBridge(PLAN, tmp_path, compression=100, is_active=balancing.is_active)
    balancing.watch(bridge)
    await bridge.start()
    yield bridge
    await bridge.stop()


def network(aws: Aws, region: str) -> tuple[str, list[str]]:
    ec2 = aws.client("ec2", region)
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    return vpc, [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"][:2]]


def make_group(aws: Aws, region: str, name: str = "app", kind: str = "ip") -> str:
    vpc, _ = network(aws, region)
    group = aws.client("elbv2", region).create_target_group(
        Name=name,
        Protocol="HTTP",
        Port=8000,
        VpcId=vpc,
        TargetType=kind,
        HealthCheckPath="/healthz",
        HealthCheckIntervalSeconds=10,
    )
    return str(group["TargetGroups"][0]["TargetGroupArn"])


def make_balancer(aws: Aws, region: str, name: str) -> dict[str, Any]:
    _, subnets = network(aws, region)
    answer = aws.client("elbv2", region).create_load_balancer(Name=name, Subnets=subnets)
    return dict(answer["LoadBalancers"][0])


def listen(aws: Aws, region: str, balancer: str, group: str) -> None:
    aws.client("elbv2", region).create_listener(
        LoadBalancerArn=balancer,
        Protocol="HTTP",
        Port=8080,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )


def seen(aws: Aws, region: str, group: str) -> list[tuple[str, str | None]]:
    answer = aws.client("elbv2", region).describe_target_health(TargetGroupArn=group)
    healths = [each["TargetHealth"] for each in answer["TargetHealthDescriptions"]]
    return [(health["State"], health.get("Reason")) for health in healths]


async def test_target_health_is_what_the_balancer_of_the_region_sees(
    aws: Aws, bridge: BalancerBridge, apps: list[App], client: aiohttp.ClientSession
) -> None:
    elbv2 = aws.client("elbv2", EAST)
    group = await asyncio.to_thread(make_group, aws, EAST)
    targets = [{"Id": app.address, "Port": app.port} for app in apps]
    await asyncio.to_thread(elbv2.register_targets, TargetGroupArn=group, Targets=targets)
    assert await asyncio.to_thread(seen, aws, EAST, group) == [("unused", "Target.NotInUse")] * 2

    balancer = await asyncio.to_thread(make_balancer, aws, EAST, "app-lb")
    assert balancer["State"]["Code"] == "provisioning"
    await asyncio.to_thread(listen, aws, EAST, balancer["LoadBalancerArn"], group)
    assert (
        await asyncio.to_thread(seen, aws, EAST, group)
        == [("initial", "Elb.RegistrationInProgress")] * 2
    )
    await until(lambda: seen(aws, EAST, group) == [("healthy", None)] * 2)
    described = await asyncio.to_thread(elbv2.describe_load_balancers, Names=["app-lb"])
    assert described["LoadBalancers"][0]["State"]["Code"] == "active"

    address = bridge.lookup(balancer["DNSName"])
    assert address == PLAN.balancer(EAST, 1)[0]
    assert bridge.lookup("other-1.us-east-1.elb.amazonaws.com") is None
    assert bridge.has_healthy_target(balancer["DNSName"])
    where = f"http://{address}:8080/whoami"
    async with client.get(where) as response:
        assert response.status == 200

    apps[0].is_well = False
    await until(
        lambda: (
            seen(aws, EAST, group)
            == [("unhealthy", "Target.ResponseCodeMismatch"), ("healthy", None)]
        )
    )
    await asyncio.to_thread(elbv2.deregister_targets, TargetGroupArn=group, Targets=targets[1:])
    await until(lambda: not bridge.has_healthy_target(balancer["DNSName"]))
    apps[0].is_well = True
    await until(lambda: bridge.has_healthy_target(balancer["DNSName"]))

    pid = next(iter(bridge._regions[EAST].processes.values())).pid
    assert pid is not None
    await bridge.kill_region(EAST)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert bridge.lookup(balancer["DNSName"]) == address
    assert not bridge.has_healthy_target(balancer["DNSName"])
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.get(where)
    await asyncio.sleep(0.3)  # three looks of the bridge, none of which may bring it back
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.get(where)
    await bridge.revive_region(EAST)
    await until(lambda: bridge.has_healthy_target(balancer["DNSName"]))
    async with client.get(where) as response:
        assert response.status == 200


async def test_a_balancer_that_dies_alone_comes_back_and_the_other_region_never_notices(
    aws: Aws, bridge: BalancerBridge
) -> None:
    for region in (EAST, WEST):
        group = await asyncio.to_thread(make_group, aws, region)
        balancer = await asyncio.to_thread(make_balancer, aws, region, "app-lb")
        await asyncio.to_thread(listen, aws, region, balancer["LoadBalancerArn"], group)

    def pids() -> list[int | None]:
        found = [tuple(bridge._regions[region].processes.values()) for region in (EAST, WEST)]
        return [each[0].pid if each and each[0].is_running else None for each in found]

    await until(lambda: None not in pids())
    east, west = pids()
    assert east is not None
    os.kill(east, 9)
    await until(lambda: pids()[0] not in {None, east})
    assert pids()[1] == west
    await asyncio.to_thread(
        lambda: aws.client("elbv2", WEST).delete_load_balancer(
            LoadBalancerArn=balancer["LoadBalancerArn"]
        )
    )
    assert west is not None
    await until(lambda: not _exists(west))


def _exists(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_what_elbv2_refuses_is_refused(aws: Aws) -> None:
    elbv2 = aws.client("elbv2", EAST)
    instances, ips = make_group(aws, EAST, "instances", "instance"), make_group(aws, EAST, "ips")
    balancer = make_balancer(aws, EAST, "app-lb")
    arn = balancer["LoadBalancerArn"]
    assert make_balancer(aws, EAST, "app-lb")["LoadBalancerArn"] == arn
    listen(aws, EAST, arn, ips)
    # Asked again for the same, it gives the same: twice is one.
    listen(aws, EAST, arn, ips)
    assert len(elbv2.describe_listeners(LoadBalancerArn=arn)["Listeners"]) == 1
    assert make_group(aws, EAST, "ips") == ips
    other = make_balancer(aws, EAST, "other-lb")["LoadBalancerArn"]
    more = make_group(aws, EAST, "more")
    assert other != arn
    assert balancer["DNSName"] != "app-lb-1.us-east-1.elb.amazonaws.com", "nobody can guess it"
    subnets = network(aws, EAST)[1]
    forward = [{"Type": "forward", "TargetGroupArn": more}]
    guard = [{"Key": "deletion_protection.enabled", "Value": "true"}]
    elbv2.modify_load_balancer_attributes(LoadBalancerArn=other, Attributes=guard)
    two = [{"TargetGroupArn": group} for group in (instances, ips)]
    calls: dict[str, Any] = {
        "Instance ID '127.121.2.1' is not valid": lambda: elbv2.register_targets(
            TargetGroupArn=instances, Targets=[{"Id": "127.121.2.1"}]
        ),
        "'i-12345678' is not a valid IPv4": lambda: elbv2.register_targets(
            TargetGroupArn=ips, Targets=[{"Id": "i-12345678"}]
        ),
        "DuplicateListener": lambda: listen(aws, EAST, arn, more),
        "TargetGroupAssociationLimit": lambda: listen(aws, EAST, other, ips),
        "OperationNotPermitted": lambda: elbv2.delete_load_balancer(LoadBalancerArn=other),
        "DuplicateTargetGroupName": lambda: make_group(aws, EAST, "ips", "instance"),
        "two different Availability Zones": lambda: elbv2.create_load_balancer(
            Name="one-zone", Subnets=subnets[:1]
        ),
        "InvalidSecurityGroup": lambda: elbv2.create_load_balancer(
            Name="no-group", Subnets=subnets, SecurityGroups=["sg-00000000"]
        ),
        "name 'internal-x' is not valid": lambda: elbv2.create_load_balancer(
            Name="internal-x", Subnets=subnets
        ),
        "certificate must be specified": lambda: elbv2.create_listener(
            LoadBalancerArn=other, Protocol="HTTPS", Port=8443, DefaultActions=forward
        ),
        "CertificateNotFound": lambda: elbv2.create_listener(
            LoadBalancerArn=other,
            Protocol="HTTPS",
            Port=8443,
            DefaultActions=forward,
            Certificates=[{"CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/x"}],
        ),
        "DuplicateLoadBalancerName": lambda: elbv2.create_load_balancer(
            Name="app-lb", Subnets=network(aws, EAST)[1], Scheme="internal"
        ),
        "one target group": lambda: elbv2.create_listener(
            LoadBalancerArn=arn,
            Protocol="HTTP",
            Port=8081,
            DefaultActions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": two}}],
        ),
        "LoadBalancerNotFound": lambda: elbv2.describe_load_balancers(Names=["nobody"]),
    }
    for words, call in calls.items():
        with pytest.raises(ClientError, match=words):
            call()


async def test_one_that_is_lost_is_failed_and_gone_until_it_is_given_back(
    aws: Aws, bridge: BalancerBridge, balancing: Elbv2Overlay, apps: list[App]
) -> None:
    elbv2, group = aws.client("elbv2", EAST), await asyncio.to_thread(make_group, aws, EAST)
    balancer = await asyncio.to_thread(make_balancer, aws, EAST, "app-lb")
    targets = [{"Id": app.address, "Port": app.port} for app in apps]
    await asyncio.to_thread(elbv2.register_targets, TargetGroupArn=group, Targets=targets)
    await asyncio.to_thread(listen, aws, EAST, balancer["LoadBalancerArn"], group)
    await until(lambda: bridge.has_healthy_target(balancer["DNSName"]))

    balancing.lose("app-lb")
    await bridge.settle()
    found = await asyncio.to_thread(elbv2.describe_load_balancers, Names=["app-lb"])
    assert found["LoadBalancers"][0]["State"]["Code"] == "failed"
    assert not bridge.has_healthy_target(balancer["DNSName"])
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(bridge.lookup(balancer["DNSName"]), 8080)
    with pytest.raises(ValueError, match="no load balancer 'nobody'"):
        balancing.lose("nobody")

    balancing.restore()
    await until(lambda: bridge.has_healthy_target(balancer["DNSName"]))


async def test_who_is_not_let_in_is_told_nothing(
    balancer: Balancer, apps: list[App], client: aiohttp.ClientSession
) -> None:
    """As a security group drops packets: neither an answer nor a refusal."""
    balancer.configure(config(apps))
    await until(lambda: set(states(balancer).values()) == {"healthy"})
    balancer.configure(config(apps, is_open=False))
    await asyncio.sleep(0.2)
    with pytest.raises(TimeoutError):
        await client.get(url(balancer, "/whoami"), timeout=aiohttp.ClientTimeout(total=0.5))
    balancer.configure(config(apps))
    await asyncio.sleep(0.2)
    async with client.get(url(balancer, "/whoami")) as response:
        assert response.status == 200
