"""A real group of Valkey servers and sentinels; every test has its own."""

import asyncio
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest

from drctl.actions.contract import Context
from drctl.actions.targets import RedisSentinels, RedisServer
from drctl.kernel.clock import Deadline, SystemClock
from drctl.kernel.secret import Secret
from drctl.lab.access import Secrets
from drctl.lab.cache.part import Cache
from drctl.lab.plan import AddressPlan
from drctl.lab.root import LabRoot
from drctl.lab.shapes import Site

# Otherwise a plugin that asks for the thread's loop gets a new one, which nobody closes.
asyncio.set_event_loop(None)

NET = 80
CLOCK = SystemClock()


class Files:
    """References to files are read; ``env:WRONG`` is a wrong password."""

    def resolve(self, ref):
        wrong = ref.scheme == "env"
        return Secret("wrong" if wrong else Path(ref.place).read_text())


class Group:
    """The running group, and targets that lead to it."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.entry = cache.environment()["targets"]["cache.main"]
        self.addresses = [f"{one['host']}:{one['port']}" for one in self.entry["nodes"]]

    def target(self, **changed) -> RedisSentinels:
        return RedisSentinels.model_validate(self.entry | changed)

    def server(self, number: int, **changed) -> RedisServer:
        at = self.entry["nodes"][number]
        entry = {"region": "us-east-1", "at": at, "access": self.entry["access"], **changed}
        return RedisServer.model_validate(entry)

    async def ask(self, name: str, *words):
        return await self.cache._all[name].ask(*words)

    async def kill(self, name: str = "") -> None:
        await self.cache._break({"name": name, "how": "kill"})

    async def primary(self) -> str:
        return self.addresses[int((await self.cache._primary())[-1]) - 1]

    def context(self, within_s: float = 20.0, *, key: str = "k1", seen: str = "") -> Context:
        return Context(
            clock=CLOCK,
            deadline=Deadline.after(CLOCK, timedelta(seconds=within_s)),
            secrets=Files(),
            key=key,
            seen={"primary": seen} if seen else None,
            permit=lambda: self.permitted.append(key),
        )

    permitted: list[str]


@pytest.fixture
async def group():
    with tempfile.TemporaryDirectory(prefix="drctl-cache-") as folder:
        root = LabRoot(Path(folder))
        root.path.chmod(0o711)
        root.secrets.mkdir()
        cache = Cache(Site(plan=AddressPlan(NET), root=root, secrets=Secrets(root.secrets)))
        try:
            await cache.start()
            made = Group(cache)
            made.permitted = []
            yield made
        finally:
            await cache.stop()
