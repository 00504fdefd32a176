"""PostgreSQL's programs on machines, behind a way to them that fails."""

import asyncio
import contextlib
import re
import shutil
import sys
import tempfile
from pathlib import Path

from cases_postgres import NAMES, NO_ECHO
from fault_matrix import HOST, Case, Op, Site, serving

from drctl.actions.targets import PostgresServer as Target
from drctl.lab import host as host_program
from drctl.lab.access import Secrets
from drctl.lab.faults.host import HostFaultProxy
from drctl.lab.faults.postgres import PostgresFaultProxy
from drctl.lab.faults.rules import Deed
from drctl.lab.plan import AddressPlan
from drctl.lab.root import LabRoot
from drctl.lab.selfmanaged.layout import REPLICATION_USER, Layout
from drctl.lab.selfmanaged.part import DatabaseServers
from drctl.lab.shapes import Site as Ground

NET = 28
PROGRAMS = tuple(
    (f"host:{name}", re.compile(form))
    for name, form in (
        ("control", r"/pg_controldata "),
        ("status", r"/pg_ctl .* status$"),
        ("stop", r"/pg_ctl .* stop$"),
        ("start", r"/pg_ctl .* start$"),
        ("log", r"^tail "),
        ("lock", r"^flock .* true$"),
    )
)
QUESTIONS = (
    ("sql:rows", re.compile(r"FROM healing_guard\.pipelines")),
    ("sql:sound", re.compile(r"pg_constraint")),
    ("sql:sample", re.compile(r"xact_rollback")),
)


class Machines:
    """The two servers as the lab builds them."""

    async def start(self):
        self.path = Path(tempfile.mkdtemp(prefix="drctl-dbf-"))
        self.path.chmod(0o711)
        root, plan = LabRoot(self.path), AddressPlan(NET)
        for folder in (root.pids, root.secrets):
            folder.mkdir(mode=0o700)
        self.secrets = Secrets(root.secrets)
        self.secrets.make("database_master", "database_healing_guard", "database_drctl")
        self.layout = Layout(plan, root)
        self.part = DatabaseServers(Ground(plan=plan, root=root, secrets=self.secrets))
        await self.part.start()
        self.turn = asyncio.Lock()

    async def stop(self):
        await self.part.stop()
        shutil.rmtree(self.path, ignore_errors=True)

    def runs(self, name):
        return self.part._pid(name) is not None

    async def run(self, name):
        """As the lab heals it: it answers when this returns."""
        if not self.runs(name):
            server = self.part._servers[name]
            await server.stop()
            await server.start()

    @contextlib.asynccontextmanager
    async def behind(self, scripts, name):
        """A server behind its two networks."""
        facts = self.part.facts()
        identifier = facts["system_identifier"]
        swap = ((identifier.encode(), b"7" * len(identifier)),)
        argv = [sys.executable, "-I", host_program.__file__, "--root", str(self.path), name]
        proxies, door, port = [], argv, self.layout.address(name)[1]
        host = self.layout.address(name)[0]
        if "host" in scripts:
            proxies.append(HostFaultProxy(argv, scripts["host"], names=PROGRAMS))
            scripts["host"].swap = swap
        if "sql" in scripts:
            proxies.append(
                PostgresFaultProxy((host, port), scripts["sql"], names=(*QUESTIONS, *NAMES))
            )
            scripts["sql"].swap = swap
        async with serving(*proxies):
            if "host" in scripts:
                door = proxies[0].door(HOST, await proxies[0].start(HOST))
            if "sql" in scripts:
                host, port = HOST, await proxies[-1].start(HOST)
            target = Target.model_validate(
                {
                    "region": "us-east-1",
                    "system_identifier": identifier,
                    "sql": {
                        "host": host,
                        "port": port,
                        "database": "healing_guard",
                        "user": "drctl",
                        "password": f"env:{self.secrets.read('database_drctl')}",
                        "tls": "off",
                    },
                    "runs_on": {
                        "machine": {"argv": door, "region": "us-east-1"},
                        "programs": facts["programs"],
                        "data_directory": str(self.layout.data(name)),
                        "server_options": self.layout.options(name),
                        "log": str(self.layout.machine(name) / "postgres.log"),
                        "replication_user": REPLICATION_USER,
                        "passfile": str(self.layout.passfile(name)),
                    },
                }
            )
            yield proxies, target


async def _never(_key):
    return 0


@contextlib.asynccontextmanager
async def _read(lab, scripts, params):
    async with lab.behind(scripts, "db1") as (proxies, target):

        async def holds(_key, _outputs):
            return True

        yield Site(target=target, params=params, proxies=proxies, applied=_never, holds=holds)


def _rows(lab, scripts):
    return _read(lab, scripts, {"counts": [{"table": "healing_guard.pipelines", "at_least": 0}]})


def _monitor(lab, scripts):
    return _read(lab, scripts, {"window": 1.0, "standbys": 0})


def _power(*, wants_it):
    @contextlib.asynccontextmanager
    async def opened(lab, scripts):
        async with lab.turn:
            if wants_it and lab.runs("db2"):
                lab.part._kill("db2")
            elif not wants_it:
                await lab.run("db2")
            async with lab.behind(scripts, "db2") as (proxies, target):

                async def holds(_key, _outputs):
                    return lab.runs("db2") is wants_it

                async def applied(_key):
                    return int(lab.runs("db2") is wants_it)

                yield Site(target=target, params={}, proxies=proxies, applied=applied, holds=holds)
            await lab.run("db2")

    return opened


NOTHING = frozenset(
    {Deed.THROTTLED, Deed.ERROR_500, Deed.ERROR_503, Deed.ERROR_AFTER, Deed.TRICKLE,
     Deed.STALE, Deed.DUPLICATE}
)  # fmt: skip
"""A shell does not throttle, has no status, and runs what came once."""
SILENT = NOTHING | {Deed.MALFORMED, Deed.WRONG_OBJECT}
"""Only the program's exit code is looked at."""


def host(name, *, mutates=False, skip=NOTHING):
    return Op(name=f"host:{name}", via="host", mutates=mutates, skip=skip)


def sql(name, skip=NO_ECHO):
    return Op(name=f"sql:{name}", via="sql", skip=skip)


LABS = {"machines": Machines}
CASES = [
    Case(
        action="postgres.rows.assert",
        lab="machines",
        ops=(sql("connect", frozenset()), sql("look", frozenset()), sql("rows"), sql("sound"),
             sql("block")),
        open=_rows,
    ),
    Case(
        action="postgres.monitor",
        lab="machines",
        ops=(sql("connect", frozenset()), sql("look", frozenset()), sql("sample")),
        open=_monitor,
        timeout_s=4.0,
    ),
    Case(
        action="postgres.server.stop",
        lab="machines",
        ops=(host("control"), host("status", skip=SILENT), host("lock", skip=SILENT),
             host("stop", mutates=True, skip=SILENT)),
        open=_power(wants_it=False),
        timeout_s=8.0,
        slots=1,
    ),
    Case(
        action="postgres.server.start",
        lab="machines",
        ops=(host("control"), host("status", skip=SILENT), host("lock", skip=SILENT),
             host("log", skip=SILENT), host("start", mutates=True, skip=SILENT)),
        open=_power(wants_it=True),
        timeout_s=8.0,
        slots=1,
    ),
]  # fmt: skip
