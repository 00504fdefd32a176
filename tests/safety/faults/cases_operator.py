"""PostgreSQL that an operator runs: a real API, real servers, and an operator for each cell."""

import asyncio
import contextlib
import itertools

import cases_postgres
from fault_matrix import HOST, Case, Op, Site

from drctl.actions.targets import PostgresCluster
from drctl.lab.faults.rules import Deed

_NUMBERS = itertools.count(1)
_ROOT = "/apis/acid.zalan.do/v1/namespaces/faults/postgresqls"


class Lab:
    """The servers of the one bench and the API of the other; nothing of its own."""

    def __init__(self, kubernetes, postgres):
        self.kubernetes, self.postgres = kubernetes, postgres

    async def start(self):
        """They have been."""

    async def stop(self):
        """They will be."""


def _target(deployment, name, sql, **more):
    return PostgresCluster.model_validate(
        {
            "operator": "zalando",
            "cluster": deployment.cluster,
            "namespace": "faults",
            "name": name,
            "sql": sql,
            **more,
        }
    )


@contextlib.asynccontextmanager
async def _following(lab, name, obey):
    """An operator that gives the resource's spec to *obey*, again and again."""

    async def follow():
        while True:
            await asyncio.sleep(0.05)
            await obey((await lab.call("GET", f"{_ROOT}/{name}"))["spec"])

    task = asyncio.create_task(follow())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _made(lab, spec, **meta):
    name = f"pg-{next(_NUMBERS)}"
    body = {"metadata": {"name": name, **meta}, "spec": {"teamId": "a", **spec}}
    return name, await lab.call("POST", _ROOT, body)


@contextlib.asynccontextmanager
async def _promote(lab, scripts):
    server = await lab.postgres.standby()
    spec = {"numberOfInstances": 1, "standby": {"standby_host": "east"}}
    name, made = await _made(lab.kubernetes, spec)
    generation = made["metadata"]["generation"]

    async def obey(spec):
        if "standby" not in spec:
            await server.promote()

    pg_scripts = {"sql": scripts["sql"], "http": scripts["http"]}
    try:
        async with (
            lab.kubernetes.behind(scripts["kube"], name) as (api, deployment),
            lab.postgres.behind(pg_scripts, server) as (proxies, plain, urls),
            _following(lab.kubernetes, name, obey),
        ):

            async def applied(_key):
                found = await lab.kubernetes.call("GET", f"{_ROOT}/{name}")
                return found["metadata"]["generation"] - generation

            async def holds(_key, _outputs):
                found = await lab.kubernetes.call("GET", f"{_ROOT}/{name}")
                return "standby" not in found["spec"]

            target = _target(
                deployment,
                name,
                plain.sql,
                system_identifier=plain.system_identifier,
                sightings_url=f"{urls['http']}/sighting",
            )
            yield Site(
                target=target, params={}, proxies=[api, *proxies], applied=applied, holds=holds
            )
    finally:
        await lab.postgres.drop(server)


@contextlib.asynccontextmanager
async def _lag(lab, scripts):
    behind = lab.postgres.behind(scripts, lab.postgres.west)
    async with behind as (proxies, plain, urls):

        async def never(_key):
            return 0

        async def holds(_key, outputs):
            bound_s = outputs.get("bound")
            if bound_s is None:
                return (outputs.get("source") or "").startswith("unknown")
            return bound_s < 30

        cluster = {
            "server": "https://127.0.0.1:1",
            "ca_file": "/nowhere",
            "token": "env:none",
            "cluster_uid": "none",
            "region": "us-west-2",
        }
        target = PostgresCluster.model_validate(
            {
                "operator": "zalando",
                "cluster": cluster,
                "namespace": "faults",
                "name": "west",
                "sql": plain.sql,
                "sightings_url": f"{urls['http']}/sighting",
            }
        )
        yield Site(target=target, params={}, proxies=proxies, applied=never, holds=holds)


