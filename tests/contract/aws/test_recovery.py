"""Ways back through RDS: what is made is private, as its source, and exactly of its moment."""

import asyncio
import itertools
import time
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError
from pydantic import ValidationError

from drctl.actions.contract import CannotTell, Change, Cleared, Debt, Done, NotDone
from drctl.actions.errors import Conflict, NotFound, OutcomeUnknown, Rejected
from drctl.adapters.aws.rds_aside import AsideParams, SetAside
from drctl.adapters.aws.rds_promote import PromoteParams, PromoteReplica
from drctl.adapters.aws.rds_replica import CreateReplica, ReplicaParams
from drctl.adapters.aws.rds_restore import RestoreParams, RestoreToTime
from drctl.adapters.aws.rds_snapshot import CreateParams, CreateSnapshot, RestoreSnapshot
from drctl.adapters.aws.rds_snapshot import RestoreParams as CopyParams
from drctl.adapters.aws.rds_window import ReadWindow, WindowParams

from .conftest import EAST, PASSWORD, PROD, WEST

RESTORE, WINDOW, REPLICA = RestoreToTime(), ReadWindow(), CreateReplica()
ASIDE, TAKE, RESTORE_COPY = SetAside(), CreateSnapshot(), RestoreSnapshot()
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def source(estate):
    """A primary with settings that the vendor's defaults would lose, and rows at known times."""
    rds = estate.client("rds", EAST)
    rds.create_db_parameter_group(
        DBParameterGroupName="own", DBParameterGroupFamily="postgres18", Description="d"
    )
    rds.create_db_instance(
        DBInstanceIdentifier="pitr-source",
        DBInstanceClass="db.t3.medium",
        Engine="postgres",
        AllocatedStorage=20,
        DBName="healing_guard",
        MasterUsername="drctl",
        MasterUserPassword=PASSWORD,
        VpcSecurityGroupIds=[estate.groups[EAST]["healing-guard-db"]],
        DBParameterGroupName="own",
        MultiAZ=True,
        DeletionProtection=True,
        EnableIAMDatabaseAuthentication=True,
        PubliclyAccessible=False,
    )
    estate.await_available("pitr-source")

    async def write():
        session = await estate.connect("pitr-source", "drctl")
        await session.execute("CREATE TABLE numbers (n int)")
        while not estate.bridge.window(estate.bridge.instances["pitr-source"].described):  # noqa: ASYNC110 (a poll)
            await asyncio.sleep(0.1)
        times = []
        for number in range(5):
            await session.execute("INSERT INTO numbers VALUES ($1)", number)
            times.append(await session.fetchval("SELECT clock_timestamp()"))
            await asyncio.sleep(1.1)
        system = await session.fetchval("SELECT system_identifier::text FROM pg_control_system()")
        await session.close()
        return times, system

    times, system = estate.run(write())

    async def shipped():
        described = estate.bridge.instances["pitr-source"].described
        while estate.bridge.window(described)[1] < times[-1] + timedelta(seconds=1):  # noqa: ASYNC110 (a poll)
            await asyncio.sleep(0.1)

    estate.run(shipped())
    yield times, system
    rds.modify_db_instance(DBInstanceIdentifier="pitr-source", DeletionProtection=False)
    rds.delete_db_instance(DBInstanceIdentifier="pitr-source", SkipFinalSnapshot=True)


@pytest.fixture
def looking(context, estate):
    """Makes contexts that look names up where the lab has them."""

    def make(seconds=20.0, **more):
        return context(seconds, resolvers=(estate.resolver,), **more)

    return make


def target(estate, source, **more):
    fence = {"fence_security_group": estate.groups[EAST]["healing-guard-fence"]}
    return estate.target("pitr-source", EAST, system_identifier=source[1], **fence, **more)


async def numbers(estate, name):
    session = await estate.connect(name, "drctl")
    try:
        return [row[0] for row in await session.fetch("SELECT n FROM numbers ORDER BY n")]
    finally:
        await session.close()


