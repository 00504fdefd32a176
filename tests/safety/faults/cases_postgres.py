"""PostgreSQL by SQL: real primaries and real streaming standbys."""

import asyncio
import contextlib
import itertools
import re
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
from aiohttp import web
from fault_matrix import HOST, Case, Op, Site, serving
from nets import NET

from drctl.actions.targets import ClientPath
from drctl.actions.targets import PostgresServer as Target
from drctl.lab.children import unprivileged
from drctl.lab.faults import answers, operations
from drctl.lab.faults.http import HttpFaultProxy, Upstream
from drctl.lab.faults.postgres import PostgresFaultProxy
from drctl.lab.faults.rules import Deed
from drctl.lab.postgres import PostgresServer, find_binaries

DATABASE, PASSWORD = "healing_guard", "correct-horse-battery"
WEB = (f"127.{NET + 2}.8.254", 8081)
PRIMARIES = 6
"""A fence ends every client's session of its server, so each cell has one for itself."""
_HOSTS = itertools.count(1)
NAMES = tuple(
    (f"sql:{name}", re.compile(form, re.DOTALL))
    for name, form in (
        ("promote", r"pg_promote"),
        ("alter_role", r"^ALTER ROLE"),
        ("system", r"AS system, pg_is_in_recovery"),
        ("may_end", r"pg_signal_backend"),
        ("end_of_before", r"pg_terminate_backend.*backend_start"),
        ("sessions", r"backend_start"),
        ("roles", r"rolcanlogin"),
        ("alter_database", r"^ALTER DATABASE"),
        ("alter_system", r"^ALTER SYSTEM"),
        ("set", r"^SET "),
        ("reload", r"pg_reload_conf"),
        ("terminate", r"pg_terminate_backend"),
        ("insert", r"INSERT INTO drctl\.write_check"),
        ("sweep", r"DELETE FROM drctl\.write_check"),
        ("read", r"FROM drctl\.write_check"),
        ("heartbeat", r"drctl\.heartbeat"),
        ("look", r"pg_control_checkpoint"),
        ("state", r"transaction_read_only"),
        ("following", r"pg_stat_replication"),
        ("has", r"FROM (public\.)?pipelines"),
        ("history", r"pg_read_file"),
        ("is_open", r"datallowconn"),
        ("may_open", r"pg_has_role"),
        ("left", r"count\(\*\)"),
        ("starting", r"array_agg\(pid\)"),
        ("position", r"wal_insert_lsn|pg_current_wal_lsn"),
        ("recovery", r"^SELECT pg_is_in_recovery\(\)$"),
        ("frame", r"^(BEGIN READ ONLY|COMMIT|ROLLBACK);$"),
        ("block", r"^(BEGIN|ROLLBACK)"),
        ("types", r"pg_type|typeinfo|jit"),
    )
)
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


