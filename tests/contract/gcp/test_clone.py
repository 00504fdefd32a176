"""A moment is recovered into a new private instance, exactly, and the source is left alone."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from drctl.actions.contract import CannotTell, Change, Done, NotDone
from drctl.actions.errors import Conflict, OutcomeUnknown, Rejected
from drctl.adapters.gcp.sql_clone import CloneParams, CloneToTime, outside

CLONE = CloneToTime()
PRIMARY = "healing-guard-prod"
NOW = datetime.now(UTC)


def wanted(time, name="recovered"):
    return CloneParams(time=time, name=name)


async def rows(session):
    return [row["id"] for row in await session.fetch("SELECT id FROM marks ORDER BY id")]


@pytest.mark.lab
@pytest.mark.timeout(120)
@pytest.mark.asyncio(loop_scope="session")
async def test_rows_before_are_there_and_rows_after_are_not(databases):
    source = databases.cloud.sql.instances[PRIMARY]
    work = databases.cloud.sql.work
    await work.keep_logs(source)
    session = await databases.session(PRIMARY)
    moments = []
    for number in range(1, 4):
        await session.execute("INSERT INTO marks (id) VALUES ($1)", number)
        moments.append(await session.fetchval("SELECT clock_timestamp()"))
        await asyncio.sleep(0.3)
    async with asyncio.timeout(20):
        while work.window(source)[1] <= moments[-1]:  # noqa: ASYNC110 (a poll)
            await asyncio.sleep(0.1)
    target = databases.target(PRIMARY)
    content = "SELECT string_agg(m::text, ',' ORDER BY id) FROM marks m"
    before = hashlib.sha256((await session.fetchval(content)).encode()).hexdigest()
    version = source.settings_version
    for number, moment in enumerate(moments, start=1):
        name = f"recovered-{number}"
        work.clone_address = (f"127.94.1.{150 + number}", 5432)
        given = wanted(moment, name)
        seen = await CLONE.observe(databases.context(), target, given)
        assert isinstance(CLONE.preview(seen, target, given), Change)
        made = await CLONE.perform(databases.context(60), target, given)
        assert (made.instance, made.private) == (name, True)
        databases.servers[name] = databases.cloud.sql.instances[name].server
        copy = await databases.session(name)
        assert await rows(copy) == list(range(1, number + 1)), "exactly what was there"
        await copy.close()
        (owed,) = CLONE.debts(target, given, made)
        assert owed.key == f"restored:gcp:415104041262:cloudsql:{name}"
        assert isinstance(await CLONE.settled(databases.context(), target, given), Done)
    after = hashlib.sha256((await session.fetchval(content)).encode()).hexdigest()
    assert (before, version) == (after, source.settings_version), "the source is untouched"
    with pytest.raises(Rejected, match="after the latest moment"):
        await CLONE.perform(databases.context(), target, wanted(NOW + timedelta(days=1), "x"))
    with pytest.raises(Rejected, match="before the earliest moment"):
        await CLONE.perform(databases.context(), target, wanted(NOW - timedelta(days=1), "x"))
    with pytest.raises(Conflict, match="already"):
        await CLONE.perform(databases.context(), target, wanted(moments[0], "recovered-1"))
    assert databases.sent("POST", "/clone") == 3
    await session.close()


def test_a_time_without_an_offset_is_nobodys():
    with pytest.raises(ValidationError, match="timezone"):
        wanted("2026-11-23T05:00:00")


def test_the_reason_is_computed():
    assert outside(NOW, NOW, NOW) is None
    assert "30 s after the latest" in outside(NOW + timedelta(seconds=30), NOW, NOW)
    assert "30 s before the earliest" in outside(NOW - timedelta(seconds=30), NOW, NOW)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"is_public": True}, "public"),
        ({"network": ""}, "public"),
        ({"has_pitr": False}, "off"),
        ({"source": "prod"}, "replica"),
        ({"state": "MAINTENANCE"}, "MAINTENANCE"),
    ],
)
async def test_what_is_not_recovered_from(fields, why, project):
    target = project.bare("here", **({"has_pitr": True} | fields))
    seen = await CLONE.observe(project.context(), target, wanted(NOW))
    assert why in CLONE.preview(seen, target, wanted(NOW)).why
    with pytest.raises(Rejected, match=why):
        await CLONE.perform(project.context(), target, wanted(NOW))
    assert project.sent("POST", "/clone") == 0


async def test_what_came_of_it_is_read_from_the_new_instance(project):
    target = project.bare("here", has_pitr=True)
    assert isinstance(await CLONE.settled(project.context(), target, wanted(NOW)), NotDone)
    project.bare("recovered", state="PENDING_CREATE")
    assert isinstance(await CLONE.settled(project.context(), target, wanted(NOW)), CannotTell)
    project.cloud.sql.instances["recovered"].state = "RUNNABLE"
    assert isinstance(await CLONE.settled(project.context(), target, wanted(NOW)), Done)
    project.cloud.sql.instances["recovered"].is_public = True
    settled = await CLONE.settled(project.context(), target, wanted(NOW))
    assert "not private" in settled.why


async def test_a_clone_that_turns_out_public_is_there_and_not_denied(project):
    """It is a copy of production, and costs money: a failed step would be forgotten."""
    target = project.bare("here", has_pitr=True)
    made, work = project.cloud.sql, project.cloud.sql.work
    now = datetime.now(UTC)
    window = (now - timedelta(hours=1), now + timedelta(hours=1))
    work.keep_window(made.instances["here"], *window)
    clone = work.clone

    async def public(*given):
        done = await clone(*given)
        made.instances["recovered"].is_public = True
        return done

    work.clone = public
    with pytest.raises(OutcomeUnknown, match="not private"):
        await CLONE.perform(project.context(), target, wanted(now))
    assert isinstance(await CLONE.settled(project.context(), target, wanted(now)), CannotTell)
