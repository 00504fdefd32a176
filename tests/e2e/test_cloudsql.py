"""A Cloud SQL primary dies, and the real drctl brings the service to the other region."""

import asyncio
import contextlib
import importlib.util
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import ClientSession, ClientTimeout, web

from drctl.lab.gcp import Instance
from drctl.lab.lookup import look_up
from drctl.lab.names import NameServer
from drctl.lab.zones import Resolution

NET = 88
HERE = Path(__file__).parent
ROOT = HERE.parent.parent
EAST, WEST, PORT = f"127.{NET + 1}.0.10", f"127.{NET + 2}.0.10", 8080
RECORD = "app.healing.test"
HOP_S = 0.1


def _contract():
    """The project of the contract tests, on a net of our own."""
    path = HERE.parent / "contract" / "gcp" / "conftest.py"
    spec = importlib.util.spec_from_file_location("e2e_contract_gcp", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    text = path.read_text().replace("NET = 92", f"NET = {NET}")
    exec(compile(text, str(path), "exec"), module.__dict__)  # noqa: S102 (our own file)
    return module


gcp = _contract()
primary, databases = gcp.primary, gcp.databases


class Service:
    """The application in both regions, the observer, and a client that counts."""

    def __init__(self, project):
        self.project = project
        self.seen = None
        self.acknowledged = []
        self.outages = []
        self._tasks = []
        self._runners = []

    async def start(self):
        for host, database in ((EAST, gcp.PRIMARY), (WEST, gcp.REPLICA)):
            await self._serve(host, database)
        cloud = self.project.cloud
        cloud.dns.put(gcp.ZONE, f"{RECORD}.", "A", 1, EAST)
        self._names = NameServer(Resolution(zones=cloud.dns.served))
        await self._names.start(*gcp.DNS)
        self._tasks = [asyncio.create_task(self._observe()), asyncio.create_task(self._write())]

    async def stop(self):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for runner in self._runners:
            await runner.cleanup()
        await self._names.stop()

    async def _serve(self, host, database):
        async def write(request):
            row = (await request.json())["id"]
            try:
                session = await self.project.session(database)
                try:
                    sql = "INSERT INTO drctl.write_check (token) VALUES ($1)"
                    await session.execute(sql, row)
                finally:
                    await session.close()
            except Exception:  # noqa: BLE001 (whatever it is, the client hears that it failed)
                return web.Response(status=503)
            return web.Response(status=201)

        async def health(_request):
            return web.json_response({"served_by": host})

        async def sighting(_request):
            return web.json_response(self.seen)

        application = web.Application()
        application.add_routes(
            [
                web.post("/write", write),
                web.get("/health", health),
                web.get("/sighting", sighting),
            ]
        )
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, host, PORT).start()
        self._runners.append(runner)

    async def _observe(self):
        """Writes its clock into the primary, and publishes what it saw, failures too."""
        while True:
            now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            try:
                session = await self.project.session(gcp.PRIMARY)
                beat = "UPDATE drctl.heartbeat SET at = now(), seq = seq + 1 RETURNING seq"
                seq = await session.fetchval(beat)
                lsn = await session.fetchval("SELECT pg_current_wal_lsn()::text")
                await session.close()
                self.seen = {
                    "version": 1,
                    "system_identifier": self.project.system_identifier,
                    "timeline": 1,
                    "lsn": lsn,
                    "seq": seq,
                    "last_ok_at": now,
                    "checked_at": now,
                    "refused_since": None,
                    "last_error": None,
                }
            except Exception as error:  # noqa: BLE001 (an observer observes)
                since = self.seen["refused_since"] or now
                said = type(error).__name__
                self.seen |= {"checked_at": now, "refused_since": since, "last_error": said}
            await asyncio.sleep(0.3)

    async def _write(self):
        """A client: resolves, writes, and remembers what was acknowledged."""
        number, down_since = 0, None
        async with ClientSession(timeout=ClientTimeout(total=3)) as session:
            while True:
                number += 1
                is_ok = False
                with contextlib.suppress(Exception):
                    found = await look_up(RECORD, gcp.DNS, timeout_s=2)
                    url = f"http://{found.addresses[0]}:{PORT}/write"
                    async with session.post(url, json={"id": f"client-{number}"}) as answer:
                        is_ok = answer.status == 201
                if is_ok:
                    self.acknowledged.append(f"client-{number}")
                    if down_since is not None:
                        self.outages.append(time.monotonic() - down_since)
                    down_since = None
                elif down_since is None:
                    down_since = time.monotonic()
                await asyncio.sleep(HOP_S)


