"""Google Cloud: a project that behaves as documented, behind the faulty network."""

import contextlib
import itertools
from datetime import UTC, datetime, timedelta

from cases_postgres import CONNECT, NO_BODY, NO_ECHO, PRIMARIES, sql
from cases_postgres import _only as only_postgres
from fault_matrix import HOST, Case, Op, Site, serving
from nets import NET

from drctl.actions.targets import CloudDnsRecord, CloudSqlInstance
from drctl.lab.faults import answers, operations
from drctl.lab.faults.http import HttpFaultProxy, Upstream
from drctl.lab.faults.rules import Deed
from drctl.lab.gcp import GcpCloud, Instance
from drctl.lab.names import NameServer
from drctl.lab.zones import Resolution

API, NAMES = (f"127.{NET + 1}.0.40", 8090), (f"127.{NET + 1}.0.41", 5354)
CLOSED = f"127.{NET + 1}.0.42"
"""Where the stopped instance's database would be: nothing listens."""
PROJECT, NUMBER, REGION = "drctl-faults", "415104041262", "us-west1"
ZONE, ZONE_NAME = "faults", "faults.test."
_NUMBERS = itertools.count(1)


class Lab:
    """One project; each cell has an instance or a record of its own."""

    def __init__(self, api=API):
        self._api = api

    async def start(self):
        self.cloud = GcpCloud(PROJECT, NUMBER, self._api)
        self.token = self.cloud.tokens.issue()
        self.cloud.dns.add(ZONE, ZONE_NAME)
        self._names = NameServer(Resolution(zones=self.cloud.dns.served))
        await self.cloud.start()
        if self._api == API:
            await self._names.start(*NAMES)

    async def stop(self):
        await self._names.stop()
        await self.cloud.stop()

    def proxy(self, script):
        host, port = self._api
        return HttpFaultProxy(
            Upstream(host=host, port=port),
            script,
            name_of=operations.gcp,
            answer_of=answers.gcp,
        )

    def connection(self, port):
        services = ("sqladmin", "dns", "cloudresourcemanager", "oauth2")
        return {
            "project": PROJECT,
            "project_number": NUMBER,
            "region": REGION,
            "access_token": f"env:{self.token}",
            "endpoints": dict.fromkeys(services, f"http://{HOST}:{port}"),
        }

    def by_key(self, port):
        """With the account's key, so that each action asks for a token first."""
        self.cloud.tokens.uris.append(f"http://{HOST}:{port}/token")
        held = {"service_account_key": f"env:{self.cloud.tokens.key_file()}"}
        given = self.connection(port) | held
        given.pop("access_token")
        return given

    def add(self, name, **fields):
        return self.cloud.sql.add(Instance(name=name, region=REGION, project=PROJECT, **fields))


@contextlib.asynccontextmanager
async def _instance(lab, scripts, *, fields=None, target=None, params=None, kind="", holds):
    """A site about a fresh instance, of which only the control plane is there."""
    name = f"db-{next(_NUMBERS)}"
    made = lab.add(name, **(fields or {}))
    lab.cloud.sql.work.keep_window(
        made, datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1)
    )
    scripts["http"].swap = ((f'"{name}'.encode(), b'"another'),)
    given = {key: value.format(name=name) for key, value in (params or {}).items()}
    proxy = lab.proxy(scripts["http"])
    async with serving(proxy):

        async def applied(_key):
            about = given.get("name", name)
            return lab.cloud.sql.operations.count(about, kind) if kind else 0

        async def is_so(_key, outputs):
            return holds(lab, made, given, outputs)

        yield Site(
            target=CloudSqlInstance.model_validate(
                {"gcp": lab.connection(await proxy.start(HOST)), "instance": name} | (target or {})
            ),
            params=given,
            proxies=[proxy],
            applied=applied,
            holds=is_so,
        )


def _promote(lab, scripts):
    if "prod" not in lab.cloud.sql.instances:
        lab.add("prod")
    return _instance(
        lab,
        scripts,
        fields={"source": "prod"},
        kind="PROMOTE_REPLICA",
        holds=lambda _lab, made, _params, _outputs: not made.is_replica,
    )


def _fail_over(lab, scripts):
    return _instance(
        lab,
        scripts,
        fields={"is_regional": True},
        kind="FAILOVER",
        holds=lambda _lab, made, _params, _outputs: made.zone == f"{REGION}-b",
    )


