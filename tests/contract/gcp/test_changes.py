"""Failover, backup and fence: once, compared, proven."""

import asyncio
import json

import pytest

from drctl.actions.contract import (
    CannotTell,
    Change,
    Cleared,
    Debt,
    Done,
    NoParams,
    NotDone,
    Nothing,
)
from drctl.actions.errors import Conflict, Rejected, Unavailable
from drctl.adapters.gcp.sql_backup import CreateBackup
from drctl.adapters.gcp.sql_failover import FailOver
from drctl.adapters.gcp.sql_fence import FenceInstance
from drctl.adapters.gcp.sql_unfence import UnfenceInstance, UnfenceParams

PRIMARY = "healing-guard-prod"
MOVE, BACKUP, FENCE, UNFENCE = FailOver(), CreateBackup(), FenceInstance(), UnfenceInstance()
GO, BACK = NoParams(), UnfenceParams(policy="ALWAYS")


async def test_an_instance_moves_to_its_other_zone_once(project):
    target = project.bare("prod", is_regional=True)
    seen = await MOVE.observe(project.context(), target, GO)
    assert MOVE.preview(seen, target, GO) == Change(before="in us-west1-a", after="in us-west1-b")
    before = await MOVE.settled(project.context(seen=seen.facts), target, GO)
    assert isinstance(before, NotDone)
    moved = await MOVE.perform(project.context(seen=seen.facts), target, GO)
    assert (moved.from_zone, moved.zone, moved.changed) == ("us-west1-a", "us-west1-b", True)
    again = await MOVE.perform(project.context(seen=seen.facts), target, GO)
    assert (again.zone, again.changed) == ("us-west1-b", False), "it is not sent back"
    after = await MOVE.settled(project.context(seen=seen.facts), target, GO)
    assert isinstance(after, Done)
    assert isinstance(await MOVE.settled(project.context(), target, GO), CannotTell)
    assert project.sent("POST", "/failover") == 1


@pytest.mark.lab
@pytest.mark.asyncio(loop_scope="session")
async def test_a_move_cuts_every_session_and_loses_nothing(databases):
    instance = databases.cloud.sql.instances[PRIMARY]
    instance.is_regional, instance.second_zone = True, "us-east1-b"
    target = databases.target(PRIMARY, region="us-east1")
    standing = await databases.session(PRIMARY)
    await standing.execute("INSERT INTO drctl.write_check (token) VALUES ('before the move')")
    seen = await MOVE.observe(databases.context(), target, GO)
    moved = await MOVE.perform(databases.context(40, seen=seen.facts), target, GO)
    assert (moved.from_zone, moved.zone, moved.changed) == ("us-east1-a", "us-east1-b", True)
    with pytest.raises(Exception, match=r"closed|terminat|connection"):
        await standing.execute("SELECT 1")
    session = await databases.session(PRIMARY)
    await session.execute("INSERT INTO drctl.write_check (token) VALUES ('after the move')")
    there = "SELECT count(*) FROM drctl.write_check WHERE token LIKE '% the move'"
    assert await session.fetchval(there) == 2
    await session.close()


async def test_settings_that_were_changed_since_the_plan_stop_it(project):
    target = project.bare("prod", is_regional=True)
    seen = await MOVE.observe(project.context(), target, GO)
    project.cloud.sql.instances["prod"].settings_version += 1
    with pytest.raises(Conflict, match="staleData"):
        await MOVE.perform(project.context(seen=seen.facts), target, GO)
    assert project.cloud.sql.instances["prod"].zone == "us-west1-a"


async def test_an_instance_of_one_zone_has_nowhere_to_go(project):
    target = project.bare("prod")
    seen = await MOVE.observe(project.context(), target, GO)
    assert isinstance(MOVE.preview(seen, target, GO), CannotTell)
    with pytest.raises(Rejected, match="nowhere"):
        await MOVE.perform(project.context(), target, GO)


async def test_a_backup_is_made_once_for_a_key(project):
    target = project.bare("prod")
    ctx = project.context(key="run-1")
    assert isinstance(await BACKUP.settled(ctx, target, GO), NotDone)
    made = await BACKUP.perform(ctx, target, GO)
    assert (await BACKUP.perform(ctx, target, GO)).id == made.id
    assert (await BACKUP.settled(ctx, target, GO)).outputs.id == made.id
    other = await BACKUP.perform(project.context(key="run-2"), target, GO)
    assert other.id != made.id
    assert project.sent("POST", "/backupRuns") == 2
    shown = BACKUP.preview(await BACKUP.observe(ctx, target, GO), target, GO)
    assert shown.before.startswith("last backup: 20")


@pytest.mark.lab
@pytest.mark.asyncio(loop_scope="session")
async def test_a_backup_has_the_server_s_files(databases):
    target = databases.target(PRIMARY, region="us-east1")
    made = await BACKUP.perform(databases.context(40, key="real"), target, GO)
    server = databases.servers[PRIMARY]
    manifest = server.root / "cloudsql" / PRIMARY / f"run-{made.id}" / "backup_manifest"
    kept = json.loads(manifest.read_text())
    assert str(kept["System-Identifier"]) == databases.system_identifier
    assert any(file["Path"] == "global/pg_control" for file in kept["Files"])


async def test_a_backup_that_failed_is_not_done(project):
    target = project.bare("prod")
    await BACKUP.perform(project.context(key="run-1"), target, GO)
    run = project.cloud.sql.instances["prod"].backups[0]
    run["status"] = "FAILED"
    settled = await BACKUP.settled(project.context(key="run-1"), target, GO)
    assert isinstance(settled, NotDone)
    run["status"] = "RUNNING"
    settled = await BACKUP.settled(project.context(key="run-1"), target, GO)
    assert isinstance(settled, CannotTell)


