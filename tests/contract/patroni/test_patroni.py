"""The actions of the Patroni adapter against a real Patroni."""

import asyncio
import contextlib
import os
import signal
import time

import asyncpg
import pytest

from drctl.actions.contract import Change, Cleared, Debt, Done, NoParams, NotDone, Nothing
from drctl.actions.errors import (
    AuthRejected,
    Conflict,
    Rejected,
    Unavailable,
)
from drctl.adapters.patroni.failover import Failover, FailoverParams
from drctl.adapters.patroni.identity import SystemIdentifierPin
from drctl.adapters.patroni.pause import Pause, Resume, ResumeParams
from drctl.adapters.patroni.switchover import Switchover, SwitchoverParams
from drctl.adapters.patroni.wait import Wait, WaitParams
from drctl.lab.faults.rules import Deed, Rule

from .conftest import WRONG, behind, context, target

pytestmark = [
    pytest.mark.lab,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(300),
]
MUCH = 32 * 1024 * 1024
"""More than the buffers of a connection hold."""


async def roles(cluster):
    """Who leads, and the other two."""
    leader = await cluster.leader()
    return cluster[leader], *cluster.others(leader)


async def test_a_planned_switchover_moves_the_leader_and_everybody_follows(cluster):
    leader, candidate, other = await roles(cluster)
    aim, params = target(cluster), SwitchoverParams(candidate=candidate.name)
    look = context(permits=False)
    seen = await Switchover().observe(look, aim, params)
    assert (seen.facts["leader"], seen.facts["unfit"]) == (leader.name, [])
    assert isinstance(Switchover().preview(seen, aim, params), Change)
    assert isinstance(await Switchover().settled(look, aim, params), NotDone)
    assert await SystemIdentifierPin().read(look, aim) == cluster.system

    await leader.sql("CREATE TABLE IF NOT EXISTS kept(id serial)")
    await leader.sql("INSERT INTO kept DEFAULT VALUES")
    wanted = await leader.sql("SELECT count(*) FROM kept")
    moved = await Switchover().perform(context(seen=seen.facts), aim, params)

    assert (moved.leader, moved.previous, moved.changed) == (candidate.name, leader.name, True)
    assert moved.endpoint == candidate.host
    assert await candidate.sql("SELECT count(*) FROM kept") == wanted
    assert moved.timeline == seen.facts["timeline"] + 1
    again = await Switchover().perform(context(seen=seen.facts), aim, params)
    assert (again.leader, again.changed, again.timeline) == (candidate.name, False, moved.timeline)
    whole = await Wait().perform(context(), aim, WaitParams(leader=candidate.name))
    assert whole.replicas == sorted([leader.name, other.name])
    assert Wait().debts(aim, WaitParams(), whole) == (
        Cleared(key=f"standby:postgres:{cluster.system}"),
    )
    # Somebody else's move is never undone, and a request names the leader that was seen.
    late = SwitchoverParams(candidate=other.name)
    with pytest.raises(Conflict, match="somebody has moved it"):
        await Switchover().perform(context(seen=seen.facts), aim, late)
    assert await cluster.leader() == candidate.name
    await _begun_by(candidate)
    done = await Switchover().settled(context(permits=False), aim, params)
    assert isinstance(done, Done)
    assert done.outputs.left_at != ""


async def test_a_lost_reply_is_found_by_looking_and_the_request_is_sent_once(cluster):
    leader, candidate, _other = await roles(cluster)
    lost = Rule(deed=Deed.RESET_AFTER, operation="patroni:switchover")
    async with behind(candidate, lost) as (url, script):
        aim = target(cluster, urls={candidate.name: url})
        params = SwitchoverParams(candidate=candidate.name, from_leader=leader.name)
        moved = await Switchover().perform(context(), aim, params)
    assert (moved.leader, moved.changed) == (candidate.name, True)
    assert script.count("patroni:switchover") == 1
    await _begun_by(candidate)


async def test_what_is_not_fit_is_refused_before_anything_is_sent(cluster):
    leader, candidate, other = await roles(cluster)
    async with behind(candidate) as (url, script):
        aim = target(cluster, urls={candidate.name: url})
        params = SwitchoverParams(candidate=candidate.name)

        async def refused(error, match, aim=aim, params=params, action=None):
            with pytest.raises(error, match=match):
                await (action or Switchover()).perform(context(30), aim, params)

        known = [one for one in aim.members if one.name != other.name]
        fewer = aim.model_copy(update={"members": tuple(known)})
        unknown = f"the environment does not know {other.name}, which may have more"
        await refused(Conflict, unknown, aim=fewer)
        seen = await Switchover().observe(context(permits=False), fewer, params)
        assert seen.facts["unfit"] == [unknown]
        assert not isinstance(Switchover().preview(seen, fewer, params), Change)
        await refused(Conflict, "leads .* and answers", action=Failover(),
                      params=FailoverParams(candidate=candidate.name))  # fmt: skip
        await refused(Rejected, "no member nobody", params=SwitchoverParams(candidate="nobody"))
        wrong = aim.model_copy(update={"scope": "other"})
        await refused(Conflict, "belongs to shop, not other", aim=wrong)
        wrong = aim.model_copy(update={"system_identifier": "1"})
        await refused(Conflict, "another database", aim=wrong)
        assert await SystemIdentifierPin().read(context(permits=False), wrong) == cluster.system
        silent = target(cluster, urls={one.name: "http://127.8.9.8:1" for one in cluster.members})
        await refused(Unavailable, "no member of shop answered", aim=silent)
        assert script.count("patroni:switchover") == script.count("patroni:failover") == 0
        bad = target(cluster, urls={candidate.name: url}, password=WRONG)
        await refused(AuthRejected, "401", aim=bad)
        with pytest.raises(Rejected, match=f"{leader.name} leads, not {other.name}"):
            await Wait().perform(context(2), aim, WaitParams(leader=other.name))
    # Patroni's own "not possible".
    assert (await candidate.rest("POST", "/switchover", {"leader": "x", "candidate": "y"}))[
        0
    ] == 412
    assert await cluster.leader() == leader.name