def _clone(lab, scripts):
    def holds(lab, _made, params, _outputs):
        clone = lab.cloud.sql.instances.get(params["name"])
        return clone is not None and clone.state == "RUNNABLE"

    now = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    params = {"name": "{name}-copy", "time": now}
    return _instance(lab, scripts, params=params, kind="CLONE", holds=holds)


def _back_up(lab, scripts):
    def holds(_lab, made, _params, _outputs):
        return [one["status"] for one in made.backups] == ["SUCCESSFUL"]

    return _instance(lab, scripts, kind="BACKUP_VOLUME", holds=holds)


_SQL = {
    "host": CLOSED,
    "port": 5432,
    "database": "none",
    "user": "none",
    "password": "env:none",
    "tls": "off",
}


def _fence(lab, scripts):
    return _instance(
        lab,
        scripts,
        target={"sql": _SQL},
        kind="UPDATE",
        holds=lambda _lab, made, _params, _outputs: made.activation == "NEVER",
    )


def _unfence(lab, scripts):
    return _instance(
        lab,
        scripts,
        fields={"activation": "NEVER"},
        params={"policy": "ALWAYS"},
        kind="UPDATE",
        holds=lambda _lab, made, _params, _outputs: made.activation == "ALWAYS",
    )


@contextlib.asynccontextmanager
async def _record(lab, scripts, *, params, holds, changes, by_key=False):
    name = f"app-{next(_NUMBERS)}.{ZONE_NAME}"
    lab.cloud.dns.put(ZONE, name, "A", 5, "127.0.0.1")
    scripts["http"].swap = ((name.encode(), b"another.faults.test."),)
    proxy = lab.proxy(scripts["http"])
    zone = lab.cloud.dns.zones[ZONE]
    connect = lab.by_key if by_key else lab.connection
    async with serving(proxy):

        async def applied(_key):
            about = [one for one in zone.changes if one["additions"][0]["name"] == name]
            return len(about) if changes else 0

        async def is_so(_key, outputs):
            return holds(zone.records[name, "A"]["rrdatas"], outputs)

        yield Site(
            target=CloudDnsRecord.model_validate(
                {
                    "gcp": connect(await proxy.start(HOST)),
                    "managed_zone": ZONE,
                    "zone_name": ZONE_NAME,
                    "record_name": name,
                }
            ),
            params=params,
            proxies=[proxy],
            applied=applied,
            holds=is_so,
            resolvers=("{}:{}".format(*NAMES),),
        )


def _set(lab, scripts):
    return _record(
        lab,
        scripts,
        params={"ttl": 5, "values": ["127.0.0.2"]},
        holds=lambda data, _outputs: data == ["127.0.0.2"],
        changes=True,
    )


def _check(lab, scripts):
    return _record(
        lab,
        scripts,
        params={},
        holds=lambda data, outputs: list(outputs.get("values", ())) == data,
        changes=False,
        by_key=True,
    )


@contextlib.asynccontextmanager
async def _lag(lab, scripts):
    """On the real pair of the other lab; Cloud SQL is asked on a network of its own."""
    number = next(_NUMBERS)
    cloud = Lab(api=(f"127.{NET + 1}.9.{number % 250 + 1}", 8090))
    await cloud.start()
    cloud.add("dr", source="prod")
    scripts["gcp"].swap = ((b'"dr"', b'"another"'),)
    proxy = cloud.proxy(scripts["gcp"])
    try:
        async with lab.behind(scripts, lab.west) as (proxies, west, urls), serving(proxy):

            async def holds(_key, outputs):
                bound_s = outputs.get("bound")
                said = outputs.get("source") or ""
                return said.startswith("unknown") if bound_s is None else bound_s < 30

            async def applied(_key):
                return 0

            target = {
                "gcp": cloud.connection(await proxy.start(HOST)),
                "instance": "dr",
                "sql": west.sql,
                "sightings_url": f"{urls['http']}/sighting",
            }
            yield Site(
                target=CloudSqlInstance.model_validate(target),
                params={},
                proxies=[*proxies, proxy],
                applied=applied,
                holds=holds,
            )
    finally:
        await cloud.stop()


@contextlib.asynccontextmanager
async def _only(lab, scripts):
    """The old primary of the other lab, which Cloud SQL calls stopped."""
    number = next(_NUMBERS)
    cloud = Lab(api=(f"127.{NET + 1}.9.{number % 250 + 1}", 8090))
    await cloud.start()
    cloud.add("old", activation="NEVER")
    scripts["gcp"].swap = ((b'"old"', b'"another"'),)
    proxy = cloud.proxy(scripts["gcp"])
    try:
        async with only_postgres(lab, scripts) as site, serving(proxy):
            old = site.target
            target = {
                "gcp": cloud.connection(await proxy.start(HOST)),
                "instance": "old",
                "sql": old.sql,
                "client_write_urls": old.client_write_urls,
                "client_path": old.client_path,
            }
            yield Site(
                target=CloudSqlInstance.model_validate(target),
                params=site.params,
                proxies=[*site.proxies, proxy],
                applied=site.applied,
                holds=site.holds,
            )
    finally:
        await cloud.stop()


