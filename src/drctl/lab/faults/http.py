"""HTTP through the faulty network; TLS ends here, with the lab's own certificate."""

import asyncio
import ssl
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final

from drctl.lab.faults.answers import Answer, AnswerOf
from drctl.lab.faults.listen import Listener, reset, until_gone
from drctl.lab.faults.operations import NameOf, Request
from drctl.lab.faults.rules import Deed, Entry, Script
from drctl.lab.http_wire import (
    HEAD_LIMIT,
    Headers,
    Malformed,
    has,
    length,
    packed,
    read_chunks,
    read_head,
)

_OWN: Final = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "content-length", "expect"}
)
_TRICKLE_S: Final = 0.4
_SILENCE_S: Final = 0.6
_REFUSALS: Final = frozenset({Deed.THROTTLED, Deed.ERROR_500, Deed.ERROR_503, Deed.EXPIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """Where requests are handed on to."""

    host: str
    port: int
    is_tls: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reply:
    start: str
    headers: Headers
    body: bytes
    is_upgrade: bool = False
    """The body is what came after the switch to another protocol."""


class HttpFaultProxy:
    """Serves one listener in front of one stand-in."""

    def __init__(
        self, upstream: Upstream, script: Script, *, name_of: NameOf, answer_of: AnswerOf
    ) -> None:
        self._upstream = upstream
        self._name_of = name_of
        self._answer_of = answer_of
        self._last: dict[tuple[str, str], _Reply] = {}
        self._late: set[asyncio.Task[None]] = set()
        self._listener: Listener | None = None
        self.script = script

    async def start(self, host: str, *, tls: ssl.SSLContext | None = None) -> int:
        """Listens on *host*; returns the port."""
        self._listener = Listener(host, self.script, self._serve)
        return await self._listener.start(tls=tls)

    async def quiet(self) -> None:
        """Waits until nothing is left that would still arrive late."""
        while self._late:
            await asyncio.gather(*self._late, return_exceptions=True)

    async def stop(self) -> None:
        """Hangs up on everybody; what would arrive late does not."""
        if self._listener is not None:
            await self._listener.stop()
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await _read(reader, writer)) is not None:
            entry = self.script.meet(
                self._name_of(request),
                method=request.method,
                path=request.target,
                host=request.header("host"),
            )
            if not await self._carry(entry, request, reader, writer):
                return

    async def _carry(
        self,
        entry: Entry,
        request: Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Does what is due; tells whether the connection can carry another request."""
        deed = entry.deed
        if deed in {Deed.BLACKHOLE_BEFORE, Deed.LATE}:
            if deed is Deed.LATE:
                self._begin_late(entry, request, reader)
            await until_gone(reader)
            return False
        if deed is Deed.RESET_BEFORE:
            reset(writer)
            return False
        if deed in _REFUSALS:
            return await _say(self._answer_of(deed, entry.operation), request, writer)
        key = (request.method, request.target if request.method == "GET" else entry.operation)
        before = self._last.get(key)
        if deed is Deed.STALE and before is not None:
            return await _give(before, request, writer)
        reply = await self._forward(entry, request)
        if deed is Deed.DUPLICATE:
            reply = await self._forward(entry, request)
        self._last[key] = reply
        return await self._reply(deed, entry, reply, request, reader, writer)

    async def _reply(
        self,
        deed: Deed | None,
        entry: Entry,
        reply: _Reply,
        request: Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        script = self.script
        match deed:
            case Deed.BLACKHOLE_AFTER:
                await until_gone(reader)
                return False
            case Deed.RESET_AFTER:
                reset(writer)
                return False
            case Deed.ERROR_AFTER:
                return await _say(self._answer_of(deed, entry.operation), request, writer)
            case Deed.SLOW:
                await script.clock.sleep(script.slow_s)
            case Deed.TRICKLE:
                for byte in _bytes(reply, request):
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await script.clock.sleep(_TRICKLE_S)
                return False
            case Deed.MALFORMED:
                reply = replace(reply, body=script.garbled(reply.body))
            case Deed.WRONG_OBJECT:
                headers = [(k, script.swapped(v.encode()).decode()) for k, v in reply.headers]
                reply = replace(reply, headers=headers, body=script.swapped(reply.body))
            case _:
                pass
        return await _give(reply, request, writer)

    def _begin_late(self, entry: Entry, request: Request, reader: asyncio.StreamReader) -> None:
        async def later() -> None:
            while not reader.at_eof() and reader.exception() is None:
                await self.script.clock.sleep(0.02)
            await self.script.clock.sleep(self.script.late_s)
            await self._forward(entry, request)

        task = asyncio.create_task(later())
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _forward(self, entry: Entry, request: Request) -> _Reply:
        entry.forwarded += 1
        tls = None
        if self._upstream.is_tls:
            tls = ssl.create_default_context()
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection(
            self._upstream.host, self._upstream.port, ssl=tls, limit=HEAD_LIMIT
        )
        try:
            if request.header("upgrade"):
                return await _upgraded(reader, writer, request)
            kept = [(name, value) for name, value in request.headers if name.lower() not in _OWN]
            kept += [("Content-Length", str(len(request.body))), ("Connection", "close")]
            head = packed(f"{request.method} {request.target} HTTP/1.1", kept)
            writer.write(head + request.body)
            await writer.drain()
            return await _read_reply(reader, request.method)
        finally:
            writer.transport.abort()


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    try:
        start, headers = await read_head(reader)
    except asyncio.IncompleteReadError:
        return None
    method, target, _ = start.split(" ", 2)
    if has(headers, "expect", "100-continue"):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
    if has(headers, "transfer-encoding", "chunked"):
        body = await read_chunks(reader)
    else:
        body = await reader.readexactly(length(headers) or 0)
    return Request(method=method, target=target, headers=headers, body=body)


async def _upgraded(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request
) -> _Reply:
    """All that the other side says after the switch, until it falls silent: enough for an exec."""
    writer.write(packed(f"{request.method} {request.target} HTTP/1.1", request.headers))
    await writer.drain()
    start, headers = await read_head(reader)
    if start.split(maxsplit=2)[1] != "101":
        return _Reply(start=start, headers=headers, body=await reader.read())
    said = b""
    while True:
        try:
            async with asyncio.timeout(_SILENCE_S):
                piece = await reader.read(HEAD_LIMIT)
        except TimeoutError:
            break
        if not piece:
            break
        said += piece
    return _Reply(start=start, headers=headers, body=said, is_upgrade=True)


async def _read_reply(reader: asyncio.StreamReader, method: str) -> _Reply:
    start, headers = await read_head(reader)
    while start.split(maxsplit=2)[1].startswith("1"):
        start, headers = await read_head(reader)
    size = length(headers)
    if method == "HEAD" or start.split(maxsplit=2)[1] in {"204", "304"}:
        body = b""
    elif has(headers, "transfer-encoding", "chunked"):
        body = await read_chunks(reader)
    elif size is not None:
        body = await reader.readexactly(size)
    else:
        body = await reader.read()
    if len(start.split(maxsplit=2)) < 2:
        raise Malformed
    return _Reply(start=start, headers=headers, body=body)


def _bytes(reply: _Reply, request: Request) -> bytes:
    if reply.is_upgrade:
        return packed(reply.start, reply.headers) + reply.body
    keeps = [(name, value) for name, value in reply.headers if name.lower() not in _OWN]
    size = str(len(reply.body))
    if request.method == "HEAD":  # its own, about a body that is not sent
        size = next((v for n, v in reply.headers if n.lower() == "content-length"), "0")
    kept = [*keeps, ("Content-Length", size)]
    return packed(reply.start, kept) + (b"" if request.method == "HEAD" else reply.body)


async def _give(reply: _Reply, request: Request, writer: asyncio.StreamWriter) -> bool:
    writer.write(_bytes(reply, request))
    await writer.drain()
    return True


async def _say(answer: Answer, request: Request, writer: asyncio.StreamWriter) -> bool:
    phrases = {status.value: status.phrase for status in HTTPStatus}
    start = f"HTTP/1.1 {answer.status} {phrases.get(answer.status, 'Said')}"
    reply = _Reply(start=start, headers=list(answer.headers.items()), body=answer.body)
    return await _give(reply, request, writer)