@contextlib.asynccontextmanager
async def _door():
    """An address that takes connections until it is shut, as a server's does."""

    async def hang_up(_reader, writer):
        writer.close()

    server = await asyncio.start_server(hang_up, HOST, 0)
    try:
        yield server, server.sockets[0].getsockname()[1]
    finally:
        server.close()


def _sql(port):
    where = {"host": HOST, "port": port, "database": "orders", "user": "drctl"}
    return where | {"password": "env:none", "tls": "off"}


@contextlib.asynccontextmanager
async def _fence(lab, scripts):
    name, made = await _made(lab, {"numberOfInstances": 1})
    generation = made["metadata"]["generation"]
    async with (
        _door() as (door, port),
        lab.behind(scripts["http"], name) as (api, deployment),
    ):

        async def obey(spec):
            if spec["numberOfInstances"] == 0:
                door.close()

        async def applied(_key):
            found = await lab.call("GET", f"{_ROOT}/{name}")
            return found["metadata"]["generation"] - generation

        async def holds(_key, _outputs):
            found = await lab.call("GET", f"{_ROOT}/{name}")
            return found["spec"]["numberOfInstances"] == 0

        async with _following(lab, name, obey):
            yield Site(
                target=_target(deployment, name, _sql(port)),
                params={},
                proxies=[api],
                applied=applied,
                holds=holds,
            )


@contextlib.asynccontextmanager
async def _unfence(lab, scripts):
    notes = {"drctl.dev/instances-before-fence": "2"}
    name, made = await _made(lab, {"numberOfInstances": 0}, annotations=notes)
    generation = made["metadata"]["generation"]
    async with lab.behind(scripts["http"], name) as (api, deployment):

        async def applied(_key):
            found = await lab.call("GET", f"{_ROOT}/{name}")
            return found["metadata"]["generation"] - generation

        async def holds(_key, _outputs):
            found = await lab.call("GET", f"{_ROOT}/{name}")
            return found["spec"]["numberOfInstances"] == 2

        yield Site(
            target=_target(deployment, name, _sql(1)),
            params={"instances": 2},
            proxies=[api],
            applied=applied,
            holds=holds,
        )


LABS = {"operator": Lab}
MADE_OF = {"operator": ("kubernetes", "postgres")}
_LOOK, _ASK = Op(name="GET postgresqls"), Op(name="PATCH postgresqls", mutates=True)
_NO_ECHO = cases_postgres.NO_ECHO
CASES = [
    Case(
        action="kubernetes.postgresql.measure_lag",
        lab="operator",
        ops=(
            cases_postgres.CONNECT,
            cases_postgres.sql("heartbeat"),
            cases_postgres.sql("other"),
            Op(name="http:GET"),
        ),
        open=_lag,
        doubts=True,
    ),
    Case(
        action="kubernetes.postgresql.fence",
        lab="kubernetes",
        # Pods are told apart by a label, and here there are none to be taken for others.
        ops=(_LOOK, Op(name="GET pods", skip=frozenset({Deed.WRONG_OBJECT})), _ASK),
        open=_fence,
        timeout_s=6.0,
        # Told, and not proven: the fence stays, and repeating it is safe.
        may_be_partial=True,
    ),
    Case(
        action="kubernetes.postgresql.unfence",
        lab="kubernetes",
        ops=(_LOOK, _ASK),
        open=_unfence,
    ),
    Case(
        action="kubernetes.postgresql.promote",
        lab="operator",
        ops=(
            Op(name="GET postgresqls", via="kube"),
            Op(name="PATCH postgresqls", via="kube", mutates=True),
            cases_postgres.CONNECT,
            cases_postgres.sql("look"),
            *(
                cases_postgres.sql(name, skip=_NO_ECHO)
                for name in ("state", "history", "heartbeat", "other")
            ),
            Op(name="http:GET"),
        ),
        open=_promote,
        timeout_s=8.0,
        slots=3,
    ),
]
