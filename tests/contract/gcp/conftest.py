"""A Google Cloud project with real databases behind it; every exchange is kept, and judged."""

import asyncio
import secrets
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from drctl.actions.contract import Context
from drctl.actions.targets import CloudDnsRecord, CloudSqlInstance
from drctl.kernel.clock import Deadline, SystemClock
from drctl.kernel.secret import Secret
from drctl.lab.children import unprivileged
from drctl.lab.gcp import GcpCloud, Instance
from drctl.lab.names import NameServer
from drctl.lab.plan import AddressPlan
from drctl.lab.postgres import PostgresServer, find_binaries
from drctl.lab.zones import Resolution

sys.path.insert(0, str(Path(__file__).parent))
import gcp_discovery

# Otherwise a plugin that asks for the thread's loop gets a new one, which nobody closes.
asyncio.set_event_loop(None)

NET = 92
PROJECT, NUMBER = "drctl-lab", "415104041262"
EAST, WEST = "us-east1", "us-west1"
API = (f"127.{NET}.0.30", 8090)
DNS = (f"127.{NET}.0.53", 5353)
DATABASE = "healing_guard"
PASSWORD = secrets.token_urlsafe(12)
PRIMARY, REPLICA = "healing-guard-prod", "healing-guard-dr"
CLOCK = SystemClock()
ZONE, ZONE_NAME, RECORD = "healing-guard", "healing.test.", "app.healing.test"

SCHEMA = """
CREATE SCHEMA drctl AUTHORIZATION drctl;
CREATE TABLE drctl.heartbeat(
    id int PRIMARY KEY CHECK (id = 1), at timestamptz NOT NULL, seq bigint NOT NULL);
INSERT INTO drctl.heartbeat VALUES (1, now(), 1);
CREATE TABLE drctl.write_check(token text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE marks(id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp());
ALTER TABLE drctl.heartbeat OWNER TO drctl;
ALTER TABLE drctl.write_check OWNER TO drctl;
ALTER TABLE marks OWNER TO drctl;
"""


def access(address):
    host, port = address
    return {
        "host": host,
        "port": port,
        "database": DATABASE,
        "user": "drctl",
        "password": "env:PASSWORD",
        "tls": "off",
    }


class Keys:
    """The references of an environment to what the stand-in knows."""

    def __init__(self, cloud):
        self.values = {"env:KEY": cloud.tokens.key_file(), "env:PASSWORD": PASSWORD}

    def resolve(self, ref):
        return Secret(self.values[str(ref)])


@dataclass
class Project:
    """The stand-in, and how drctl reaches it."""

    cloud: GcpCloud
    keys: Keys
    exchanges: list = field(default_factory=list)
    servers: dict = field(default_factory=dict)
    system_identifier: str = ""

    def context(self, within_s=20.0, *, key="", seen=None, permit=lambda: None):
        return Context(
            clock=CLOCK,
            deadline=Deadline.after(CLOCK, timedelta(seconds=within_s)),
            secrets=self.keys,
            resolvers=(f"{DNS[0]}:{DNS[1]}",),
            key=key,
            seen=seen,
            permit=permit,
        )

    def connection(self, region=WEST, **fields):
        given = {
            "project": PROJECT,
            "project_number": NUMBER,
            "region": region,
            "service_account_key": "env:KEY",
            "endpoints": self.cloud.endpoints,
        }
        return given | fields

    def bare(self, name, *, at=None, **fields):
        """An instance of which only the control plane is there; its SQL is looked for *at*."""
        self.cloud.sql.add(Instance(name=name, region=WEST, project=PROJECT, **fields))
        given = {"gcp": self.connection(), "instance": name}
        if at is not None:
            given["sql"] = access(at)
        return CloudSqlInstance.model_validate(given)

    def target(self, name, region=WEST, **fields):
        return CloudSqlInstance.model_validate(
            {
                "gcp": self.connection(region),
                "instance": name,
                "sql": access(self.servers[name].address),
                "system_identifier": self.system_identifier,
            }
            | fields
        )

    def record(self, **fields):
        return CloudDnsRecord.model_validate(
            {
                "gcp": self.connection(),
                "managed_zone": ZONE,
                "zone_name": "healing.test",
                "record_name": RECORD,
            }
            | fields
        )

    def sent(self, method, ending):
        """How many requests of a kind came."""
        return sum(x.method == method and x.path.endswith(ending) for x in self.exchanges)

    async def replica(self, name, last):
        """A real replica of the primary, that streams."""
        primary = self.servers[PRIMARY]
        server = PostgresServer(
            name=name,
            address=(f"127.{NET + 2}.1.{last}", 5432),
            root=primary.root,
            binaries=primary.binaries,
            run_as=primary.run_as,
        )
        await server.copy_from(primary, through=primary.address)
        await server.start()
        await server.wait_until_streaming()
        # A receiver that has received nothing is no connection.
        beat = "UPDATE drctl.heartbeat SET at = now(), seq = seq + 1 RETURNING seq"
        seq = (await primary.query_as_superuser(beat, database=DATABASE))[0][0]
        read = "SELECT seq FROM drctl.heartbeat"
        async with asyncio.timeout(20):
            while (await server.query_as_superuser(read, database=DATABASE))[0][0] != seq:  # noqa: ASYNC110 (a poll)
                await asyncio.sleep(0.05)
        self.servers[name] = server
        self.cloud.sql.add(
            Instance(name=name, region=WEST, project=PROJECT, server=server, source=PRIMARY)
        )
        return server

    async def drop(self, name):
        self.cloud.sql.instances.pop(name)
        server = self.servers.pop(name)
        slot = server.slot
        await server.remove()
        await self.servers[PRIMARY].start()  # a test may have stopped or killed it
        await self.servers[PRIMARY].query_as_superuser(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
            " WHERE slot_name = $1 AND NOT active",
            slot,
        )

    async def session(self, name, user="drctl"):
        host, port = self.servers[name].address
        return await asyncpg.connect(
            host=host,
            port=port,
            user=user,
            password=PASSWORD,
            database=DATABASE,
            ssl=False,
            timeout=5,
        )


