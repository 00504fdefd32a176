"""Two self-managed servers with an archive, as the lab builds them, and their machines."""

import asyncio
import secrets
import shutil
import sys
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
from drctl.lab import host as host_program
from drctl.lab.access import Secrets
from drctl.lab.plan import AddressPlan
from drctl.lab.root import LabRoot
from drctl.lab.selfmanaged.layout import REPLICATION_USER, Layout
from drctl.lab.selfmanaged.part import DatabaseServers
from drctl.lab.shapes import Site

# Otherwise a plugin that asks for the thread's loop gets a new one, which nobody closes.
asyncio.set_event_loop(None)

NET = 24
DATABASE = "healing_guard"
OPERATOR = "127.0.0.1"
CLOCK = SystemClock()


@dataclass
class Estate:
    """The servers, and how drctl is told of them."""

    part: DatabaseServers
    layout: Layout
    secrets: Secrets
    identifier: str
    programs: str

    def context(self, within_s: float = 60.0, *, key: str = "", permits: bool = True) -> Context:
        """What an action gets; without *permits* nothing that changes something may leave."""
        more = {"permit": lambda: None} if permits else {}
        return Context(
            clock=CLOCK,
            deadline=Deadline.after(CLOCK, timedelta(seconds=within_s)),
            secrets=self,
            key=key,
            **more,
        )

    def resolve(self, ref):
        """The one secret that targets here refer to."""
        return Secret(self.secrets.read("database_drctl"))

    def target(self, name: str, *, follows: str = "", **fields) -> Target:
        """A server as an environment file would name it."""
        host, port = self.layout.address(name)
        runs_on = {
            "machine": {
                "argv": [sys.executable, "-I", host_program.__file__, "--root",
                         str(self.layout.root.path), name],
                "region": "us-east-1",
            },
            "programs": self.programs,
            "data_directory": str(self.layout.data(name)),
            "server_options": self.layout.options(name),
            "log": str(self.layout.machine(name) / "postgres.log"),
            "replication_user": REPLICATION_USER,
            "passfile": str(self.layout.passfile(name)),
        }  # fmt: skip
        if follows:
            peer, peer_port = self.layout.address(follows)
            via, via_port = self.layout.link(follows)
            runs_on["upstreams"] = [
                {"host": peer, "port": peer_port, "via_host": via, "via_port": via_port}
            ]
        plain = {
            "region": "us-east-1",
            "sql": {"host": host, "port": port, "database": DATABASE, "user": "drctl",
                    "password": "env:ANY", "tls": "off"},
            "runs_on": runs_on | fields.pop("runs_on", {}),
        }  # fmt: skip
        if name != "db3":
            plain["system_identifier"] = self.identifier
        else:
            plain["backups"] = {
                "base_backups": str(self.layout.base_backups),
                "wal_archive": str(self.layout.archive),
                "system_identifier": self.identifier,
            }
        return Target.model_validate(plain | fields)

    async def client(self, name: str, *, user: str = "drctl", database: str = DATABASE, **more):
        """A session at a server."""
        host, port = self.layout.address(name)
        return await asyncpg.connect(
            host=host,
            port=port,
            user=user,
            password=self.secrets.read(f"database_{user}"),
            database=database,
            ssl=False,
            timeout=5,
            **more,
        )

    async def client_refused(self, name: str, *, user: str, source: str = "", **_more) -> bool:
        """Whether a client with the right password is turned away, from an address of its own."""
        host, port = self.layout.address(name)
        words = [self.programs + "/psql", "-h", host, "-p", str(port), "-U", user]
        if source:
            # libpq cannot choose where it comes from: a relay does.
            return await _refused_from(source, (host, port), user, self.secrets)
        process = await asyncio.create_subprocess_exec(
            *words,
            *("-d", DATABASE, "-c", "SELECT 1"),
            env={"PGPASSWORD": self.secrets.read(f"database_{user}")},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _out, err = await process.communicate()
        return process.returncode != 0 and b"no pg_hba.conf entry" in err

    async def ask(self, name: str, sql: str, *arguments, database: str = "postgres"):
        """One value, as the server's superuser."""
        rows = await self.part._servers[name].query_as_superuser(sql, *arguments, database=database)
        return rows[0][0] if rows else None

    def lose(self, name: str) -> None:
        """SIGKILL."""
        self.part._kill(name)


async def _refused_from(source: str, address: tuple[str, int], user: str, kept: Secrets) -> bool:
    """Speaks the start of the protocol itself, from an address of its choice."""
    reader, writer = await asyncio.open_connection(*address, local_addr=(source, 0))
    words = f"user\0{user}\0database\0{DATABASE}\0\0".encode()
    body = (196608).to_bytes(4, "big") + words
    writer.write((len(body) + 4).to_bytes(4, "big") + body)
    answer = await reader.read(4096)
    writer.close()
    await writer.wait_closed()
    return answer[:1] == b"E" and b"no pg_hba.conf entry" in answer


async def build(net: int, path: Path) -> Estate:
    root, plan = LabRoot(path), AddressPlan(net)
    for folder in (root.pids, root.secrets):
        folder.mkdir(mode=0o700)
    kept = Secrets(root.secrets)
    kept.make("database_master", "database_healing_guard", "database_drctl")
    part = DatabaseServers(Site(plan=plan, root=root, secrets=kept))
    try:
        await part.start()
    except BaseException:
        await part.stop()
        raise
    facts = part.facts()
    return Estate(
        part=part,
        layout=Layout(plan, root),
        secrets=kept,
        identifier=facts["system_identifier"],
        programs=facts["programs"],
    )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def estate():
    path = Path(tempfile.mkdtemp(prefix=f"drctl-db-{secrets.token_hex(2)}-"))
    await asyncio.to_thread(path.chmod, 0o711)
    made = None
    try:
        made = await build(NET, path)
        yield made
    finally:
        if made is not None:
            await made.part.stop()
        shutil.rmtree(path, ignore_errors=True)
