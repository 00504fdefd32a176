"""Small real servers on loopback, each with one bad habit."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from dnslib import AAAA, QTYPE, RCODE, RR, A, DNSRecord

from drctl.actions.contract import Context
from drctl.kernel.clock import Deadline, SystemClock
from drctl.kernel.secret import Secret

# Otherwise a plugin that asks for the thread's loop gets a new one, which nobody closes.
asyncio.set_event_loop(None)

HOST = "127.150.0.90"
CLOCK = SystemClock()


class FixedSecrets:
    """References that lead to values of the test."""

    def __init__(self, **values: str) -> None:
        self.values = values

    def resolve(self, ref):
        return Secret(self.values[ref.place])


@pytest.fixture
def context():
    def make(within_s: float = 5.0, *, key: str = "", resolvers: tuple[str, ...] = (), **secrets):
        return Context(
            clock=CLOCK,
            deadline=Deadline.after(CLOCK, timedelta(seconds=within_s)),
            secrets=FixedSecrets(**secrets),
            resolvers=resolvers,
            key=key,
            permit=lambda: None,
        )

    return make


@dataclass
class Server:
    """A server and what it was sent."""

    port: int
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} said", f"content-length: {len(body)}", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return head + await reader.readexactly(int(line.split(b":")[1]))
    return head


@pytest.fixture
async def serve():
    """Starts servers; ``reply`` is bytes, or a coroutine function of request, reader and writer."""
    async with contextlib.AsyncExitStack() as stack:
        tasks: set[asyncio.Task] = set()

        async def start(reply: bytes | Callable, **options) -> Server:
            seen = Server(port=0)

            async def handle(reader, writer):
                tasks.add(asyncio.current_task())
                try:
                    request = await read_request(reader)
                    seen.requests.append(request)
                    if callable(reply):
                        await reply(request, reader, writer)
                    else:
                        writer.write(reply)
                        await writer.drain()
                except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                    pass
                finally:
                    writer.close()
                    with contextlib.suppress(Exception):
                        await writer.wait_closed()

            server = await asyncio.start_server(handle, options.pop("host", HOST), 0, **options)
            stack.push_async_callback(server.wait_closed)
            stack.callback(server.close)
            seen.port = server.sockets[0].getsockname()[1]
            return seen

        yield start
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Nameserver(asyncio.DatagramProtocol):
    """Answers from a dict; a name that is missing does not exist; ``None`` is silence."""

    def __init__(self, names: dict[str, list[str] | None]) -> None:
        self.names = names

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        query = DNSRecord.parse(data)
        name = str(query.q.qname).rstrip(".")
        reply = query.reply()
        if name not in self.names:
            reply.header.rcode = RCODE.NXDOMAIN
        elif self.names[name] is None:
            return
        for address in self.names.get(name) or ():
            kind, data = ("AAAA", AAAA(address)) if ":" in address else ("A", A(address))
            if query.q.qtype == getattr(QTYPE, kind):
                reply.add_answer(RR(name, getattr(QTYPE, kind), rdata=data, ttl=1))
        self.transport.sendto(reply.pack(), peer)


@pytest.fixture
async def nameserver():
    async with contextlib.AsyncExitStack() as stack:

        async def start(names: dict[str, list[str] | None]) -> str:
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(
                lambda: Nameserver(names), local_addr=(HOST, 0)
            )
            stack.callback(transport.close)
            return f"{HOST}:{transport.get_extra_info('sockname')[1]}"

        yield start
