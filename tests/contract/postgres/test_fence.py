"""The fence against a real primary with clients that do not want to go."""

import asyncio
import contextlib
from dataclasses import replace

import asyncpg
import pytest
import pytest_asyncio

from drctl.actions.contract import CannotTell, Change, Done, NotDone, Nothing
from drctl.actions.errors import AuthRejected, Conflict, Rejected
from drctl.adapters import _witness
from drctl.adapters.postgres import gate
from drctl.adapters.postgres.fence import Fence, FenceParams
from drctl.adapters.postgres.replication import WaitForReplay, WaitParams
from drctl.adapters.postgres.unfence import Unfence

from .conftest import DATABASE, EAST, PASSWORD, WEST, client, context, target, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

PARAMS = FenceParams()
# A session that is cut between two statements makes asyncpg fail inside itself.
CUT = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


class Writer:
    """A client that writes as fast as it can, reconnects at once, and asks for READ WRITE."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.acknowledged: list[str] = []
        self.failures = 0

    async def run(self) -> None:
        while True:
            with contextlib.suppress(*CUT):
                connection = await client()
                try:
                    await self._write(connection)
                finally:
                    connection.terminate()
            self.failures += 1
            await asyncio.sleep(0.002)

    async def _write(self, connection) -> None:
        while True:
            identity = f"{self.name}-{len(self.acknowledged)}"
            await connection.execute("BEGIN READ WRITE")
            await connection.execute("INSERT INTO pipelines VALUES ($1)", identity)
            await connection.execute("COMMIT")
            self.acknowledged.append(identity)


@pytest_asyncio.fixture(loop_scope="session")
async def writers(pair):
    found = [Writer(f"w{number}-{id(pair)}") for number in range(4)]
    await pair.primary.execute_as_superuser("TRUNCATE pipelines", database=DATABASE)
    tasks = [asyncio.create_task(writer.run()) for writer in found]

    async def all_wrote() -> bool:
        return all(len(writer.acknowledged) > 5 for writer in found)

    await until(all_wrote)
    yield found
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def assert_fenced(pair, writers) -> None:
    """No client can come in, and no write is acknowledged from now on."""
    before = sum(len(writer.acknowledged) for writer in writers)
    for user in ("healing_guard", "drctl"):
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
            (await client(user=user)).terminate()
    failures = [writer.failures for writer in writers]

    async def all_tried_again() -> bool:
        return all(w.failures > count + 5 for w, count in zip(writers, failures, strict=True))

    await until(all_tried_again)
    assert before == sum(len(writer.acknowledged) for writer in writers)


async def test_no_write_is_acknowledged_after_the_fence_and_none_before_it_is_lost(pair, writers):
    """The main promise: what clients were told is on the standby once it has the final position."""
    fenced = await Fence().perform(context(), target(), PARAMS)

    await assert_fenced(pair, writers)
    assert fenced.method == "sql"
    assert fenced.durable
    assert "refused" in fenced.proof[0]
    reached = await WaitForReplay().perform(
        context(), target(WEST), WaitParams(lsn=fenced.final_lsn)
    )
    assert reached.bound == _witness.NO_LOSS
    acknowledged = {identity for writer in writers for identity in writer.acknowledged}
    # The standby has inherited the closing; its rows can be read once that is lifted again.
    await Unfence().perform(context(), target(), PARAMS)
    assert acknowledged <= await rows_on_standby(pair)


async def rows_on_standby(pair) -> set[str]:
    async def is_open() -> bool:
        rows = await pair.standby.query_as_superuser(
            "SELECT datallowconn FROM pg_database WHERE datname = $1", DATABASE
        )
        return rows[0][0]

    await until(is_open)
    rows = await pair.standby.query_as_superuser("SELECT id FROM pipelines", database=DATABASE)
    return {row[0] for row in rows}


async def test_the_fence_survives_a_restart_of_the_server(pair, writers):
    await Fence().perform(context(), target(), PARAMS)

    await pair.primary.kill()
    await pair.primary.start()

    await assert_fenced(pair, writers)


async def nothing(*_arguments):
    return 0


async def test_a_fence_that_does_nothing_does_not_pass(pair, writers, monkeypatch):
    """Known bad: with the effect taken out, the proof must be what fails."""
    monkeypatch.setattr(gate, "shut", nothing)
    monkeypatch.setattr(gate, "cut", nothing)

    with pytest.raises(Rejected, match="does not hold"):
        await Fence().perform(context(), target(), PARAMS)
    with pytest.raises(pytest.fail.Exception):
        await assert_fenced(pair, writers)


async def test_a_read_only_default_alone_is_not_a_fence(pair, writers, monkeypatch):
    """Known bad: a client may ask for READ WRITE, so a soft default must not pass the proof."""

    async def soft(connection, _database):
        await connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await connection.fetchval("SELECT pg_reload_conf()")

    monkeypatch.setattr(gate, "shut", soft)
    monkeypatch.setattr(gate, "cut", nothing)

    with pytest.raises(Rejected, match="does not hold"):
        await Fence().perform(context(), target(), PARAMS)


async def test_fencing_twice_is_fencing_once_and_settled_reads_it_back(pair, writers):
    action = Fence()
    assert isinstance(await action.settled(context(), target(), PARAMS), NotDone)
    assert isinstance(
        action.preview(await action.observe(context(), target(), PARAMS), target(), PARAMS), Change
    )

    first = await action.perform(context(), target(), PARAMS)
    second = await action.perform(context(), target(), PARAMS)

    assert second.method == first.method
    assert isinstance(await action.settled(context(), target(), PARAMS), Done)
    observed = await action.observe(context(), target(), PARAMS)
    assert isinstance(action.preview(observed, target(), PARAMS), Nothing)


async def test_unfencing_lets_clients_write_again(pair, writers):
    await Fence().perform(context(), target(), PARAMS)
    before = sum(len(writer.acknowledged) for writer in writers)

    await Unfence().perform(context(), target(), PARAMS)

    async def goes_on() -> bool:
        return sum(len(writer.acknowledged) for writer in writers) > before

    await until(goes_on)
    assert isinstance(await Unfence().settled(context(), target(), PARAMS), Done)
    rows = await pair.primary.query_as_superuser(
        "SELECT datallowconn FROM pg_database WHERE datname = $1", DATABASE
    )
    assert rows[0][0]


async def test_a_role_without_the_rights_is_told_so(pair):
    with pytest.raises(AuthRejected):
        await Fence().perform(context(), target(user="weak"), PARAMS)


async def test_a_standby_and_a_server_of_another_system_are_not_fenced(pair):
    with pytest.raises(Conflict, match="standby"):
        await Fence().perform(context(), target(WEST), PARAMS)
    with pytest.raises(Conflict, match="another database"):
        await Fence().perform(context(), target(system_identifier="1"), PARAMS)
    assert await gate_is_open(pair)


async def test_the_database_itself_cannot_be_the_way_in(pair):
    with pytest.raises(Rejected):
        await Fence().perform(context(), target(), FenceParams(admin_database=DATABASE))


async def gate_is_open(pair) -> bool:
    rows = await pair.primary.query_as_superuser(
        "SELECT datallowconn FROM pg_database WHERE datname = $1", DATABASE
    )
    return rows[0][0]


async def test_a_dead_primary_is_observed_dead_and_not_for_good(pair):
    await pair.primary.kill()

    fenced = await Fence().perform(context(), target(), PARAMS)

    assert (fenced.method, fenced.durable, fenced.final_lsn) == ("observed_dead", False, "")
    assert fenced.proof
    settled = await Fence().settled(context(), target(), PARAMS)
    assert isinstance(settled, CannotTell)
    assert settled.again_tells


async def test_a_primary_that_is_back_at_the_second_look_is_not_dead(pair):
    await pair.primary.kill()
    ctx = context()

    class RestartsWhileWeWait:
        now = staticmethod(ctx.clock.now)

        @staticmethod
        async def sleep(_seconds):
            await pair.primary.start()

    with pytest.raises(Rejected, match="cannot reach is not a fence"):
        await Fence().perform(replace(ctx, clock=RestartsWhileWeWait()), target(), PARAMS)


async def test_a_primary_that_does_not_answer_is_not_fenced(pair):
    """A partition looks like this from here, and clients on the other side write on."""

    async def hold(reader, writer):
        await reader.read()
        writer.close()
        await writer.wait_closed()
        gone.set()

    gone = asyncio.Event()

    silent = await asyncio.start_server(hold, "127.150.1.9", 5432)
    try:
        with pytest.raises(Rejected, match="cannot reach is not a fence"):
            await Fence().perform(context(3), target(("127.150.1.9", 5432)), PARAMS)
        await gone.wait()
    finally:
        silent.close()
        await silent.wait_closed()


@pytest.mark.parametrize(
    ("status", "is_proof"), [(503, True), (201, False), (500, False), (404, False)]
)
async def test_every_place_where_clients_write_must_refuse(pair, status, is_proof, monkeypatch):
    monkeypatch.setattr("drctl.adapters.postgres.fence._PROOF_S", 0.5)

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            f"HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.150.0.95", 0)
    url = f"http://127.150.0.95:{server.sockets[0].getsockname()[1]}/api/v1/pipelines"
    fencing = Fence().perform(context(), target(client_write_urls=(url,)), PARAMS)
    try:
        if is_proof:
            assert len((await fencing).proof) == 2
        else:
            with pytest.raises(Rejected, match=str(status)):
                await fencing
    finally:
        server.close()
        await server.wait_closed()


async def test_sessions_of_other_databases_are_cut_and_come_back_read_only(pair):
    elsewhere = await client(EAST, user="drctl", database="postgres")
    try:
        await Fence().perform(context(), target(), PARAMS)

        with pytest.raises(CUT):
            await elsewhere.fetchval("SELECT 1")
    finally:
        elsewhere.terminate()


async def test_a_role_that_is_no_superuser_fences_beside_a_superusers_session(pair):
    """One in another database is in nobody's way; one inside is named, and the fence refuses."""
    await pair.primary.execute_as_superuser(
        f"CREATE ROLE fencer LOGIN PASSWORD '{PASSWORD}'"
        " IN ROLE healing_guard, pg_monitor, pg_signal_backend;"
        "GRANT EXECUTE ON FUNCTION pg_reload_conf() TO fencer;"
        "GRANT ALTER SYSTEM ON PARAMETER default_transaction_read_only TO fencer"
    )
    elsewhere = await client(EAST, user="drctl", database="postgres")
    inside = await client(EAST, user="drctl")
    try:
        with pytest.raises(Rejected, match="client backend of drctl"):
            await Fence().perform(context(3), target(user="fencer"), PARAMS)
        inside.terminate()
        fenced = await Fence().perform(context(), target(user="fencer"), PARAMS)
        assert fenced.durable
        assert await elsewhere.fetchval("SELECT 1") == 1
    finally:
        inside.terminate()
        elsewhere.terminate()
        await pair.primary.execute_as_superuser(
            "BEGIN READ WRITE; DROP OWNED BY fencer; DROP ROLE fencer; COMMIT"
        )
