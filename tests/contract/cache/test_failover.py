"""A failover by sentinels, on real Valkey."""

import asyncio
import dataclasses
import signal

import pytest

from drctl.actions.contract import CannotTell, Change, Cleared, Debt, Done, NotDone, Nothing
from drctl.actions.errors import AuthRejected, Conflict, NotFound, Unavailable
from drctl.adapters.redis.failover import FailoverParams, SentinelFailover

FAILOVER = SentinelFailover()
PLANNED = FailoverParams(planned=True)


async def until(condition, timeout_s: float = 15.0):
    async with asyncio.timeout(timeout_s):
        while not await condition():  # noqa: ASYNC110 (a poll of another process)
            await asyncio.sleep(0.05)


async def test_a_dead_primary_is_replaced_whoever_begins(group):
    before = await group.primary()
    await group.kill()

    out = await FAILOVER.perform(group.context(seen=before), group.target(), FailoverParams())

    assert (before, True, "unreachable") == (out.previous, out.changed, out.old_primary)
    assert out.primary == await group.primary() != before
    assert 2 <= out.agree
    assert [before] == out.missing
    assert 1 == len(out.replicas)
    debts = FAILOVER.debts(group.target(), FailoverParams(), out)
    assert {f"standby:redis:{before}"} == {one.key for one in debts if isinstance(one, Debt)}
    assert 2 == sum(isinstance(one, Cleared) for one in debts)
    # Asked again, it is done already: nothing is sent but the proof.
    again = await FAILOVER.perform(group.context(seen=before), group.target(), FailoverParams())
    assert again.primary == out.primary
    read_back = await FAILOVER.settled(group.context(seen=before), group.target(), FailoverParams())
    assert isinstance(read_back, Done)
    assert again.epoch == out.epoch == read_back.outputs.epoch


async def test_a_failover_that_the_sentinels_made_before_is_recognised(group):
    before = await group.primary()
    await group.kill()

    async def moved():
        return await group.primary() != before

    await until(moved)
    now = await group.primary()

    out = await FAILOVER.perform(group.context(seen=now), group.target(), FailoverParams())

    assert (now, False, "same") == (out.primary, out.changed, out.old_primary)
    assert [before] == out.missing


async def test_a_primary_that_works_is_left_alone(group):
    before = await group.primary()

    out = await FAILOVER.perform(group.context(seen=before), group.target(), FailoverParams())

    assert (before, False, 0) == (out.primary, out.changed, out.epoch)
    assert 2 == len(out.replicas)
    seen = await FAILOVER.observe(group.context(), group.target(), None)
    assert isinstance(FAILOVER.preview(seen, group.target(), FailoverParams()), Nothing)
    assert isinstance(FAILOVER.preview(seen, group.target(), PLANNED), Change)
    assert isinstance(
        await FAILOVER.settled(group.context(seen=before), group.target(), PLANNED), NotDone
    )


async def test_a_planned_one_moves_a_primary_that_works_and_demotes_it(group):
    before = await group.primary()

    out = await FAILOVER.perform(group.context(seen=before), group.target(), PLANNED)

    assert (before, True, "replica") == (out.previous, out.changed, out.old_primary)
    assert out.primary == await group.primary() != before
    assert ([], 2) == (out.missing, len(out.replicas))
    again = await FAILOVER.perform(group.context(seen=before), group.target(), PLANNED)
    assert (again.primary, again.epoch) == (out.primary, out.epoch), "it was moved twice"
    assert isinstance(
        await FAILOVER.settled(group.context(seen=before), group.target(), PLANNED), Done
    )