@pytest.mark.lab
@pytest.mark.asyncio(loop_scope="session")
async def test_a_fenced_primary_is_stopped_and_refuses_writes(databases):
    target = databases.target(PRIMARY, region="us-east1")
    standing = await databases.session(PRIMARY)
    seen = await FENCE.observe(databases.context(), target, GO)
    assert isinstance(FENCE.preview(seen, target, GO), Change)
    fence = await FENCE.perform(databases.context(40), target, GO)
    assert (fence.method, fence.durable, fence.previous_policy) == ("stopped", True, "ALWAYS")
    assert len(fence.proof) == 1
    with pytest.raises(Exception, match=r"closed|terminat|connection"):
        await standing.execute("INSERT INTO drctl.write_check (token) VALUES ('late')")
    with pytest.raises(ConnectionRefusedError):
        await databases.session(PRIMARY)
    again = await FENCE.perform(databases.context(40), target, GO)
    assert again.previous_policy == "UNCHANGED"
    resumed = await FENCE.perform(databases.context(40, seen=seen.facts), target, GO)
    assert resumed.previous_policy == "ALWAYS", "an earlier attempt's doing is undone too"
    assert databases.sent("PATCH", PRIMARY) == 1
    debts = FENCE.debts(target, GO, fence)
    assert [one.key for one in debts] == [f"fence:gcp:415104041262:cloudsql:{PRIMARY}"]
    assert "has stopped it" in debts[0].what
    dead = fence.model_copy(update={"durable": False, "note": "it may come back"})
    assert "may come back" in FENCE.debts(target, GO, dead)[0].what
    assert isinstance(await UNFENCE.settled(databases.context(), target, BACK), NotDone)
    unfenced = await UNFENCE.perform(databases.context(40), target, BACK)
    assert [one.key for one in UNFENCE.debts(target, BACK, unfenced)] == [debts[0].key]
    session = await databases.session(PRIMARY)
    await session.close()
    assert isinstance(await UNFENCE.settled(databases.context(), target, BACK), Done)
    await UNFENCE.perform(databases.context(40), target, BACK)
    assert databases.sent("PATCH", PRIMARY) == 2
    preview = UNFENCE.preview(
        await UNFENCE.observe(databases.context(), target, BACK), target, BACK
    )
    assert isinstance(preview, Nothing)


@pytest.mark.lab
@pytest.mark.asyncio(loop_scope="session")
async def test_a_server_that_goes_on_is_no_fence(databases, monkeypatch):
    """Google says stopped and done; the server says otherwise, and it is right."""

    async def nothing(*_):
        await asyncio.sleep(0)

    monkeypatch.setattr(databases.cloud.sql.work, "activate", nothing)
    target = databases.target(PRIMARY, region="us-east1")
    with pytest.raises(Rejected, match="does not hold"):
        await FENCE.perform(databases.context(40), target, GO)


async def test_without_a_control_plane_silence_is_no_fence(project):
    target = project.bare("prod", at=("127.92.0.77", 5432))
    await project.cloud.stop()
    with pytest.raises(Rejected, match="cannot be stopped"):
        await FENCE.perform(project.context(), target, GO)
    with pytest.raises(Unavailable):
        await UNFENCE.perform(project.context(3), target, BACK)
    settled = await FENCE.settled(project.context(3), target, GO)
    assert isinstance(settled, CannotTell)
    assert settled.again_tells


async def test_a_replica_is_no_old_primary(project):
    project.bare("prod")
    unprovable = project.bare("bare")
    with pytest.raises(Rejected, match="neither sql"):
        await FENCE.perform(project.context(), unprovable, GO)
    target = project.bare("dr", source="prod", at=("127.92.0.77", 5432))
    with pytest.raises(Rejected, match="replica"):
        await FENCE.perform(project.context(), target, GO)


async def test_a_fence_that_is_stopped_and_not_proven_is_there_to_be_taken_back(project):
    target = project.bare("prod")
    untouched = await FENCE.settled(project.context(), target, GO)
    project.cloud.sql.instances["prod"].activation = "NEVER"
    stopped = await FENCE.settled(project.context(), target, GO)
    assert (untouched.remains, stopped.remains) == (False, True)
    assert stopped.outputs == {"previous_policy": "UNCHANGED"}, "nobody knows that it ever ran"
    by_this_run = project.context(seen={"activation": "ALWAYS"})
    assert (await FENCE.settled(by_this_run, target, GO)).outputs == {"previous_policy": "ALWAYS"}


async def test_what_the_fence_left_alone_is_left_alone(project):
    target, params = project.bare("prod"), UnfenceParams(policy="UNCHANGED")
    project.cloud.sql.instances["prod"].activation = "NEVER"
    unfenced = await UNFENCE.perform(project.context(), target, params)
    assert unfenced.activation == "NEVER"
    (owed,) = UNFENCE.debts(target, params, unfenced)
    assert isinstance(owed, Debt), "an earlier run has stopped it, and it still is"
    assert (await UNFENCE.settled(project.context(), target, params)).outputs == unfenced
    project.cloud.sql.instances["prod"].activation = "ALWAYS"
    unfenced = await UNFENCE.perform(project.context(), target, params)
    assert UNFENCE.debts(target, params, unfenced) == (Cleared(key=owed.key),)
    assert project.sent("PATCH", "prod") == 0
    await project.cloud.stop()
    unfenced = await UNFENCE.perform(project.context(6), target, params)
    assert UNFENCE.debts(target, params, unfenced) == ()
