"""Identity, lag, waiting, promotion and the write check against a real pair."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from drctl.actions.contract import CannotTell, Change, Done, NoParams, NotDone
from drctl.actions.errors import (
    AuthRejected,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Unavailable,
)
from drctl.actions.loss import LossBound
from drctl.adapters import _sql, _witness
from drctl.adapters.postgres.fence import Fence, FenceParams
from drctl.adapters.postgres.identity import SystemIdentifierPin
from drctl.adapters.postgres.lag import LagParams, MeasureLag
from drctl.adapters.postgres.promote import Promote, PromoteParams
from drctl.adapters.postgres.replication import WaitForReplay, WaitParams
from drctl.adapters.postgres.writable import AssertWritable

from .conftest import CLOCK, DATABASE, EAST, WEST, WEST_2, context, target, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOTHING = NoParams()


async def position(pair) -> str:
    rows = await pair.primary.query_as_superuser("SELECT pg_current_wal_insert_lsn()::text")
    return rows[0][0]


async def beat(pair, at: datetime) -> None:
    """Writes the witness's clock into the primary, and waits until the standby has it."""
    await pair.primary.query_as_superuser(
        "UPDATE drctl.heartbeat SET at = $1, seq = seq + 1", at, database=DATABASE
    )

    async def is_there() -> bool:
        rows = await pair.standby.query_as_superuser(
            "SELECT at FROM drctl.heartbeat", database=DATABASE
        )
        return rows[0][0] == at

    await until(is_there)


async def document(pair, **fields) -> bytes:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return json.dumps(
        {
            "version": 1,
            "system_identifier": pair.system_identifier,
            "timeline": 1,
            "lsn": await position(pair),
            "seq": 2,
            "last_ok_at": now,
            "checked_at": now,
            "refused_since": None,
            "last_error": None,
        }
        | fields
    ).encode()


async def test_primary_and_standby_share_the_identifier_that_the_pin_reads(pair):
    pin = SystemIdentifierPin()
    pinned = target(system_identifier=pair.system_identifier)

    assert pin.identity(pinned).expected == pair.system_identifier
    assert pin.identity(pinned).subject == pinned.label
    assert pin.identity(target()) is None, "nothing is pinned"
    assert await pin.read(context(), pinned) == pair.system_identifier
    assert await pin.read(context(), target(WEST)) == pair.system_identifier


async def test_the_bound_is_the_age_of_the_heartbeat_that_the_standby_has(pair):
    now = datetime.now(UTC)
    await beat(pair, now - timedelta(seconds=30))

    async def fetch() -> bytes:
        return await document(pair)

    result = await _witness.measure(context(), target(WEST).sql, fetch)

    assert timedelta(seconds=30) <= result.bound < timedelta(seconds=40)
    assert result.safe_until == now - timedelta(seconds=30)
    assert result.lag_bytes is not None


async def test_a_standby_that_is_cut_off_cannot_make_the_bound_small(pair):
    """Its own replay is finished, so its own lag is zero; the witness knows better."""
    await beat(pair, datetime.now(UTC) - timedelta(seconds=30))
    await pair.standby.query_as_superuser("SELECT pg_wal_replay_pause()")

    async def is_paused() -> bool:
        rows = await pair.standby.query_as_superuser("SELECT pg_get_wal_replay_pause_state()")
        return rows[0][0] == "paused"

    await until(is_paused)
    await pair.primary.query_as_superuser(
        "UPDATE drctl.heartbeat SET at = now(), seq = seq + 1", database=DATABASE
    )
    await pair.primary.query_as_superuser("SELECT pg_switch_wal()")

    async def fetch() -> bytes:
        return await document(pair)

    result = await _witness.measure(context(), target(WEST).sql, fetch)

    assert result.bound >= timedelta(seconds=30)
    assert result.lag_bytes > 0


