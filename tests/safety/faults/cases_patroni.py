"""
Patroni: its REST API faulty between it and the product, real standbys behind it.

The stand-in answers as the Patroni of tests/contract/patroni does (202 is never said, because
nothing is scheduled): 412 for a leader that does not lead, 503 for a leader who is to lead, 401
without a password. What it promotes is a real standby.
"""

import base64
import contextlib

from aiohttp import web
from cases_postgres import NAMES, NO_ECHO, PASSWORD, _never, _one, sql
from fault_matrix import HOST, Case, Op, Site, serving
from nets import NET

from drctl.actions.targets import PatroniCluster
from drctl.lab.faults import answers
from drctl.lab.faults.http import HttpFaultProxy, Upstream
from drctl.lab.faults.postgres import PostgresFaultProxy
from drctl.lab.faults.rules import Deed

SCOPE = "patroni-shop"
NOBODY = (f"127.{NET}.9.8", 1)


def name_of(request):
    path = request.target.rpartition("/")[2]
    return f"patroni:{request.method} {path}"


class StandIn:
    """Two members and the store; ``/one/cluster`` is what member one says."""

    def __init__(self, servers, leader):
        self.servers, self.leader = servers, leader
        self.config = {"loop_wait": 1, "ttl": 20, "maximum_lag_on_failover": 1048576}
        self.lines, self.moves = [], 0

    async def start(self):
        app = web.Application()
        app.router.add_get("/{member}/cluster", self._cluster)
        app.router.add_get("/{member}/history", self._history)
        app.router.add_get("/{member}/config", self._config)
        app.router.add_get("/{member}/patroni", self._patroni)
        app.router.add_patch("/{member}/config", self._patch)
        app.router.add_post("/{member}/{action:failover|switchover}", self._move)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, 0)
        await site.start()
        return site._server.sockets[0].getsockname()[1]

    async def stop(self):
        await self._runner.cleanup()

    async def _cluster(self, _request):
        members = []
        for name, server in self.servers.items():
            if server is None:
                continue
            is_leader = name == self.leader
            said = {"name": name, "role": "leader" if is_leader else "replica", "timeline": 1}
            said["state"] = "running" if is_leader else "streaming"
            if not is_leader:
                end = "SELECT coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text"
                said |= {"lsn": await _one(server, end), "lag": 0}
            members.append(said)
        paused = {"pause": True} if self.config.get("pause") else {}
        return web.json_response({"members": members, "scope": SCOPE} | paused)

    async def _history(self, _request):
        return web.json_response(self.lines)

    async def _config(self, _request):
        return web.json_response(self.config)

    async def _patroni(self, _request):
        paused = {"pause": True} if self.config.get("pause") else {}
        return web.json_response({"state": "running", "patroni": {"scope": SCOPE}} | paused)

    async def _patch(self, request):
        if not _is_let_in(request):
            return web.Response(status=401, text="not authenticated")
        for name, value in (await request.json()).items():
            self.config.pop(name, None)
            if value is not None:
                self.config[name] = value
        return web.json_response(self.config)

    async def _move(self, request):
        if not _is_let_in(request):
            return web.Response(status=401, text="not authenticated")
        said, action = await request.json(), request.match_info["action"]
        candidate, leader = said.get("candidate"), said.get("leader")
        if (action == "switchover") is not bool(leader):
            return web.Response(status=400, text="only from a specific leader")
        if leader and leader != self.leader:
            return web.Response(status=412, text="leader name does not match")
        if self.servers.get(candidate) is None:
            return web.Response(status=412, text="candidate does not exists")
        if candidate == self.leader:
            return web.Response(status=503, text=f"{action.title()} failed")
        server = self.servers[candidate]
        await server.promote()
        self.moves, self.leader = self.moves + 1, candidate
        self.lines.append([1, 83886080, "no recovery target specified", "", candidate])
        return web.Response(text=f'Successfully {action[:-4]}ed over to "{candidate}"')


def _is_let_in(request):
    pair = base64.b64encode(f"drctl:{PASSWORD}".encode()).decode()
    return request.headers.get("authorization") == f"Basic {pair}"


