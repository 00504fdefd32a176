"""Prometheus and Grafana of the estate, as a part of its supervisor."""

import math
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from drctl.lab.estate.environment import cluster_token
from drctl.lab.monitoring.promql import BadQuery, evaluate
from drctl.lab.monitoring.scrape import Scraper
from drctl.lab.plan import as_region
from drctl.lab.shapes import Site, Stroke


class Monitoring:
    """Answers with what it has scraped itself; nothing in it is made up."""

    def __init__(self, site: Site) -> None:
        self._site = site
        plan, secrets, folder = site.plan, site.secrets, site.root.path / "kubernetes"
        self._scraper = Scraper(
            {
                region: (
                    plan.kubernetes_url(region),
                    str(folder / region / "ca.crt"),
                    str(secrets.path(cluster_token(region))),
                )
                for region in plan.REGIONS
            }
        )
        self._runners: list[web.AppRunner] = []

    async def start(self) -> None:
        """
        Listens, and begins to scrape.

        Raises:
            OSError: An address is taken.
        """
        self._scraper.start()
        await self._listen()

    async def _listen(self) -> None:
        prometheus = web.Application()
        prometheus.router.add_get("/-/healthy", _text("Prometheus Server is Healthy."))
        prometheus.router.add_get("/-/ready", self._ready)
        prometheus.router.add_get("/api/v1/query", self._query)
        prometheus.router.add_post("/api/v1/query", self._query)
        grafana = web.Application()
        grafana.router.add_get("/api/health", self._grafana)
        for application, address in (
            (prometheus, self._site.plan.prometheus),
            (grafana, self._site.plan.grafana),
        ):
            runner = web.AppRunner(application, access_log=None)
            self._runners.append(runner)
            await runner.setup()
            await web.TCPSite(runner, *address).start()

    async def stop(self) -> None:
        """Ends it."""
        await self._scraper.stop()
        await self._hang_up()

    async def _hang_up(self) -> None:
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()

    def facts(self) -> Mapping[str, Any]:
        """Nobody needs any."""
        return {}

    def environment(self) -> Mapping[str, Mapping[str, Any]]:
        """Both, as runbooks name them."""

        def target(kind: str, address: tuple[str, int]) -> dict[str, Any]:
            return {
                "kind": kind,
                "url": f"http://{address[0]}:{address[1]}",
                "region": self._site.plan.REGIONS[1],
            }

        return {
            "targets": {
                "monitoring.prometheus": target("prometheus.server", self._site.plan.prometheus),
                "monitoring.grafana": target("grafana.server", self._site.plan.grafana),
            },
        }

    def strokes(self) -> Mapping[str, Stroke]:
        """``monitoring``: nothing listens any more."""

        async def strike(_words: Mapping[str, str]) -> None:
            await self._hang_up()

        async def lose(words: Mapping[str, str]) -> None:
            if as_region(words["name"]) == self._site.plan.REGIONS[1] and words["how"] == "kill":
                await self._hang_up()

        return {"monitoring": strike, "region": lose}

    async def heal(self) -> None:
        """
        Listens again.

        Raises:
            OSError: An address is taken.
        """
        if not self._runners:
            await self._listen()

    async def _ready(self, _request: web.Request) -> web.Response:
        has_scraped = bool(self._scraper.store.series)
        text = "Prometheus Server is Ready." if has_scraped else "Service Unavailable"
        return web.Response(text=f"{text}\n", status=200 if has_scraped else 503)

    async def _query(self, request: web.Request) -> web.Response:
        given = {**request.query, **(await request.post() if request.method == "POST" else {})}
        # A value of the past is not kept here for ever: refused, rather than answered wrongly.
        unknown = given.keys() - {"query", "timeout", "limit"}
        now_s = time.time()
        try:
            text = "" if unknown else str(given.get("query", ""))
            value = evaluate(text, self._scraper.store, now_s)
        except BadQuery as error:
            said = {"status": "error", "errorType": "bad_data", "error": str(error)}
            return web.json_response(said, status=400)
        if isinstance(value, float):
            data: dict[str, Any] = {"resultType": "scalar", "result": [now_s, _number(value)]}
        else:
            result = [{"metric": dict(k), "value": [now_s, _number(v)]} for k, v in value.items()]
            data = {"resultType": "vector", "result": result}
        return web.json_response({"status": "success", "data": data})

    async def _grafana(self, _request: web.Request) -> web.Response:
        # Its database is the one thing that it asks; here that is what the scraper keeps.
        is_well = self._scraper.is_running
        said = {"commit": "lab", "database": "ok" if is_well else "failing", "version": "12.0.0"}
        return web.json_response(said, status=200 if is_well else 503)


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)


def _text(said: str) -> Any:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=f"{said}\n")

    return answer