async def test_what_does_not_answer_makes_the_bound_unknown_with_its_reason(pair):
    async def fetch() -> bytes:
        return await document(pair)

    async def garbage() -> bytes:
        return b"<html>"

    async def missing() -> bytes:
        raise NotFound("no such key")

    nobody = target(("127.150.1.8", 5432)).sql
    assert "standby" in (await _witness.measure(context(), nobody, fetch)).source
    assert "malformed" in (await _witness.measure(context(), target(WEST).sql, garbage)).source
    assert "no witness" in (await _witness.measure(context(), target(WEST).sql, missing)).source
    on_the_primary = await _witness.measure(context(), target(EAST).sql, fetch)
    assert on_the_primary.bound is None


async def test_a_heartbeat_at_infinity_is_no_number(pair):
    await pair.primary.query_as_superuser(
        "UPDATE drctl.heartbeat SET at = 'infinity'", database=DATABASE
    )
    try:
        await wait_until_replayed(pair)

        async def fetch() -> bytes:
            return await document(pair)

        result = await _witness.measure(context(), target(WEST).sql, fetch)
        assert result.bound is None
    finally:
        await beat(pair, datetime.now(UTC))


async def wait_until_replayed(pair) -> None:
    await WaitForReplay().perform(context(), target(WEST), WaitParams(lsn=await position(pair)))


async def test_without_a_witness_the_bound_is_unknown(pair):
    result = await MeasureLag().perform(context(), target(WEST), LagParams())

    assert result.bound is None


async def test_sightings_are_fetched_over_http(pair):
    await beat(pair, datetime.now(UTC))
    body = await document(pair)

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.150.0.96", 0)
    url = f"http://127.150.0.96:{server.sockets[0].getsockname()[1]}/sighting"
    try:
        result = await MeasureLag().perform(context(), target(WEST), LagParams(sightings_url=url))
    finally:
        server.close()
        await server.wait_closed()

    assert result.bound is not None


async def test_waiting_ends_when_the_standby_has_the_position(pair):
    await pair.primary.query_as_superuser(
        "UPDATE drctl.heartbeat SET seq = seq + 1", database=DATABASE
    )

    result = await WaitForReplay().perform(
        context(), target(WEST), WaitParams(lsn=await position(pair))
    )

    assert isinstance(result, LossBound)
    assert result.bound == timedelta(0)


async def test_waiting_for_what_never_comes_says_both_positions(pair):
    with pytest.raises(Rejected, match=r"0/\w+, not FF/0: \d+ bytes"):
        await WaitForReplay().perform(context(1.5), target(WEST), WaitParams(lsn="FF/0"))


async def test_a_primary_is_not_waited_for(pair):
    with pytest.raises(Conflict):
        await WaitForReplay().perform(context(), target(EAST), WaitParams(lsn="0/1"))


async def test_a_promoted_standby_takes_writes_on_a_new_timeline(pair):
    action, params = Promote(), PromoteParams(from_timeline=1)
    server = await pair.another_standby()
    chosen = target(WEST_2, system_identifier=pair.system_identifier)
    try:
        # A receiver that lived for a second was not refused, also when nobody writes.
        await asyncio.sleep(1.1)
        before = await action.observe(context(), chosen, params)
        assert isinstance(action.preview(before, chosen, params), Change)
        assert isinstance(await action.settled(context(), chosen, params), NotDone)
        with pytest.raises(Rejected, match="standby"):
            await AssertWritable().perform(context(), chosen, NOTHING)

        done = await action.perform(context(), chosen, params)
        with pytest.raises(Conflict, match="nothing shows that it comes from there"):
            await action.perform(context(), chosen, params)

        assert (done.endpoint, done.port) == WEST_2
        assert (done.timeline, done.changed) == (2, True)
        assert (done.from_timeline, done.system_identifier) == (1, pair.system_identifier)
        assert done.lsn
        settled = await action.settled(context(), chosen, params)
        assert isinstance(settled, Done)
        assert settled.outputs.timeline == 2
        after = await action.observe(context(), chosen, params)
        assert isinstance(action.preview(after, chosen, params), CannotTell), "of whose history?"
        assert (await AssertWritable().perform(context(), chosen, NOTHING)).is_writable
    finally:
        await server.remove()
        await drop_slot(pair, server.slot)


