"""Finds the application's pods through the Kubernetes API and reads what each of them tells."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from drctl.lab.monitoring.series import Store, parse

JOB: Final = "healing-guard"
INTERVAL_S: Final = 1.0
"""The lab compresses time; 15 s to a minute elsewhere."""
_DISCOVERY_S = 1.0
_SCRAPE_S = 0.8


class Scraper:
    """One look a second at every pod; a pod that does not answer is ``up 0``."""

    def __init__(self, clusters: Mapping[str, tuple[str, str, str]]) -> None:
        """
        Args:
            clusters: Region to its API's URL, the file of its authority, and the file of its token.
        """
        self.store = Store()
        self._clusters = clusters
        self._targets: dict[str, list[str]] = {}
        """Region to addresses of pods; the last answer, while the API is silent."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins in the background."""
        self._task = asyncio.create_task(self._run())

    @property
    def is_running(self) -> bool:
        """It has not ended."""
        return self._task is not None and not self._task.done()

    async def stop(self) -> None:
        """Ends it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                began = time.monotonic()
                await asyncio.gather(*(self._region(session, region) for region in self._clusters))
                await asyncio.sleep(max(0.0, INTERVAL_S - (time.monotonic() - began)))

    async def _region(self, session: aiohttp.ClientSession, region: str) -> None:
        before = self._targets.get(region, [])
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError, ValueError):
            self._targets[region] = await self._pods(session, region)
        now = self._targets.get(region, [])
        for instance in set(before) - set(now):
            self.store.forget(_labels(region, instance))
        await asyncio.gather(*(self._scrape(session, region, instance) for instance in now))

    async def _pods(self, session: aiohttp.ClientSession, region: str) -> list[str]:
        server, authority, token_file = self._clusters[region]
        with open(token_file, encoding="utf-8") as file:  # noqa: ASYNC230, PTH123 (a local file)
            token = file.read()
        async with session.get(
            f"{server}/api/v1/namespaces/{JOB}/pods",
            headers={"Authorization": f"Bearer {token}"},
            ssl=ssl.create_default_context(cafile=authority),
            timeout=aiohttp.ClientTimeout(total=_DISCOVERY_S),
        ) as answer:
            answer.raise_for_status()
            document: dict[str, Any] = await answer.json()
        return [
            f"{pod['status']['podIP']}:{port['containerPort']}"
            for pod in document["items"]
            if pod.get("status", {}).get("podIP")
            for container in pod["spec"]["containers"]
            for port in container.get("ports", ())
        ]

    async def _scrape(self, session: aiohttp.ClientSession, region: str, instance: str) -> None:
        target = _labels(region, instance)
        try:
            async with session.get(
                f"http://{instance}/metrics", timeout=aiohttp.ClientTimeout(total=_SCRAPE_S)
            ) as answer:
                answer.raise_for_status()
                told = list(parse(await answer.text()))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            self.store.add(target, [("up", {}, 0.0)], time.time())
        else:
            self.store.add(target, [("up", {}, 1.0), *told], time.time())


def _labels(region: str, instance: str) -> dict[str, str]:
    return {"job": JOB, "instance": instance, "region": region}
