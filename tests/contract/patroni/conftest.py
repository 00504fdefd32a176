"""One real cluster for all tests here; whatever a test does to it is undone before the next one."""

import asyncio
import contextlib
from datetime import timedelta

import pytest_asyncio

from drctl.actions.contract import Context
from drctl.actions.targets import PatroniCluster
from drctl.kernel.clock import Deadline, SystemClock
from drctl.kernel.secret import Secret
from drctl.lab.faults import answers, operations
from drctl.lab.faults.http import HttpFaultProxy, Upstream
from drctl.lab.faults.rules import Script

from .cluster import PASSWORD, REST_PORT, SCOPE, USER, Cluster

# Otherwise a plugin that asks for the thread's loop gets a new one, which nobody closes.
asyncio.set_event_loop(None)

NET = 8
CLOCK = SystemClock()
RIGHT, WRONG = "env:RIGHT", "env:WRONG"
NAMES = {f"/{path}": f"patroni:{path}" for path in ("failover", "switchover", "config", "cluster")}


class Passwords:
    """Every reference leads to the password of this run, but one."""

    def resolve(self, ref):
        return Secret("wrong" if ref == WRONG else PASSWORD)


def context(within_s=25.0, *, seen=None, permits=True):
    """`permits` as while performing; otherwise as while looking."""
    return Context(
        clock=CLOCK,
        deadline=Deadline.after(CLOCK, timedelta(seconds=within_s)),
        secrets=Passwords(),
        key="key",
        seen=seen,
        **({"permit": lambda: None} if permits else {}),
    )


def target(cluster, *, urls=None, password=RIGHT, **fields):
    """The environment's word of the cluster."""
    return PatroniCluster.model_validate(
        {
            "region": "us-east-1",
            "scope": SCOPE,
            "members": [
                {"name": one.name, "url": (urls or {}).get(one.name, one.url), "host": one.host}
                for one in cluster.members
            ],
            "sql": {"user": USER, "password": "env:ANY", "tls": "off"},
            "auth": {"user": USER, "password": password},
            "system_identifier": cluster.system,
        }
        | fields
    )


@contextlib.asynccontextmanager
async def behind(member, *rules):
    """A faulty network before one member's REST API; gives its URL and what came by."""
    script = Script(rules=rules)
    proxy = HttpFaultProxy(
        Upstream(host=member.host, port=REST_PORT),
        script,
        name_of=operations.by_path(NAMES),
        answer_of=answers.plain,
    )
    host = f"127.{NET}.9.9"
    port = await proxy.start(host)
    try:
        yield f"http://{host}:{port}", script
    finally:
        await proxy.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def started():
    cluster = Cluster(NET)
    try:
        await cluster.start()
        yield cluster
    finally:
        await cluster.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def cluster(started):
    """Whole, and not paused."""
    for one in started.members:
        if one.process is None:
            one.start()

    async def is_calm():
        """One that has just begun may know of no pause yet, and takes it back from nobody."""
        calm = True
        for one in started.members:
            with contextlib.suppress(OSError, ValueError):
                if (await one.get("/config")).get("pause"):
                    await one.rest("PATCH", "/config", {"pause": None})
                    calm = False
        return calm

    async with asyncio.timeout(120):
        while not (await is_calm() and await started.is_whole()):  # noqa: ASYNC110 (a poll)
            await asyncio.sleep(0.3)
    return started