async def test_a_switchover_loses_nothing_and_leaves_one_primary_that_takes_writes(pair):
    """Fence, wait, promote: what came through the WAL must not close the new primary."""
    server = await pair.another_standby()
    chosen = target(WEST_2, system_identifier=pair.system_identifier)
    await AssertWritable().perform(context(key="before-the-fence"), target(), NOTHING)
    try:
        fenced = await Fence().perform(context(), target(), FenceParams())
        reached = await WaitForReplay().perform(context(), chosen, WaitParams(lsn=fenced.final_lsn))
        promoted = await Promote().perform(context(), chosen, PromoteParams(from_timeline=1))

        assert reached.bound == timedelta(0)
        assert promoted.changed
        assert (await AssertWritable().perform(context(), chosen, NOTHING)).is_writable
        async with _sql.connect(chosen.sql, context()) as connection:
            assert await connection.fetchval(
                "SELECT EXISTS (SELECT FROM drctl.write_check WHERE token = 'before-the-fence')"
            )
        with pytest.raises(Conflict):
            await AssertWritable().perform(context(), target(), NOTHING)
        with pytest.raises(Conflict, match="not fit to be promoted"):
            await Promote().perform(context(), target(), PromoteParams())
    finally:
        await server.remove()
        await drop_slot(pair, server.slot)


async def drop_slot(pair, slot: str) -> None:
    async def is_dropped() -> bool:
        try:
            await pair.primary.query_as_superuser("SELECT pg_drop_replication_slot($1)", slot)
        except asyncpg.ObjectInUseError:
            return False
        return True

    await until(is_dropped)


@pytest.mark.parametrize("why", ["paused", "delayed", "another system", "another timeline"])
async def test_an_unfit_candidate_is_refused_and_stays_a_standby(pair, why):
    params, fields = PromoteParams(), {}
    match why:
        case "paused":
            await pair.standby.query_as_superuser("SELECT pg_wal_replay_pause()")
        case "delayed":
            await pair.standby.query_as_superuser(
                "ALTER SYSTEM SET recovery_min_apply_delay = '1h'"
            )
            await pair.standby.query_as_superuser("SELECT pg_reload_conf()")

            async def is_delayed() -> bool:
                rows = await pair.standby.query_as_superuser("SHOW recovery_min_apply_delay")
                return rows[0][0] == "1h"

            await until(is_delayed)
        case "another system":
            fields = {"system_identifier": "1"}
        case _:
            params = PromoteParams(from_timeline=9)

    with pytest.raises(Conflict):
        await Promote().perform(context(), target(WEST, **fields), params)

    assert (await pair.standby.status()).in_recovery


async def test_a_role_that_may_not_promote_is_told_so(pair):
    params = PromoteParams(from_timeline=1)

    def fit(pair, user):
        return target(WEST, user=user, system_identifier=pair.system_identifier)

    with pytest.raises(AuthRejected, match="denied"):
        await Promote().perform(context(), fit(pair, user="healing_guard"), params)
    with pytest.raises(AuthRejected, match="may not open"):
        await Promote().perform(context(), fit(pair, user="weak"), params)


async def test_a_dead_candidate_is_unavailable_and_cannot_tell(pair):
    nobody = target(("127.150.1.8", 5432))

    with pytest.raises(Unavailable):
        await Promote().perform(context(), nobody, PromoteParams())
    assert isinstance(await Promote().settled(context(), nobody, PromoteParams()), CannotTell)