async def test_a_pause_is_owed_until_it_is_over(cluster):
    aim, none, again = target(cluster), NoParams(), ResumeParams()
    seen = await Pause().observe(context(permits=False), aim, none)
    assert isinstance(Pause().preview(seen, aim, none), Change)
    assert isinstance(Resume().preview(seen, aim, again), Nothing)

    paused = await Pause().perform(context(), aim, none)

    assert (paused.changed, sorted(paused.members)) == (True, ["one", "three", "two"])
    assert (await cluster.anybody().get("/config"))["pause"] is True
    assert isinstance(await Pause().settled(context(permits=False), aim, none), Done)
    assert not (await Pause().perform(context(), aim, none)).changed
    (debt,) = Pause().debts(aim, none, paused)
    assert isinstance(debt, Debt) and debt.key == f"patroni-paused:postgres:{cluster.system}"
    resumed = await Resume().perform(context(), aim, again)
    assert resumed.changed
    assert "pause" not in await cluster.anybody().get("/config")
    assert Resume().debts(aim, again, resumed) == (Cleared(key=debt.key),)


async def test_after_the_leader_is_lost_a_member_that_lacks_too_much_needs_a_persons_word(cluster):
    leader, one, two = await roles(cluster)
    aim = target(cluster)
    lines = await leader.get("/history")
    await Pause().perform(context(), aim, NoParams())  # else Patroni holds its own election
    frozen = [one.freeze(), two.freeze()]
    await leader.sql("CREATE TABLE IF NOT EXISTS big(t text)")
    await leader.sql(
        "INSERT INTO big SELECT repeat(md5(i::text), 30) FROM generate_series(1, $1::int) i",
        MUCH // 1000,
    )
    await asyncio.sleep(2.5)  # the leader writes its position once a loop
    leader.kill()
    lost_s = time.monotonic()
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    await _cut_off(one, two)
    more, less = sorted([one, two], key=lambda member: -member.has)

    # Until the lock has expired nobody may be asked, whoever is silent from here.
    with pytest.raises(Conflict, match="lock was not free in time"):
        await Failover().perform(context(6), aim, FailoverParams(candidate=more.name))
    await _leaderless(cluster, lost_s)
    led = {"from_leader": leader.name}
    plain = FailoverParams(candidate=more.name, **led)
    seen = await Failover().observe(context(permits=False), aim, plain)
    assert (seen.readings["leader"], seen.readings["paused"]) == ("", True)
    if more.has > less.has:
        params = FailoverParams(candidate=less.name, accept_lag_bytes=2 * MUCH, **led)
        with pytest.raises(Conflict, match=f"{more.host}:5432 has .* bytes more"):
            await Failover().perform(context(), aim, params)
    with pytest.raises(Conflict, match=r"lacks \d+ bytes of what .* 1048576 are allowed"):
        await Failover().perform(context(), aim, plain)
    assert isinstance(await Failover().settled(context(permits=False), aim, plain), NotDone)
    assert await cluster.leader() == ""

    lost = Rule(deed=Deed.BLACKHOLE_AFTER, operation="patroni:failover")
    async with behind(more, lost) as (url, script):
        through = target(cluster, urls={more.name: url})
        params = FailoverParams(candidate=more.name, accept_lag_bytes=2 * MUCH, **led)
        moved = await Failover().perform(context(12, seen=seen.facts), through, params)
        assert script.count("patroni:failover") == 1
    assert (moved.leader, moved.previous) == (more.name, leader.name)
    assert moved.timeline == (lines[-1][0] + 2 if lines else 2)
    assert moved.lag_bytes > 1048576
    await more.sql("CREATE TABLE after_it(id int)")
    again = await Failover().perform(context(), aim, params)
    assert (again.leader, again.changed) == (more.name, False)
    (debt,) = Failover().debts(aim, params, moved)
    assert debt.key == f"standby:postgres:{cluster.system}" and leader.name in debt.what
    partly = await Wait().perform(context(), aim, WaitParams(replicas=1))
    assert (partly.replicas, partly.missing, partly.paused) == ([less.name], [leader.name], True)
    assert Wait().debts(aim, WaitParams(), partly) == ()
    done = await Failover().settled(context(permits=False), aim, params)
    assert isinstance(done, Done)


async def _begun_by(member):
    """Until the new leader has written the history."""
    async with asyncio.timeout(10):
        while (lines := await member.get("/history")) == [] or lines[-1][4:] != [member.name]:  # noqa: ASYNC110
            await asyncio.sleep(0.2)


async def _cut_off(*members):
    """Until what was on the way is there, and nothing comes any more."""
    async with asyncio.timeout(15):
        for member in members:
            member.has = None
            while True:
                with contextlib.suppress(OSError, asyncpg.PostgresError):
                    now = await member.sql("SELECT pg_last_wal_receive_lsn() - '0/0'")
                    gone = not await member.sql("SELECT count(*) FROM pg_stat_wal_receiver")
                    if gone and now == member.has:
                        break
                    member.has = now
                await asyncio.sleep(0.3)


async def _leaderless(cluster, since_s):
    async with asyncio.timeout(30):
        while await cluster.leader():  # noqa: ASYNC110 (a poll)
            await asyncio.sleep(0.2)
    assert time.monotonic() - since_s > 10
