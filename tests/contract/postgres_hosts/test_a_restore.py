"""A moment is brought back exactly, privately, and without touching its source."""

import asyncio
import hashlib
import os
import random
import secrets
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
import pytest_asyncio

from drctl.actions.contract import CannotTell, Change, Cleared, Done, NoParams, NotDone
from drctl.actions.errors import Conflict, OutcomeUnknown, Rejected, Unavailable
from drctl.adapters.postgres.exposure import Admit, AdmitParams
from drctl.adapters.postgres.power import Stop
from drctl.adapters.postgres.programs import Programs
from drctl.adapters.postgres.restore import RestoreParams, RestoreToTime
from drctl.adapters.postgres.rows import AssertRows, RowsParams

from .conftest import DATABASE, OPERATOR

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

ROWS = 60
TIMES = 20 if os.environ.get("DRCTL_SAFETY") == "full" else 3
SEED = int(os.environ.get("DRCTL_SEED", "0")) or secrets.randbits(32)
TABLE = "healing_guard.pipelines"
IDS = "SELECT id FROM healing_guard.pipelines"


class History:
    """Rows with the moments between which each was committed, by the writer's own clock."""

    def __init__(self) -> None:
        self.sent: list[datetime] = []
        self.acknowledged: list[datetime] = []

    def between(self, chance: random.Random) -> tuple[datetime, set[str]]:
        """A moment at which nothing was under way, and what was there then."""
        last = chance.randrange(ROWS - 1)
        after, before = self.acknowledged[last], self.sent[last + 1]
        moment = after + (before - after) * chance.random()
        return moment, {f"row-{number}" for number in range(last + 1)}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def history(estate):
    written = History()
    await asyncio.sleep(2.1)  # the backup's end is known to the second only
    session = await estate.client("db1", user="healing_guard")
    chance = random.Random(SEED)
    for number in range(ROWS):
        written.sent.append(datetime.now(UTC))
        await session.execute(
            "INSERT INTO pipelines (id, at) VALUES ($1, clock_timestamp())", f"row-{number}"
        )
        written.acknowledged.append(datetime.now(UTC))
        await asyncio.sleep(0.01 + 0.05 * chance.random())
        if number % 20 == 19:
            await estate.ask("db1", "SELECT pg_switch_wal()::text")
    await session.close()
    lsn = await estate.ask("db1", "SELECT pg_walfile_name(pg_current_wal_lsn())")
    await estate.ask("db1", "SELECT pg_switch_wal()::text")
    async with asyncio.timeout(30):
        while not (estate.layout.archive / lsn).exists():  # noqa: ASYNC110 (a poll)
            await asyncio.sleep(0.1)
    return written


@pytest_asyncio.fixture(loop_scope="session")
async def place(estate):
    """An empty place, emptied again."""
    target = estate.target("db3")
    yield target
    programs = Programs(estate.context(), target)
    if estate.part._pid("db3") is not None:
        await programs.stop()
    await programs.change("rm", "-rf", programs.data)


def params(moment: datetime | str, *operators: str) -> RestoreParams:
    text = moment if isinstance(moment, str) else moment.isoformat()
    return RestoreParams(target_time=text, operators=operators or (OPERATOR,))


async def ids(estate, name: str = "db3") -> set[str]:
    session = await estate.client(name)
    try:
        return {row["id"] for row in await session.fetch(IDS)}
    finally:
        await session.close()


def hashes(*folders) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("number", range(TIMES))
async def test_rows_before_the_moment_are_there_and_rows_after_it_are_not(
    estate, history, place, number
):
    """Random moments, exact each time. Again with DRCTL_SEED."""
    moment, expected = history.between(random.Random(SEED + number))

    outputs = await RestoreToTime().perform(estate.context(key="k"), place, params(moment))

    assert await ids(estate) == expected, f"seed {SEED}, {moment}"
    assert outputs.timeline > 1
    assert outputs.system_identifier == estate.identifier
    assert datetime.fromisoformat(outputs.last_commit) <= moment


