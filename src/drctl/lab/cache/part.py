"""The cache of the estate, as a part of its supervisor."""

import asyncio
import signal
from collections.abc import Mapping
from typing import Any

from drctl.lab.cache.server import ValkeyProcess, binary
from drctl.lab.children import RunAs, unprivileged
from drctl.lab.plan import Address, as_region
from drctl.lab.shapes import Site, Stroke

GROUP = "healing-guard-cache"
SECRET = "cache_password"
_READY_WITHIN_S = 20.0
_NODES, _SENTINELS = 3, 3
_QUORUM = 2
_TURN_S = 2.0
"""The lab compresses time: a primary that is silent so long is down. The default is 30 s."""


class Cache:
    """A primary and two replicas in the east; sentinels there and, one of three, in the west."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._nodes: dict[str, ValkeyProcess] = {}
        self._sentinels: dict[str, ValkeyProcess] = {}
        self._stopped: list[str] = []

    async def start(self) -> None:
        """
        Starts all of it; returns when every sentinel knows every replica and every other sentinel.

        Raises:
            TimeoutError: One does not answer, or they do not find each other.
            FileNotFoundError: There is no Valkey.
        """
        root, secrets = self._site.root.path, self._site.secrets
        secrets.make(SECRET)
        folder = root / "cache"
        folder.mkdir(exist_ok=True)
        folder.chmod(0o711)
        program, run_as = binary(folder), unprivileged()
        password = secrets.read(SECRET)

        def process(
            name: str, address: Address, settings: list[str], who: RunAs | None, **more: Any
        ) -> ValkeyProcess:
            return ValkeyProcess(
                name=name, address=address, root=root, program=program, settings=settings,
                password=password, run_as=who, **more,
            )  # fmt: skip

        for name, address in self._node_addresses().items():
            self._nodes[name] = process(
                name, address, self._node_settings(address, password), run_as
            )
        for name, address in self._sentinel_addresses().items():
            settings = self._sentinel_settings(address, password)
            self._sentinels[name] = process(name, address, settings, run_as, is_sentinel=True)
        # The primary first: a replica that finds nobody waits a second before it tries again.
        first, *others = self._nodes.values()
        await first.start()
        await asyncio.gather(*(one.start() for one in others))
        await self._start_sentinels()
        await self._wait_until_they_know_each_other()

    async def stop(self) -> None:
        """Ends every process."""
        for one in (*self._sentinels.values(), *self._nodes.values()):
            await one.kill()

    def facts(self) -> Mapping[str, Any]:
        """What the application is told of it."""
        sentinels = ",".join(f"{host}:{port}" for host, port in self._sentinel_addresses().values())
        return {
            "application": {
                "CACHE_SENTINELS": sentinels,
                "CACHE_GROUP": GROUP,
                "CACHE_PASSWORD_FILE": str(self._site.secrets.path(SECRET)),
            }
        }

    def environment(self) -> Mapping[str, Mapping[str, Any]]:
        """The group, as runbooks name it."""

        def endpoints(addresses: Mapping[str, Address]) -> list[dict[str, Any]]:
            return [{"host": host, "port": port} for host, port in addresses.values()]

        cache = {
            "kind": "redis.sentinel",
            "region": self._site.plan.REGIONS[0],
            "group": GROUP,
            "sentinels": endpoints(self._sentinel_addresses()),
            "nodes": endpoints(self._node_addresses()),
            "access": {"password": self._site.secrets.reference(SECRET), "tls": "off"},
        }
        return {"targets": {"cache.main": cache}, "runbooks": {"cache-failure": "cache-failover"}}

    def strokes(self) -> Mapping[str, Stroke]:
        """``cache``: its primary, or the node that is named; ``region``: all of it there."""
        return {"cache": self._break, "region": self._lose_region}

    async def _lose_region(self, words: Mapping[str, str]) -> None:
        region = as_region(words["name"])
        addresses = {**self._node_addresses(), **self._sentinel_addresses()}
        for name, (host, _port) in addresses.items():
            if self._site.plan.region_of(host) == region:
                await self._break({**words, "name": name})

    async def heal(self) -> None:
        """
        Starts again what was killed and continues what was stopped. An old primary comes back as
        one, until the sentinels have seen it.

        Raises:
            TimeoutError: One does not answer.
        """
        for name in self._stopped:
            self._all[name].signal(signal.SIGCONT)
        self._stopped.clear()
        for one in self._nodes.values():
            await one.start()
        await self._start_sentinels()

    @property
    def _all(self) -> dict[str, ValkeyProcess]:
        return {**self._nodes, **self._sentinels}

    async def _start_sentinels(self) -> None:
        for one in self._sentinels.values():
            if one.pid is None:
                await one.start()
                # By default a server is asked every ten seconds what it is.
                await one.ask("SENTINEL", "DEBUG", "INFO-PERIOD", 300, "PUBLISH-PERIOD", 200)

    async def _break(self, words: Mapping[str, str]) -> None:
        name = words["name"] or await self._primary()
        if name not in self._all:
            raise ValueError(f"the cache has no {name!r}, only {', '.join(self._all)}")
        if words["how"] == "kill":
            await self._all[name].kill()
        elif name not in self._stopped:
            self._all[name].signal(signal.SIGSTOP)
            self._stopped.append(name)

    async def _primary(self) -> str:
        """The name of the node that most sentinels name."""
        from redis.exceptions import RedisError

        by_address = {
            f"{host}:{port}": name for name, (host, port) in self._node_addresses().items()
        }
        said: list[str] = []
        for one in self._sentinels.values():
            try:
                host, port = await one.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", GROUP)
            except (RedisError, OSError, TimeoutError):
                continue
            said.append(f"{host}:{port}")
        if not said:
            raise ValueError("no sentinel says who the primary is; name a node")
        return by_address[max(set(said), key=said.count)]

    async def _wait_until_they_know_each_other(self) -> None:
        from redis.exceptions import RedisError

        async def knows(sentinel: ValkeyProcess) -> bool:
            try:
                flat = await sentinel.ask("SENTINEL", "MASTER", GROUP)
                fit = await sentinel.ask("SENTINEL", "CKQUORUM", GROUP)
            except (RedisError, OSError, TimeoutError):
                return False
            told = dict(zip(flat[::2], flat[1::2], strict=False))
            wanted = {"num-slaves": str(_NODES - 1), "num-other-sentinels": str(_SENTINELS - 1)}
            return str(fit).startswith("OK") and wanted.items() <= told.items()

        async with asyncio.timeout(_READY_WITHIN_S):
            for one in self._sentinels.values():
                while not await knows(one):  # noqa: ASYNC110 (a poll of another process)
                    await asyncio.sleep(0.05)

    def _node_addresses(self) -> dict[str, Address]:
        plan, east = self._site.plan, self._site.plan.REGIONS[0]
        return {f"cache-{k}": plan.cache_node(east, k) for k in range(1, _NODES + 1)}

    def _sentinel_addresses(self) -> dict[str, Address]:
        plan = self._site.plan
        east, west = plan.REGIONS
        regions = (east, east, west)
        return {f"sentinel-{k}": plan.cache_sentinel(r, k) for k, r in enumerate(regions, start=1)}

    def _node_settings(self, address: Address, password: str) -> list[str]:
        first = next(iter(self._node_addresses().values()))
        follows = [] if address == first else [f"replicaof {first[0]} {first[1]}"]
        return [
            f"masterauth {password}",
            # Whoever connects on loopback has another address than it listens at.
            f"replica-announce-ip {address[0]}",
            f"replica-announce-port {address[1]}",
            # A primary that is cut off from both replicas stops taking writes by itself.
            "min-replicas-to-write 1",
            "min-replicas-max-lag 3",
            "repl-diskless-sync-delay 0",
            "appendonly yes",
            'save ""',
            *follows,
        ]

    def _sentinel_settings(self, address: Address, password: str) -> list[str]:
        host, port = next(iter(self._node_addresses().values()))
        return [
            f"sentinel announce-ip {address[0]}",
            f"sentinel announce-port {address[1]}",
            f"sentinel sentinel-pass {password}",
            f"sentinel monitor {GROUP} {host} {port} {_QUORUM}",
            f"sentinel auth-pass {GROUP} {password}",
            f"sentinel down-after-milliseconds {GROUP} {_TURN_S * 1000:.0f}",
            f"sentinel failover-timeout {GROUP} 20000",
            f"sentinel parallel-syncs {GROUP} 2",
        ]
