"""Prometheus, Grafana, a sample of looks: small servers behind a faulty network."""

import asyncio
import contextlib

from aiohttp import web
from cases_messages import record
from fault_matrix import HOST, Case, Op, Site, serving
from nets import NET

from drctl.actions.targets import GrafanaServer, PrometheusServer
from drctl.lab.faults import answers, operations
from drctl.lab.faults.http import HttpFaultProxy, Upstream
from drctl.lab.faults.rules import Deed

SITE = (f"127.{NET}.0.92", 9090)
VALUE = {"resultType": "vector", "result": [{"metric": {"job": "faults"}, "value": [1, "4"]}]}


class Lab:
    """One server that answers as both do."""

    async def start(self):
        application = web.Application()
        for path in ("/-/healthy", "/-/ready", "/health"):
            application.router.add_get(path, self._well)
        application.router.add_get("/api/v1/query", self._query)
        application.router.add_get("/api/health", self._grafana)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.TCPSite(self._runner, *SITE).start()

    async def stop(self):
        await self._runner.cleanup()

    async def _well(self, _request):
        return web.Response(text="well\n")

    async def _query(self, _request):
        return web.json_response({"status": "success", "data": VALUE})

    async def _grafana(self, _request):
        return web.json_response({"database": "ok", "version": "12"})


async def _never(_key):
    return 0


def _site(make, params, is_right):
    @contextlib.asynccontextmanager
    async def open_(_lab, scripts):
        proxy = HttpFaultProxy(
            Upstream(host=SITE[0], port=SITE[1]),
            scripts["http"],
            name_of=operations.plain,
            answer_of=answers.plain,
        )
        scripts["http"].swap = ((b'"4"', b'"nan"'), (b'"ok"', b'"failing"'))
        async with serving(proxy):
            url = f"http://{HOST}:{await proxy.start(HOST)}"

            async def holds(_key, outputs):
                await asyncio.sleep(0)
                return is_right(outputs)

            yield Site(
                target=make(url), params=params, proxies=[proxy], applied=_never, holds=holds
            )

    return open_


def _prometheus(url):
    return PrometheusServer.model_validate({"url": url, "region": "us-west-2"})


def _grafana(url):
    return GrafanaServer.model_validate({"url": url, "region": "us-west-2"})


GET = (Op(name="http:GET"),)
# Nothing but the status is read, and half of a body of no meaning is one too.
NO_BODY = frozenset({("http:GET", Deed.WRONG_OBJECT), ("http:GET", Deed.MALFORMED)})
LABS = {"monitoring": Lab}
CASES = [
    Case(
        action="prometheus.health",
        lab="monitoring",
        ops=GET,
        open=_site(_prometheus, {}, lambda told: told.get("is_healthy") is True),
        opaque=NO_BODY,
    ),
    Case(
        action="prometheus.query.assert",
        lab="monitoring",
        ops=GET,
        open=_site(
            _prometheus, {"query": "up", "at_least": 4.0}, lambda told: told.get("value") == 4
        ),
    ),
    Case(
        action="grafana.health",
        lab="monitoring",
        ops=GET,
        open=_site(_grafana, {}, lambda told: told.get("database") == "ok"),
    ),
    Case(
        action="http.sample",
        lab="monitoring",
        ops=GET,
        open=_site(
            lambda url: record("api.drctl.test", url),
            {"path": "/health", "count": 5, "slow": "2s", "timeout": "2s"},
            lambda told: told.get("looks") == 5 and told.get("failed") == 0,
        ),
        opaque=NO_BODY,
    ),
    # Programs of this machine: there is no network between the product and them.
    *(
        Case(action=f"shell.{verb}", lab="monitoring", ops=(), open=_site(_grafana, {}, bool))
        for verb in ("look", "command", "destroy")
    ),
]
