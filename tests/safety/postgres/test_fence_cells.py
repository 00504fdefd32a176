"""
What the old primary may be up to when somebody wants to promote over it: 14 states, each asked for
gracefully, forced with a reason, and forced without one.

``accept``: promoted, and the run succeeded. ``refuse``: nothing was promoted. ``unsafe``: promoted,
and the run says that two primaries may take writes.
"""

import asyncio
import contextlib
import os
from dataclasses import dataclass

import pytest
from estate import DATABASE, command
from people import LOST, connect
from results import is_full, record
from runs import Ran, World

from drctl.engine.events import StepFinished, StepStarted

pytestmark = pytest.mark.asyncio(loop_scope="session")

REASON = "the region is gone, says the provider"
MODES = {"graceful": None, "forced": REASON, "forced without reason": " "}

TABLE = {
    "up": (
        "accept",
        "accept",
        "it is closed, and each place refuses: nothing speaks against it",
    ),
    "unreachable from operator": (
        "refuse",
        "unsafe",
        "its clients reach it; silence towards us is no fence",
    ),
    "unreachable from standby": (
        "refuse",
        "refuse",
        (
            "it is fenced, and has rows that the standby cannot get any more: force is about "
            "the fence, not about the loss"
        ),
    ),
    "frozen": (
        "refuse",
        "unsafe",
        "it goes on where it stopped as soon as it is thawed",
    ),
    "postmaster killed": (
        "accept",
        "accept",
        "nothing listens, three times, at every place",
    ),
    "restarting": (
        "refuse",
        "unsafe",
        "it was dead at the first look and is back at the third",
    ),
    "stopped": (
        "accept",
        "accept",
        "nothing listens, three times, at every place",
    ),
    "soft read-only": (
        "accept",
        "accept",
        (
            "the default is no fence, any client may ask for READ WRITE; so it is closed for "
            "good, and that is proven"
        ),
    ),
    "denied, with an open session": (
        "refuse",
        "unsafe",
        "a session that stands is not cut by a network that is shut",
    ),
    "two places disagree": (
        "refuse",
        "unsafe",
        "SQL is refused, the application still writes: one place is not all",
    ),
    "probe slow": (
        "refuse",
        "refuse",
        (
            "an answer that comes too late is none; by then it is closed, and so is its copy "
            "on the standby, where the loss cannot be measured any more"
        ),
    ),
    "probe fails to log in": (
        "refuse",
        "unsafe",
        "a wrong password says nothing about clients",
    ),
    "wrong host answers": (
        "refuse",
        "unsafe",
        "what was asked is another system",
    ),
    "unfenced 5 s later": (
        "unsafe",
        "unsafe",
        (
            "the fence held when it was proven; who undoes it is seen by the proof after the "
            "promotion"
        ),
    ),
}
SLICE = {
    ("up", "graceful"), ("unreachable from operator", "graceful"), ("frozen", "graceful"),
    ("two places disagree", "graceful"), ("unfenced 5 s later", "graceful"),
    ("up", "forced without reason"), ("stopped", "forced"),
}  # fmt: skip
CELLS = [(state, mode) for state in TABLE for mode in MODES]


def expected(state: str, mode: str) -> str:
    graceful, forced, _why = TABLE[state]
    return {"graceful": graceful, "forced": forced}.get(mode, "refuse")


@dataclass
class Timed:
    """Does something some time after a step has begun or ended."""

    world: World
    kind: type
    after_s: float
    work: object
    task: asyncio.Task | None = None

    def seen(self, rec, _state) -> None:
        event = rec.event
        if self.task is None and isinstance(event, self.kind) and event.step == "fence":
            self.task = asyncio.ensure_future(self._later())

    async def _later(self) -> None:
        await asyncio.sleep(self.after_s)
        await self.work()

    def said(self, _step, _text) -> None:
        pass


