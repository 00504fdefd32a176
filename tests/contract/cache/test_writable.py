"""Proofs of writing, on real Valkey."""

import pytest

from drctl.actions.contract import CannotTell, Done, NoParams, NotDone
from drctl.actions.errors import AuthRejected, Conflict, Rejected, Unavailable
from drctl.adapters.redis.writable import AssertWritable

PROVE = AssertWritable()


async def test_a_mark_is_written_read_back_and_goes_away_by_itself(group):
    ctx = group.context(key="run-1")
    assert isinstance(await PROVE.settled(ctx, group.target(), NoParams()), NotDone)

    out = await PROVE.perform(ctx, group.target(), NoParams())

    assert (True, 2) == (out.is_writable, out.replicas)
    name = next(
        n
        for n, a in zip(("cache-1", "cache-2", "cache-3"), group.addresses, strict=True)
        if a == out.primary
    )
    assert 0 < await group.ask(name, "TTL", "drctl:write_check:run-1") <= 3600
    assert isinstance(await PROVE.settled(ctx, group.target(), NoParams()), Done)
    assert ["run-1"] == group.permitted


async def test_a_replica_is_no_primary(group):
    with pytest.raises(Rejected, match="is a replica of"):
        await PROVE.perform(group.context(), group.server(1), NoParams())
    assert [] == group.permitted


async def test_a_primary_without_a_replica_takes_no_writes_and_is_not_proven(group):
    """``min-replicas-to-write``: the server says NOREPLICAS, which passes when one comes back."""
    await group.kill("cache-2")
    await group.kill("cache-3")

    with pytest.raises((Unavailable, Conflict), match="NOREPLICAS"):
        await PROVE.perform(group.context(), group.server(0), NoParams())


async def test_failures_have_the_words_of_the_contract(group):
    wrong = group.server(0, access={**group.entry["access"], "password": "env:WRONG"})
    with pytest.raises(AuthRejected):
        await PROVE.perform(group.context(), wrong, NoParams())
    bare = group.server(0, access={"tls": "off"})
    with pytest.raises(AuthRejected):
        await PROVE.perform(group.context(), bare, NoParams())
    nowhere = group.server(0, at={"host": "127.80.9.9", "port": 1})
    with pytest.raises(Unavailable):
        await PROVE.perform(group.context(), nowhere, NoParams())
    assert isinstance(await PROVE.settled(group.context(), nowhere, NoParams()), CannotTell)