async def test_the_source_is_untouched_byte_for_byte(estate, history, place):
    """Nobody connects to it: it does not even run."""
    moment, expected = history.between(random.Random(SEED))
    source = estate.target("db1")
    await Stop().perform(estate.context(), source, NoParams())
    layout = estate.layout
    try:
        folders = (layout.data("db1"), layout.archive, layout.base_backups)
        before = hashes(*folders)
        await RestoreToTime().perform(estate.context(key="k"), place, params(moment))
        session = await estate.client("db3")
        await session.execute("CREATE TABLE drctl.mine (a int)")
        await session.execute("DROP TABLE drctl.mine")
        await session.close()
        await estate.ask("db2", "SELECT 1")

        assert hashes(*folders) == before
        assert await ids(estate) == expected
    finally:
        await Programs(estate.context(), source).start()


async def test_only_its_operator_connects_until_the_application_is_let_in(estate, history, place):
    """Not public, not even for those who know a password: the address decides."""
    moment, _rows = history.between(random.Random(SEED))
    await RestoreToTime().perform(estate.context(key="k"), place, params(moment))
    elsewhere = {"user": "drctl", "server_settings": {"application_name": "x"}}

    assert await estate.client_refused("db3", user="healing_guard")
    assert await estate.client_refused("db3", **elsewhere, source="127.0.0.9")
    listens = await _as_operator(estate, "SELECT current_setting('listen_addresses')")
    assert listens == estate.layout.address("db3")[0]
    assert await _as_operator(estate, "SELECT current_setting('archive_mode')") == "off"

    opened = AdmitParams(operators=(OPERATOR,), networks=("127.0.0.0/8",))
    outputs = await Admit().perform(estate.context(), place, opened)

    assert outputs.networks == ("127.0.0.0/8",)
    async with asyncio.timeout(5):
        while await estate.client_refused("db3", user="healing_guard"):  # noqa: ASYNC110 (a poll)
            await asyncio.sleep(0.1)
    for wide in ("0.0.0.0/0", "8.8.8.0/24", "not-a-network"):
        with pytest.raises(Rejected):
            await Admit().perform(
                estate.context(), place, AdmitParams(operators=(OPERATOR,), networks=(wide,))
            )


async def _as_operator(estate, sql: str):
    session = await estate.client("db3", database="postgres")
    try:
        return await session.fetchval(sql)
    finally:
        await session.close()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-11-22T14:30:00", "has no offset"),
        ("2026-11-22 14:30", "has no offset"),
        ("yesterday", "is no time"),
        ("2026-02-31T00:00:00Z", "is no time"),
        ((datetime.now(UTC) + timedelta(hours=1)).isoformat(), "in the future"),
        ("2020-01-01T00:00:00Z", "before the window: the oldest base backup ended at"),
    ],
    ids=["no offset", "a blank", "a word", "no such day", "future", "too old"],
)
async def test_a_moment_that_cannot_be_is_refused_with_the_reason(
    estate, history, place, text, why
):
    with pytest.raises(Rejected, match=why):
        await RestoreToTime().perform(estate.context(), place, params(text))
    assert not await Programs(estate.context(), place).has_data()


async def test_a_moment_that_the_archive_has_not_reached_is_refused(estate, history, place):
    """PostgreSQL would find out at the end of the recovery; the numbers are known before."""
    with pytest.raises(Rejected, match="after the window: the last transaction in the archive"):
        await RestoreToTime().perform(estate.context(), place, params(datetime.now(UTC)))


async def test_a_plan_says_so_too_and_changes_nothing(estate, history, place):
    action, ctx = RestoreToTime(), estate.context(permits=False)
    moment, _rows = history.between(random.Random(SEED))

    good = params(moment)
    assert isinstance(action.preview(await action.observe(ctx, place, good), place, good), Change)
    bad = params("2020-01-01T00:00:00Z")
    said = action.preview(await action.observe(ctx, place, bad), place, bad)
    assert isinstance(said, CannotTell)
    assert "before the window" in said.why


async def test_what_is_in_its_place_is_never_overwritten(estate, history, place):
    moment, _rows = history.between(random.Random(SEED))
    await Programs(estate.context(), place).change("mkdir", estate.layout.data("db3").as_posix())

    with pytest.raises(Conflict, match="is there already"):
        await RestoreToTime().perform(estate.context(), place, params(moment))


