"""
A TCP relay process that stands for the network in front of a server.

``python -m drctl.lab.relay --listen IP:PORT --upstream IP:PORT [--mode M] [--name N]``
(``--exit-with-parent`` to end with whoever holds stdin)

It is told what to do by JSON lines on stdin and answers each with one on stdout:

- ``{"mode": "open"}``: connections pass.
- ``{"mode": "deny"}``: new ones are never answered, as a security group drops packets; established
  ones go on, as AWS's connection tracking lets them.
- ``{"mode": "refuse"}``: new ones are refused by the kernel, as a host without a server does.
- ``{"mode": "blackhole"}``: nothing moves, for new or established ones, and nobody is told.
- ``{"cut": true}``: established ones are reset.

Otherwise the end of stdin changes nothing, because a network outlives those who configure it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import struct
import threading
from collections.abc import Callable
from typing import Final, Literal, get_args

Mode = Literal["open", "deny", "refuse", "blackhole"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)

_CHUNK: Final = 65536
_BACKLOG: Final = 128
_CONNECT_WITHIN_S: Final = 10.0
_NO_LINGER: Final = struct.pack("ii", 1, 0)  # close() then sends a reset instead of a goodbye

Address = tuple[str, int]


class RelayServer:
    """Relays connections as its mode says."""

    def __init__(self, listen: Address, upstream: Address) -> None:
        self._listen = listen
        self._upstream = upstream
        self._mode: Mode = "open"
        self._changed = asyncio.Event()
        self._waiting: set[asyncio.Event] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._established: dict[asyncio.Task[None], tuple[socket.socket, socket.socket]] = {}
        self._accepting: asyncio.Task[None] | None = None

    async def obey(self, command: dict[str, object]) -> dict[str, object]:
        """
        Carries out one command.

        Args:
            command: As the module's first lines say.

        Returns:
            The answer: ``ok`` with the mode that holds, or ``error``.
        """
        if command.get("cut") is True:
            return {"ok": True, "mode": self._mode, "cut": self._cut()}
        for mode in MODES:
            if command == {"mode": mode}:
                await self.set_mode(mode)
                return {"ok": True, "mode": mode}
        return {"ok": False, "error": f"not a command: {json.dumps(command)}"}

    async def set_mode(self, mode: Mode) -> None:
        """Changes what happens to connections, from now on."""
        self._mode = mode
        if mode == "refuse":
            await self._stop_accepting()
        elif self._accepting is None:
            self._accepting = asyncio.create_task(self._accept(self._listener()))
        self._changed.set()
        self._changed = asyncio.Event()
        for wake in self._waiting:
            wake.set()

    def _listener(self) -> socket.socket:
        listener = socket.create_server(self._listen, backlog=_BACKLOG)
        listener.setblocking(False)  # noqa: FBT003  the socket module's own signature
        return listener

    async def _stop_accepting(self) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._accepting
            self._accepting = None

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        knock = asyncio.Event()
        with listener:
            while True:
                # Not sock_accept: a mode that changes between its accept and our turn would leave
                # a connection that nobody holds.
                loop.add_reader(listener, knock.set)
                try:
                    await knock.wait()
                finally:
                    loop.remove_reader(listener)
                knock.clear()
                try:
                    client, _ = listener.accept()
                except (BlockingIOError, ConnectionAbortedError):
                    continue
                client.setblocking(False)  # noqa: FBT003  the socket module's own signature
                task = asyncio.create_task(self._serve(client))
                self._tasks.add(task)
                task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._established.pop(task, None)

    async def _serve(self, client: socket.socket) -> None:
        upstream = socket.socket()
        upstream.setblocking(False)  # noqa: FBT003  the socket module's own signature
        with client, upstream:
            try:
                head = await self._admitted(client)
                if head is not None:
                    await self._join(client, upstream, head)
            except* (OSError, TimeoutError):
                # A reset on one side is one on the other, once packets move again.
                await self._moving()
                _reset_on_close(client)
                _reset_on_close(upstream)

    async def _join(self, client: socket.socket, upstream: socket.socket, head: bytes) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_CONNECT_WITHIN_S):
            await loop.sock_connect(upstream, self._upstream)
        for side in (client, upstream):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        this = asyncio.current_task()
        assert this is not None  # noqa: S101  for the type checker: this is a coroutine
        self._established[this] = (client, upstream)
        await loop.sock_sendall(upstream, head)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._pump(client, upstream))
            both.create_task(self._pump(upstream, client))

    async def _admitted(self, client: socket.socket) -> bytes | None:
        # What the client says while it is not let in is kept, so that its leaving can be seen
        # behind it; a socket that nobody reads would stay for ever.
        head = bytearray()
        wake = asyncio.Event()
        wake.set()
        loop = asyncio.get_running_loop()
        loop.add_reader(client, wake.set)
        self._waiting.add(wake)
        try:
            while self._mode != "open":
                await wake.wait()
                wake.clear()
                with contextlib.suppress(BlockingIOError):
                    chunk = client.recv(_CHUNK)
                    if not chunk:
                        return None
                    head += chunk
        finally:
            self._waiting.discard(wake)
            loop.remove_reader(client)
        return bytes(head)

    async def _pump(self, source: socket.socket, target: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._moving()
            data = await loop.sock_recv(source, _CHUNK)
            await self._moving()
            if not data:
                target.shutdown(socket.SHUT_WR)
                return
            await loop.sock_sendall(target, data)

    async def _moving(self) -> None:
        while self._mode == "blackhole":
            await self._changed.wait()

    def _cut(self) -> int:
        cut = dict(self._established)
        for task, pair in cut.items():
            for side in pair:
                _reset_on_close(side)
            task.cancel()
        return len(cut)


def _reset_on_close(side: socket.socket) -> None:
    with contextlib.suppress(OSError):
        side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)


async def _run(listen: Address, upstream: Address, *, mode: Mode, exit_with_parent: bool) -> None:
    server = RelayServer(listen, upstream)
    await server.set_mode(mode)
    _say({"ok": True, "mode": mode})
    lines: asyncio.Queue[bytes | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    # A thread, because asyncio cannot wait for every kind of file that stdin may be.
    threading.Thread(
        target=_read_lines,
        args=(lambda line: loop.call_soon_threadsafe(lines.put_nowait, line),),
        daemon=True,
    ).start()
    while (line := await lines.get()) is not None:
        try:
            command = json.loads(line)
        except ValueError:
            command = None
        if isinstance(command, dict):
            _say(await server.obey(command))
        else:
            _say({"ok": False, "error": f"not a JSON object: {line!r}"})
    if not exit_with_parent:
        await asyncio.Event().wait()


def _read_lines(take: Callable[[bytes | None], object]) -> None:
    rest = b""
    # The bare descriptor: a buffered reader's lock would stop the interpreter from exiting.
    while chunk := os.read(0, _CHUNK):
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            take(line)
    take(None)


def _say(answer: dict[str, object]) -> None:
    # Whoever asked may be dead by now; the network goes on without an audience.
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(answer).encode() + b"\n")


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise argparse.ArgumentTypeError(f"not IP:PORT: {text!r}")
    return host, int(port)


def main() -> None:
    """Runs the relay until it is killed."""
    parser = argparse.ArgumentParser(prog="drctl.lab.relay", description="A TCP relay.")
    parser.add_argument("--listen", type=_address, required=True, metavar="IP:PORT")
    parser.add_argument("--upstream", type=_address, required=True, metavar="IP:PORT")
    parser.add_argument("--mode", choices=MODES, default="open")
    parser.add_argument("--name", help="shown in the process list only")
    parser.add_argument("--exit-with-parent", action="store_true")
    given = parser.parse_args()
    asyncio.run(
        _run(
            given.listen,
            given.upstream,
            mode=given.mode,
            exit_with_parent=given.exit_with_parent,
        )
    )


if __name__ == "__main__":
    main()
