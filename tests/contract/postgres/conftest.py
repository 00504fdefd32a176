"""A real primary with a real streaming standby, and everything that is done to them undone."""

import asyncio
import contextlib
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest_asyncio

from drctl.actions.contract import Context
from drctl.actions.targets import PostgresServer as Target
from drctl.kernel.clock import Deadline, SystemClock
from drctl.kernel.secret import Secret
from drctl.lab.children import unprivileged
from drctl.lab.plan import AddressPlan
from drctl.lab.postgres import PostgresServer, find_binaries

# Otherwise a plugin that asks for the thread's loop gets a new one, which nobody closes.
asyncio.set_event_loop(None)

NET = 150
DATABASE = "healing_guard"
EAST = (f"127.{NET + 1}.1.101", 5432)
WEST = (f"127.{NET + 2}.1.101", 5432)
WEST_2 = (f"127.{NET + 2}.1.102", 5432)
PASSWORD = secrets.token_urlsafe(12)
CLOCK = SystemClock()

SCHEMA = """
CREATE SCHEMA drctl AUTHORIZATION drctl;
CREATE TABLE drctl.heartbeat(
    id int PRIMARY KEY CHECK (id = 1), at timestamptz NOT NULL, seq bigint NOT NULL);
INSERT INTO drctl.heartbeat VALUES (1, now(), 1);
CREATE TABLE drctl.write_check(token text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
ALTER TABLE drctl.heartbeat OWNER TO drctl;
ALTER TABLE drctl.write_check OWNER TO drctl;
CREATE TABLE pipelines(id text PRIMARY KEY);
ALTER TABLE pipelines OWNER TO healing_guard;
"""


class OnePassword:
    """Every reference leads to the password of this run."""

    def resolve(self, _ref):
        return Secret(PASSWORD)


def context(within_s: float = 20.0, *, key: str = "", resolvers: tuple[str, ...] = ()) -> Context:
    return Context(
        resolvers=resolvers,
        clock=CLOCK,
        deadline=Deadline.after(CLOCK, timedelta(seconds=within_s)),
        secrets=OnePassword(),
        key=key,
        permit=lambda: None,
    )


def target(address=EAST, *, user: str = "drctl", **fields) -> Target:
    host, port = address
    return Target.model_validate(
        {
            "region": "us-east-1",
            "sql": {
                "host": host,
                "port": port,
                "database": DATABASE,
                "user": user,
                "password": "env:ANY",
                "tls": "off",
            },
        }
        | fields
    )


async def client(address=EAST, *, user: str = "healing_guard", database: str = DATABASE):
    """A session as the application opens it."""
    host, port = address
    return await asyncpg.connect(
        host=host, port=port, user=user, password=PASSWORD, database=database, ssl=False, timeout=5
    )


async def until(holds, within_s: float = 10.0) -> None:
    async with asyncio.timeout(within_s):
        while not await holds():  # noqa: ASYNC110 (what a server says is not an Event of ours)
            await asyncio.sleep(0.02)


@dataclass
class Pair:
    """A primary and its standby."""

    primary: PostgresServer
    standby: PostgresServer
    system_identifier: str
    root: Path

    async def another_standby(self) -> PostgresServer:
        """A second one, to be promoted; the caller removes it."""
        server = PostgresServer(
            name=f"second-{secrets.token_hex(3)}",
            address=WEST_2,
            root=self.root,
            binaries=self.primary.binaries,
            run_as=self.primary.run_as,
        )
        await server.copy_from(self.primary, through=EAST)
        await server.start()
        await server.wait_until_streaming()
        return server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def servers():
    AddressPlan(NET)
    root = Path(tempfile.mkdtemp(prefix="drctl-pg-"))
    await asyncio.to_thread(root.chmod, 0o711)
    run_as = unprivileged()
    common = {"root": root, "binaries": find_binaries(root, run_as), "run_as": run_as}
    primary = PostgresServer(name="east", address=EAST, **common)
    standby = PostgresServer(name="west", address=WEST, **common)
    try:
        await primary.initialise()
        await primary.execute_as_superuser(
            f"CREATE ROLE drctl SUPERUSER LOGIN PASSWORD '{PASSWORD}';"
            f"CREATE ROLE healing_guard LOGIN PASSWORD '{PASSWORD}';"
            f"CREATE ROLE weak LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_monitor;"
        )
        await primary.execute_as_superuser(f"CREATE DATABASE {DATABASE} OWNER healing_guard")
        await primary.execute_as_superuser(SCHEMA, database=DATABASE)
        await standby.copy_from(primary, through=EAST)
        await standby.start()
        await standby.wait_until_streaming()
        rows = await primary.query_as_superuser(
            "SELECT system_identifier::text FROM pg_control_system()"
        )
        yield Pair(primary=primary, standby=standby, system_identifier=rows[0][0], root=root)
    finally:
        await standby.kill()
        await primary.kill()
        shutil.rmtree(root, ignore_errors=True)


@pytest_asyncio.fixture(loop_scope="session")
async def pair(servers):
    """Both running, open and following each other, whatever the test before did."""
    yield servers
    await servers.primary.start()
    await servers.standby.start()
    for server in (servers.primary, servers.standby):
        await _plain(server)
    await servers.primary.execute_as_superuser(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS true")
    with contextlib.suppress(asyncpg.PostgresError):
        await servers.standby.query_as_superuser("SELECT pg_wal_replay_resume()")
    await servers.standby.wait_until_streaming()

    async def is_open() -> bool:
        rows = await servers.standby.query_as_superuser(
            "SELECT datallowconn FROM pg_database WHERE datname = $1", DATABASE
        )
        return rows[0][0]

    await until(is_open)


async def _plain(server: PostgresServer) -> None:
    """Takes back what tests set, and waits until the server has noticed."""
    # Not RESET ALL: a standby keeps its connection to the primary among these settings.
    for setting in ("default_transaction_read_only", "recovery_min_apply_delay"):
        await server.query_as_superuser(f"ALTER SYSTEM RESET {setting}")
    await server.query_as_superuser("SELECT pg_reload_conf()")

    async def is_plain() -> bool:
        rows = await server.query_as_superuser(
            "SELECT current_setting('default_transaction_read_only') = 'off'"
            " AND current_setting('recovery_min_apply_delay') = '0'"
        )
        return rows[0][0]

    await until(is_plain)
