"""
A real primary with a standby behind relays, made by copying a ready pair, and who uses it.

    operator ── relay ──┐
    application ─ relay ─┤ primary ◄── relay ── standby (and siblings)
    clients of its region ┘ (nothing can be cut between them and it)
"""

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from drctl.lab.children import descendants, kill_tree, unprivileged
from drctl.lab.postgres import PostgresServer, find_binaries
from drctl.lab.postgres.programs import give_away, make_private
from drctl.lab.relay import RelayServer

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
NET = int(os.environ.get("DRCTL_LAB_NET", "220")) + 4 * _WORKER
DATABASE, PORT = "shop", 5432
PASSWORD = os.environ.setdefault("DRCTL_TEST_PG_PASSWORD", "lab-password")
FOLLOWED = (f"127.{NET}.0.2", 5999)
"""What the template's standby follows; each copy is told another place."""
_SERIAL = itertools.count(1)

SCHEMA = """
CREATE SCHEMA drctl AUTHORIZATION drctl;
CREATE TABLE drctl.heartbeat(
    id int PRIMARY KEY CHECK (id = 1), at timestamptz NOT NULL, seq bigint NOT NULL);
INSERT INTO drctl.heartbeat VALUES (1, now(), 1);
CREATE TABLE drctl.write_check(token text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
ALTER TABLE drctl.heartbeat OWNER TO drctl;
ALTER TABLE drctl.write_check OWNER TO drctl;
CREATE TABLE orders(id text PRIMARY KEY);
ALTER TABLE orders OWNER TO shop;
"""


def command(test: str) -> str:
    """What repeats one case."""
    full = "DRCTL_SAFETY=full " if os.environ.get("DRCTL_SAFETY") == "full" else ""
    return f"{full}python -m pytest -q 'tests/safety/postgres/{test}'"


class Relay(RelayServer):
    """A relay in this process, which can be ended."""

    async def close(self) -> None:
        await self._stop_accepting()
        await asyncio.sleep(0)  # a task that has not begun does not close its socket either
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@dataclass
class Template:
    """A stopped pair whose folders are copied."""

    root: Path
    primary: PostgresServer
    standby: PostgresServer
    system_identifier: str
    other: PostgresServer
    """A primary of another cluster, stopped."""

    @staticmethod
    async def make() -> "Template":
        root = Path(tempfile.mkdtemp(prefix="drctl-pgs-"))
        root.chmod(0o711)  # noqa: ASYNC240 (a folder in memory)
        run_as = unprivileged()
        common = {"root": root, "binaries": find_binaries(root, run_as), "run_as": run_as}
        primary = PostgresServer(name="t-east", address=FOLLOWED, **common)
        standby = PostgresServer(name="t-west", address=(FOLLOWED[0], 5998), **common)
        other = PostgresServer(name="t-other", address=(FOLLOWED[0], 5997), **common)
        for server in (primary, other):
            await server.initialise()
            await server.execute_as_superuser(
                f"CREATE ROLE drctl SUPERUSER LOGIN PASSWORD '{PASSWORD}';"
                f"CREATE ROLE shop LOGIN PASSWORD '{PASSWORD}';"
            )
            await server.execute_as_superuser(f"CREATE DATABASE {DATABASE} OWNER shop")
            await server.execute_as_superuser(SCHEMA, database=DATABASE)
        await standby.copy_from(primary, through=FOLLOWED)
        await standby.start()
        await standby.wait_until_streaming()
        rows = await primary.query_as_superuser(
            "SELECT system_identifier::text FROM pg_control_system()"
        )
        for server in (other, standby, primary):
            await server.stop()
        return Template(root, primary, standby, rows[0][0], other)

    async def remove(self) -> None:
        for server in (self.primary, self.standby, self.other):
            await server.kill()
        shutil.rmtree(self.root, ignore_errors=True)

    async def copy(
        self, source: PostgresServer, name: str, host: str, follows: tuple[str, int] | None = None
    ) -> PostgresServer:
        """A copy at another address; not started."""
        server = PostgresServer(
            name=name, address=(host, PORT), root=self.root, binaries=source.binaries,
            run_as=source.run_as,
        )  # fmt: skip
        make_private(server.folder, server.run_as)
        copying = await asyncio.create_subprocess_exec(
            "cp", "-a", str(source.data_dir), str(server.data_dir)
        )
        assert await copying.wait() == 0
        server._superuser_password = source._superuser_password
        server._replication_password = source._replication_password
        if follows is not None:
            settings = server.data_dir / "postgresql.auto.conf"
            text = settings.read_text()
            assert FOLLOWED[0] in text
            assert str(FOLLOWED[1]) in text
            text = text.replace(FOLLOWED[0], follows[0]).replace(str(FOLLOWED[1]), str(follows[1]))
            settings.write_text(text)
            give_away(settings, server.run_as)
        return server