class Lab:
    """Primaries to fence, a pair to promote and to measure, a stranger, an application."""

    async def start(self):
        self.root = Path(tempfile.mkdtemp(prefix="drctl-pgf-"))
        self.root.chmod(0o711)
        self.run_as = unprivileged()
        self.binaries = find_binaries(self.root, self.run_as)
        self.servers = []
        self.free = asyncio.Queue()
        self.copying = asyncio.Lock()
        made = await asyncio.gather(
            *(self.primary(f"fence-{number}") for number in range(PRIMARIES)),
            self.primary("east"),
            self.primary("stranger"),
        )
        self.east, self.stranger = made[-2:]
        for server in made[:PRIMARIES]:
            self.free.put_nowait(server)
        self.west = await self.standby()
        await self._serve()

    async def stop(self):
        await self._runner.cleanup()
        for server in self.servers:
            await server.kill()
        shutil.rmtree(self.root, ignore_errors=True)

    def _new(self, name):
        number = next(_HOSTS)  # a whole run makes hundreds of servers: more than one octet has
        server = PostgresServer(
            name=name,
            address=(f"127.{NET + 2}.{9 + number // 250}.{1 + number % 250}", 5432),
            root=self.root,
            binaries=self.binaries,
            run_as=self.run_as,
        )
        self.servers.append(server)
        return server

    async def primary(self, name):
        server = self._new(name)
        await server.initialise()
        await server.execute_as_superuser(
            f"CREATE ROLE drctl SUPERUSER LOGIN PASSWORD '{PASSWORD}';"
            f"CREATE ROLE healing_guard LOGIN PASSWORD '{PASSWORD}';"
        )
        await server.execute_as_superuser(f"CREATE DATABASE {DATABASE} OWNER healing_guard")
        await server.execute_as_superuser(SCHEMA, database=DATABASE)
        return server

    async def standby(self):
        server = self._new(f"s{next(_HOSTS)}")
        try:
            async with self.copying:
                await server.copy_from(self.east, through=self.east.address)
            await server.start()
            await server.wait_until_streaming()
        except BaseException:
            await self.drop(server)  # else its slot stays, and the primary has only ten
            raise
        return server

    async def drop(self, server):
        self.servers.remove(server)
        await server.remove()
        with contextlib.suppress(asyncpg.PostgresError):
            await self.east.query_as_superuser("SELECT pg_drop_replication_slot($1)", server.slot)

    async def _serve(self):
        """The application of the fences, and the observer's document."""
        application = web.Application()
        application.router.add_post("/write/{host}", self._write)
        application.router.add_get("/sighting", self._sighting)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.TCPSite(self._runner, *WEB).start()

    async def _write(self, request):
        session = None
        try:
            async with asyncio.timeout(0.7):
                session = await asyncpg.connect(
                    host=request.match_info["host"],
                    user="healing_guard",
                    password=PASSWORD,
                    database=DATABASE,
                    ssl=False,
                )
                await session.execute("BEGIN READ WRITE")
                # As an application does that is asked twice for the same: one row.
                await session.execute(
                    "INSERT INTO pipelines VALUES ($1) ON CONFLICT DO NOTHING",
                    (await request.json())["id"],
                )
                await session.execute("COMMIT")
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return web.json_response({"error": "cannot write"}, status=503)
        finally:
            if session is not None:
                session.terminate()
        return web.json_response({}, status=201)

    async def _sighting(self, _request):
        now = datetime.now(UTC)
        stamp = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        rows = await self.east.query_as_superuser(
            "UPDATE drctl.heartbeat SET at = $1, seq = seq + 1"
            " RETURNING seq, (SELECT system_identifier::text FROM pg_control_system()),"
            " pg_current_wal_lsn()::text",
            now,
            database=DATABASE,
        )
        document = {
            "version": 1,
            "system_identifier": rows[0][1],
            "timeline": 1,
            "lsn": rows[0][2],
            "seq": rows[0][0],
            "last_ok_at": stamp,
            "checked_at": stamp,
            "refused_since": None,
            "last_error": None,
        }
        return web.json_response(document)

    async def identifier(self, server):
        rows = await server.query_as_superuser(
            "SELECT system_identifier::text FROM pg_control_system()"
        )
        return rows[0][0]

    @contextlib.asynccontextmanager
    async def behind(self, scripts, server, *, name_of=operations.plain, **more):
        """The target of a server behind its proxy, and the proxy of its HTTP when there is one."""
        identifier = await self.identifier(server)
        scripts["sql"].swap = ((identifier.encode(), b"7" * len(identifier)),)
        sql = PostgresFaultProxy(
            server.address, scripts["sql"], names=NAMES, other=self.stranger.address
        )
        proxies, urls = [sql], {}
        if "http" in scripts:
            proxies.append(
                HttpFaultProxy(
                    Upstream(host=WEB[0], port=WEB[1]),
                    scripts["http"],
                    name_of=name_of,
                    answer_of=answers.plain,
                )
            )
        async with serving(*proxies):
            port = await sql.start(HOST)
            if "http" in scripts:
                urls["http"] = f"http://{HOST}:{await proxies[1].start(HOST)}"
            target = Target.model_validate(
                {
                    "region": "us-west-2",
                    "system_identifier": identifier,
                    "sql": {
                        "host": HOST,
                        "port": port,
                        "database": DATABASE,
                        "user": "drctl",
                        "password": f"env:{PASSWORD}",
                        "tls": "off",
                    },
                    **{key: value(urls) for key, value in more.items()},
                }
            )
            yield proxies, target, urls


async def _never(_key):
    return 0


async def _one(server, question, *arguments, database="postgres"):
    rows = await server.query_as_superuser(question, *arguments, database=database)
    return rows[0][0]


async def _is_open(server):
    return await _one(server, "SELECT datallowconn FROM pg_database WHERE datname = $1", DATABASE)


_READ_ONLY = "SELECT current_setting('default_transaction_read_only')"