async def gone(estate, name, region=EAST):
    def delete():
        rds = estate.client("rds", region)
        rds.modify_db_instance(DBInstanceIdentifier=name, DeletionProtection=False)
        rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)

    await asyncio.to_thread(delete)


def described(estate, name, region=EAST):
    found = estate.client("rds", region).describe_db_instances(DBInstanceIdentifier=name)
    return found["DBInstances"][0]


@pytest.mark.timeout(300)
async def test_a_restored_instance_has_the_moment_s_rows_and_its_source_s_settings(
    estate, source, context, looking
):
    times, _ = source
    wanted = target(estate, source)
    before = await asyncio.to_thread(described, estate, "pitr-source")
    params = RestoreParams(instance="back-in-time", time=times[2].isoformat())
    seen = RESTORE.preview(await RESTORE.observe(context(), wanted, params), wanted, params)
    assert isinstance(seen, Change)
    assert seen.creates
    ctx = looking(90)
    made = await RESTORE.perform(ctx, wanted, params)
    try:
        assert (made.instance, made.public) == ("back-in-time", False)
        assert made.restored_to == times[2].astimezone(UTC).isoformat().replace("+00:00", "Z")
        assert await numbers(estate, "back-in-time") == [0, 1, 2]
        assert await numbers(estate, "pitr-source") == [0, 1, 2, 3, 4]
        after = await asyncio.to_thread(described, estate, "back-in-time")
        for name in ("MultiAZ", "DeletionProtection", "IAMDatabaseAuthenticationEnabled"):
            assert after[name] is True
        assert after["PubliclyAccessible"] is False
        for name in ("DBParameterGroups", "VpcSecurityGroups", "DBInstanceClass"):
            assert after[name] == before[name]
        again = await RESTORE.perform(ctx, wanted, params)
        assert again.endpoint == made.endpoint, "asked twice with one key, it is made once"
        settled = await RESTORE.settled(ctx, wanted, params)
        assert isinstance(settled, Done)
        assert settled.outputs.endpoint == made.endpoint
        with pytest.raises(Conflict, match="already"):
            await RESTORE.perform(looking(90, key="another"), wanted, params)
        [owed] = RESTORE.debts(wanted, params, made)
        assert owed.key.startswith("restored:"), "whether it will ever serve is not known yet"
        assert made.instance in owed.what
    finally:
        await gone(estate, "back-in-time")
    now = await asyncio.to_thread(described, estate, "pitr-source")
    changing = ("LatestRestorableTime",)
    assert {k: v for k, v in now.items() if k not in changing} == {
        k: v for k, v in before.items() if k not in changing
    }


async def test_a_moment_that_cannot_be_had_is_refused_with_the_numbers(estate, source, context):
    wanted = target(estate, source)
    for age, why in (
        (timedelta(hours=-2), r"is in the future: (2h|1h59m\d+s) from now"),
        (
            timedelta(days=2),
            r"before the window: the earliest restorable time is .*Z, 4[78]h",
        ),
        (
            timedelta(milliseconds=50),
            r"too new: the latest restorable time is .*Z, \d+s before",
        ),
    ):
        # Reckoned each time: what is too new is not so for long.
        moment = datetime.now(UTC) - age
        params = RestoreParams(instance="never", time=moment.isoformat())
        with pytest.raises(Rejected, match=why):
            await RESTORE.perform(context(20), wanted, params)
        params = RestoreParams(instance="never", time=(datetime.now(UTC) - age).isoformat())
        seen = await RESTORE.observe(context(), wanted, params)
        assert isinstance(RESTORE.preview(seen, wanted, params), CannotTell)
    with pytest.raises(ClientError, match="NotFound"):
        await asyncio.to_thread(described, estate, "never")


