"""What the AWS contract tests share: a context, a connection, and endpoints that misbehave."""

import asyncio
import contextlib
import itertools
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import parse_qsl

import pytest

from drctl.actions.contract import Context
from drctl.actions.targets import AwsConnection
from drctl.kernel.clock import Deadline, SystemClock
from drctl.kernel.secret import Secret

ACCOUNT = "123456789012"
_PORTS = itertools.count(18000)


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self):
        """The fields of a query-protocol call."""
        return dict(parse_qsl(self.body.decode()))


@dataclass
class Endpoint:
    """
    An HTTP server on a raw socket, so that it can fail as networks do.

    ``answer`` gets each request and returns ``(status, body)``, or one of ``hang``, ``reset``, ``close``.
    """

    host: str
    port: int
    answer: Callable[[Request], object] = field(default=lambda _request: (200, b""))
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"

    async def serve(self, reader, writer):
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while (request := await self._read(reader, writer)) is not None:
                self.requests.append(request)
                said = self.answer(request)
                if said == "hang":
                    await reader.read()  # until the other side gives up
                    break
                if said == "reset":
                    linger = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, linger
                    )
                    break
                if said == "close":
                    break
                status, body = said
                kind = "text/xml" if body.startswith(b"<") else "application/json"
                head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n"
                head += f"Content-Type: {kind}\r\nx-amzn-requestid: req-1\r\n\r\n"
                writer.write(head.encode() + (b"" if request.method == "HEAD" else body))
                await writer.drain()
        writer.close()

    @staticmethod
    async def _read(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {k.lower(): v.strip() for k, v in (h.split(":", 1) for h in head[1:] if h)}
        if headers.get("expect"):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Request(method, path, headers, body)


@pytest.fixture
async def endpoint_at():
    """Starts endpoints; ends them with the test."""
    servers = []

    async def start(host="127.142.0.10", answer=None, port=None):
        endpoint = Endpoint(host, port or next(_PORTS))
        if answer is not None:
            endpoint.answer = answer
        tasks = set()

        async def serve(reader, writer):
            tasks.add(asyncio.current_task())
            try:
                await endpoint.serve(reader, writer)
            except asyncio.CancelledError:
                writer.close()

        server = await asyncio.start_server(serve, host, endpoint.port)
        servers.append((server, tasks))
        return endpoint

    yield start
    for server, tasks in servers:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


class Keys:
    """Secrets of the lab kind: the reference's place is the value."""

    def resolve(self, ref):
        return Secret(ref.place)


@pytest.fixture
def context():
    """Makes contexts; says are kept in ``said``."""
    clock = SystemClock()

    def make(seconds=20.0, *, key="run-1.step.1", resolvers=()):
        said: list[str] = []
        ctx = Context(
            clock=clock,
            deadline=Deadline.after(clock, timedelta(seconds=seconds)),
            secrets=Keys(),
            resolvers=tuple(resolvers),
            key=key,
            say=said.append,
        )
        make.said = said
        return ctx

    return make


@pytest.fixture
def connection_to():
    """Makes connections of one region whose services are all at one URL."""

    def make(url, region="us-west-2"):
        return AwsConnection.model_validate(
            {
                "region": region,
                "account": ACCOUNT,
                "access_key_id": "env:AKIALABLABLABLABLAB1",
                "secret_access_key": "env:not-a-secret",
                "endpoints": dict.fromkeys(("rds", "ec2", "s3", "sts", "route53"), url),
            }
        )

    return make