async def _open_again(server):
    await server.query_as_superuser("ALTER SYSTEM RESET default_transaction_read_only")
    await server.query_as_superuser("SELECT pg_reload_conf()")
    async with asyncio.timeout(5):
        while await _one(server, _READ_ONLY) != "off":  # noqa: ASYNC110 (a poll)
            await asyncio.sleep(0.05)
    await server.execute_as_superuser(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS true")


@contextlib.asynccontextmanager
async def _own(lab):
    server = await lab.free.get()
    try:
        yield server
    finally:
        await _open_again(server)
        lab.free.put_nowait(server)


@contextlib.asynccontextmanager
async def _fence(lab, scripts):
    async with _own(lab) as server:
        path = f"/write/{server.address[0]}"
        where = {"client_write_urls": lambda urls: [urls["http"] + path]}
        async with lab.behind(scripts, server, **where) as (proxies, target, _urls):
            inside = (
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = $1 AND backend_type = 'client backend'"
            )

            async def holds(_key, _outputs):
                return not await _is_open(server) and not await _one(server, inside, DATABASE)

            async def applied(_key):
                return int(not await _is_open(server))

            yield Site(target=target, params={}, proxies=proxies, applied=applied, holds=holds)


@contextlib.asynccontextmanager
async def _unfence(lab, scripts):
    async with _own(lab) as server:
        await server.execute_as_superuser(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS false")
        await server.query_as_superuser("ALTER SYSTEM SET default_transaction_read_only = on")
        await server.query_as_superuser("SELECT pg_reload_conf()")
        async with lab.behind(scripts, server) as (proxies, target, _urls):

            async def holds(_key, _outputs):
                return bool(await _is_open(server))

            async def applied(_key):
                return int(await _is_open(server))

            yield Site(target=target, params={}, proxies=proxies, applied=applied, holds=holds)


@contextlib.asynccontextmanager
async def _promote(lab, scripts):
    server = await lab.standby()
    try:
        async with lab.behind(scripts, server) as (proxies, target, urls):

            async def holds(_key, _outputs):
                return not await _one(server, "SELECT pg_is_in_recovery()")

            async def applied(_key):
                if not await holds(None, None):
                    return 0
                # Each promotion begins a timeline; the pair began with the first.
                name = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
                return int(await _one(server, name), 16) - 1

            yield Site(
                target=target,
                params={"sightings_url": f"{urls['http']}/sighting"},
                proxies=proxies,
                applied=applied,
                holds=holds,
            )
    finally:
        await lab.drop(server)


@contextlib.asynccontextmanager
async def _only(lab, scripts):
    """A fenced old primary, and another server that clients write to."""
    new = PostgresFaultProxy(lab.east.address, scripts["new"], names=NAMES)
    async with _own(lab) as server, serving(new):
        await server.execute_as_superuser(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS false")
        where = {
            "system_identifier": lambda _urls: None,
            "client_write_urls": lambda urls: [f"{urls['http']}/write/{server.address[0]}"],
            "client_path": lambda urls: {
                "url": f"{urls['http']}/write/{lab.east.address[0]}",
                "table": "public.pipelines",
            },
        }
        port = await new.start(HOST)
        name_of = operations.by_path({f"/{lab.east.address[0]}": "http:write"})
        behind = lab.behind(scripts, server, name_of=name_of, **where)
        async with behind as (proxies, target, _urls):
            count = "SELECT count(*) FROM pipelines WHERE id = $1"

            async def applied(key):
                return await _one(lab.east, count, f"drctl-one-{key}", database=DATABASE)

            async def holds(key, _outputs):
                return await applied(key) == 1 and not await _is_open(server)

            yield Site(
                target=target,
                params={"new_primary": HOST, "port": port, "watch": 1.0},
                proxies=[*proxies, new],
                applied=applied,
                holds=holds,
            )


@contextlib.asynccontextmanager
async def _writable(lab, scripts):
    async with lab.behind(scripts, lab.east) as (proxies, target, _urls):
        count = "SELECT count(*) FROM drctl.write_check WHERE token = $1"

        async def applied(key):
            return await _one(lab.east, count, key, database=DATABASE)

        async def holds(key, _outputs):
            return await applied(key) == 1

        yield Site(target=target, params={}, proxies=proxies, applied=applied, holds=holds)


@contextlib.asynccontextmanager
async def _clients(lab, scripts):
    async with lab.behind(scripts, lab.east) as (proxies, target, urls):
        url = f"{urls['http']}/write/{lab.east.address[0]}"
        path = ClientPath(url=url, table="pipelines", column="id")
        count = "SELECT count(*) FROM pipelines WHERE id = $1"

        async def applied(key):
            return await _one(lab.east, count, f"drctl-synthetic-{key}", database=DATABASE)

        async def holds(key, _outputs):
            return await applied(key) == 1

        yield Site(
            target=target.model_copy(update={"client_path": path}),
            params={"within": "2s"},
            proxies=proxies,
            applied=applied,
            holds=holds,
        )


@contextlib.asynccontextmanager
async def _lag(lab, scripts):
    async with lab.behind(scripts, lab.west) as (proxies, target, urls):

        async def holds(_key, outputs):
            # Nothing is written but the clock: a bound is right when it is there, or says why not.
            bound_s = outputs.get("bound")
            return (
                (outputs.get("source") or "").startswith("unknown")
                if bound_s is None
                else bound_s < 30
            )

        yield Site(
            target=target,
            params={"sightings_url": f"{urls['http']}/sighting"},
            proxies=proxies,
            applied=_never,
            holds=holds,
        )


@contextlib.asynccontextmanager
async def _replay(lab, scripts):
    async with lab.behind(scripts, lab.west) as (proxies, target, _urls):
        lsn = await _one(lab.east, "SELECT pg_current_wal_flush_lsn()::text")

        async def holds(_key, _outputs):
            return await _one(lab.west, "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", lsn)

        yield Site(target=target, params={"lsn": lsn}, proxies=proxies, applied=_never, holds=holds)


def sql(name, *, mutates=False, skip=frozenset()):
    return Op(name=f"sql:{name}", via="sql", mutates=mutates, skip=skip)


NO_ECHO = frozenset({Deed.WRONG_OBJECT})
"""The answer to this statement names nothing: its session was asked who it is."""
NO_BODY = NO_ECHO | {Deed.MALFORMED, Deed.EXPIRED, Deed.STALE}
"""Only the status of the answer is looked at, and 503 and 401 are what it is."""
LABS = {"postgres": Lab}
CONNECT = sql("connect")
CASES = [
    Case(
        action="postgres.fence",
        lab="postgres",
        ops=(
            CONNECT,
            sql("look"),
            *(sql(name, mutates=True, skip=NO_ECHO) for name in ("alter_database", "alter_system")),
            *(sql(name, mutates=True, skip=NO_ECHO) for name in ("set", "reload", "terminate")),
            *(sql(name, skip=NO_ECHO) for name in ("is_open", "left", "starting", "position")),
            *(sql(name, skip=NO_ECHO) for name in ("recovery", "block", "insert", "types")),
            # A write that must be refused: it asks, and changes nothing.
            Op(name="http:POST", skip=NO_BODY),
        ),
        open=_fence,
        timeout_s=4.0,
        may_be_partial=True,
        # Only a write that is refused proves a fence, and whoever reads back may not write.
        reads_back=False,
        slots=PRIMARIES,
    ),
    Case(
        action="postgres.unfence",
        lab="postgres",
        ops=(
            CONNECT,
            sql("look"),
            *(sql(name, mutates=True, skip=NO_ECHO) for name in ("alter_database", "alter_system")),
            *(sql(name, mutates=True, skip=NO_ECHO) for name in ("set", "reload")),
            sql("is_open", skip=NO_ECHO),
        ),
        open=_unfence,
        slots=PRIMARIES,
    ),
    Case(
        action="postgres.promote",
        lab="postgres",
        ops=(
            CONNECT,
            sql("look"),
            sql("may_open", skip=NO_ECHO),
            sql("is_open", skip=NO_ECHO),
            sql("promote", mutates=True, skip=NO_ECHO),
            *(sql(name, skip=NO_ECHO) for name in ("history", "heartbeat", "other")),
            Op(name="http:GET"),
        ),
        open=_promote,
        timeout_s=4.0,
        slots=5,
    ),
    Case(
        action="postgres.primary.assert_only",
        lab="postgres",
        ops=(
            CONNECT,
            *(sql(name, skip=NO_ECHO) for name in ("is_open", "recovery", "block", "insert")),
            *(
                Op(name=f"sql:{name}", via="new", skip=NO_ECHO)
                for name in ("connect", "state", "has", "following")
            ),
            Op(name="http:write", mutates=True, skip=NO_BODY),
            # A write that must be refused, again and again: it asks, and changes nothing.
            Op(name="http:POST", skip=NO_BODY),
        ),
        open=_only,
        timeout_s=7.0,
        may_be_partial=True,
        # What proves it is a write, and whoever looks back may not write.
        reads_back=False,
        slots=PRIMARIES,
    ),
    Case(
        action="postgres.primary.assert_writable",
        lab="postgres",
        ops=(
            CONNECT,
            sql("look"),
            sql("insert", mutates=True, skip=NO_ECHO),
            sql("sweep", mutates=True, skip=NO_ECHO),
            sql("read", skip=NO_ECHO),
        ),
        open=_writable,
    ),
    Case(
        action="postgres.clients.assert_write",
        lab="postgres",
        ops=(
            CONNECT,
            sql("look"),
            sql("has", skip=NO_ECHO),
            Op(name="http:POST", mutates=True, skip=NO_BODY),
        ),
        open=_clients,
        timeout_s=4.0,
        # Failing means: not proven. The row that was written is kept, and writing it again is safe.
        may_be_partial=True,
    ),
    Case(
        action="postgres.measure_lag",
        lab="postgres",
        ops=(CONNECT, sql("heartbeat"), sql("frame"), sql("other"), Op(name="http:GET")),
        open=_lag,
        doubts=True,
    ),
    Case(
        action="postgres.replication.wait",
        lab="postgres",
        ops=(CONNECT, sql("look"), sql("frame")),
        open=_replay,
    ),
]
