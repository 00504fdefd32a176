"""
Redis' protocol (RESP 2) through the faulty network, without TLS.

A command is one operation, named by its first word, or two where the first is a container:
``redis:SET``, ``redis:SENTINEL FAILOVER``. The client asks one thing at a time, so a reply belongs
to the command before it.
"""

import asyncio
from typing import Final

from drctl.lab.faults.listen import Listener, reset, until_gone
from drctl.lab.faults.rules import Deed, Entry, Script

_CONTAINERS: Final = {"SENTINEL", "CLIENT", "CONFIG"}
_REFUSALS: Final[dict[Deed, bytes]] = {
    Deed.THROTTLED: b"-ERR max number of clients reached\r\n",
    Deed.ERROR_503: b"-LOADING Redis is loading the dataset in memory\r\n",
    Deed.ERROR_500: b"-ERR made by the fault proxy\r\n",
    Deed.EXPIRED: b"-NOAUTH Authentication required.\r\n",
}
_TRICKLE_S: Final = 0.4
_CARRIED_OUT_S: Final = 0.2


class RedisFaultProxy:
    """Serves one listener in front of one server or sentinel."""

    def __init__(self, upstream: tuple[str, int], script: Script) -> None:
        self._upstream = upstream
        self._last: dict[str, bytes] = {}
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
        server_in, server_out = await asyncio.open_connection(*self._upstream)
        keeps = False
        try:
            while True:
                words, raw = await _command(reader)
                name = _name(words)
                entry = self.script.meet(name)
                server = (server_in, server_out)
                if not await self._carry(entry, raw, server, reader, writer):
                    keeps = entry.deed is Deed.LATE
                    return
        finally:
            if not keeps:
                server_out.close()

    async def _carry(
        self,
        entry: Entry,
        raw: bytes,
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Does what is due; tells whether the connection can carry another command."""
        deed = entry.deed
        if deed in {Deed.BLACKHOLE_BEFORE, Deed.LATE}:
            if deed is Deed.LATE:
                self._begin_late(entry, raw, server, reader)
            await until_gone(reader)
            return False
        if deed is Deed.RESET_BEFORE:
            reset(writer)
            return False
        if deed in _REFUSALS:
            return await _say(writer, _REFUSALS[deed])
        before = self._last.get(entry.operation)
        reply = await self._forward(entry, raw, server)
        if deed is Deed.DUPLICATE:
            reply = await self._forward(entry, raw, server)
        self._last[entry.operation] = reply
        return await self._answer(deed, reply, before, reader, writer)

    async def _answer(
        self,
        deed: Deed | None,
        reply: bytes,
        before: bytes | None,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        match deed:
            case Deed.BLACKHOLE_AFTER:
                await until_gone(reader)
                return False
            case Deed.RESET_AFTER:
                reset(writer)
                return False
            case Deed.ERROR_AFTER:
                # There is no error reply after an effect in this protocol: the server just leaves.
                return False
            case Deed.SLOW:
                await self.script.clock.sleep(self.script.slow_s)
            case Deed.TRICKLE:
                for byte in reply:
                    writer.write(bytes([byte]))
                    await self.script.clock.sleep(_TRICKLE_S)
                return True
            case Deed.MALFORMED:
                await _say(writer, self.script.garbled(b"!!" + reply))
                return False
            case Deed.WRONG_OBJECT:
                reply = self.script.swapped(reply)
            case Deed.STALE if before is not None:
                reply = before
            case _:
                pass
        return await _say(writer, reply)

    async def _forward(
        self, entry: Entry, raw: bytes, server: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    ) -> bytes:
        entry.forwarded += 1
        server[1].write(raw)
        await server[1].drain()
        return await _reply(server[0])

    def _begin_late(
        self,
        entry: Entry,
        raw: bytes,
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        reader: asyncio.StreamReader,
    ) -> None:
        async def later() -> None:
            while not reader.at_eof() and reader.exception() is None:
                await self.script.clock.sleep(0.02)
            await self.script.clock.sleep(self.script.late_s)
            await self._forward(entry, raw, server)
            await self.script.clock.sleep(_CARRIED_OUT_S)
            server[1].close()

        task = asyncio.create_task(later())
        self._late.add(task)
        task.add_done_callback(self._late.discard)


def _name(words: list[str]) -> str:
    first = words[0].upper()
    return f"redis:{first} {words[1].upper()}" if first in _CONTAINERS else f"redis:{first}"


async def _say(writer: asyncio.StreamWriter, said: bytes) -> bool:
    writer.write(said)
    await writer.drain()
    return True


async def _command(reader: asyncio.StreamReader) -> tuple[list[str], bytes]:
    """One command, as words and as it came."""
    head = await reader.readuntil(b"\r\n")
    raw, words = head, []
    for _ in range(int(head[1:])):
        size = await reader.readuntil(b"\r\n")
        word = await reader.readexactly(int(size[1:]) + 2)
        raw += size + word
        words.append(word[:-2].decode("utf-8", "replace"))
    return words, raw


async def _reply(reader: asyncio.StreamReader) -> bytes:
    """One reply, however deep, as it came."""
    head = await reader.readuntil(b"\r\n")
    kind, count = head[:1], head[1:-2]
    if kind == b"$" and int(count) >= 0:
        return head + await reader.readexactly(int(count) + 2)
    if kind == b"*":
        for _ in range(max(0, int(count))):
            head += await _reply(reader)
    return head
