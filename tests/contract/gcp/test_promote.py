"""A promotion is sent once, and is over when the operation, the instance and the server say so."""

import asyncio

import pytest

from drctl.actions.contract import CannotTell, Change, Done, NotDone, Nothing
from drctl.actions.errors import (
    AuthRejected,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
)
from drctl.adapters.gcp.sql_promote import PromoteParams, PromoteReplica

PRIMARY, REPLICA = "healing-guard-prod", "healing-guard-dr"
PROMOTE, GO = PromoteReplica(), PromoteParams()
FROM_1 = PromoteParams(from_timeline=1)


@pytest.mark.lab
@pytest.mark.asyncio(loop_scope="session")
async def test_a_real_replica_becomes_a_primary_that_takes_writes(databases):
    await databases.replica(REPLICA, 102)
    target = databases.target(REPLICA)
    seen = await PROMOTE.observe(databases.context(), target, FROM_1)
    assert isinstance(PROMOTE.preview(seen, target, FROM_1), Change)
    promotion = await PROMOTE.perform(databases.context(40), target, FROM_1)
    assert (promotion.changed, promotion.from_timeline) == (True, 1)
    assert promotion.system_identifier == databases.system_identifier
    assert promotion.endpoint == databases.servers[REPLICA].address[0]
    session = await databases.session(REPLICA)
    await session.execute("INSERT INTO drctl.write_check (token) VALUES ('after')")
    await session.close()
    # Nobody watched the old primary here: that this one continues it cannot be shown any more.
    with pytest.raises(Conflict, match="primary already"):
        await PROMOTE.perform(databases.context(), target, FROM_1)
    assert databases.sent("POST", "/promoteReplica") == 1
    assert isinstance(await PROMOTE.settled(databases.context(), target, FROM_1), Done)
    debts = PROMOTE.debts(target, FROM_1, promotion)
    assert [debt.key for debt in debts] == [f"standby:postgres:{databases.system_identifier}"]


@pytest.mark.lab
@pytest.mark.asyncio(loop_scope="session")
async def test_the_server_is_asked_whether_it_is_the_right_one(databases):
    """Without a pin or an observer Cloud SQL would promote whatever has that name."""
    await databases.replica(REPLICA, 102)
    target = databases.target(REPLICA, system_identifier="1")
    with pytest.raises(Conflict, match="it is system"):
        await PROMOTE.perform(databases.context(), target, FROM_1)
    with pytest.raises(Conflict, match="timeline"):
        await PROMOTE.perform(databases.context(), databases.target(REPLICA), GO)
    assert databases.sent("POST", "/promoteReplica") == 0
    rows = await databases.servers[REPLICA].query_as_superuser("SELECT pg_is_in_recovery()")
    assert rows[0][0]


async def test_a_primary_is_left_alone(project):
    target = project.bare("alone")
    assert (await PROMOTE.perform(project.context(), target, GO)).changed is False
    seen = await PROMOTE.observe(project.context(), target, GO)
    assert isinstance(PROMOTE.preview(seen, target, GO), Nothing)
    assert project.sent("POST", "/promoteReplica") == 0


async def test_the_operation_is_waited_for_to_its_end(project):
    project.bare("prod")
    target = project.bare("dr", source="prod")
    project.cloud.sql.operations.hold = gate = asyncio.Event()
    doing = asyncio.create_task(PROMOTE.perform(project.context(), target, GO))
    await asyncio.sleep(0.8)
    assert not doing.done()
    settled = await PROMOTE.settled(project.context(), target, GO)
    assert isinstance(settled, CannotTell)
    gate.set()
    assert (await doing).changed


async def test_a_promotion_that_does_not_end_in_time_is_unknown(project):
    project.bare("prod")
    target = project.bare("dr", source="prod")
    project.cloud.sql.operations.hold = asyncio.Event()
    with pytest.raises(OutcomeUnknown):
        await PROMOTE.perform(project.context(1.0), target, GO)