@pytest_asyncio.fixture
async def project():
    """The control plane alone, with a zone that is served."""
    AddressPlan(NET)
    exchanges = []
    cloud = GcpCloud(PROJECT, NUMBER, API, on_exchange=exchanges.append)
    cloud.dns.add(ZONE, ZONE_NAME)
    names = NameServer(Resolution(zones=cloud.dns.served))
    await cloud.start()
    await names.start(*DNS)
    yield Project(cloud=cloud, keys=Keys(cloud), exchanges=exchanges)
    await names.stop()
    await cloud.stop()
    for exchange in exchanges:
        if exchange.path != "/token":
            gcp_discovery.check(exchange)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def primary():
    """A real primary, shared by all tests."""
    root = Path(tempfile.mkdtemp(prefix="drctl-gcp-"))
    await asyncio.to_thread(root.chmod, 0o711)
    run_as = unprivileged()
    server = PostgresServer(
        name=PRIMARY,
        address=(f"127.{NET + 1}.1.101", 5432),
        root=root,
        binaries=find_binaries(root, run_as),
        run_as=run_as,
    )
    try:
        await server.initialise()
        await server.execute_as_superuser(
            f"CREATE ROLE drctl SUPERUSER LOGIN PASSWORD '{PASSWORD}';"
            f"CREATE ROLE healing_guard LOGIN PASSWORD '{PASSWORD}';"
        )
        await server.execute_as_superuser(f"CREATE DATABASE {DATABASE} OWNER healing_guard")
        await server.execute_as_superuser(SCHEMA, database=DATABASE)
        yield server
    finally:
        await server.kill()
        shutil.rmtree(root, ignore_errors=True)


@pytest_asyncio.fixture(loop_scope="session")
async def databases(primary):
    """The project with the primary in it."""
    exchanges = []
    cloud = GcpCloud(PROJECT, NUMBER, API, on_exchange=exchanges.append)
    cloud.dns.add(ZONE, ZONE_NAME)
    await cloud.start()
    await primary.start()
    made = Project(cloud=cloud, keys=Keys(cloud), exchanges=exchanges)
    made.servers[PRIMARY] = primary
    rows = await primary.query_as_superuser(
        "SELECT system_identifier::text FROM pg_control_system()"
    )
    made.system_identifier = rows[0][0]
    cloud.sql.add(Instance(name=PRIMARY, region=EAST, project=PROJECT, server=primary))
    yield made
    for name in [name for name in made.servers if name != PRIMARY]:
        await made.drop(name)
    await cloud.stop()
    for exchange in exchanges:
        if exchange.path != "/token":
            gcp_discovery.check(exchange)


@pytest.fixture
def context(project):
    return project.context
