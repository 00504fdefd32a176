"""
The network in front of an API server, which can go dark.

A dead region does not refuse connections, it says nothing. So the listening socket stays: the
handshake of TCP is answered, the one of TLS is not, and connections that exist stop moving bytes in
both directions. When the network comes back, what was under way goes on, as after a healed
partition.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

_CHUNK = 65536


class Gate:
    """Passes TCP connections on to a protocol, unless it is shut."""

    def __init__(
        self,
        address: str,
        port: int,
        protocol: Callable[[], asyncio.BaseProtocol],
        tls: ssl.SSLContext,
    ) -> None:
        self._address = address
        self._port = port
        self._protocol = protocol
        self._tls = tls
        self._open = asyncio.Event()
        self._open.set()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """
        Begins to listen.

        Raises:
            OSError: The address is taken.
        """
        self._server = await asyncio.start_server(
            self._accept, self._address, self._port, start_serving=True
        )

    def set_open(self, is_open: bool) -> None:
        """Lets bytes through, or stops all of them at once."""
        if is_open:
            self._open.set()
        else:
            self._open.clear()

    async def stop(self) -> None:
        """Closes the port and every connection."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner: asyncio.StreamWriter | None = None
        try:
            await self._open.wait()
            ours, theirs = socket.socketpair()
            back, inner = await asyncio.open_connection(sock=ours)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._attach(theirs))
                group.create_task(self._pump(reader, inner))
                group.create_task(self._pump(back, writer))
        except* (OSError, ssl.SSLError):
            pass  # one side hung up, which is how connections end
        finally:
            for side in (writer, inner):
                if side is not None:
                    side.close()

    async def _attach(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with suppress(ssl.SSLError):  # a client that does not trust us says so and leaves
            await loop.connect_accepted_socket(self._protocol, connection, ssl=self._tls)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(_CHUNK):
            await self._open.wait()
            sink.write(data)
            await sink.drain()
        await self._open.wait()
        sink.close()