async def test_a_network_is_no_operator_and_a_strangers_backups_are_refused(estate, history, place):
    moment, _rows = history.between(random.Random(SEED))
    with pytest.raises(Rejected, match="an operator has one"):
        await RestoreToTime().perform(estate.context(), place, params(moment, "10.0.0.0/8"))
    strange = estate.target(
        "db3", backups=place.backups.model_copy(update={"system_identifier": "7"}).model_dump()
    )
    with pytest.raises(Conflict, match="is of system"):
        await RestoreToTime().perform(estate.context(), strange, params(moment))


async def test_a_read_back_tells_its_own_restore_from_nothing_and_from_another(
    estate, history, place
):
    moment, _rows = history.between(random.Random(SEED))
    action, wanted = RestoreToTime(), params(moment)
    looking = estate.context(key="mine", permits=False)

    assert isinstance(await action.settled(looking, place, wanted), NotDone)
    outputs = await action.perform(estate.context(key="mine"), place, wanted)
    assert await action.settled(looking, place, wanted) == Done(outputs=outputs)
    other = estate.context(key="other", permits=False)
    assert isinstance(await action.settled(other, place, wanted), CannotTell)
    [debt] = action.debts(place, wanted, outputs)
    assert not isinstance(debt, Cleared)
    assert debt.key.startswith("restored:postgres:127.")


@pytest.mark.parametrize("error", [Rejected("is still in recovery"), Unavailable("no answer")])
async def test_a_restore_that_is_begun_is_no_definite_failure(
    estate, history, place, monkeypatch, error
):
    """The server goes on by itself: a second attempt would find the place taken for ever."""
    moment, _rows = history.between(random.Random(SEED))
    action, wanted = RestoreToTime(), params(moment)

    async def too_early(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("drctl.adapters.postgres.restore._arrived", too_early)
        with pytest.raises(OutcomeUnknown, match="it is begun"):
            await action.perform(estate.context(key="mine"), place, wanted)
    looking = estate.context(key="mine", permits=False)
    async with asyncio.timeout(30):
        while not isinstance(await action.settled(looking, place, wanted), Done):  # noqa: ASYNC110
            await asyncio.sleep(0.2)


async def test_rows_are_checked_at_one_moment_and_all_that_is_wrong_is_said(estate, history):
    """Also the newest row: what was written after the moment must not be there."""
    db = estate.target("db1")
    good = RowsParams.model_validate(
        {
            "counts": [{"table": TABLE, "at_least": ROWS}],
            "canaries": [
                {"table": TABLE, "column": "id", "value": "row-0"},
                {"table": TABLE, "column": "id", "value": "no-such", "is_present": False},
            ],
            "newest": [{"table": TABLE, "column": "at", "not_before": "2020-01-01T00:00:00Z"}],
        }
    )
    outputs = await AssertRows().perform(estate.context(permits=False), db, good)
    assert len(outputs.checks) == 5

    bad = RowsParams.model_validate(
        {
            "counts": [{"table": TABLE, "at_least": 0, "at_most": 1}],
            "canaries": [{"table": TABLE, "column": "id", "value": "no-such"}],
            "newest": [{"table": TABLE, "column": "at", "not_after": "2020-01-01T00:00:00Z"}],
        }
    )
    with pytest.raises(Rejected, match=r"row\(s\).*is not there.*after 2020"):
        await AssertRows().perform(estate.context(permits=False), db, bad)
    nothing = RowsParams(constraints=False)
    with pytest.raises(Rejected, match="nothing was asked for"):
        await AssertRows().perform(estate.context(permits=False), db, nothing)


async def test_a_constraint_that_was_never_validated_is_found(estate, history):
    session = await asyncpg.connect(
        host=str(estate.layout.folder("db1")),
        port=5432,
        user="rdsadmin",
        password=estate.part._servers["db1"]._superuser_password,
        database=DATABASE,
    )
    await session.execute(f"ALTER TABLE {TABLE} ADD CONSTRAINT odd CHECK (id <> '') NOT VALID")
    try:
        with pytest.raises(Rejected, match="1 unvalidated"):
            await AssertRows().perform(estate.context(), estate.target("db1"), RowsParams())
    finally:
        await session.execute(f"ALTER TABLE {TABLE} DROP CONSTRAINT odd")
        await session.close()
