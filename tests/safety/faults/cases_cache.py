"""A cache: real Valkey servers and sentinels, the protocol faulty between them and the product."""

import asyncio
import contextlib
import itertools
import secrets
import shutil
import tempfile
from pathlib import Path

from fault_matrix import HOST, Case, Op, Site, serving

from drctl.actions.targets import RedisSentinels, RedisServer
from drctl.lab.cache.server import ValkeyProcess, binary, command
from drctl.lab.children import unprivileged
from drctl.lab.faults.redis import RedisFaultProxy
from drctl.lab.faults.rules import Deed

PASSWORD, GROUP = "correct-horse-battery", "faults"
_NUMBERS = itertools.count(1)
_DB = itertools.count(1)


class Lab:
    """One server for what is written to, and a group for each failover."""

    async def start(self):
        self.root = Path(tempfile.mkdtemp(prefix="drctl-cachef-"))
        self.root.chmod(0o711)
        (self.root / "cache").mkdir()
        (self.root / "cache").chmod(0o711)
        self.program, self.run_as = binary(self.root / "cache"), unprivileged()
        self.alone = self.process(["databases 1000"])
        await self.alone.start()

    async def stop(self):
        await self.alone.kill()
        shutil.rmtree(self.root, ignore_errors=True)

    def process(self, settings, *, is_sentinel=False):
        number = next(_NUMBERS)
        host = f"127.219.{6 + number // 250}.{1 + number % 250}"
        port = 26379 if is_sentinel else 6379
        named = "sentinel announce-ip" if is_sentinel else "replica-announce-ip"
        return ValkeyProcess(
            name=f"faults-{number}",
            address=(host, port),
            root=self.root,
            program=self.program,
            settings=[*settings, f"{named} {host}", *([] if is_sentinel else ['save ""'])],
            password=PASSWORD,
            run_as=self.run_as,
            is_sentinel=is_sentinel,
        )

    @contextlib.asynccontextmanager
    async def group(self):
        """A primary, a replica and a sentinel that knows both."""
        auth = f"masterauth {PASSWORD}"
        fast = "repl-diskless-sync-delay 0"
        primary = self.process([auth, fast])
        host, port = primary.address
        replica = self.process([auth, fast, f"replicaof {host} {port}"])
        sentinel = self.process(
            [
                f"sentinel monitor {GROUP} {host} {port} 1",
                f"sentinel auth-pass {GROUP} {PASSWORD}",
                f"sentinel down-after-milliseconds {GROUP} 60000",
                f"sentinel failover-timeout {GROUP} 5000",
            ],
            is_sentinel=True,
        )
        try:
            await primary.start()
            await replica.start()
            await sentinel.start()
            await sentinel.ask("SENTINEL", "DEBUG", "INFO-PERIOD", 200, "PUBLISH-PERIOD", 200)
            async with asyncio.timeout(40):
                while (await self.told(sentinel, "SENTINEL", "REPLICAS", GROUP)) != "ok":  # noqa: ASYNC110 (a poll)
                    await asyncio.sleep(0.05)
            yield primary, replica, sentinel
        finally:
            for one in (sentinel, replica, primary):
                await one.kill()

    async def told(self, sentinel, *words):
        """Whether the sentinel has heard from the replica that it is linked."""
        for flat in await sentinel.ask(*words):
            seen = dict(zip(flat[::2], flat[1::2], strict=False))
            return seen.get("master-link-status")
        return ""


def _access():
    return {"password": f"env:{PASSWORD}", "tls": "off"}


@contextlib.asynccontextmanager
async def _failover(lab, scripts):
    proxy = None
    async with lab.group() as (primary, replica, sentinel):
        proxy = RedisFaultProxy(sentinel.address, scripts["http"])
        own, other = (f"{one.address[0]}".encode() for one in (primary, replica))
        scripts["http"].swap = ((own, b"127.219.5.9"), (other, b"127.219.5.8"))
        async with serving(proxy):
            port = await proxy.start(HOST)

            def end(one):
                return {"host": one.address[0], "port": one.address[1]}

            target = RedisSentinels.model_validate(
                {
                    "region": "us-east-1",
                    "group": GROUP,
                    "sentinels": [{"host": HOST, "port": port}],
                    "nodes": [end(primary), end(replica)],
                    "access": _access(),
                }
            )

            async def epoch():
                flat = await sentinel.ask("SENTINEL", "MASTER", GROUP)
                return int(dict(zip(flat[::2], flat[1::2], strict=False))["config-epoch"])

            async def applied(_key):
                return await epoch()

            async def holds(_key, _outputs):
                return (await replica.ask("ROLE"))[0] == "master"

            yield Site(
                target=target,
                params={"planned": True},
                proxies=[proxy],
                applied=applied,
                holds=holds,
            )


