"""
After a promotion one primary takes writes, seen the way clients see it: broken in each of six ways
the run does not end well, and whole it does.
"""

import asyncio
import os

import pytest
from estate import DATABASE, command
from people import connect
from results import record
from runs import World

from drctl.engine.events import StepFinished
from drctl.plan.model import Plan

pytestmark = pytest.mark.asyncio(loop_scope="session")

WAYS = {
    "the new primary is the old one": "the new primary is the old one",
    "it does not take writes": "read-only",
    "no standby follows it": "standby(s) follow",
    "the write does not reach its standby": "does not have the row",
    "clients are still led to the old one": "clients write somewhere else",
    "the old one takes writes": "takes writes",
}
"""GitHub's list after a failover, each point broken, and what the proof then says."""


def changed(plan: Plan, **params) -> Plan:
    """The plan with other params for its proof."""
    data = plan.model_dump()
    for step in data["steps"]:
        if step["id"] == "one_primary":
            step["call"]["with_"] |= params
    return Plan.model_validate(data)


class AfterPromotion:
    """Breaks something once the promotion is over; the proof waits until it is broken."""

    def __init__(self, world: World, work) -> None:
        self.world, self.work = world, work
        self.task: asyncio.Task | None = None

    def seen(self, rec, _state) -> None:
        event = rec.event
        if isinstance(event, StepFinished) and event.step == "promote":
            self.task = asyncio.ensure_future(self.work())
            answer = self.world.path.answer

            async def later(body):
                await self.task
                return await answer(body)

            self.world.path.answer = later

    def said(self, _step, _text) -> None:
        pass


async def _standby_of_the_new_one(world: World):
    """A standby that follows the candidate, so that it follows the new primary afterwards."""
    return await world.pair.another_standby(60, world.pair.standby.address)


async def _one(template, way: str) -> list[str]:
    async with World.of(template) as world:
        pair = world.pair
        plan = await world.plan()
        work = None
        match way:
            case "the new primary is the old one":
                plan = changed(plan, new_primary=pair.old[0])
            case "it does not take writes":

                async def work():
                    await pair.standby.query_as_superuser(
                        "ALTER SYSTEM SET default_transaction_read_only = on"
                    )
                    await pair.standby.query_as_superuser("SELECT pg_reload_conf()")

            case "no standby follows it":
                plan = changed(plan, replicas=1)
            case "the write does not reach its standby":
                follower = await _standby_of_the_new_one(world)
                pair.extra.append(follower)
                plan = changed(plan, replicas=1)

                async def work():
                    await follower.query_as_superuser("SELECT pg_wal_replay_pause()")

            case "clients are still led to the old one" | "the old one takes writes":
                is_led = way.startswith("clients")

                async def work():
                    await pair.primary.query_as_superuser(
                        "ALTER SYSTEM RESET default_transaction_read_only"
                    )
                    await pair.primary.query_as_superuser("SELECT pg_reload_conf()")
                    await asyncio.sleep(0.2)
                    await pair.primary.query_as_superuser(
                        f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS true"
                    )
                    if not is_led:
                        world.clients.ways = [("new", pair.standby.address)]

        listeners = [AfterPromotion(world, work)] if work else []
        ran = await world.run(plan, listeners=listeners)
        proof = ran.last("one_primary")
        ill = []
        if ran.end.result != "unsafe" or not ran.end.why.startswith("two primaries may take"):
            ill.append(f"{ran.end.result}: {ran.end.why}\n{ran.story()}")
        elif WAYS[way] not in (proof.why or ""):
            ill.append(f"said for another reason: {proof.why}")
        return [f"[{way}] {one}" for one in ill]


@pytest.mark.timeout(600)
async def test_a_failover_that_is_broken_in_any_of_six_ways_is_not_a_success(template):
    only = os.environ.get("DRCTL_WAY")
    slots, ill = asyncio.Semaphore(4), []

    async def one(way: str) -> None:
        async with slots:
            try:
                ill.extend(await _one(template, way))
            except Exception as error:  # noqa: BLE001 (one case must not hide the others)
                ill.append(f"[{way}] {type(error).__name__}: {error}")

    ways = [only] if only else list(WAYS)
    await asyncio.gather(*(one(way) for way in ways))
    record("postgres", "I4", cases=len(ways), violations=len(ill))
    again = sorted({line[1 : line.index("]")] for line in ill})
    print("".join(f"\nDRCTL_WAY='{n}' {command('test_one_primary.py')}" for n in again))
    assert not ill, "\n".join(ill)


async def test_a_whole_failover_is_a_success_with_its_standby_and_its_proof(template):
    async with World.of(template) as world:
        follower = await _standby_of_the_new_one(world)
        world.pair.extra.append(follower)
        ran = await world.run(changed(await world.plan(), replicas=1))
        assert ran.end.result == "succeeded", ran.story()
        outputs = ran.last("one_primary").outputs
        assert (outputs["replicas"], outputs["durable"]) == (1, True)
        session = await connect(world.pair.new)
        found = await session.fetchval("SELECT count(*) FROM orders WHERE id = $1", outputs["row"])
        session.terminate()
        assert found == 1
