"""The servers: a primary, a standby behind a link, an archive with a base backup in it."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drctl.lab import children, wire
from drctl.lab.access import Secrets
from drctl.lab.estate.aws import MASTER
from drctl.lab.estate.database import schema
from drctl.lab.estate.environment import DATABASE, EAST
from drctl.lab.plan import as_region
from drctl.lab.postgres import PostgresServer, find_binaries, release_shared_memory
from drctl.lab.postgres.programs import give_away, make_private, run_program
from drctl.lab.postgres.roles import create_database, create_roles
from drctl.lab.relay import Mode
from drctl.lab.relay_handle import Relay
from drctl.lab.selfmanaged.layout import (
    NUMBERS,
    PRIMARY,
    REPLICATION_USER,
    STANDBY,
    Layout,
)
from drctl.lab.selfmanaged.settings import HOST_BASED_ACCESS, archiving, powers
from drctl.lab.shapes import Site, Stroke
from drctl.lab.sql_errors import SQL_ERRORS

_LAST_BYTES = 4096
"""What a file may have on a disk that is full: enough for a pid, too little for a page of WAL."""
_SECRET = f"database_{REPLICATION_USER}"
_HOST_PROGRAM = Path(__file__).parents[1] / "host.py"


class DatabaseServers:
    """
    Two servers and the place of a third, each on a machine that programs can be run on.

    Once they are built, nobody here holds them: an operator stops and starts them as he likes, so
    what runs is read from their own pid files.
    """

    def __init__(self, site: Site) -> None:
        self._layout = Layout(site.plan, site.root)
        self._secrets: Secrets = site.secrets
        self._dns = site.plan.dns
        root, run_as = site.root.path, children.unprivileged()
        self._root, self._run_as = root, run_as
        self._servers: dict[str, PostgresServer] = {}
        self._links = {
            name: Relay(
                name=f"link-{name}",
                listen=self._layout.link(name),
                upstream=self._layout.address(name),
                root=root,
            )
            for name in (PRIMARY, STANDBY)
        }
        self._full: set[str] = set()
        self._identifier = ""
        self._programs = Path()

    async def start(self) -> None:
        """Builds all from nothing; returns when the standby streams and the backup is taken."""
        binaries = await asyncio.to_thread(find_binaries, self._root, self._run_as)
        self._programs = binaries.folder
        self._secrets.make(_SECRET)
        self._make_machines()
        for name in (PRIMARY, STANDBY):
            self._servers[name] = PostgresServer(
                name=name,
                address=self._layout.address(name),
                root=self._root,
                binaries=binaries,
                run_as=self._run_as,
            )
        primary, standby = self._servers[PRIMARY], self._servers[STANDBY]
        await asyncio.gather(primary.initialise(), *(link.start() for link in self._links.values()))
        await self._set_up(primary)
        await standby.copy_from(primary, through=self._layout.link(PRIMARY))
        await standby.start()
        await standby.wait_until_streaming()
        await self._back_up()

    async def _set_up(self, primary: PostgresServer) -> None:
        await primary.stop()
        with (primary.data_dir / "postgresql.conf").open("a") as settings:
            settings.write(archiving(self._layout.archive))
        with (primary.data_dir / "pg_hba.conf").open("a") as access:
            access.write(HOST_BASED_ACCESS)
        await primary.start()
        await create_roles(primary, MASTER, self._secrets.read("database_master"))
        await create_database(primary, DATABASE, MASTER)
        host = self._layout.address(PRIMARY)[0]
        self._identifier = await asyncio.to_thread(schema, host, self._dns, self._secrets)
        await primary.execute_as_superuser(powers(self._secrets.read(_SECRET)))

    async def _back_up(self) -> None:
        """A base backup through the standby's link, as a backup machine takes it."""
        host, port = self._layout.link(PRIMARY)
        await run_program(
            "pg_basebackup",
            *("--pgdata", str(self._layout.base_backups / "base-1"), "--checkpoint", "fast"),
            *("--wal-method", "stream", "--no-sync", "--no-password", "--dbname"),
            f"host={host} port={port} user={REPLICATION_USER}"
            f" passfile={self._layout.passfile(PRIMARY)}",
            binaries=self._servers[PRIMARY].binaries,
            run_as=self._run_as,
        )

    def _make_machines(self) -> None:
        password = self._secrets.read(_SECRET)
        if wanted := os.environ.get(wire.VARIABLE):
            (self._root / "wire").symlink_to(wanted)
        for folder in (self._layout.archive, self._layout.base_backups):
            make_private(folder, self._run_as)
        for name in NUMBERS:
            make_private(self._layout.machine(name), self._run_as)
            passfile = self._layout.passfile(name)
            passfile.touch(mode=0o600)
            passfile.write_text(f"*:*:*:{REPLICATION_USER}:{password}\n", encoding="utf-8")
            give_away(passfile, self._run_as)
        if not self._layout.folder("db3").exists():
            make_private(self._layout.folder("db3"), self._run_as)

    async def stop(self) -> None:
        """Kills the servers and their links."""
        for name in NUMBERS:
            self._end(name)
        for link in self._links.values():
            await link.kill()

    def facts(self) -> Mapping[str, Any]:
        """The system's identifier, and the folder of PostgreSQL's programs."""
        return {"system_identifier": self._identifier, "programs": str(self._programs)}

    def environment(self) -> Mapping[str, Mapping[str, Any]]:
        """The machines; the targets are the builder's."""
        return {
            "connections": {
                f"{name}-machine": {
                    "type": "host",
                    "argv": [
                        *(sys.executable, "-I", str(_HOST_PROGRAM)),
                        *("--root", str(self._root), name),
                    ],
                    "region": "us-east-1",
                }
                for name in NUMBERS
            }
        }

    def strokes(self) -> Mapping[str, Stroke]:
        """
        ``database``: the primary's processes; ``disk``: no file of its can grow any more;
        ``replication``: every link; ``region``: the machines with all that runs there.
        """
        return {
            "region": self._lose_region,
            "database": self._break_database,
            "disk": self._fill_disk,
            "replication": self._break_replication,
        }

    async def heal(self) -> None:
        """Opens the links and starts what was killed, each as its files say."""
        for link in self._links.values():
            if link.is_running and link.mode != "open":
                await link.set_mode("open")
        for name in NUMBERS:
            self._down(name).unlink(missing_ok=True)
        for name in sorted(self._full):
            self._kill(name)
        self._full.clear()
        for name, server in self._servers.items():
            if self._pid(name) is None:
                await server.start()

    async def _lose_region(self, words: Mapping[str, str]) -> None:
        if as_region(words["name"]) != EAST:
            return
        if words["how"] != "kill":
            raise ValueError("this lab's servers can only be killed with their region; --how kill")
        for name in NUMBERS:
            self._down(name).touch()
            self._kill(name)

    def _down(self, name: str) -> Path:
        """A machine with this file lets nobody in."""
        return self._layout.machine(name) / "down"

    async def _break_database(self, words: Mapping[str, str]) -> None:
        if words.get("how") == "partition":
            raise ValueError("a server is killed or its replication is cut; --how kill")
        self._kill(await self._chosen(words))

    async def _fill_disk(self, words: Mapping[str, str]) -> None:
        """PostgreSQL meets a limit on the size of its files as it meets a disk that is full."""
        name = await self._chosen(words)
        pid = self._pid(name)
        if pid is None:
            raise ValueError(f"{name} does not run")
        self._full.add(name)
        children.limit_files(pid, _LAST_BYTES, self._run_as)

    async def _chosen(self, words: Mapping[str, str]) -> str:
        name = words.get("name") or await self._primary()
        if name not in self._servers:
            raise ValueError(f"there is no server {name!r}, only {', '.join(self._servers)}")
        return name

    async def _break_replication(self, _words: Mapping[str, str]) -> None:
        mode: Mode = "blackhole"
        for link in self._links.values():
            await link.set_mode(mode)

    async def _primary(self) -> str:
        for name, server in self._servers.items():
            try:
                rows = await server.query_as_superuser("SELECT pg_is_in_recovery()")
            except SQL_ERRORS:
                continue
            if not rows[0][0]:
                return name
        raise ValueError("no server is a primary just now")

    def _pid(self, name: str) -> int | None:
        """The postmaster's, whoever started it; ``None`` when it does not run."""
        try:
            lines = (self._layout.data(name) / "postmaster.pid").read_text().splitlines()
            pid = int(lines[0])
        except (OSError, ValueError, IndexError):
            return None
        return pid if children.is_alive(pid) else None

    def _kill(self, name: str) -> None:
        """SIGKILL, and nothing of it is left that would hinder a start."""
        pid = self._end(name)
        if pid is not None:
            children.wait_until_gone(pid)

    def _end(self, name: str) -> int | None:
        pid = self._pid(name)
        if pid is None:
            return None
        children.kill_tree(pid)
        while children.is_alive(pid):
            os.sched_yield()
        release_shared_memory(self._layout.data(name))
        return pid