async def test_a_write_is_proven_by_reading_it_back(pair):
    action, ctx = AssertWritable(), context(key="run-1/verify")
    await pair.primary.query_as_superuser(
        "INSERT INTO drctl.write_check VALUES ('old', now() - interval '2 hours')",
        database=DATABASE,
    )
    assert isinstance(await action.settled(ctx, target(), NOTHING), NotDone)

    seen = await action.perform(ctx, target(), NOTHING)
    again = await action.perform(ctx, target(), NOTHING)

    assert seen.is_writable
    assert again.is_writable
    assert seen.server_version
    rows = await pair.primary.query_as_superuser(
        "SELECT token FROM drctl.write_check WHERE token IN ('old', 'run-1/verify')",
        database=DATABASE,
    )
    assert [row[0] for row in rows] == ["run-1/verify"]
    assert isinstance(await action.settled(ctx, target(), NOTHING), Done)


async def test_a_check_outside_an_effect_writes_a_token_of_its_own(pair):
    assert (await AssertWritable().perform(context(), target(), NOTHING)).is_writable


async def test_a_standby_and_a_read_only_primary_are_not_writable(pair):
    with pytest.raises(Rejected, match="standby"):
        await AssertWritable().perform(context(), target(WEST), NOTHING)

    await pair.primary.query_as_superuser("ALTER SYSTEM SET default_transaction_read_only = on")
    await pair.primary.query_as_superuser("SELECT pg_reload_conf()")

    async def is_read_only() -> bool:
        rows = await pair.primary.query_as_superuser("SHOW default_transaction_read_only")
        return rows[0][0] == "on"

    await until(is_read_only)
    with pytest.raises(Rejected, match="read-only"):
        await AssertWritable().perform(context(), target(), NOTHING)


async def test_nothing_ambient_reaches_a_connection(pair, monkeypatch, tmp_path):
    (tmp_path / "pgpass").write_text("*:*:*:*:wrong")
    for name, value in {
        "PGHOST": "127.150.1.8",
        "PGPORT": "1",
        "PGUSER": "nobody",
        "PGPASSWORD": "wrong",
        "PGPASSFILE": str(tmp_path / "pgpass"),
        "PGDATABASE": "nowhere",
        "PGSSLMODE": "verify-full",
        "PGSERVICE": "nowhere",
        "PGTARGETSESSIONATTRS": "standby",
        "PGSSLNEGOTIATION": "direct",
    }.items():
        monkeypatch.setenv(name, value)

    async with _sql.connect(target().sql, context()) as connection:
        row = await connection.fetchrow(
            "SELECT current_user, current_database(), current_setting('application_name')"
        )

    assert tuple(row) == ("drctl", DATABASE, "drctl")


@pytest.mark.parametrize(
    ("change", "word", "reason"),
    [
        ({"database": "nowhere"}, NotFound, "other"),
        ({"user": "nobody"}, AuthRejected, "auth"),
        ({"port": 1}, Unavailable, "refused"),
        ({"tls": "require"}, Unavailable, "other"),
    ],
)
async def test_what_keeps_a_connection_from_standing_has_its_word(pair, change, word, reason):
    access = target().sql.model_copy(update=change)

    with pytest.raises(word) as caught:
        async with _sql.connect(access, context()):
            pass

    assert _sql.classify(caught.value) == reason
    assert "127.151.1.101" in str(caught.value)


async def test_a_statement_that_outlives_the_deadline_is_unknown_when_it_changes_something(pair):
    for mutates, word in ((True, OutcomeUnknown), (False, Unavailable)):
        ctx = context(0.5)
        with pytest.raises(word) as caught:
            async with _sql.connect(target().sql, ctx, mutates=mutates) as connection:
                await connection.fetchval("SELECT pg_sleep(30)")
        assert _sql.classify(caught.value) == "timeout"
        assert CLOCK.now().boot_s - ctx.deadline.at_s < 3


async def test_a_session_that_is_cut_in_a_change_is_of_unknown_outcome(pair):
    with pytest.raises(OutcomeUnknown):  # noqa: PT012 (the body is what is cut)
        async with _sql.connect(target().sql, context(), mutates=True) as connection:
            pid = await connection.fetchval("SELECT pg_backend_pid()")
            await pair.primary.query_as_superuser("SELECT pg_terminate_backend($1)", pid)
            await connection.fetchval("SELECT pg_sleep(5)")