LABS = {"gcp": Lab}
LOOK, LIST = Op(name="gcp:GET instance"), Op(name="gcp:GET operations")
# Whoever hears of another operation reads the instance itself, which is told truly here.
WAIT = Op(name="gcp:GET operation", skip=frozenset({Deed.WRONG_OBJECT}))
CASES = [
    Case(
        action="gcp.cloudsql.promote_replica",
        lab="gcp",
        ops=(LOOK, WAIT, LIST, Op(name="gcp:POST promoteReplica", mutates=True)),
        open=_promote,
        timeout_s=5.0,
    ),
    Case(
        action="gcp.cloudsql.failover",
        lab="gcp",
        ops=(LOOK, WAIT, LIST, Op(name="gcp:POST failover", mutates=True)),
        open=_fail_over,
        timeout_s=5.0,
        # The bench makes no plan, so nobody has seen which zone it came from.
        reads_back=False,
    ),
    Case(
        action="gcp.cloudsql.clone_to_time",
        lab="gcp",
        ops=(
            LOOK,
            WAIT,
            LIST,
            # The window is no object's but the path's.
            Op(name="gcp:GET getLatestRecoveryTime", skip=frozenset({Deed.WRONG_OBJECT})),
            Op(name="gcp:POST clone", mutates=True),
        ),
        open=_clone,
        timeout_s=5.0,
    ),
    Case(
        action="gcp.cloudsql.backup.create",
        lab="gcp",
        ops=(WAIT, Op(name="gcp:GET backupRuns"), Op(name="gcp:POST backupRuns", mutates=True)),
        open=_back_up,
        timeout_s=5.0,
    ),
    Case(
        action="gcp.cloudsql.fence",
        lab="gcp",
        ops=(LOOK, WAIT, LIST, Op(name="gcp:PATCH instance", mutates=True)),
        open=_fence,
        timeout_s=8.0,
        may_be_partial=True,
        # What proves it is a write, and whoever looks back may not write.
        reads_back=False,
    ),
    Case(
        action="gcp.cloudsql.unfence",
        lab="gcp",
        ops=(LOOK, WAIT, LIST, Op(name="gcp:PATCH instance", mutates=True)),
        open=_unfence,
        timeout_s=5.0,
    ),
    Case(
        action="gcp.dns.record.set",
        lab="gcp",
        ops=(
            Op(name="gcp:GET rrsets"),
            # Whoever hears of another change reads the record itself, which is told truly here.
            Op(name="gcp:GET change", skip=frozenset({Deed.WRONG_OBJECT})),
            Op(name="gcp:POST changes", mutates=True),
        ),
        open=_set,
        timeout_s=5.0,
    ),
    Case(
        action="gcp.dns.record.check",
        lab="gcp",
        ops=(Op(name="gcp:POST token"), Op(name="gcp:GET rrsets")),
        open=_check,
    ),
    Case(
        action="gcp.cloudsql.assert_single_primary",
        lab="postgres",
        ops=(
            CONNECT,
            *(sql(name, skip=NO_ECHO) for name in ("block", "insert")),
            *(
                Op(name=f"sql:{name}", via="new", skip=NO_ECHO)
                for name in ("connect", "state", "has", "following")
            ),
            Op(name="http:write", mutates=True, skip=NO_BODY),
            # A write that must be refused, again and again: it asks, and changes nothing.
            Op(name="http:POST", skip=NO_BODY),
            Op(name="gcp:GET instance", via="gcp"),
            Op(name="gcp:GET operations", via="gcp"),
        ),
        open=_only,
        timeout_s=9.0,
        may_be_partial=True,
        # What proves it is a write, and whoever looks back may not write.
        reads_back=False,
        slots=PRIMARIES,
    ),
    Case(
        action="gcp.cloudsql.measure_lag",
        lab="postgres",
        ops=(
            CONNECT,
            sql("heartbeat"),
            sql("other"),
            Op(name="http:GET"),
            Op(name="gcp:GET instance", via="gcp"),
        ),
        open=_lag,
        doubts=True,
    ),
]