@pytest.mark.parametrize("text", ["2026-11-22T14:03:00", "2026-11-22 14:03:00", "yesterday", ""])
def test_a_time_without_an_offset_is_no_moment(text):
    with pytest.raises(ValidationError, match=r"no offset|is no time"):
        RestoreParams(instance="never", time=text)
    with pytest.raises(ValidationError, match=r"no offset|is no time"):
        WindowParams(time=text)


async def test_the_window_says_whether_a_moment_is_in_it(estate, source, context):
    wanted = target(estate, source)
    inside = await WINDOW.perform(context(), wanted, WindowParams(time=source[0][1].isoformat()))
    assert (inside.covers, inside.why) == (True, "")
    assert inside.earliest < inside.latest
    fresh = datetime.now(UTC).isoformat()
    too_new = await WINDOW.perform(context(), wanted, WindowParams(time=fresh))
    assert too_new.covers is False
    assert "too new" in too_new.why
    for days in (-400, 400):
        moment = (datetime.now(UTC) + timedelta(days=days)).isoformat()
        with pytest.raises(Rejected, match=r"future|before the window"):
            await WINDOW.perform(context(), wanted, WindowParams(time=moment))


async def test_a_source_in_quarantine_is_no_pattern_for_a_copy_s_network(
    estate, source, context, looking
):
    rds, groups = estate.client("rds", EAST), estate.groups[EAST]
    params = RestoreParams(instance="shut-in", time=source[0][1].isoformat())

    def into(group):
        rds.modify_db_instance(DBInstanceIdentifier="pitr-source", VpcSecurityGroupIds=[group])
        wanted = [{"VpcSecurityGroupId": group, "Status": "active"}]
        while described(estate, "pitr-source")["VpcSecurityGroups"] != wanted:
            time.sleep(0.1)

    await asyncio.to_thread(into, groups["healing-guard-fence"])
    try:
        with pytest.raises(Rejected, match="in quarantine"):
            await RESTORE.perform(context(20), target(estate, source), params)
        own = target(estate, source, security_groups=[groups["healing-guard-db"]])
        made = await RESTORE.perform(looking(90), own, params)
        assert made.security_groups == (groups["healing-guard-db"],)
        await gone(estate, "shut-in")
    finally:
        await asyncio.to_thread(into, groups["healing-guard-db"])


async def test_what_does_not_exist_is_not_restored(estate, context):
    params = RestoreParams(instance="never", time=datetime.now(UTC).isoformat())
    nobody = estate.target(PROD, EAST).model_copy(update={"instance": "nobody"})
    with pytest.raises(NotFound):
        await RESTORE.perform(context(20), nobody, params)
    settled = await RESTORE.settled(context(20), estate.target(PROD, EAST), params)
    assert isinstance(settled, NotDone)