async def test_no_replica_that_is_fit_is_asked_for_again_until_there_is_one(group):
    """Sentinel itself would wait for twice its failover-timeout: 40 s here, 6 min by default."""
    before = await group.primary()
    for name in ("cache-2", "cache-3"):
        await group.ask(name, "CONFIG", "SET", "replica-priority", 0)
    await asyncio.sleep(1)  # until the sentinels have asked for it
    await group.kill()

    async def gave_up():
        told = await group.ask("sentinel-1", "SENTINEL", "MASTER", "healing-guard-cache")
        told = dict(zip(told[::2], told[1::2], strict=True))
        return "o_down" in told["flags"] and "failover_in_progress" not in told["flags"]

    await until(gave_up)
    running = asyncio.create_task(
        FAILOVER.perform(group.context(seen=before), group.target(), FailoverParams())
    )
    await asyncio.sleep(2)
    assert not running.done()
    assert before == await group.primary()
    await group.ask("cache-2", "CONFIG", "SET", "replica-priority", 100)

    out = await running

    assert group.addresses[1] == out.primary


async def test_without_any_fit_replica_it_says_so_and_nothing_moved(group):
    before = await group.primary()
    for name in ("cache-2", "cache-3"):
        await group.ask(name, "CONFIG", "SET", "replica-priority", 0)
    await asyncio.sleep(1)

    with pytest.raises(Conflict, match="NOGOODSLAVE"):
        await FAILOVER.perform(group.context(3, seen=before), group.target(), PLANNED)

    assert before == await group.primary()


async def test_when_only_this_place_cannot_use_the_primary_nothing_is_moved(group):
    """The sentinels reach it: one opinion, ours, is not enough."""
    before = await group.primary()
    entry = dict(group.entry["access"])
    target = group.target(access={**entry, "password": "env:WRONG"}, sentinel_access=entry)

    with pytest.raises(Conflict, match="only this place does not"):
        await FAILOVER.perform(group.context(5, seen=before), target, FailoverParams())

    told = await group.ask("sentinel-1", "SENTINEL", "MASTER", "healing-guard-cache")
    assert "0" == dict(zip(told[::2], told[1::2], strict=True))["config-epoch"]
    assert before == await group.primary()


async def test_a_minority_of_sentinels_is_not_believed(group):
    before = await group.primary()
    await group.kill("sentinel-2")
    await group.kill("sentinel-3")

    with pytest.raises(Unavailable, match="do not agree: 1 name"):
        await FAILOVER.perform(group.context(2, seen=before), group.target(), PLANNED)

    await group.kill("sentinel-1")
    with pytest.raises(Unavailable, match="no sentinel"):
        await FAILOVER.perform(group.context(2, seen=before), group.target(), PLANNED)


async def test_the_sentinels_of_another_group_are_not_followed(group):
    before = await group.primary()
    nodes = [one for one in group.entry["nodes"] if f"{one['host']}:{one['port']}" != before]

    with pytest.raises(Conflict, match="none of"):
        await FAILOVER.perform(group.context(2), group.target(nodes=nodes), PLANNED)
    with pytest.raises(NotFound, match="No such master"):
        await FAILOVER.perform(group.context(2), group.target(group="orders"), PLANNED)
    wrong = {**group.entry["access"], "password": "env:WRONG"}
    with pytest.raises(AuthRejected):
        await FAILOVER.perform(group.context(2), group.target(access=wrong), PLANNED)
    assert [] == group.permitted


async def test_a_hanging_primary_is_replaced_and_demoted_when_it_comes_back(group):
    """SIGSTOP: it has its port, and answers nobody; what it says afterwards is that it follows."""
    before = await group.primary()
    await group.cache._break({"name": "", "how": "partition"})

    out = await FAILOVER.perform(group.context(seen=before), group.target(), FailoverParams())

    assert (True, "unreachable") == (out.changed, out.old_primary)
    for name in group.cache._stopped:
        group.cache._all[name].signal(signal.SIGCONT)
    back = await FAILOVER.perform(group.context(key="k2"), group.target(), FailoverParams())
    assert back.primary == out.primary

    async def follows():
        return (await group.ask("cache-1", "ROLE"))[0] == "slave"

    await until(follows)
    seen = await FAILOVER.perform(group.context(key="k3"), group.target(), FailoverParams())
    assert [] == seen.missing


async def test_a_read_back_without_a_note_of_the_old_primary_cannot_tell(group):
    ctx = dataclasses.replace(group.context(), seen=None)
    assert isinstance(await FAILOVER.settled(ctx, group.target(), PLANNED), CannotTell)