@pytest_asyncio.fixture(loop_scope="session")
async def service(databases):
    await databases.replica(gcp.REPLICA, 102)
    made = Service(databases)
    await made.start()
    yield made
    await made.stop()


def environment(project, folder):
    key, password = folder / "key.json", folder / "password"
    for file, text in ((key, project.cloud.tokens.key_file()), (password, gcp.PASSWORD)):
        file.write_text(text)
        file.chmod(0o600)

    def connection(region):
        held = {"service_account_key": f"file:{key}"}
        return {"type": "gcp", **project.connection(region, **held)}

    def database(name, region, **more):
        sql = gcp.access(project.servers[name].address) | {"password": f"file:{password}"}
        return {
            "kind": "gcp.cloudsql.instance",
            "gcp": region,
            "instance": name,
            "system_identifier": project.system_identifier,
            "sql": sql,
            **more,
        }

    path = {"url": f"http://{RECORD}:{PORT}/write", "table": "drctl.write_check"}
    east = f"http://{EAST}:{PORT}/write"
    file = folder / "environment.yaml"
    document = {
        "apiVersion": "drctl/v1",
        "kind": "Environment",
        "metadata": {"name": "gcp"},
        "world": "lab",
        "protected": False,
        "resolvers": ["{}:{}".format(*gcp.DNS)],
        "connections": {"east": connection("us-east1"), "west": connection("us-west1")},
        "targets": {
            "db.primary": database(
                gcp.PRIMARY,
                "east",
                client_write_urls=[east],
                client_path={**path, "column": "token"},
            ),
            "db.recovery": database(
                gcp.REPLICA, "west", sightings_url=f"http://{WEST}:{PORT}/sighting"
            ),
            "traffic.api": {
                "kind": "gcp.dns.record",
                "gcp": "west",
                "managed_zone": gcp.ZONE,
                "zone_name": "healing.test",
                "record_name": RECORD,
                "url": f"http://{RECORD}:{PORT}",
            },
        },
    }
    file.write_text(json.dumps(document))
    return file


async def _drctl(env, *arguments):
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "drctl", *arguments),
        env=env,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


@pytest.mark.lab
@pytest.mark.net(NET)
@pytest.mark.timeout(180)
@pytest.mark.asyncio(loop_scope="session")
async def test_a_dead_primary_is_replaced_and_customers_write_again(databases, service, tmp_path):
    await asyncio.sleep(2)
    assert isinstance(databases.cloud.sql.instances[gcp.PRIMARY], Instance)
    assert service.acknowledged, "the service works before it breaks"
    await databases.servers[gcp.PRIMARY].kill()
    runbook = HERE / "cloudsql" / "cloudsql-failover.yaml"
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "NO_COLOR": "1"}
    run = await _drctl(
        env,
        *("run", str(runbook), "-e", str(environment(databases, tmp_path)), "--no-input"),
        *("-i", "incident=inc-20261123-001", "-i", f"address={WEST}"),
    )
    try:
        async with asyncio.timeout(100):
            while run.returncode is None:
                asked = await _drctl(env, "approve", "latest", "go", "--reason", "test")
                if await asked.wait() == 0:
                    break
                await asyncio.sleep(0.5)
            said, _ = await run.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            run.kill()
    assert run.returncode == 0, said.decode()
    before = len(service.acknowledged)
    await asyncio.sleep(1)
    assert len(service.acknowledged) > before, "customers write again"
    session = await databases.session(gcp.REPLICA)
    rows = await session.fetch("SELECT token FROM drctl.write_check")
    await session.close()
    kept = {row["token"] for row in rows}
    lost = set(service.acknowledged) - kept
    assert len(lost) <= 1, f"lost {sorted(lost)}"
    assert not databases.servers[gcp.PRIMARY].is_running
    assert databases.cloud.sql.instances[gcp.PRIMARY].activation == "NEVER"
    print(f"outage {max(service.outages):.1f} s, {len(lost)} of {len(service.acknowledged)} lost")
