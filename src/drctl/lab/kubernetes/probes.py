"""Probes: asking a container over the network whether it serves."""

import asyncio
from typing import Any

import aiohttp

from drctl.lab.kubernetes.errors import Object

_FASTEST_S = 0.25  # vendor default is 10 s; the lab compresses what nobody learns from


class Probe:
    """
    One probe of one container.

    The answer changes only after as many equal results in a row as the thresholds ask for.
    """

    def __init__(self, spec: Object, container: Object, *, compressed: bool) -> None:
        self._spec = spec
        self._container = container
        self._period_s = float(spec["periodSeconds"])
        self._delay_s = float(spec.get("initialDelaySeconds", 0))
        if compressed:
            self._period_s = min(self._period_s, _FASTEST_S)
            self._delay_s = min(self._delay_s, _FASTEST_S)
        self._streak = 0
        self._last: bool | None = None

    async def watch(self, address: str, answers: "asyncio.Queue[bool]") -> None:
        """Asks again and again; puts a settled answer into the queue. Runs until cancelled."""
        await asyncio.sleep(self._delay_s)
        while True:
            result = await self._ask(address)
            self._streak = self._streak + 1 if result == self._last else 1
            self._last = result
            needed = self._spec["successThreshold" if result else "failureThreshold"]
            if self._streak >= needed:
                answers.put_nowait(result)
            await asyncio.sleep(self._period_s)

    async def _ask(self, address: str) -> bool:
        try:
            async with asyncio.timeout(self._spec["timeoutSeconds"]):
                if "httpGet" in self._spec:
                    return await self._get(address, self._spec["httpGet"])
                return await self._connect(address, self._spec["tcpSocket"])
        except (OSError, TimeoutError, aiohttp.ClientError):
            return False

    async def _get(self, address: str, request: Object) -> bool:
        host = request.get("host") or address
        url = f"{request['scheme'].lower()}://{host}:{self._port(request['port'])}{request['path']}"
        headers = {header["name"]: header["value"] for header in request.get("httpHeaders", [])}
        # A fresh connection each time, as the kubelet does: a kept one would prove less.
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, headers=headers, allow_redirects=False, ssl=False) as response,
        ):
            return 200 <= response.status < 400

    async def _connect(self, address: str, request: Object) -> bool:
        _, writer = await asyncio.open_connection(
            request.get("host") or address, self._port(request["port"])
        )
        writer.close()
        return True

    def _port(self, port: Any) -> int:
        if isinstance(port, int):
            return port
        for declared in self._container.get("ports", []):
            if declared.get("name") == port:
                return int(declared["containerPort"])
        raise OSError(f"no port is named {port!r}")
