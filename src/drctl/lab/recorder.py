"""
The stand-in for Slack and Statuspage: strict like them, faulty on demand, and it remembers.

``GET /_recorded`` shows what was accepted. ``PUT /_faults`` takes ``{"slack": FAULT, "statuspage":
FAULT}``; null heals. A FAULT may have ``status`` (answer it instead), ``retry_after``, ``delay_s``
(hang first), ``times`` (then it heals), ``lose_reply`` (do it, then hang up without an answer).
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from drctl.lab import wire
from drctl.lab.record import Record
from drctl.lab.slack_api import SlackApi
from drctl.lab.statuspage_api import StatuspageApi

SLACK_WEBHOOK = "T0LAB/B0LAB/labwebhook"
SLACK_TOKEN = "xoxb-lab"
SLACK_CHANNELS: Mapping[str, str] = {"incidents": "C0INCIDENT", "drctl": "C0DRCTL"}
STATUSPAGE_TOKEN = "lab-statuspage-key"
STATUSPAGE_PAGE = "labpage"

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


_READS = ("/auth.test", "/conversations.info", "/conversations.history", "/conversations.list")
"""Methods of Slack's API that are POSTs and change nothing."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """How a service misbehaves."""

    status: int | None = None
    retry_after: int | None = None
    delay_s: float = 0.0
    times: int | None = None
    """Requests that are still hit; None for all."""
    lose_reply: bool = False


class Recorder:
    """The server; runs in the loop that starts it."""

    def __init__(
        self,
        file: Path,
        *,
        webhooks: Collection[str] = (SLACK_WEBHOOK,),
        slack_tokens: Collection[str] = (SLACK_TOKEN,),
        channels: Mapping[str, str] = SLACK_CHANNELS,
        statuspage_tokens: Collection[str] = (STATUSPAGE_TOKEN,),
        pages: Collection[str] = (STATUSPAGE_PAGE,),
        components: Collection[str] | None = None,
        ledger: Path | None = None,
    ) -> None:
        """
        Args:
            file: Where accepted requests are appended, one JSON document a line.
            webhooks: Paths below ``/services/`` that exist.
            slack_tokens: Valid bot tokens.
            channels: Channel names to ids.
            statuspage_tokens: Valid API keys.
            pages: Ids of the pages that exist.
            components: Ids of the components that exist; any when None.
            ledger: Where they are noted beside what other stand-ins applied.
        """
        self.record = Record(file, ledger)
        self._faults: dict[str, Fault] = {}
        self._slack = SlackApi(
            self.record, webhooks=webhooks, tokens=slack_tokens, channels=channels
        )
        self._statuspage = StatuspageApi(
            self.record, tokens=statuspage_tokens, pages=pages, components=components
        )
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> None:
        """
        Begins to serve on *host*:*port*.

        Raises:
            OSError: The address is not free.
        """
        app = web.Application(middlewares=[self._with_faults])
        app.router.add_routes(
            [
                *self._slack.routes(),
                *self._statuspage.routes(),
                web.get("/_recorded", self._show_record),
                web.get("/_faults", self._show_faults),
                web.put("/_faults", self._set_faults),
            ]
        )
        # A client that hangs on a delayed answer must not hold up the end of the lab.
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner

    async def stop(self) -> None:
        """Ends the server and what hangs at it. Safe to repeat."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _with_faults(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        service = _service_of(request.path)
        if service is not None:
            changes = request.method not in {"GET", "HEAD"} and not request.path.endswith(_READS)
            agent = request.headers.get("User-Agent")
            wire.note(service, f"{request.method} {request.path}", agent, mutates=changes)
        fault = self._faults.get(service) if service else None
        if service is None or fault is None:
            return await handler(request)
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                del self._faults[service]
        if fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        if fault.status is not None:
            return _failed(service, fault, request)
        response = await handler(request)
        if fault.lose_reply and request.transport is not None:
            request.transport.close()
        return response

    async def _show_record(self, _: web.Request) -> web.Response:
        return web.json_response(self.record.entries)

    async def _show_faults(self, _: web.Request) -> web.Response:
        shown = {
            service: {name: getattr(fault, name) for name in fault.__slots__}
            for service, fault in self._faults.items()
        }
        return web.json_response(shown)

    async def _set_faults(self, request: web.Request) -> web.Response:
        try:
            wanted: Any = await request.json()
            faults = {
                service: None if fault is None else Fault(**fault)
                for service, fault in wanted.items()
            }
        except (ValueError, TypeError, AttributeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        if unknown := faults.keys() - {"slack", "statuspage"}:
            return web.json_response({"error": f"no service {min(unknown)}"}, status=400)
        for service, fault in faults.items():
            self._faults.pop(service, None)
            if fault is not None:
                self._faults[service] = fault
        return await self._show_faults(request)


def _service_of(path: str) -> str | None:
    if path.startswith(("/services/", "/api/")):
        return "slack"
    return "statuspage" if path.startswith("/v1/") else None


def _failed(service: str, fault: Fault, request: web.Request) -> web.Response:
    status = fault.status or 500
    headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
    if service == "statuspage":
        return web.json_response({"error": f"status {status}"}, status=status, headers=headers)
    error = "ratelimited" if status == 429 else "internal_error"
    if request.path.startswith("/api/"):
        body = {"ok": False, "error": error}
        return web.json_response(body, status=status, headers=headers)
    return web.Response(text=error, status=status, headers=headers)
