"""A listener that refuses, or drops the first packet of, connections for a while; and resets."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Final

from drctl.lab.faults.rules import ALWAYS, Deed, Rule, Script

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_NO_LINGER: Final = struct.pack("ii", 1, 0)  # close() then sends a reset instead of a goodbye
_HEALS_AFTER_S: Final = 0.7
"""How long a connection fault of one time lasts: longer than any client's first attempt."""


class Listener:
    """One address; what a rule says about connections happens here."""

    def __init__(self, host: str, script: Script, serve: Serve, *, limit: int = 2**20) -> None:
        self._host = host
        self._script = script
        self._serve = serve
        self._limit = limit
        self._tls: object = None
        self._socket = socket.socket()
        self._fillers: list[socket.socket] = []
        self._server: asyncio.Server | None = None
        self._healing: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def start(self, *, tls: object = None) -> int:
        """
        Binds, and begins to listen as the rules say.

        Returns:
            The port.
        """
        self._tls = tls
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((self._host, 0))
        self.port = self._socket.getsockname()[1]
        rule = self._script.listener()
        if rule is None:
            await self._open()
            return self.port
        if rule.deed is Deed.CONNECT_TIMEOUT:
            self._fill()
        if rule.times < ALWAYS:
            self._healing = asyncio.create_task(self._heal(rule))
        return self.port

    async def stop(self) -> None:
        """Closes everything."""
        if self._healing is not None:
            self._healing.cancel()
        if self._server is not None:
            self._server.close()
        for filler in self._fillers:
            filler.close()
        self._socket.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _fill(self) -> None:
        """Fills the queue of a listening socket that nobody accepts from: then packets drop."""
        self._socket.listen(0)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)  # noqa: FBT003  the socket module's own signature
            with contextlib.suppress(BlockingIOError):
                filler.connect((self._host, self.port))
            self._fillers.append(filler)

    async def _heal(self, rule: Rule) -> None:
        await self._script.clock.sleep(_HEALS_AFTER_S)
        if rule.deed is Deed.CONNECT_TIMEOUT:
            for filler in self._fillers:
                filler.close()
        await self._open()

    async def _open(self) -> None:
        self._server = await asyncio.start_server(
            self._begin,
            sock=self._socket,
            limit=self._limit,
            backlog=128,
            ssl=self._tls,
        )

    async def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        this = asyncio.current_task()
        assert this is not None  # noqa: S101  for the type checker: this is a coroutine
        self._tasks.add(this)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(this)
            writer.transport.abort()


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection with a reset."""
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:  # else the client was quicker
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()


async def until_gone(reader: asyncio.StreamReader) -> None:
    """Reads, and forgets, what the client still says, until it has left."""
    with contextlib.suppress(OSError):
        while await reader.read(65536):
            pass
