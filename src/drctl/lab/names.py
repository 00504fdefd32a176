"""The lab's authoritative DNS server: Route 53's data plane on UDP as on TCP."""

import asyncio
import struct
from typing import cast

from dnslib import EDNS0, QTYPE, RCODE, RR, DNSError, DNSHeader, DNSRecord
from dnslib.bimap import BimapError

from drctl.lab.zones import Answer, Resolution

_PLAIN_UDP_BYTES = 512
_EDNS_UDP_BYTES = 1232
_IDLE_S = 10.0


class NameServer:
    """Serves a `Resolution` from the running event loop; keeps no answers: changes show at once."""

    def __init__(self, resolution: Resolution) -> None:
        self._resolution = resolution
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> None:
        """
        Begins to answer on *host*:*port*.

        Raises:
            OSError: The address is not free; nothing stays open.
        """
        loop = asyncio.get_running_loop()
        tcp = await asyncio.start_server(self._talk, host, port)
        try:
            self._udp, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self), local_addr=(host, port)
            )
        except OSError:
            tcp.close()
            await tcp.wait_closed()
            raise
        self._tcp = tcp

    async def stop(self) -> None:
        """Closes both sockets and every open conversation. Safe to repeat."""
        if self._udp is not None:
            self._udp.close()
            self._udp = None
        if self._tcp is not None:
            self._tcp.close()
        for talk in tuple(self._talks):
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        if self._tcp is not None:
            await self._tcp.wait_closed()
            self._tcp = None

    def answer(self, packet: bytes, *, over_udp: bool) -> bytes | None:
        """Answers one query; None for bytes that hold no query at all."""
        try:
            query = DNSRecord.parse(packet)
        except (DNSError, BimapError, struct.error, IndexError):
            return _format_error(packet)
        if query.header.qr or not query.questions:
            return None
        reply = query.reply(ra=0, aa=1)
        question = query.q
        type_ = str(QTYPE.get(question.qtype))
        result = self._resolution.reply(str(question.qname), type_)
        reply.header.rcode = getattr(RCODE, result.rcode)
        reply.header.aa = int(result.rcode != "REFUSED")
        for line in result.answers:
            reply.add_answer(*_records(line))
        for line in result.authority:
            reply.add_auth(*_records(line))
        limit = _PLAIN_UDP_BYTES
        if any(extra.rtype == QTYPE.OPT for extra in query.ar):
            limit = _EDNS_UDP_BYTES
            reply.add_ar(EDNS0(udp_len=_EDNS_UDP_BYTES))
        packed = reply.pack()
        if over_udp and len(packed) > limit:
            reply = query.reply(ra=0, aa=1)
            reply.header.tc = 1
            packed = reply.pack()
        return cast("bytes", packed)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a conversation always runs in a task")
        self._talks.add(task)
        try:
            while True:
                async with asyncio.timeout(_IDLE_S):
                    (size,) = struct.unpack("!H", await reader.readexactly(2))
                    packet = await reader.readexactly(size)
                if (reply := self.answer(packet, over_udp=False)) is None:
                    return
                writer.write(struct.pack("!H", len(reply)) + reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, TimeoutError, ConnectionError):
            return
        except asyncio.CancelledError:
            return  # stop() ends conversations; asyncio would log a cancelled handler as an error
        finally:
            self._talks.discard(task)
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        reply = self._server.answer(data, over_udp=True)
        if reply is not None and self._transport is not None:
            self._transport.sendto(reply, addr)


def _records(line: Answer) -> list[RR]:
    return cast("list[RR]", RR.fromZone(f"{line.name} {line.ttl_s} IN {line.type} {line.value}"))


def _format_error(packet: bytes) -> bytes | None:
    """A query that cannot be read is told so when at least its id can be."""
    if len(packet) < 12 or packet[2] & 0x80:
        return None
    (id_,) = struct.unpack("!H", packet[:2])
    return cast("bytes", DNSRecord(DNSHeader(id=id_, qr=1, rcode=RCODE.FORMERR)).pack())
