"""Where a client's write ends, on real servers: what the service says of itself is not asked."""

import asyncio
import contextlib
import json

import pytest

from drctl.actions.contract import Done, NotDone
from drctl.actions.errors import Rejected
from drctl.adapters._one_primary import ProofParams
from drctl.adapters.postgres.clients import AssertClientsWrite, ClientsParams
from drctl.adapters.postgres.fence import Fence, FenceParams
from drctl.adapters.postgres.only import AssertOnly

from .conftest import DATABASE, EAST, WEST_2, client, context, target

pytestmark = pytest.mark.asyncio(loop_scope="session")


@contextlib.asynccontextmanager
async def service(address):
    """Takes a customer's row and writes it to the server at *address*; ``None``: answers 503."""

    async def answer(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.splitlines()
            if line.lower().startswith(b"content-length:")
        )
        row = json.loads(await reader.readexactly(length))["id"]
        status = 503
        if address is not None:
            with contextlib.suppress(OSError, Exception):
                session = await client(address)
                await session.execute("INSERT INTO pipelines VALUES ($1)", row)
                await session.close()
                status = 201
        said = f"HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        writer.write(said.encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.150.0.96", 0)
    async with server:
        yield f"http://127.150.0.96:{server.sockets[0].getsockname()[1]}/api/v1/pipelines"


def at(url, **fields):
    return target(client_path={"url": url, "table": "pipelines", "column": "id"}, **fields)


@pytest.fixture
async def promoted(pair):
    """A second primary, as after a failover whose fence has not been seen to."""
    server = await pair.another_standby()
    await server.query_as_superuser("SELECT pg_promote()")
    yield server
    await server.kill()


async def test_a_client_s_write_is_found_in_this_database_or_it_is_none(pair, promoted):
    action, params = AssertClientsWrite(), ClientsParams()
    async with service(EAST) as url:
        found = await action.perform(context(key="k1"), at(url), params)
        assert (found.row, found.status, found.timeline) == ("drctl-synthetic-k1", 201, 1)
        assert isinstance(await action.settled(context(key="k1"), at(url), params), Done)
        assert isinstance(await action.settled(context(key="k2"), at(url), params), NotDone)
    async with service(WEST_2) as url:
        with pytest.raises(Rejected, match="clients write somewhere else"):
            await action.perform(context(key="k3"), at(url), params)
    async with service(None) as url:
        with pytest.raises(Rejected, match="answered 503"):
            await action.perform(context(key="k4"), at(url), params)


async def test_there_is_one_primary_only_when_the_old_one_refuses_everybody(pair, promoted):
    action = AssertOnly()
    params = ProofParams(new_primary=WEST_2[0], port=WEST_2[1], watch="1s")
    async with service(WEST_2) as url, service(EAST) as old_door:
        old = at(url, client_write_urls=[old_door])
        with pytest.raises(Rejected, match="the old primary takes writes"):
            await action.perform(context(key="k5"), old, params)

        await Fence().perform(context(), old, FenceParams())
        proven = await action.perform(context(key="k6"), old, params)
        assert (proven.durable, proven.timeline, len(proven.proof)) == (True, 2, 2)
        [row] = await promoted.query_as_superuser(
            "SELECT id FROM pipelines WHERE id = $1", "drctl-one-k6", database=DATABASE
        )
        assert row[0] == proven.row

    # Clients that are still led to the old side have no new primary, whatever it says of itself.
    async with service(None) as url, service(EAST) as old_door:
        with pytest.raises(Rejected, match="clients cannot write"):
            await action.perform(context(key="k7"), at(url, client_write_urls=[old_door]), params)