@pytest.mark.timeout(300)
async def test_a_promoted_standby_s_old_primary_is_set_aside_and_followed_by_its_name(
    estate, context, looking
):
    """The whole road of re-protecting: promote, fence, rename, replicate, and what is owed."""
    east, west = estate.groups[EAST], estate.groups[WEST]
    number = next(_NUMBERS)
    old_name, new_name = f"old-{number}", f"new-{number}"
    rds = estate.client("rds", EAST)

    def build():
        rds.create_db_instance(
            DBInstanceIdentifier=old_name,
            DBInstanceClass="db.t3.medium",
            Engine="postgres",
            AllocatedStorage=20,
            DBName="healing_guard",
            MasterUsername="drctl",
            MasterUserPassword=PASSWORD,
            VpcSecurityGroupIds=[east["healing-guard-db"]],
        )
        estate.await_available(old_name)
        arn = described(estate, old_name)["DBInstanceArn"]
        estate.client("rds", WEST).create_db_instance_read_replica(
            DBInstanceIdentifier=new_name,
            SourceDBInstanceIdentifier=arn,
            SourceRegion=EAST,
            VpcSecurityGroupIds=[west["healing-guard-db"]],
        )
        estate.await_available(new_name)

    await asyncio.to_thread(build)
    session = await estate.connect(old_name, "drctl")
    system = await session.fetchval("SELECT system_identifier::text FROM pg_control_system()")
    await session.close()
    fenced = {"fence_security_group": east["healing-guard-fence"]}
    old = estate.target(old_name, EAST, system_identifier=system, **fenced)
    new = estate.target(new_name, WEST, system_identifier=system)
    promoted = await PromoteReplica().perform(context(30), new, PromoteParams(from_timeline=1))
    assert promoted.arn.endswith(f":{WEST}:123456789012:db:{new_name}")
    [owed] = PromoteReplica().debts(new, PromoteParams(), promoted)
    assert isinstance(owed, Debt)

    aside = AsideParams(instance=f"{old_name}-aside")
    with pytest.raises(Rejected, match="not in quarantine"):
        await ASIDE.perform(context(20), old, aside)
    await asyncio.to_thread(
        rds.modify_db_instance,
        DBInstanceIdentifier=old_name,
        VpcSecurityGroupIds=[east["healing-guard-fence"]],
    )
    await asyncio.sleep(1)
    with pytest.raises(Conflict, match="already"):
        await ASIDE.perform(context(20), old, AsideParams(instance=PROD))
    assert isinstance(await ASIDE.settled(context(20), old, aside), NotDone)
    set_aside = await ASIDE.perform(context(30), old, aside)
    assert set_aside.previous_instance == old_name
    assert isinstance(await ASIDE.settled(context(20), old, aside), Done)
    kinds = [(type(one), one.key.partition(":")[0]) for one in ASIDE.debts(old, aside, set_aside)]
    assert kinds == [(Cleared, "fence"), (Debt, "kept")]

    params = ReplicaParams(source=promoted.arn, like=aside.instance)
    with pytest.raises(Rejected, match="no security_groups"):
        await REPLICA.perform(context(20), old, params)
    placed = old.model_copy(update={"security_groups": (east["healing-guard-db"],)})
    ctx = looking(60)
    replica = await REPLICA.perform(ctx, placed, params)
    assert (replica.instance, replica.source) == (old_name, promoted.arn)
    assert isinstance(await REPLICA.settled(ctx, placed, params), Done)
    assert (await REPLICA.perform(ctx, placed, params)).endpoint == replica.endpoint
    assert REPLICA.debts(placed, params, replica) == (Cleared(key=owed.key),)
    assert (await asyncio.to_thread(described, estate, old_name))["PubliclyAccessible"] is False
    session = await estate.connect(old_name, "drctl")
    assert await session.fetchval("SELECT pg_is_in_recovery()") is True
    await session.close()
    for name, region in ((old_name, EAST), (aside.instance, EAST), (new_name, WEST)):
        await gone(estate, name, region)


@pytest.mark.timeout(300)
async def test_a_snapshot_and_what_is_made_of_it(estate, source, context, looking):
    wanted = target(estate, source)
    ctx = looking(60)
    taken = await TAKE.perform(ctx, wanted, CreateParams(snapshot="before-the-change"))
    assert (taken.snapshot, taken.instance) == ("before-the-change", "pitr-source")
    again = await TAKE.perform(ctx, wanted, CreateParams(snapshot="before-the-change"))
    assert again == taken
    settled = await TAKE.settled(ctx, wanted, CreateParams(snapshot="before-the-change"))
    assert settled == Done(outputs=taken)
    params = CreateParams(snapshot="before-the-change")
    with pytest.raises(Conflict, match="already"):
        await TAKE.perform(looking(60, key="another"), wanted, params)
    params = CopyParams(snapshot="before-the-change", instance="of-a-copy")
    made = await RESTORE_COPY.perform(looking(90), wanted, params)
    try:
        assert (made.public, made.snapshot) == (False, "before-the-change")
        assert await numbers(estate, "of-a-copy") == [0, 1, 2, 3, 4]
        after = await asyncio.to_thread(described, estate, "of-a-copy")
        assert (after["MultiAZ"], after["DeletionProtection"]) == (True, True)
    finally:
        await gone(estate, "of-a-copy")
    with pytest.raises(NotFound):
        await RESTORE_COPY.perform(
            context(20), wanted, CopyParams(snapshot="nothing", instance="of-nothing")
        )
    estate.client("rds", EAST).delete_db_snapshot(DBSnapshotIdentifier="before-the-change")