@dataclass
class Pair:
    """One copy, running."""

    template: Template
    number: int
    primary: PostgresServer
    standby: PostgresServer
    operator: Relay
    application: Relay
    replication: Relay
    siblings: list[PostgresServer] = field(default_factory=list)
    extra: list[PostgresServer] = field(default_factory=list)

    def host(self, side: int, last: int) -> str:
        return f"127.{NET + side}.{self.number % 250}.{last}"

    @property
    def old(self) -> tuple[str, int]:
        """The old primary, as the operator reaches it."""
        return self.operator._listen

    @property
    def new(self) -> tuple[str, int]:
        return self.standby.address

    @contextlib.asynccontextmanager
    @staticmethod
    async def of(template: Template, *, siblings: int = 0):
        number = next(_SERIAL)

        def host(side: int, last: int) -> str:
            return f"127.{NET + side}.{number % 250}.{last}"

        at = (host(1, 10), PORT)
        relays = [Relay((host(0, last), PORT), at) for last in (11, 12, 13)]
        follows = (host(0, 13), PORT)
        primary = await template.copy(template.primary, f"east{number}", at[0])
        standby = await template.copy(template.standby, f"west{number}", host(2, 10), follows)
        pair = Pair(template, number, primary, standby, *relays)
        try:
            for relay in relays:
                await relay.set_mode("open")
            await primary.start()
            for extra in range(siblings):
                pair.siblings.append(await pair.another_standby(20 + extra, follows))
            await standby.start()
            await standby.wait_until_streaming()
            yield pair
        finally:
            for server in (*pair.extra, *pair.siblings, standby, primary):
                if server.pid is not None:
                    for pid in (server.pid, *descendants(server.pid)):
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGCONT)
                await server.remove()
            for relay in relays:
                await relay.close()

    async def another_standby(self, last: int, follows: tuple[str, int]) -> PostgresServer:
        """One more, with a slot of its own, running."""
        name = f"sib{self.number}x{last}"
        server = await self.template.copy(self.template.standby, name, self.host(2, last), follows)
        settings = server.data_dir / "postgresql.auto.conf"
        # Two standbys cannot share a slot.
        settings.write_text(settings.read_text().replace("t_west", ""))
        give_away(settings, server.run_as)
        await server.start()
        await server.wait_until_streaming()
        return server

    # -- what befalls the primary

    async def kill(self, how: str) -> None:
        """One of the ways in which a primary is lost."""
        pid = self.primary.pid
        assert pid is not None
        match how:
            case "kill9":
                os.kill(pid, signal.SIGKILL)
            case "immediate":
                os.kill(pid, signal.SIGQUIT)
            case "stop":
                os.kill(pid, signal.SIGINT)
            case "freeze":
                for each in (pid, *descendants(pid)):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(each, signal.SIGSTOP)
            case "cut":
                for relay in (self.operator, self.application, self.replication):
                    await relay.set_mode("blackhole")
        if how in {"kill9", "immediate", "stop"}:
            await asyncio.wait_for(self.primary._process.wait(), 10)

    async def shoot(self) -> None:
        """Power off by somebody else; what is left answers that nothing listens."""
        if self.primary.pid is not None:
            kill_tree(self.primary.pid)
            await self.primary._process.wait()
        for relay in (self.operator, self.application, self.replication):
            await relay.set_mode("refuse")
            relay._cut()

    async def dead_network(self) -> None:
        """A host without its server answers with a refusal; so does a relay in front of one."""
        for relay in (self.operator, self.application, self.replication):
            await relay.set_mode("refuse")
            relay._cut()
