"""DNS over UDP through the faulty network."""

import asyncio
from typing import Any, Final

from dnslib import QTYPE, RCODE, DNSRecord

from drctl.lab.faults.rules import ALWAYS, Deed, Script

_HEALS_AFTER_S: Final = 0.7
_SAYS_NO: Final = {
    Deed.ERROR_500: RCODE.SERVFAIL,
    Deed.ERROR_503: RCODE.SERVFAIL,
    Deed.THROTTLED: RCODE.REFUSED,
    Deed.EXPIRED: RCODE.REFUSED,
}
_SILENT: Final = frozenset(
    {
        *(Deed.BLACKHOLE_BEFORE, Deed.BLACKHOLE_AFTER, Deed.RESET_BEFORE, Deed.RESET_AFTER),
        *(Deed.SLOW, Deed.LATE, Deed.TRICKLE, Deed.ERROR_AFTER, Deed.CONNECT_TIMEOUT),
    }
)


class _Client(asyncio.DatagramProtocol):
    def __init__(self, proxy: "DnsFaultProxy") -> None:
        self._proxy = proxy

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._proxy.take(data, lambda answer: self._transport.sendto(answer, addr))


class _Server(asyncio.DatagramProtocol):
    def __init__(self, answered: "asyncio.Future[bytes]") -> None:
        self._answered = answered

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if not self._answered.done():
            self._answered.set_result(data)


class DnsFaultProxy:
    """Serves one address in front of one nameserver; operations are ``dns:A`` and ``dns:AAAA``."""

    def __init__(self, upstream: tuple[str, int], script: Script) -> None:
        self._upstream = upstream
        self._last: dict[str, bytes] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None
        self.script = script

    async def start(self, host: str) -> int:
        """Listens on *host*; returns the port. A port where nobody listens is one too."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Client(self), local_addr=(host, 0)
        )
        self._transport = transport
        port: int = transport.get_extra_info("sockname")[1]
        rule = self.script.listener()
        if rule is not None and rule.deed is Deed.REFUSE:
            transport.close()
            if rule.times < ALWAYS:
                self._keep(asyncio.create_task(self._heal(host, port)))
        return port

    async def quiet(self) -> None:
        """Nothing arrives late: a lookup has no effect."""

    async def stop(self) -> None:
        """Stops listening."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._transport is not None:
            self._transport.close()

    async def _heal(self, host: str, port: int) -> None:
        await self.script.clock.sleep(_HEALS_AFTER_S)
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Client(self), local_addr=(host, port)
        )

    def take(self, data: bytes, answer: Any) -> None:
        """Handles one packet."""
        self._keep(asyncio.create_task(self._answer(data, answer)))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, data: bytes, answer: Any) -> None:
        query = DNSRecord.parse(data)
        kind, name = QTYPE[query.q.qtype], str(query.q.qname)
        entry = self.script.meet(f"dns:{kind}", path=name)
        deed = entry.deed
        rule = self.script.listener()
        if deed in _SILENT or (rule is not None and rule.deed is Deed.CONNECT_TIMEOUT):
            return
        if deed in _SAYS_NO:
            reply = query.reply()
            reply.header.rcode = _SAYS_NO[deed]
            answer(reply.pack())
            return
        before = self._last.get(f"{kind} {name}")
        said = await self._ask(data)
        entry.forwarded += 1
        if deed is Deed.STALE and before is not None:
            said = data[:2] + before[2:]
        else:
            self._last[f"{kind} {name}"] = said
        if deed is Deed.MALFORMED:
            said = self.script.garbled(said)
        if deed is Deed.WRONG_OBJECT:
            said = self.script.swapped(said)
        for _ in range(2 if deed is Deed.DUPLICATE else 1):
            answer(said)

    async def _ask(self, data: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[bytes] = loop.create_future()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Server(answered), remote_addr=self._upstream
        )
        try:
            transport.sendto(data)
            return await asyncio.wait_for(answered, 5)
        finally:
            transport.close()
