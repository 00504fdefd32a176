"""PostgreSQL's programs on machines, behind a way to them that fails."""

import asyncio
import contextlib
import re
import shutil
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from cases_postgres import NAMES, NO_ECHO
from fault_matrix import CLOCK, HOST, Case, Keys, Op, Site, serving

from drctl.actions.contract import Context
from drctl.actions.targets import PostgresServer as Target
from drctl.adapters.postgres.restore import RestoreParams, RestoreToTime
from drctl.kernel.clock import Deadline
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
        ("reload", r"/pg_ctl .* reload$"),
        ("rewind", r"/pg_rewind "),
        ("commits", r"/pg_waldump "),
        ("list", r"^ls "),
        ("show", r"^cat "),
        ("exists", r"^test "),
        ("place", r"^mkdir "),
        ("copy", r"^cp "),
        ("rules", r"^tee .*drctl_hba.conf$"),
        ("forget", r"^rm "),
        ("settings", r"^tee -a "),
        ("signal", r"^touch "),
        ("lock", r"^flock .* true$"),
    )
)
QUESTIONS = (
    ("sql:private", re.compile(r"current_setting\('listen_addresses'\)")),
    ("sql:reached", re.compile(r"pg_last_xact_replay_timestamp")),
    ("sql:checkpoint", re.compile(r"^CHECKPOINT")),
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

    async def clear(self):
        """Empties the place of the restored instance."""
        self.part._kill("db3")
        await asyncio.to_thread(shutil.rmtree, self.layout.data("db3"), ignore_errors=True)

    @contextlib.asynccontextmanager
    async def behind(self, scripts, name, **more):
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
                    **({} if name == "db3" else {"system_identifier": identifier}),
                    **more,
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
                        "upstreams": [
                            {
                                "host": self.layout.address("db1")[0],
                                "via_host": self.layout.link("db1")[0],
                            }
                        ],
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


@contextlib.asynccontextmanager
async def _rejoin(lab, scripts):
    """A standby that was stopped: nothing is to be rewound, and all the programs are run."""
    async with lab.turn:
        lab.part._kill("db2")
        async with lab.behind(scripts, "db2") as (proxies, target):

            async def holds(_key, _outputs):
                return lab.runs("db2")

            async def applied(_key):
                return int(lab.runs("db2"))

            yield Site(target=target, params={}, proxies=proxies, applied=applied, holds=holds)
        await lab.run("db2")


@contextlib.asynccontextmanager
async def _admit(lab, scripts):
    """A restored instance that only its operator may use."""
    async with _restore(lab, {}) as site:
        context = Context(
            clock=CLOCK,
            deadline=Deadline.after(CLOCK, timedelta(seconds=60)),
            secrets=Keys(),
            permit=lambda: None,
        )
        wanted = RestoreParams.model_validate(site.params)
        await RestoreToTime().perform(context, site.target, wanted)
        rules = lab.layout.data("db3") / "drctl_hba.conf"
        backups = site.target.backups.model_dump()
        async with lab.behind(scripts, "db3", backups=backups) as (proxies, target):

            async def applied(_key):
                return int("127.0.0.0/8" in await asyncio.to_thread(rules.read_text))

            async def holds(key, _outputs):
                return bool(await applied(key))

            params = {"operators": ["127.0.0.1"], "networks": ["127.0.0.0/8"]}
            yield Site(target=target, params=params, proxies=proxies, applied=applied, holds=holds)


@contextlib.asynccontextmanager
async def _restore(lab, scripts):
    async with lab.turn:
        await lab.clear()
        server = lab.part._servers["db1"]
        if not hasattr(lab, "moment"):
            await asyncio.sleep(2.1)
            moment = await server.query_as_superuser("SELECT clock_timestamp()")
            await server.execute_as_superuser("CREATE TABLE public.later (a int)")
            name = await server.query_as_superuser("SELECT pg_walfile_name(pg_current_wal_lsn())")
            await server.query_as_superuser("SELECT pg_switch_wal()::text")
            async with asyncio.timeout(30):
                while not (lab.layout.archive / name[0][0]).exists():  # noqa: ASYNC110 (a poll)
                    await asyncio.sleep(0.1)
            lab.moment = moment[0][0].isoformat()
        backups = {
            "base_backups": str(lab.layout.base_backups),
            "wal_archive": str(lab.layout.archive),
            "system_identifier": lab.part.facts()["system_identifier"],
        }
        async with lab.behind(scripts, "db3", backups=backups) as (proxies, target):

            async def holds(_key, _outputs):
                return lab.runs("db3")

            async def applied(_key):
                return int(lab.runs("db3"))

            params = {"target_time": lab.moment, "operators": ["127.0.0.1"]}
            yield Site(target=target, params=params, proxies=proxies, applied=applied, holds=holds)
        await lab.clear()


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
    Case(
        action="postgres.rewind_and_rejoin",
        lab="machines",
        # Not its SQL: a proxy in front of a server that is dead accepts, and that is another story.
        ops=(host("control"), host("status", skip=SILENT), host("exists", skip=SILENT),
             host("lock", skip=SILENT), host("log", skip=SILENT), host("commits", skip=SILENT),
             host("signal", mutates=True, skip=SILENT),
             host("settings", mutates=True, skip=SILENT),
             host("start", mutates=True, skip=SILENT)),
        open=_rejoin,
        timeout_s=20.0,
        may_be_partial=True,
        slots=1,
    ),
    Case(
        action="postgres.restore_to_time",
        lab="machines",
        ops=(sql("connect", frozenset()), sql("look"), sql("private"), sql("reached"),
             *(host(name, skip=SILENT) for name in
               ("list", "show", "exists", "commits", "control", "status", "log", "lock")),
             *(host(name, mutates=True, skip=SILENT) for name in
               ("place", "copy", "rules", "forget", "settings", "signal", "start"))),
        open=_restore,
        timeout_s=25.0,
        may_be_partial=True,
        slots=1,
    ),
    Case(
        action="postgres.clients.admit",
        lab="machines",
        ops=(sql("connect", frozenset()), sql("private"), sql("look"), host("control"),
             host("lock", skip=SILENT), host("rules", mutates=True, skip=SILENT),
             host("reload", mutates=True, skip=SILENT)),
        open=_admit,
        timeout_s=8.0,
        may_be_partial=True,
        # The file tells, and not whether it was read: doing it again is safe.
        reads_back=False,
        slots=1,
    ),
]  # fmt: skip
