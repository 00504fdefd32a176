"""After the fence the old primary acknowledges nothing, and what was not proven is refused."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest

from drctl.actions.contract import CannotTell, Change, NoParams, NotDone
from drctl.actions.errors import Rejected
from drctl.actions.targets import RdsInstance
from drctl.adapters import _vantage
from drctl.adapters._one_primary import ProofParams
from drctl.adapters.aws import fence_control
from drctl.adapters.aws.rds_fence import FenceInstance
from drctl.adapters.aws.rds_only import AssertSinglePrimary
from drctl.adapters.aws.rds_unfence import UnfenceInstance, UnfenceParams
from drctl.kernel.secret import SecretRef

EAST, WEST = "us-east-1", "us-west-2"
PROD, STANDBY = "healing-guard-prod", "healing-guard-dr"
FENCE, GO = FenceInstance(), NoParams()
ONE = AssertSinglePrimary()


@pytest.fixture(autouse=True)
def impatience(monkeypatch):
    """On loopback silence is certain sooner."""
    monkeypatch.setattr(_vantage, "PROBE", timedelta(seconds=1))
    monkeypatch.setattr(fence_control, "QUICK_S", 1.5)


class App:
    """The application: one standing session, as a pool keeps it, and a session for each POST."""

    def __init__(self, estate):
        self.estate = estate
        self.acknowledged = []
        self.session = None
        self.writing = None

    async def start(self):
        self.session = await self.estate.connect(PROD)
        self.writing = asyncio.create_task(self._write())

    async def _write(self):
        loop = asyncio.get_running_loop()
        for number in range(1_000_000):
            await self.session.execute(
                "INSERT INTO pipelines (id) VALUES ($1)", f"{id(self)}-{number}"
            )
            self.acknowledged.append(loop.time())
            await asyncio.sleep(0.005)

    async def is_cut_off(self):
        """The writer never ends by itself; how asyncpg words the end varies."""
        async with asyncio.timeout(5):
            [error] = await asyncio.gather(self.writing, return_exceptions=True)
        assert isinstance(error, Exception)

    async def post(self, _request):
        try:
            async with asyncio.timeout(0.4):
                session = await self.estate.connect(PROD)
                await session.execute("INSERT INTO pipelines (id) VALUES ('from-post')")
                await session.close()
        except (OSError, TimeoutError, asyncpg.PostgresError):
            return 503, b'{"error": "cannot write"}'
        return 201, b"{}"

    async def stop(self):
        if self.writing is not None:
            self.writing.cancel()
            await asyncio.gather(self.writing, return_exceptions=True)
        if self.session is not None:
            self.session.terminate()


@pytest.fixture
async def app(estate):
    running = App(estate)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def front(endpoint_at, app):
    return await endpoint_at("127.141.3.1", app.post)


@pytest.fixture
async def primary(estate, front, context):
    """The target, restored afterwards."""
    group = estate.groups[EAST]
    yield estate.target(
        PROD,
        EAST,
        fence_security_group=group["healing-guard-fence"],
        client_write_urls=(f"{front.url}/api/v1/pipelines",),
    )
    estate.plane.set_reachable(EAST, True)
    await estate.on_its_loop(estate.bridge.cut_off(PROD, is_cut_off=False))
    params = UnfenceParams(security_groups=(group["healing-guard-db"],))
    await UnfenceInstance().perform(context(), estate.target(PROD, EAST), params)


async def test_no_write_is_acknowledged_after_the_fence_and_none_before_it_is_behind_the_lsn(
    estate, primary, app, context
):
    """The one promise: standing sessions too, which a security group does not cut."""
    while len(app.acknowledged) < 5 and not app.writing.done():  # noqa: ASYNC110 (a poll)
        await asyncio.sleep(0.01)
    fence = await FENCE.perform(context(30), primary, GO)
    fenced_at = asyncio.get_running_loop().time()
    await app.is_cut_off()
    assert [at for at in app.acknowledged if at > fenced_at] == []
    assert (fence.method, fence.durable) == ("security_group", True)
    assert (estate.groups[EAST]["healing-guard-db"],) == fence.previous_security_groups
    assert len(fence.proof) == 2
    assert "503" in fence.proof[1]
    server = estate.bridge.instances[PROD].server
    count = "SELECT count(*) FROM pipelines WHERE id LIKE $1"
    [(kept,)] = await estate.on_its_loop(
        server.query_as_superuser(count, f"{id(app)}-%", database="healing_guard")
    )
    assert kept >= len(app.acknowledged)
    position = "SELECT pg_current_wal_lsn() >= $1::text::pg_lsn"
    [(reached,)] = await estate.on_its_loop(server.query_as_superuser(position, fence.final_lsn))
    assert reached


async def test_the_plan_shows_the_quarantine_and_changes_nothing(estate, primary, context):
    seen = await FENCE.observe(context(), primary, GO)
    assert seen.facts["status"] == "available"
    preview = FENCE.preview(seen, primary, GO)
    assert isinstance(preview, Change)
    assert estate.groups[EAST]["healing-guard-db"] in preview.before
    assert seen.facts == (await FENCE.observe(context(), primary, GO)).facts


async def test_what_was_fenced_is_read_back_and_may_be_fenced_again(primary, context):
    assert isinstance(await FENCE.settled(context(), primary, GO), NotDone)
    await FENCE.perform(context(30), primary, GO)
    again = await FENCE.settled(context(), primary, GO)
    assert isinstance(again, NotDone)
    assert "in quarantine" in again.why
    second = await FENCE.perform(context(30), primary, GO)
    assert second.previous_security_groups == ()
    assert (second.method, second.final_lsn) == ("security_group", "")


async def test_without_an_administrators_session_the_instance_is_restarted(primary, app, context):
    """The only other way to cut sessions from the control plane."""
    sql = primary.sql.model_copy(update={"password": SecretRef("env:wrong")})
    fence = await FENCE.perform(context(30), primary.model_copy(update={"sql": sql}), GO)
    await app.is_cut_off()
    assert (fence.method, fence.durable, fence.final_lsn) == ("security_group", True, "")


async def test_a_place_that_still_accepts_writes_breaks_the_fence(primary, endpoint_at, context):
    other = await endpoint_at("127.141.3.2", lambda _request: (201, b"{}"))
    target = primary.model_copy(update={"client_write_urls": (f"{other.url}/write",)})
    with pytest.raises(Rejected, match=r"does not hold: POST http.*/write answered 201"):
        await FENCE.perform(context(30), target, GO)
    assert [one.body for one in other.requests] == [b'{"id":"drctl-fence-run-1.step.1"}']


async def test_a_group_that_lets_traffic_in_is_no_fence(estate, primary, app, context):
    leaky = estate.groups[EAST]["leaky-fence"]
    target = primary.model_copy(update={"fence_security_group": leaky})
    assert isinstance(
        FENCE.preview(await FENCE.observe(context(), target, GO), target, GO), CannotTell
    )
    with pytest.raises(Rejected, match="it is no fence"):
        await FENCE.perform(context(), target, GO)
    assert not app.writing.done()


async def test_a_primary_that_is_alive_behind_a_dead_control_plane_is_not_fenced(
    estate, primary, app, front, context
):
    """It still takes writes, so promoting would split the brain; and the probe leaves no row."""
    estate.plane.set_reachable(EAST, False)
    with pytest.raises(Rejected, match=r"is alive: .*opened a session.*cannot be shut"):
        await FENCE.perform(context(30), primary, GO)
    assert not app.writing.done()
    assert front.requests == []


async def test_cannot_reach_is_not_a_fence(estate, primary, context):
    """A partition: nothing answers here, and clients elsewhere may be writing."""
    estate.plane.set_reachable(EAST, False)
    await estate.on_its_loop(estate.bridge.cut_off(PROD, is_cut_off=True))
    ctx = context(30)
    alone = primary.model_copy(update={"client_write_urls": ()})
    partition, too_few = await asyncio.gather(
        FENCE.perform(ctx, primary, GO), FENCE.perform(ctx, alone, GO), return_exceptions=True
    )
    assert isinstance(partition, Rejected)
    assert str(partition).startswith("cannot reach is not a fence: SQL at")
    assert isinstance(too_few, Rejected)
    assert "only 1 place(s) to look from" in str(too_few)
    assert ctx.deadline.left_s(ctx.clock) > 22


async def test_a_dead_region_is_proven_dead_and_said_not_to_be_durable(
    estate, primary, app, context
):
    """Nothing listens at the database and the application says 503, three times over."""
    await app.stop()
    estate.plane.set_reachable(EAST, False)
    await estate.on_its_loop(estate.bridge.crash_region(EAST))
    try:
        ctx = context(30)
        fence, seen, settled = await asyncio.gather(
            FENCE.perform(ctx, primary, GO),
            FENCE.observe(context(), primary, GO),
            FENCE.settled(context(), primary, GO),
        )
        assert 22 < ctx.deadline.left_s(ctx.clock) < 28
    finally:
        estate.plane.set_reachable(EAST, True)
        await estate.on_its_loop(estate.bridge.recover_region(EAST))
    assert isinstance(settled, CannotTell)
    assert settled.again_tells, "whoever resumes fences once more, and does not wait for the region"
    assert seen.facts == {}
    assert isinstance(FENCE.preview(seen, primary, GO), CannotTell)
    assert (fence.method, fence.durable, fence.final_lsn) == ("observed_dead", False, "")
    assert len(fence.proof) == 2
    assert "as soon as us-east-1 answers" in fence.note


async def test_the_fence_can_be_undone_before_the_promotion(estate, primary, context):
    """And the environment may give the fence group by its name."""
    primary = primary.model_copy(update={"fence_security_group": "healing-guard-fence"})
    fence = await FENCE.perform(context(30), primary, GO)
    with pytest.raises((OSError, TimeoutError)):
        async with asyncio.timeout(0.5):
            await estate.connect(PROD)
    params = UnfenceParams(security_groups=fence.previous_security_groups)
    unfence = UnfenceInstance()
    preview = unfence.preview(await unfence.observe(context(), primary, params), primary, params)
    assert isinstance(preview, Change)
    assert isinstance(await unfence.settled(context(), primary, params), NotDone)
    done = await unfence.perform(context(), primary, params)
    assert fence.previous_security_groups == done.security_groups
    assert done == (await unfence.settled(context(), primary, params)).outputs
    session = await estate.connect(PROD)
    assert await session.fetchval("SELECT 1") == 1
    await session.close()


async def test_one_primary_is_proven_only_when_clients_write_to_it_and_the_old_one_is_shut(
    estate, primary, endpoint_at, context
):
    """The "new primary" answers by SQL before its time, and is found out: it is a standby."""
    new = ProofParams(new_primary=estate.endpoint(STANDBY), watch="1s")
    old = primary.model_copy(update={"client_path": None})
    with pytest.raises(Rejected, match="no client_path"):
        await ONE.perform(context(), old, new)

    async def write(request):
        session = await estate.connect(PROD)
        row = json.loads(request.body)["id"]
        await session.execute("INSERT INTO pipelines (id) VALUES ($1)", row)
        await session.close()
        return 201, b"{}"

    service = await endpoint_at("127.141.3.2", write)
    path = {"url": f"{service.url}/rows", "table": "pipelines", "column": "id"}
    old = RdsInstance.model_validate(primary.model_dump() | {"client_path": path})
    with pytest.raises(Rejected, match="is a standby; it takes no writes"):
        await ONE.perform(context(), old, new)
    itself = ProofParams(new_primary=estate.endpoint(PROD))
    with pytest.raises(Rejected, match="the new primary is the old one"):
        await ONE.perform(context(), old, itself)


async def test_an_attempt_after_a_death_knows_where_the_instance_was(estate, primary, context):
    """The plan has seen it; without that, an undo says so instead of leaving it shut."""
    seen = (await FENCE.observe(context(), primary, GO)).facts
    await FENCE.perform(context(30), primary, GO)
    again = await FENCE.perform(replace(context(30), seen=seen), primary, GO)
    assert again.previous_security_groups == (estate.groups[EAST]["healing-guard-db"],)

    nothing = UnfenceParams(security_groups=())
    settled = await FENCE.settled(replace(context(), seen=seen), primary, GO)
    assert isinstance(settled, NotDone)
    assert settled.remains, "an undo takes it back"
    assert settled.outputs == {"previous_security_groups": again.previous_security_groups}
    with pytest.raises(Rejected, match="nothing says which security groups"):
        await UnfenceInstance().perform(context(), primary, nothing)
    assert isinstance(await UnfenceInstance().settled(context(), primary, nothing), NotDone)
