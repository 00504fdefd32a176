"""A relay process does to TCP what networks do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from drctl.lab.children import is_alive, pid_file
from drctl.lab.plan import AddressPlan
from drctl.lab.relay_handle import Relay, RelayGoneError

from .conftest import NET

PLAN = AddressPlan(NET)
LISTEN, UPSTREAM = PLAN.rds_endpoint("us-east-1", 90), PLAN.rds_backend("us-east-1", 90)
NOT_SOON = 0.3


@asynccontextmanager
async def echo_server() -> AsyncIterator[None]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1024):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, *UPSTREAM)
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def relay(root: Path) -> AsyncIterator[Relay]:
    running = Relay(name="relay-test", listen=LISTEN, upstream=UPSTREAM, root=root)
    await running.start()
    try:
        yield running
    finally:
        await running.kill()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def connect(cls) -> Client:
        return cls(*await asyncio.open_connection(*LISTEN))

    async def echo(self, text: bytes) -> bytes:
        self._writer.write(text)
        return await self.read()

    async def read(self) -> bytes:
        return await self._reader.read(1024)

    async def hears_nothing(self, text: bytes) -> bool:
        self._writer.write(text)
        try:
            await asyncio.wait_for(self._reader.read(1024), NOT_SOON)
        except TimeoutError:
            return True
        return False

    async def close(self) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


async def test_open_passes_both_ways_and_passes_the_end_on(tmp_path: Path) -> None:
    async with echo_server(), relay(tmp_path):
        client = await Client.connect()
        assert await client.echo(b"hello") == b"hello"
        client._writer.write_eof()
        assert await client.read() == b""
        await client.close()


async def test_deny_answers_no_new_one_and_keeps_the_established(tmp_path: Path) -> None:
    async with echo_server(), relay(tmp_path) as network:
        old = await Client.connect()
        assert await old.echo(b"before") == b"before"
        await network.set_mode("deny")
        new = await Client.connect()
        assert await new.hears_nothing(b"knock")
        assert await old.echo(b"after") == b"after"
        await network.set_mode("open")
        assert await new.read() == b"knock"
        await old.close()
        await new.close()


async def test_a_denied_client_that_left_is_not_let_in_later(tmp_path: Path) -> None:
    async with echo_server(), relay(tmp_path) as network:
        await network.set_mode("deny")
        gone = await Client.connect()
        assert await gone.hears_nothing(b"knock")
        await gone.close()
        await network.set_mode("open")
        assert await network.cut() == 0


async def test_blackhole_stalls_everything_and_loses_nothing(tmp_path: Path) -> None:
    async with echo_server(), relay(tmp_path) as network:
        old = await Client.connect()
        assert await old.echo(b"before") == b"before"
        await network.set_mode("blackhole")
        assert await old.hears_nothing(b"during")
        new = await Client.connect()
        assert await new.hears_nothing(b"knock")
        await network.set_mode("open")
        assert await old.read() == b"during"
        assert await new.read() == b"knock"
        await old.close()
        await new.close()


async def test_a_black_hole_does_not_tell_that_the_other_side_died(tmp_path: Path) -> None:
    async with relay(tmp_path) as network:
        async with echo_server():
            old = await Client.connect()
            assert await old.echo(b"before") == b"before"
            await network.set_mode("blackhole")
            assert await old.hears_nothing(b"during")
            await network.cut()
            with pytest.raises(ConnectionResetError):
                await old.read()
        await old.close()


async def test_refuse_is_the_kernels_refusal(tmp_path: Path) -> None:
    async with echo_server(), relay(tmp_path) as network:
        await network.set_mode("refuse")
        with pytest.raises(ConnectionRefusedError):
            await Client.connect()
        await network.set_mode("open")
        client = await Client.connect()
        assert await client.echo(b"again") == b"again"
        await client.close()


async def test_a_dead_upstream_is_a_reset(tmp_path: Path) -> None:
    async with relay(tmp_path):
        # It may come before connecting has been reported, or at the first bytes.
        with pytest.raises(ConnectionResetError):
            await (await Client.connect()).echo(b"anyone")


async def test_cut_resets_the_established(tmp_path: Path) -> None:
    async with echo_server(), relay(tmp_path) as network:
        client = await Client.connect()
        assert await client.echo(b"before") == b"before"
        assert await network.cut() == 1
        with pytest.raises(ConnectionResetError):
            await client.read()
        await client.close()


async def test_a_killed_relay_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    async with relay(tmp_path) as network:
        pid = int(pid_file(tmp_path, network.name).read_text().split()[0])
        assert is_alive(pid)
        await network.kill()
        assert not is_alive(pid)
        assert not pid_file(tmp_path, network.name).exists()
        with pytest.raises(ConnectionRefusedError):
            await Client.connect()
        with pytest.raises(RelayGoneError):
            await network.set_mode("open")
