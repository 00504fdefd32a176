"""Who uses the estate: clients that write all the time, their application, the witness."""

import asyncio
import contextlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import asyncpg
from estate import DATABASE, PASSWORD, Pair

from drctl.lab.witness import Observer, State, name_error

LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError,
        TimeoutError)  # fmt: skip


async def connect(address, *, user="shop", database=DATABASE, timeout_s=1.0):
    host, port = address
    return await asyncpg.connect(
        host=host, port=port, user=user, password=PASSWORD, database=database, ssl=False,
        timeout=timeout_s, command_timeout=timeout_s,
    )  # fmt: skip


@dataclass(frozen=True)
class Ack:
    """A write that a client was told of."""

    row: str
    at: datetime
    """Read right after the answer came."""
    node: str


class Writers:
    """Four clients: two write to whoever takes it, two of the old region to the old one only."""

    def __init__(self, pair: Pair) -> None:
        self.acks: list[Ack] = []
        self._pair = pair
        old = ("old", pair.primary.address)
        relayed = ("old", pair.application._listen)
        new = ("new", pair.standby.address)
        self._ways = [[relayed, new], [relayed, new], [old], [old]]
        self._tasks: list[asyncio.Task] = []

    async def __aenter__(self):
        self._tasks = [
            asyncio.create_task(self._write(number, ways)) for number, ways in enumerate(self._ways)
        ]
        async with asyncio.timeout(10):
            while {ack.row[:2] for ack in self.acks} != {"w0", "w1", "w2", "w3"}:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *_exc) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self, number: int, ways) -> None:
        count = 0
        while True:
            for node, address in ways:
                with contextlib.suppress(*LOST):
                    connection = await connect(address)
                    try:
                        while True:
                            count += 1
                            row = f"w{number}-{count}"
                            await connection.execute("BEGIN READ WRITE")
                            await connection.execute("INSERT INTO orders VALUES ($1)", row)
                            await connection.execute("COMMIT")
                            self.acks.append(Ack(row, datetime.now(UTC), node))
                            await asyncio.sleep(0.002)
                    finally:
                        connection.terminate()
            await asyncio.sleep(0.02)


class Http:
    """A small HTTP server; ``answer`` gives status and body."""

    def __init__(self, host: str, port: int, answer) -> None:
        self.host, self.port, self.answer = host, port, answer
        self._server = None
        self._tasks: set[asyncio.Task] = set()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        return self

    async def __aexit__(self, *_exc) -> None:
        await self.close()

    async def close(self) -> None:
        """Nothing listens any more."""
        if self._server is not None:
            self._server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._server = None

    async def _serve(self, reader, writer) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = next(
                (int(line.split(":")[1]) for line in head.split("\r\n")
                 if line.startswith("content-length:")), 0
            )  # fmt: skip
            body = await reader.readexactly(length)
            status, said = await self.answer(body)
            head = (
                f"HTTP/1.1 {status} X\r\nContent-Length: {len(said)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode() + said)
            await writer.drain()
        writer.close()


class Application:
    """Writes the row that it is asked for, to the first of its databases that takes it."""

    def __init__(self, ways, *, delay_s: float = 0.0) -> None:
        self.ways, self.delay_s = ways, delay_s
        self.wrote: list[tuple[str, str]] = []

    async def answer(self, body: bytes):
        await asyncio.sleep(self.delay_s)
        row = json.loads(body)["id"]
        for node, address in self.ways:
            with contextlib.suppress(*LOST):
                connection = await connect(address)
                try:
                    await connection.execute("BEGIN READ WRITE")
                    await connection.execute(
                        "INSERT INTO orders VALUES ($1) ON CONFLICT (id) DO NOTHING", row
                    )
                    await connection.execute("COMMIT")
                finally:
                    connection.terminate()
                self.wrote.append((row, node))
                return 201, b"{}"
        return 503, b"{}"


class _Eye(Observer):
    """The lab's witness, told an address instead of a name."""

    def __init__(self, address) -> None:
        self._connection = None
        self._address = address

    async def _connect(self):
        return await connect(self._address, user="drctl")


class Witness:
    """Beats every tenth of a second and keeps its document in memory, for an HTTP server."""

    def __init__(self, address) -> None:
        self._eye, self.state = _Eye(address), State()
        self.override: dict | None = None

    async def __aenter__(self):
        self._task = asyncio.create_task(self._watch())
        async with asyncio.timeout(10):
            while self.state.last_ok_at is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *_exc) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._eye.drop()

    async def _watch(self) -> None:
        while True:
            try:
                sighting, beat_at = await self._eye.beat()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
                self._eye.drop()
                self.state = self.state.failed(name_error(error), now=datetime.now(UTC))
            else:
                self.state = self.state.seen(sighting, beat_at=beat_at, now=datetime.now(UTC))
            await asyncio.sleep(0.1)

    async def answer(self, _body: bytes):
        document = asdict(self.state) | (self.override or {})
        return 200, json.dumps(document).encode()