def _server(script, proxy_port, db):
    return RedisServer.model_validate(
        {
            "region": "us-east-1",
            "at": {"host": HOST, "port": proxy_port},
            "access": _access(),
            "db": db,
        }
    )


async def _in_db(lab, db, *words):
    """One command in a database of the server, past the proxy."""
    script = f"redis.call('SELECT', {db}) return redis.call(unpack(ARGV))"
    return await command(lab.alone.address, PASSWORD, "EVAL", script, 0, *words)


@contextlib.asynccontextmanager
async def _written(lab, scripts):
    db = next(_DB) % 999 + 1
    await _in_db(lab, db, "FLUSHDB")
    proxy = RedisFaultProxy(lab.alone.address, scripts["http"])
    async with serving(proxy):
        port = await proxy.start(HOST)

        async def applied(key):
            return await _in_db(lab, db, "EXISTS", f"drctl:write_check:{key}")

        async def holds(key, _outputs):
            return await applied(key) == 1

        yield Site(
            target=_server(scripts["http"], port, db),
            params={},
            proxies=[proxy],
            applied=applied,
            holds=holds,
        )


@contextlib.asynccontextmanager
async def _flushed(lab, scripts):
    db = next(_DB) % 999 + 1
    await _in_db(lab, db, "FLUSHDB")
    left = f"stale-{secrets.token_hex(4)}"
    await _in_db(lab, db, "SET", left, "1")
    proxy = RedisFaultProxy(lab.alone.address, scripts["http"])
    async with serving(proxy):
        port = await proxy.start(HOST)

        async def applied(key):
            return await _in_db(lab, db, "EXISTS", f"drctl:flushed:{key}")

        async def holds(key, _outputs):
            return await applied(key) == 1 and not await _in_db(lab, db, "EXISTS", left)

        yield Site(
            target=_server(scripts["http"], port, db),
            params={"db": db},
            proxies=[proxy],
            applied=applied,
            holds=holds,
        )


# A word of a server about itself has no name of an object in it that could be another's.
SAME = frozenset({Deed.WRONG_OBJECT})
OK = frozenset({Deed.WRONG_OBJECT, Deed.STALE})

LABS = {"cache": Lab}
CASES = [
    Case(
        action="redis.sentinel.failover",
        lab="cache",
        ops=(
            Op(name="redis:AUTH", skip=OK),
            Op(name="redis:SENTINEL GET-MASTER-ADDR-BY-NAME"),
            Op(name="redis:SENTINEL MASTER"),
            Op(name="redis:SENTINEL FAILOVER", mutates=True, skip=SAME),
        ),
        open=_failover,
        timeout_s=10.0,
        slots=6,
    ),
    Case(
        action="redis.primary.assert_writable",
        lab="cache",
        ops=(
            Op(name="redis:AUTH", skip=OK),
            Op(name="redis:SELECT", skip=OK),
            Op(name="redis:ROLE", skip=SAME),
            Op(name="redis:SET", mutates=True, skip=SAME),
            Op(name="redis:GET", skip=SAME),
        ),
        open=_written,
        # Failing means: not proven. The mark that was written is kept; writing it again is safe.
        may_be_partial=True,
    ),
    Case(
        action="redis.flush",
        lab="cache",
        ops=(
            Op(name="redis:AUTH", skip=OK),
            Op(name="redis:SELECT", skip=OK),
            Op(name="redis:ROLE", skip=SAME),
            Op(name="redis:DBSIZE", skip=SAME),
            Op(name="redis:EVAL", mutates=True, skip=SAME),
            Op(name="redis:GET", skip=SAME),
        ),
        open=_flushed,
    ),
]