async def test_an_operation_that_ends_with_an_error_is_looked_after(project):
    """Nobody knows from its error what it did on the way; the instance is asked."""
    project.bare("prod")
    target = project.bare("dr", source="prod")

    async def fail(*_):
        raise RuntimeError("no quota")

    project.cloud.sql.work.promote = fail
    with pytest.raises(OutcomeUnknown, match="no quota"):
        await PROMOTE.perform(project.context(), target, GO)
    assert isinstance(await PROMOTE.settled(project.context(), target, GO), NotDone)


@pytest.mark.parametrize("end", ["FAILED", "SUSPENDED", "gone"])
async def test_a_promotion_that_was_done_is_never_said_not_to_have_happened(end, project):
    """Undone steps before it would let the old primary back beside the new one."""
    project.bare("prod")
    target = project.bare("dr", source="prod")

    async def promote(instance, _sent):
        instance.source = None
        instance.state = end
        if end == "gone":
            project.cloud.sql.instances.pop("dr")

    project.cloud.sql.work.promote = promote
    with pytest.raises(OutcomeUnknown, match=end):
        await PROMOTE.perform(project.context(), target, GO)
    assert project.sent("POST", "/promoteReplica") == 1
    assert isinstance(await PROMOTE.settled(project.context(), target, GO), CannotTell)


@pytest.mark.parametrize(
    ("state", "word"), [("MAINTENANCE", Conflict), ("FAILED", Rejected), ("SUSPENDED", Rejected)]
)
async def test_what_cannot_be_promoted_is_not_asked_to(state, word, project):
    project.bare("prod")
    target = project.bare("dr", source="prod", state=state)
    with pytest.raises(word):
        await PROMOTE.perform(project.context(), target, GO)
    assert project.sent("POST", "/promoteReplica") == 0


async def test_a_replica_of_a_replica_is_not_promoted(project):
    project.bare("prod")
    project.bare("middle", source="prod")
    target = project.bare("last", source="middle")
    seen = await PROMOTE.observe(project.context(), target, GO)
    assert "replica itself" in PROMOTE.preview(seen, target, GO).why
    with pytest.raises(Conflict, match="replica itself"):
        await PROMOTE.perform(project.context(), target, GO)


async def test_a_busy_instance_is_a_conflict(project):
    """Google's answer while an operation runs; the promotion is not queued."""
    project.bare("prod")
    target = project.bare("dr", source="prod")
    project.cloud.sql.operations.hold = gate = asyncio.Event()
    work = asyncio.sleep
    project.cloud.sql.operations.begin("dr", "UPDATE", lambda: work(0))
    with pytest.raises(Conflict, match="operationInProgress"):
        await PROMOTE.perform(project.context(), target, GO)
    gate.set()


async def test_an_instance_that_is_not_there(project):
    target = project.bare("dr")
    project.cloud.sql.instances.clear()
    with pytest.raises(NotFound):
        await PROMOTE.perform(project.context(), target, GO)


async def test_nothing_is_sent_without_permission(project):
    project.bare("prod")
    target = project.bare("dr", source="prod")

    def refuse():
        raise PermissionError

    with pytest.raises(PermissionError):
        await PROMOTE.perform(project.context(permit=refuse), target, GO)
    assert project.sent("POST", "/promoteReplica") == 0


async def test_a_token_that_is_revoked_stops_it(project):
    target = project.bare("dr")
    project.keys.values["env:TOKEN"] = project.cloud.tokens.issue()
    token = project.connection(access_token="env:TOKEN", service_account_key=None)
    target = type(target).model_validate({"gcp": token, "instance": "dr"})
    assert not (await PROMOTE.perform(project.context(), target, GO)).changed
    project.cloud.tokens.revoke_all()
    with pytest.raises(AuthRejected):
        await PROMOTE.perform(project.context(), target, GO)