@pytest.mark.parametrize("status", ["incompatible-restore", "failed", "incompatible-parameters"])
async def test_a_restore_that_will_never_end_is_not_waited_for(
    status, endpoint_at, connection_to, context
):
    """E26: the plan's loop waits for ever on these."""
    from drctl.actions.targets import RdsInstance

    endpoint = await endpoint_at(answer=Scripted(status))
    wanted = RdsInstance(aws=connection_to(endpoint.url), instance="source")
    ctx = context(30)
    params = RestoreParams(instance="copy", time=Scripted.INSIDE)
    with pytest.raises(Rejected, match=status):
        await RESTORE.perform(ctx, wanted, params)
    assert ctx.deadline.left_s(ctx.clock) > 15
    assert endpoint.answer.restores == 1


async def test_a_restore_without_an_answer_is_unknown_and_sent_once(
    endpoint_at, connection_to, context
):
    from drctl.actions.targets import RdsInstance

    endpoint = await endpoint_at(answer=Scripted("never", reply="close"))
    wanted = RdsInstance(aws=connection_to(endpoint.url), instance="source")
    params = RestoreParams(instance="copy", time=Scripted.INSIDE)
    with pytest.raises(OutcomeUnknown):
        await RESTORE.perform(context(), wanted, params)
    assert endpoint.answer.restores == 1


class Scripted:
    """A source that can be restored, and a copy that gets stuck."""

    INSIDE = "2026-01-01T12:00:00Z"

    def __init__(self, status, reply=None):
        self.status, self.reply, self.restores = status, reply, 0

    def __call__(self, request):
        action, name = request.form["Action"], request.form.get("DBInstanceIdentifier")
        if action == "RestoreDBInstanceToPointInTime":
            self.restores += 1
            return self.reply or _said(action, "<DBInstance/>")
        if action == "DescribeDBInstanceAutomatedBackups":
            window = (
                "<RestoreWindow><EarliestTime>2026-01-01T00:00:00Z</EarliestTime>"
                "<LatestTime>2026-01-02T00:00:00Z</LatestTime></RestoreWindow>"
            )
            one = f"<DBInstanceIdentifier>source</DBInstanceIdentifier>{window}"
            one = f"<DBInstanceAutomatedBackup>{one}</DBInstanceAutomatedBackup>"
            return _said(action, f"<DBInstanceAutomatedBackups>{one}</DBInstanceAutomatedBackups>")
        if name == "copy" and (not self.restores or self.reply):
            body = "<ErrorResponse><Error><Code>DBInstanceNotFound</Code></Error></ErrorResponse>"
            return 404, body.encode()
        status = self.status if name == "copy" else "available"
        group = "<VpcSecurityGroupId>sg-1</VpcSecurityGroupId><Status>active</Status>"
        one = (
            f"<DBInstanceIdentifier>{name}</DBInstanceIdentifier>"
            f"<DBInstanceStatus>{status}</DBInstanceStatus>"
            f"<VpcSecurityGroups><VpcSecurityGroupMembership>{group}</VpcSecurityGroupMembership>"
            "</VpcSecurityGroups>"
        )
        return _said(action, f"<DBInstances><DBInstance>{one}</DBInstance></DBInstances>")


def _said(action, result):
    body = f"<{action}Response><{action}Result>{result}</{action}Result></{action}Response>"
    return 200, body.encode()