@contextlib.asynccontextmanager
async def _cluster(lab, scripts, servers, leader):
    """The target of these members behind the proxies, and the stand-in."""
    stand_in = StandIn(servers, leader)
    upstream = await stand_in.start()
    alive = {name: server for name, server in servers.items() if server is not None}
    identifier = await lab.identifier(next(iter(alive.values())))
    rest = HttpFaultProxy(
        Upstream(host=HOST, port=upstream),
        scripts["http"],
        name_of=name_of,
        answer_of=answers.plain,
    )
    scripts["http"].swap = ((SCOPE.encode(), b"patroni-ship"),)
    networks = {}
    if "sql" in scripts:
        scripts["sql"].swap = ((identifier.encode(), b"7" * len(identifier)),)
        for name, server in alive.items():
            networks[name] = PostgresFaultProxy(
                server.address, scripts["sql"], names=NAMES, other=lab.stranger.address
            )
    try:
        async with serving(rest, *networks.values()):
            port, members = await rest.start(HOST), []
            for name in servers:
                host, sql_port = NOBODY
                if name in networks:
                    host, sql_port = HOST, await networks[name].start(HOST)
                url = f"http://{HOST}:{port}/{name}" if name in alive else f"http://{host}:1"
                members.append({"name": name, "url": url, "host": host, "port": sql_port})
            target = PatroniCluster.model_validate(
                {
                    "region": "us-west-2",
                    "scope": SCOPE,
                    "members": members,
                    "sql": {"user": "drctl", "password": f"env:{PASSWORD}", "tls": "off"},
                    "auth": {"user": "drctl", "password": f"env:{PASSWORD}"},
                    "system_identifier": identifier,
                }
            )
            yield target, stand_in, [rest, *networks.values()]
    finally:
        await stand_in.stop()


@contextlib.asynccontextmanager
async def _moved(lab, scripts, leader, params):
    server = await lab.standby()
    try:
        servers = {"one": lab.east if leader else None, "two": server}
        async with _cluster(lab, scripts, servers, leader) as (target, stand_in, proxies):

            async def holds(_key, _outputs):
                is_primary = not await _one(server, "SELECT pg_is_in_recovery()")
                return is_primary and stand_in.leader == "two"

            async def applied(_key):
                return stand_in.moves

            yield Site(target=target, params=params, proxies=proxies, applied=applied, holds=holds)
    finally:
        await lab.drop(server)


def _failover(lab, scripts):
    return _moved(lab, scripts, "", {"candidate": "two", "from_leader": "one"})


def _switchover(lab, scripts):
    return _moved(lab, scripts, "one", {"candidate": "two", "from_leader": "one"})


@contextlib.asynccontextmanager
async def _pausing(lab, scripts, *, pauses):
    servers = {"one": lab.east, "two": lab.west}
    async with _cluster(lab, scripts, servers, "one") as (target, stand_in, proxies):
        if not pauses:
            stand_in.config["pause"] = True

        async def holds(_key, _outputs):
            return bool(stand_in.config.get("pause")) is pauses

        async def applied(_key):
            return int(await holds(None, None))

        yield Site(target=target, params={}, proxies=proxies, applied=applied, holds=holds)


def _pause(lab, scripts):
    return _pausing(lab, scripts, pauses=True)


def _resume(lab, scripts):
    return _pausing(lab, scripts, pauses=False)


@contextlib.asynccontextmanager
async def _wait(lab, scripts):
    servers = {"one": lab.east, "two": lab.west}
    async with _cluster(lab, scripts, servers, "one") as (target, _stand_in, proxies):

        async def holds(_key, outputs):
            return (outputs.get("leader"), outputs.get("replicas")) == ("one", ["two"])

        yield Site(target=target, params={}, proxies=proxies, applied=_never, holds=holds)


# The history and the configuration say nothing of whose they are; the look before them does.
SAME = frozenset({Deed.WRONG_OBJECT})


def rest(name, *, mutates=False, skip=frozenset()):
    return Op(name=f"patroni:{name}", mutates=mutates, skip=skip)


LABS = {}
LOOKS = (rest("GET cluster"), rest("GET history", skip=SAME))
SQL = (
    sql("connect"),
    sql("look"),
    *(sql(name, skip=NO_ECHO) for name in ("history", "other")),
)
CASES = [
    Case(
        action="patroni.cluster.failover",
        lab="postgres",
        ops=(
            *LOOKS,
            rest("GET config", skip=SAME),
            rest("GET patroni", skip=SAME),
            rest("POST failover", mutates=True, skip=SAME),
            *SQL,
        ),
        open=_failover,
        timeout_s=10.0,
        slots=2,  # the primary has ten replication slots, and others take copies too
    ),
    Case(
        action="patroni.cluster.switchover",
        lab="postgres",
        ops=(
            *LOOKS,
            rest("GET config", skip=SAME),
            rest("POST switchover", mutates=True, skip=SAME),
            *SQL,
            sql("position", skip=NO_ECHO),
        ),
        open=_switchover,
        timeout_s=10.0,
        slots=2,  # the primary has ten replication slots, and others take copies too
    ),
    *(
        Case(
            action=f"patroni.cluster.{verb}",
            lab="postgres",
            ops=(
                rest("GET cluster"),
                rest("GET patroni", skip=SAME),
                rest("PATCH config", mutates=True, skip=SAME),
            ),
            open=how,
            timeout_s=8.0,
        )
        for verb, how in (("pause", _pause), ("resume", _resume))
    ),
    Case(
        action="patroni.cluster.wait",
        lab="postgres",
        ops=(*LOOKS, *SQL, sql("position", skip=NO_ECHO)),
        open=_wait,
        timeout_s=8.0,
    ),
]
