"""What the AWS contract tests share: a context, a connection, and endpoints that misbehave."""

import asyncio
import contextlib
import itertools
import shutil
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import parse_qsl

import asyncpg
import pytest

from drctl.actions.contract import Context
from drctl.actions.targets import AwsConnection, RdsInstance
from drctl.kernel.clock import Deadline, SystemClock
from drctl.kernel.secret import Secret
from drctl.lab import control
from drctl.lab.aws.delays import VendorDelays
from drctl.lab.aws.plane import AwsControlPlane
from drctl.lab.aws.rds import RdsBridge
from drctl.lab.aws.route53 import Route53Overlay, health_checks
from drctl.lab.checks import HealthCheckers
from drctl.lab.names import NameServer
from drctl.lab.plan import AddressPlan
from drctl.lab.zones import Resolution

ACCOUNT = "123456789012"
_PORTS = itertools.count(18000)


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self):
        """The fields of a query-protocol call."""
        return dict(parse_qsl(self.body.decode()))


@dataclass
class Endpoint:
    """
    An HTTP server on a raw socket, so that it can fail as networks do.

    ``answer`` gets each request and returns ``(status, body)``, or ``hang``, ``reset``, ``close``.
    """

    host: str
    port: int
    answer: Callable[[Request], object] = field(default=lambda _request: (200, b""))
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"

    async def serve(self, reader, writer):
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while (request := await self._read(reader, writer)) is not None:
                self.requests.append(request)
                said = self.answer(request)
                if asyncio.iscoroutine(said):
                    said = await said
                if said == "hang":
                    await reader.read()  # until the other side gives up
                    break
                if said == "reset":
                    linger = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, linger
                    )
                    break
                if said == "close":
                    break
                status, body = said
                kind = "text/xml" if body.startswith(b"<") else "application/json"
                head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n"
                head += f"Content-Type: {kind}\r\nx-amzn-requestid: req-1\r\n\r\n"
                writer.write(head.encode() + (b"" if request.method == "HEAD" else body))
                await writer.drain()
        writer.close()

    @staticmethod
    async def _read(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {k.lower(): v.strip() for k, v in (h.split(":", 1) for h in head[1:] if h)}
        if headers.get("expect"):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Request(method, path, headers, body)


@pytest.fixture
async def endpoint_at():
    """Starts endpoints; ends them with the test."""
    servers = []

    async def start(host="127.142.0.10", answer=None, port=None):
        endpoint = Endpoint(host, port or next(_PORTS))
        if answer is not None:
            endpoint.answer = answer
        tasks = set()

        async def serve(reader, writer):
            tasks.add(asyncio.current_task())
            try:
                await endpoint.serve(reader, writer)
            except asyncio.CancelledError:
                writer.close()

        server = await asyncio.start_server(serve, host, endpoint.port)
        servers.append((server, tasks))
        return endpoint

    yield start
    for server, tasks in servers:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


class Keys:
    """Secrets of the lab kind: the reference's place is the value."""

    def resolve(self, ref):
        return Secret(ref.place)


@pytest.fixture
def context():
    """Makes contexts; says are kept in ``said``."""
    clock = SystemClock()

    def make(seconds=20.0, *, key="run-1.step.1", resolvers=()):
        said: list[str] = []
        ctx = Context(
            clock=clock,
            deadline=Deadline.after(clock, timedelta(seconds=seconds)),
            secrets=Keys(),
            resolvers=tuple(resolvers),
            key=key,
            say=said.append,
            permit=lambda: None,
        )
        make.said = said
        return ctx

    return make


@pytest.fixture
def connection_to():
    """Makes connections of one region whose services are all at one URL."""

    def make(url, region="us-west-2"):
        return AwsConnection.model_validate(
            {
                "region": region,
                "account": ACCOUNT,
                "access_key_id": "env:AKIALABLABLABLABLAB1",
                "secret_access_key": "env:not-a-secret",
                "endpoints": dict.fromkeys(("rds", "ec2", "s3", "sts", "route53"), url),
            }
        )

    return make


NET = 140
EAST, WEST = "us-east-1", "us-west-2"
KEY_ID = "AKIALABLABLABLABLAB1"
PASSWORD = "correct-horse-battery"
DATABASE = "healing_guard"
PROD, STANDBY = "healing-guard-prod", "healing-guard-dr"

SCHEMA = """
    CREATE SCHEMA drctl;
    CREATE TABLE drctl.write_check (token text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE drctl.heartbeat (
        id int PRIMARY KEY CHECK (id = 1), at timestamptz NOT NULL, seq bigint NOT NULL);
    INSERT INTO drctl.heartbeat VALUES (1, now(), 0);
    CREATE TABLE public.pipelines (id text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
    CREATE ROLE app LOGIN PASSWORD 'correct-horse-battery';
    GRANT ALL ON public.pipelines TO app;
"""


class Estate:
    """The strict control plane of two regions, real servers behind it, on a loop of its own."""

    def __init__(self):
        control.down(NET)  # what a test run that was killed has left: its data would be taken up
        self.plan = AddressPlan(NET)
        self.loop = asyncio.new_event_loop()
        # Of a daemon: when anything below fails, the tests still end.
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        delays = VendorDelays(promote_s=0.5, ship_s=0.5, insync_s=0.5)
        self.bridge = RdsBridge(self.plan, delays=delays)
        self.dns = Route53Overlay(delays)
        overlays = [self.bridge.install, self.dns.install]
        self.plane = AwsControlPlane(self.plan, access_keys={KEY_ID}, overlays=overlays)
        self.checkers = HealthCheckers(health_checks)
        self.names = {}
        """Address by name of what AWS itself serves: balancers."""
        self.server = NameServer(
            Resolution(zones=self.dns.zones, is_healthy=self.checkers.healthy, extra=self.address)
        )
        self.run(self.bridge.start())
        self.plane.start()
        self.run(self.checkers.start())
        self.run(self.server.start(*self.plan.dns))
        self.resolver = "{}:{}".format(*self.plan.dns)
        self.groups = {region: self._groups(region) for region in (EAST, WEST)}

    def address(self, name):
        """What AWS itself serves: balancers, and the endpoints of instances."""
        for instance in tuple(self.bridge.instances.values()):
            if instance.endpoint_name == name:
                return instance.endpoint_ip
        return self.names.get(name)

    def stop(self):
        self.run(self.server.stop())
        self.run(self.checkers.stop())
        self.plane.stop()
        self.run(self.bridge.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
        shutil.rmtree(self.plan.lab_root())

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    async def on_its_loop(self, work):
        """For tests, which run on another loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    def client(self, service, region):
        import boto3

        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.plan.aws_url(region),
            aws_access_key_id=KEY_ID,
            aws_secret_access_key="x",
        )

    def _groups(self, region):
        ec2 = self.client("ec2", region)
        vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        made = {}
        for name in ("healing-guard-db", "healing-guard-fence", "leaky-fence"):
            made[name] = ec2.create_security_group(GroupName=name, Description="d", VpcId=vpc)[
                "GroupId"
            ]
        rule = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432}
        rule["IpRanges"] = [{"CidrIp": "127.0.0.0/8"}]
        for name in ("healing-guard-db", "leaky-fence"):
            ec2.authorize_security_group_ingress(GroupId=made[name], IpPermissions=[rule])
        return made

    def create_primary(self):
        self.client("rds", EAST).create_db_instance(
            DBInstanceIdentifier=PROD,
            DBInstanceClass="db.t3.medium",
            Engine="postgres",
            AllocatedStorage=20,
            DBName=DATABASE,
            MasterUsername="drctl",
            MasterUserPassword=PASSWORD,
            VpcSecurityGroupIds=[self.groups[EAST]["healing-guard-db"]],
        )
        self.await_available(PROD)

    def create_replica(self, name=STANDBY):
        source = self.client("rds", EAST).describe_db_instances(DBInstanceIdentifier=PROD)
        self.client("rds", WEST).create_db_instance_read_replica(
            DBInstanceIdentifier=name,
            SourceDBInstanceIdentifier=source["DBInstances"][0]["DBInstanceArn"],
            SourceRegion=EAST,
            VpcSecurityGroupIds=[self.groups[WEST]["healing-guard-db"]],
        )
        self.await_available(name)

    def await_available(self, name):
        async def wait():
            async with asyncio.timeout(30):
                while self.bridge.instances[name].described.status != "available":  # noqa: ASYNC110 (a poll)
                    await asyncio.sleep(0.02)

        self.run(wait())

    def endpoint(self, name):
        return self.bridge.instances[name].endpoint_ip

    async def connect(self, name, user="app"):
        return await asyncpg.connect(
            host=self.endpoint(name),
            user=user,
            password=PASSWORD,
            database=DATABASE,
            timeout=5,
        )

    def connection(self, region):
        urls = dict.fromkeys(("rds", "ec2", "s3", "sts"), self.plan.aws_url(region))
        return {
            "region": region,
            "account": ACCOUNT,
            "access_key_id": f"env:{KEY_ID}",
            "secret_access_key": "env:x",
            "endpoints": urls | {"route53": self.plan.aws_url(EAST)},
        }

    def target(self, name, region, **more):
        """The target that an environment file would give for an instance."""
        sql = {
            "host": self.endpoint(name),
            "database": DATABASE,
            "user": "drctl",
            "password": f"env:{PASSWORD}",
            "tls": "off",
        }
        return RdsInstance.model_validate(
            {"aws": self.connection(region), "instance": name, "sql": sql} | more
        )


@pytest.fixture(scope="package")
def estate():
    """One primary in the east and its replica in the west; tests leave both as they found them."""
    running = Estate()
    try:
        running.create_primary()

        async def lay_down():
            connection = await running.connect(PROD, "drctl")
            await connection.execute(SCHEMA)
            await connection.close()

        running.run(lay_down())
        running.create_replica()
        yield running
    finally:
        running.stop()
