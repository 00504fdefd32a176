"""A flush of one database, on real Valkey."""

import pytest

from drctl.actions.contract import CannotTell, Change, Done, NotDone
from drctl.actions.errors import Conflict, OutcomeUnknown, Rejected
from drctl.adapters.redis.flush import Flush, FlushParams
from drctl.adapters.redis.link import connect

FLUSH = Flush()


async def told(link, *words):
    """A client that is not drctl's: that one asks only what reads, and never for all keys."""
    await link._connection.send_command(*words)
    return await link._connection.read_response()


async def filled(group, ctx, db, count):
    async with connect(ctx, group.server(0).at, group.server(0).access, db=db) as link:
        for number in range(count):
            await told(link, "SET", f"k{number}", "v")


async def keys(group, ctx, db, server=0):
    async with connect(ctx, group.server(server).at, group.server(0).access, db=db) as link:
        return sorted(await told(link, "KEYS", "*"))


async def test_one_database_is_emptied_once_and_no_other(group):
    ctx, target = group.context(key="f1"), group.target(db=2)
    await filled(group, ctx, 2, 5)
    await filled(group, ctx, 0, 3)
    seen = await FLUSH.observe(ctx, target, FlushParams(db=2))
    assert Change(before="5 keys in database 2", after="none in database 2") == FLUSH.preview(
        seen, target, FlushParams(db=2)
    )
    assert isinstance(await FLUSH.settled(ctx, target, FlushParams(db=2)), NotDone)
    assert [] == group.permitted

    out = await FLUSH.perform(ctx, target, FlushParams(db=2))

    assert (5, 2) == (out.keys, out.db)
    assert ["drctl:flushed:f1"] == await keys(group, ctx, 2)
    assert 3 == len(await keys(group, ctx, 0))
    assert isinstance(await FLUSH.settled(ctx, target, FlushParams(db=2)), Done)
    # What was computed anew since then stays: the same effect is not done twice.
    await filled(group, ctx, 2, 1)
    assert 0 == (await FLUSH.perform(ctx, target, FlushParams(db=2))).keys
    assert ["drctl:flushed:f1", "k0"] == await keys(group, ctx, 2)
    assert ["f1", "f1"] == group.permitted


async def test_a_failover_right_after_it_is_no_success(group, monkeypatch):
    """The new primary may never have had it: what it holds is what the restore took away."""
    ctx, other = group.context(key="f1"), group.server(1)
    await filled(group, ctx, 0, 3)
    async with connect(ctx, other.at, other.access) as link:
        await told(link, "REPLICAOF", "NO", "ONE")
    named = [group.server(0).at, other.at]

    async def moved(*_asked):
        return named.pop(0)

    monkeypatch.setattr("drctl.adapters.redis.flush.primary_of", moved)
    with pytest.raises(OutcomeUnknown, match=f"the primary is {other.at.text}, which has no mark"):
        await FLUSH.perform(ctx, group.target(), FlushParams(db=0))
    assert ["drctl:flushed:f1"] == await keys(group, ctx, 0)


async def test_the_step_and_the_environment_name_the_same_database(group):
    ctx = group.context()
    await filled(group, ctx, 0, 3)
    with pytest.raises(Conflict, match="names database 1, the environment 0"):
        await FLUSH.perform(ctx, group.target(), FlushParams(db=1))
    seen = await FLUSH.observe(ctx, group.target(), FlushParams(db=1))
    assert isinstance(FLUSH.preview(seen, group.target(), FlushParams(db=1)), CannotTell)
    assert 3 == len(await keys(group, ctx, 0))


async def test_a_replica_is_not_flushed(group):
    with pytest.raises(Rejected, match="is a replica"):
        await FLUSH.perform(group.context(), group.server(1), FlushParams(db=0))
    assert [] == group.permitted
