"""
PostgreSQL's protocol through the faulty network, without TLS.

A statement is one operation, named by the first pattern that finds something in its text. A fault
befalls it at the moment it would be executed (``Query``, or ``Execute`` of what was parsed before),
so that "before" and "after the effect" mean what they say.
"""

import asyncio
import contextlib
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from drctl.lab.faults.listen import Listener, reset, until_gone
from drctl.lab.faults.rules import Deed, Entry, Script

Names: TypeAlias = Sequence[tuple[str, re.Pattern[str]]]
"""Operation name and what its statement looks like; first match wins."""

STARTUP: Final = "sql:connect"
_MESSAGES: Final[dict[Deed, tuple[str, str]]] = {
    Deed.THROTTLED: ("53300", "sorry, too many clients already"),
    Deed.ERROR_503: ("57P03", "the database system is starting up"),
    Deed.ERROR_500: ("XX000", "made by the fault proxy"),
    Deed.EXPIRED: ("28P01", "password authentication failed"),
}
_ERROR_AFTER: Final = ("08006", "made by the fault proxy: connection failure")
_CANCEL: Final = 80877102
_TRICKLE_S: Final = 0.4
_PARTS: Final = frozenset(b"BEDCH")
"""Messages of the extended protocol that come between a parsed statement and its Sync."""


@dataclass(slots=True, kw_only=True)
class _Session:
    """One client's connection and ours to the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server_in: asyncio.StreamReader
    server_out: asyncio.StreamWriter
    parsed: dict[bytes, str] = field(default_factory=dict)
    """Prepared statement's name to its operation."""
    portals: dict[bytes, str] = field(default_factory=dict)
    is_mute: bool = False
    """What the server says is dropped."""
    is_slow: bool = False
    swaps: bool = False


