"""
The HTTP side of a load balancer: it reads a request, picks a target and relays the answer.

A request is sent to a second target only when it is certain that the first never had it, or when
repeating it is harmless. A POST of which one byte may have left gets 502, never a second try: the
client that counts acknowledged writes must be able to trust every answer.
"""

import asyncio
import contextlib
from collections import defaultdict
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from drctl.lab.http_wire import (
    BODY_LIMIT,
    HEAD_LIMIT,
    Headers,
    Malformed,
    copy_body,
    has,
    length,
    packed,
    read_chunks,
    read_head,
)
from drctl.lab.targets import Targets

_CLIENT_IDLE_S: Final = 60.0
_CONNECT_S: Final = 2.0
_POOLED: Final = 16
_REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "upgrade", "transfer-encoding"}
)


class _NotSent(Exception):
    """The request has certainly not reached a target."""


class _Lost(Exception):
    """The request may have reached the target, and no answer came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    method: str
    target: str
    headers: Headers
    body: bytes
    keeps_alive: bool


@dataclass(slots=True)
class _Link:
    """A connection to a target."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Proxy:
    """Serves one listener."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._idle: dict[str, list[_Link]] = defaultdict(list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handles one client connection from its first request to its end."""
        try:
            while True:
                if not self._targets.config.is_open:
                    # As packets that are dropped: nobody is told anything.
                    async with asyncio.timeout(_CLIENT_IDLE_S):
                        await reader.read()
                    return
                async with asyncio.timeout(_CLIENT_IDLE_S):
                    request = await _read_request(reader)
                if request is None or not await self._answer(request, writer):
                    return
        except Malformed:
            with contextlib.suppress(OSError):
                _reply(writer, 400, is_head=False, keeps_alive=False)
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return  # the client went away, or sent what no answer helps
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, request: _Request, writer: asyncio.StreamWriter) -> bool:
        """Relays one request; tells whether the connection can carry another."""
        peer = writer.get_extra_info("peername")
        head = _head_for_target(request, str(peer[0]) if peer else "")
        is_head = request.method == "HEAD"
        code = 503
        for address in self._targets.in_turn():
            try:
                link = await self._sent(address, request, head)
                return await self._relay(address, link, request, writer)
            except _NotSent:
                code = 502
            except _Lost:
                code = 502
                if request.method not in _REPEATABLE:
                    break
            except TimeoutError:
                code = 504
                break
        _reply(writer, code, is_head=is_head, keeps_alive=request.keeps_alive)
        await writer.drain()
        return request.keeps_alive

    async def _sent(self, address: str, request: _Request, head: bytes) -> _Link:
        link = await self._link(address, may_reuse=request.method in _REPEATABLE)
        try:
            link.writer.write(head + request.body)
            await link.writer.drain()
        except OSError as error:
            link.writer.close()
            raise _Lost from error
        return link

    async def _link(self, address: str, *, may_reuse: bool) -> _Link:
        """A connection; a fresh one for requests that must not meet a target about to hang up."""
        idle = self._idle[address]
        while may_reuse and idle:
            link = idle.pop()
            if not link.reader.at_eof() and not link.writer.is_closing():
                return link
            link.writer.close()
        host, _, port = address.rpartition(":")
        try:
            async with asyncio.timeout(_CONNECT_S):
                return _Link(*await asyncio.open_connection(host, int(port), limit=HEAD_LIMIT))
        except (OSError, TimeoutError) as error:
            raise _NotSent from error

    async def _relay(
        self, address: str, link: _Link, request: _Request, writer: asyncio.StreamWriter
    ) -> bool:
        keeps_link = False
        has_begun = False
        try:
            async with asyncio.timeout(self._targets.config.idle_timeout_s):
                start, headers = await read_head(link.reader)
                while start.split(maxsplit=2)[1].startswith("1"):
                    start, headers = await read_head(link.reader)
            code = int(start.split(maxsplit=2)[1])
            size = length(headers)
            is_chunked = has(headers, "transfer-encoding", "chunked")
            is_empty = request.method == "HEAD" or code in {204, 304}
            is_framed = is_empty or is_chunked or size is not None
            keeps_client = request.keeps_alive and is_framed
            kept = [(name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP]
            if is_chunked:
                kept.append(("Transfer-Encoding", "chunked"))
            kept.append(("Connection", "keep-alive" if keeps_client else "close"))
            writer.write(packed(start, kept))
            has_begun = True
            if not is_empty:
                await copy_body(link.reader, writer, is_chunked=is_chunked, size=size)
            await writer.drain()
            keeps_link = is_framed and not has(headers, "connection", "close")
        except TimeoutError:
            if has_begun:
                return False
            raise
        except (
            OSError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
            ValueError,
            IndexError,
            Malformed,
        ) as error:
            if has_begun:
                return False  # half an answer is out; only hanging up tells the client
            raise _Lost from error
        else:
            return keeps_client
        finally:
            idle = self._idle[address]
            if keeps_link and len(idle) < _POOLED:
                idle.append(link)
            else:
                link.writer.close()


async def _read_request(reader: asyncio.StreamReader) -> _Request | None:
    try:
        start, headers = await read_head(reader)
    except asyncio.IncompleteReadError as ended:
        if ended.partial:
            raise
        return None
    parts = start.split()
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise Malformed
    keeps_alive = not has(headers, "connection", "close") and (
        parts[2] == "HTTP/1.1" or has(headers, "connection", "keep-alive")
    )
    body = b""
    if has(headers, "transfer-encoding", "chunked"):
        body = await read_chunks(reader)
    elif size := length(headers):
        if size > BODY_LIMIT:
            raise Malformed
        body = await reader.readexactly(size)
    return _Request(
        method=parts[0], target=parts[1], headers=headers, body=body, keeps_alive=keeps_alive
    )


def _head_for_target(request: _Request, client: str) -> bytes:
    before = next((v for n, v in request.headers if n.lower() == "x-forwarded-for"), "")
    own = {"x-forwarded-for", "x-forwarded-proto", "content-length", "expect"}
    headers = [(n, v) for n, v in request.headers if n.lower() not in _HOP_BY_HOP | own]
    headers.append(("X-Forwarded-For", f"{before}, {client}" if before else client))
    headers.append(("X-Forwarded-Proto", "http"))
    if request.body or request.method not in _REPEATABLE:
        headers.append(("Content-Length", str(len(request.body))))
    return packed(f"{request.method} {request.target} HTTP/1.1", headers)


def _reply(writer: asyncio.StreamWriter, code: int, *, is_head: bool, keeps_alive: bool) -> None:
    title = f"{code} {HTTPStatus(code).phrase}"
    body = f"<html>\r\n<head><title>{title}</title></head>\r\n<body>{title}</body>\r\n</html>\r\n"
    headers = [
        ("Server", "awselb/2.0"),
        ("Content-Type", "text/html"),
        ("Content-Length", str(len(body))),
        ("Connection", "keep-alive" if keeps_alive else "close"),
    ]
    writer.write(packed(f"HTTP/1.1 {title}", headers) + (b"" if is_head else body.encode()))