async def _bring_about(state: str, world: World, held: list) -> tuple[dict, list]:  # noqa: PLR0912 (a table)
    """Makes the state; returns what is different in the environment, and who acts later."""
    pair = world.pair
    match state:
        case "unreachable from operator":
            await pair.operator.set_mode("blackhole")
        case "unreachable from standby":
            await pair.replication.set_mode("blackhole")
            await pair.primary.query_as_superuser(
                "INSERT INTO orders VALUES ('not on the standby')", database=DATABASE
            )
        case "frozen":
            await pair.kill("freeze")
        case "postmaster killed":
            await pair.kill("kill9")
            await pair.dead_network()
        case "stopped":
            await pair.kill("stop")
            await pair.dead_network()
        case "restarting":
            await pair.kill("kill9")
            await pair.dead_network()

            async def restart() -> None:
                pair.primary._forget()
                await pair.primary.start()
                for relay in (pair.operator, pair.application, pair.replication):
                    await relay.set_mode("open")

            return {}, [Timed(world, StepStarted, 0.5, restart)]
        case "soft read-only":
            await pair.primary.query_as_superuser(
                "ALTER SYSTEM SET default_transaction_read_only = on"
            )
            await pair.primary.query_as_superuser("SELECT pg_reload_conf()")
        case "denied, with an open session":
            held.append(await connect(pair.application._listen))
            for relay in (pair.operator, pair.application):
                await relay.set_mode("deny")
        case "two places disagree":
            await pair.operator.set_mode("refuse")
        case "probe slow":
            world.old_side.delay_s = 4.0
        case "probe fails to log in":
            os.environ["DRCTL_TEST_PG_WRONG"] = "wrong"
            return {"password": "'env:DRCTL_TEST_PG_WRONG'"}, []
        case "wrong host answers":
            other = await pair.template.copy(
                pair.template.other, f"other{pair.number}", pair.host(1, 40)
            )
            pair.extra.append(other)
            await other.start()
            pair.operator._upstream = other.address
        case "unfenced 5 s later":

            async def unfence() -> None:
                await pair.primary.query_as_superuser(
                    "ALTER SYSTEM RESET default_transaction_read_only"
                )
                await pair.primary.query_as_superuser("SELECT pg_reload_conf()")
                await asyncio.sleep(0.2)
                await pair.primary.query_as_superuser(
                    f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS true"
                )

            return {}, [Timed(world, StepFinished, 5.0, unfence)]
    return {}, []


async def _writes(address) -> bool:
    with contextlib.suppress(*LOST):
        connection = await connect(address)
        try:
            await connection.execute("BEGIN READ WRITE")
            await connection.execute("INSERT INTO orders VALUES (gen_random_uuid()::text)")
            await connection.execute("COMMIT")
        finally:
            connection.terminate()
        return True
    return False


def _came(ran: Ran) -> str:
    if not ran.has_promoted:
        return "refuse"
    return {"succeeded": "accept", "unsafe": "unsafe"}.get(ran.end.result, ran.end.result)


async def _one(template, state: str, mode: str) -> list[str]:
    held: list = []
    async with World.of(template) as world:
        more, later = await _bring_about(state, world, held)
        plan = await world.plan(watch="6s" if state == "unfenced 5 s later" else "1s", **more)
        ran = await world.run(plan, forced=MODES[mode], listeners=later)
        for one in later:
            if one.task is not None:
                await one.task
        ill = []
        if _came(ran) != expected(state, mode):
            ill.append(f"{_came(ran)}, should be {expected(state, mode)}\n{ran.story()}")
        if state == "frozen":
            await _thaw(world)
        both = await _writes(world.pair.primary.address), await _writes(world.pair.new)
        if all(both) and _came(ran) != "unsafe":
            ill.append(f"both take writes and the run says {ran.end.result}\n{ran.story()}")
        if all(both) and mode != "forced" and state != "unfenced 5 s later":
            ill.append("both take writes, and nobody forced it")
        fence = ran.last("fence")
        if _came(ran) == "accept" and fence.outputs["durable"]:
            ill += await _outlives_a_restart(world)
        elif _came(ran) == "accept" and ran.last("one_primary").outputs["durable"]:
            ill.append("what is only seen to be dead is called durable")
        for session in held:
            session.terminate()
        if mode == "forced" and ran.records[0].event.forced_reason != REASON:
            ill.append("the reason is not in the record")
        return [f"[{state} / {mode}] {one}" for one in ill]


async def _thaw(world: World) -> None:
    import signal

    from drctl.lab.children import descendants

    pid = world.pair.primary.pid
    for each in (pid, *descendants(pid)):
        os.kill(each, signal.SIGCONT)
    await asyncio.sleep(0.3)


async def _outlives_a_restart(world: World) -> list[str]:
    await world.pair.primary.kill()
    await world.pair.primary.start()
    return (
        ["the fence did not outlive a restart"] if await _writes(world.pair.primary.address) else []
    )


async def test_the_table_is_whole():
    assert (14, 42) == (len(TABLE), len(CELLS))
    assert 14 == sum(expected(s, m) == "refuse" for s, m in CELLS if m == "forced without reason")
    assert SLICE < set(CELLS)


@pytest.mark.timeout(900)
async def test_every_cell_is_as_the_table_says(template):
    only = os.environ.get("DRCTL_CELL")
    cells = [cell for cell in CELLS if is_full() or cell in SLICE]
    cells = [tuple(only.split(" / "))] if only else cells
    slots, ill = asyncio.Semaphore(4), []

    async def one(state: str, mode: str) -> None:
        async with slots:
            try:
                ill.extend(await _one(template, state, mode))
            except Exception as error:  # noqa: BLE001 (one case must not hide the others)
                ill.append(f"[{state} / {mode}] {type(error).__name__}: {error}")

    await asyncio.gather(*(one(*cell) for cell in cells))
    record("postgres", "I1", cases=len(cells), violations=len(ill))
    again = sorted({line[1 : line.index("]")] for line in ill})
    print("".join(f"\nDRCTL_CELL='{n}' {command('test_fence_cells.py')}" for n in again))
    assert not ill, "\n".join(ill)