class PostgresFaultProxy:
    """Serves one listener in front of one server."""

    def __init__(
        self,
        upstream: tuple[str, int],
        script: Script,
        *,
        names: Names,
        other: tuple[str, int] | None = None,
    ) -> None:
        """
        Args:
            other: A server of another system, which `Deed.WRONG_OBJECT` of `STARTUP` leads to.
        """
        self._upstream = upstream
        self._other = other
        self._names = names
        self._late: set[asyncio.Task[None]] = set()
        self._listener: Listener | None = None
        self.script = script

    async def start(self, host: str) -> int:
        """Listens on *host*; returns the port."""
        self._listener = Listener(host, self.script, self._serve)
        return await self._listener.start()

    async def quiet(self) -> None:
        """Waits until nothing is left that would still arrive late."""
        while self._late:
            await asyncio.gather(*self._late, return_exceptions=True)

    async def stop(self) -> None:
        """Hangs up on everybody."""
        if self._listener is not None:
            await self._listener.stop()
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await _startup(reader)
        if struct.unpack("!I", first[4:8])[0] == _CANCEL:
            await self._cancel(first)
            return
        entry = self.script.meet(STARTUP)
        upstream = self._upstream
        match entry.deed:
            case Deed.BLACKHOLE_BEFORE | Deed.SLOW | Deed.TRICKLE | Deed.LATE:
                await until_gone(reader)
                return
            case Deed.RESET_BEFORE:
                reset(writer)
                return
            case Deed.THROTTLED | Deed.ERROR_503 | Deed.ERROR_500 | Deed.EXPIRED as deed:
                writer.write(_error(*_MESSAGES[deed], severity="FATAL"))
                await writer.drain()
                return
            case Deed.MALFORMED:
                writer.write(self.script.garbled(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
                await writer.drain()
                return
            case Deed.WRONG_OBJECT if self._other is not None:
                upstream = self._other
            case _:
                pass
        server_in, server_out = await asyncio.open_connection(*upstream)
        entry.forwarded += 1
        server_out.write(first)
        session = _Session(reader=reader, writer=writer, server_in=server_in, server_out=server_out)
        if entry.deed in {Deed.BLACKHOLE_AFTER, Deed.RESET_AFTER, Deed.ERROR_AFTER}:
            await server_in.read(1)
            if entry.deed is Deed.BLACKHOLE_AFTER:
                await until_gone(reader)
            else:
                reset(writer)
            server_out.transport.abort()
            return
        await self._talk(session)

    async def _talk(self, session: _Session) -> None:
        back = asyncio.create_task(self._back(session))
        keeps = False
        try:
            keeps = await self._forth(session)
        finally:
            if not keeps:
                back.cancel()
                await asyncio.gather(back, return_exceptions=True)
                with contextlib.suppress(OSError):
                    session.server_out.close()

    async def _cancel(self, first: bytes) -> None:
        _, server_out = await asyncio.open_connection(*self._upstream)
        server_out.write(first)
        await server_out.drain()
        server_out.close()

    async def _back(self, session: _Session) -> None:
        """Hands on what the server says."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while piece := await session.server_in.read(65536):
                if session.is_mute:
                    continue
                if session.swaps:
                    piece = self.script.swapped(piece)
                if session.is_slow:
                    for byte in piece:
                        session.writer.write(bytes([byte]))
                        await self.script.clock.sleep(_TRICKLE_S)
                session.writer.write(piece)
                await session.writer.drain()
        if not session.is_mute:
            session.writer.close()

    async def _forth(self, session: _Session) -> bool:
        """Hands on what the client says; true when what is left is done by somebody else."""
        while True:
            kind, whole = await _message(session.reader)
            if kind == b"P":
                name, _, rest = whole[5:].partition(b"\0")
                session.parsed[name] = self._name(rest.partition(b"\0")[0].decode())
            elif kind == b"B":
                portal, _, rest = whole[5:].partition(b"\0")
                session.portals[portal] = session.parsed.get(rest.partition(b"\0")[0], "sql:other")
                executes = await _until_sync(session.reader)
                operation = session.portals[portal]
                if not await self._execute(session, operation, whole + executes):
                    return session.is_mute and bool(self._late)
                continue
            elif kind == b"Q":
                operation = self._name(whole[5:-1].decode())
                if not await self._execute(session, operation, whole):
                    return session.is_mute and bool(self._late)
                continue
            session.server_out.write(whole)
            await session.server_out.drain()

    def _name(self, text: str) -> str:
        found = (name for name, form in self._names if form.search(text))
        return next(found, "sql:other")

    async def _execute(self, session: _Session, operation: str, message: bytes) -> bool:
        """Executes, or does not; false when the session is over."""
        entry = self.script.meet(operation)
        deed = entry.deed
        match deed:
            case Deed.BLACKHOLE_BEFORE:
                session.is_mute = True
                await until_gone(session.reader)
                return False
            case Deed.LATE:
                self._begin_late(session, entry, message)
                await until_gone(session.reader)
                return False
            case Deed.RESET_BEFORE:
                session.is_mute = True
                reset(session.writer)
                return False
            case Deed.THROTTLED | Deed.ERROR_503 | Deed.ERROR_500 | Deed.EXPIRED:
                session.writer.write(_error(*_MESSAGES[deed], severity="FATAL"))
                session.is_mute = True
                await session.writer.drain()
                session.writer.close()
                return False
            case _:
                pass
        session.is_mute = deed in {
            Deed.BLACKHOLE_AFTER,
            Deed.RESET_AFTER,
            Deed.ERROR_AFTER,
            Deed.SLOW,
            Deed.MALFORMED,
        }
        session.is_slow = deed is Deed.TRICKLE
        session.swaps = deed is Deed.WRONG_OBJECT
        entry.forwarded += 1
        session.server_out.write(message)
        await session.server_out.drain()
        if not session.is_mute:
            return True
        return await self._swallowed(session, deed)

    async def _swallowed(self, session: _Session, deed: Deed | None) -> bool:
        if deed in {Deed.BLACKHOLE_AFTER, Deed.SLOW}:
            await until_gone(session.reader)
            return False
        await self.script.clock.sleep(0.3)  # long enough to be carried out
        if deed is Deed.RESET_AFTER:
            reset(session.writer)
            return False
        said = _error(*_ERROR_AFTER, severity="FATAL")
        session.writer.write(self.script.garbled(said * 4) if deed is Deed.MALFORMED else said)
        await session.writer.drain()
        session.writer.close()
        return False

    def _begin_late(self, session: _Session, entry: Entry, message: bytes) -> None:
        async def later() -> None:
            while not session.reader.at_eof() and session.reader.exception() is None:
                await self.script.clock.sleep(0.02)
            await self.script.clock.sleep(self.script.late_s)
            entry.forwarded += 1
            session.server_out.write(message)
            await session.server_out.drain()
            await self.script.clock.sleep(0.5)
            session.server_out.close()

        session.is_mute = True
        task = asyncio.create_task(later())
        self._late.add(task)
        task.add_done_callback(self._late.discard)


async def _startup(reader: asyncio.StreamReader) -> bytes:
    size = await reader.readexactly(4)
    return size + await reader.readexactly(struct.unpack("!I", size)[0] - 4)


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    body = await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)
    return head[:1], head + body


async def _until_sync(reader: asyncio.StreamReader) -> bytes:
    """What belongs to a Bind: its Execute, and the Sync or Flush after which the client waits."""
    said = b""
    while True:
        kind, whole = await _message(reader)
        said += whole
        if kind in {b"S", b"H"}:
            return said


def _error(state: str, message: str, *, severity: str) -> bytes:
    fields = f"S{severity}\0V{severity}\0C{state}\0M{message}\0\0".encode()
    return b"E" + struct.pack("!I", len(fields) + 4) + fields
