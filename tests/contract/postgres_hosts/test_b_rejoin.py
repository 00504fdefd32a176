"""An old primary becomes a standby of the new one, never at the price of what only it has."""

import asyncio
import secrets

import pytest
import pytest_asyncio

from drctl.actions.contract import Cleared, Done, NoParams, NotDone
from drctl.actions.errors import Conflict, OutcomeUnknown, Rejected
from drctl.adapters.postgres.fence import Fence, FenceParams
from drctl.adapters.postgres.identity import SystemIdentifierPin
from drctl.adapters.postgres.monitor import Monitor, MonitorParams
from drctl.adapters.postgres.power import Start, Stop
from drctl.adapters.postgres.programs import Programs, slot_name
from drctl.adapters.postgres.rejoin import RewindAndRejoin
from drctl.adapters.postgres.rewinding import RejoinParams

from .conftest import DATABASE

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

INSERT = "INSERT INTO healing_guard.pipelines (id) VALUES ($1)"
TIMELINE = "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)"
PLAIN = RejoinParams()
HAS = "SELECT EXISTS (SELECT FROM healing_guard.pipelines WHERE id = $1)"


class Pair:
    """Which of the two is the primary now; tests exchange them."""

    def __init__(self, estate) -> None:
        self.estate, self.old, self.new = estate, "db1", "db2"

    @property
    def target(self):
        """The old primary, which may follow the new one and has the archive."""
        command = f"cp {self.estate.layout.archive}/%f %p"
        plain = self.estate.target(self.old, follows=self.new)
        runs_on = plain.runs_on.model_copy(update={"restore_command": command})
        return plain.model_copy(update={"runs_on": runs_on})

    def swap(self) -> None:
        self.old, self.new = self.new, self.old

    async def write(self, name: str) -> str:
        row = f"row-{secrets.token_hex(6)}"
        await self.estate.ask(name, INSERT, row, database=DATABASE)
        return row

    async def promote(self) -> None:
        await self.estate.ask(self.new, "SELECT pg_promote(true, 30)")


@pytest_asyncio.fixture(loop_scope="session")
async def pair(estate):
    """``old`` is the primary, ``new`` streams from it, whatever the test before did."""
    made = Pair(estate)
    for link in estate.part._links.values():
        await link.set_mode("open")
    await estate.part.heal()
    timelines = {}
    for name in ("db1", "db2"):
        if not await estate.ask(name, "SELECT pg_is_in_recovery()"):
            timelines[name] = await estate.ask(name, TIMELINE)
    primary = max(timelines, key=timelines.get)
    for name in timelines.keys() - {primary}:
        estate.lose(name)  # a test that failed left two
    await estate.ask(primary, f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS true")
    if made.new != primary:
        made.swap()
    await rejoined(made, RejoinParams(accept_discarded_commits=1000000))
    made.swap()
    yield made


async def rejoined(pair, params=PLAIN, within_s=120.0, **more):
    context = pair.estate.context(within_s, **more)
    return await RewindAndRejoin().perform(context, pair.target, params)


async def test_a_killed_primary_is_rewound_and_streams(pair):
    """Its system is read from its files while it is dead; what it owes is paid."""
    await pair.write(pair.old)
    pair.estate.lose(pair.old)
    pin = SystemIdentifierPin()
    assert await pin.read(pair.estate.context(permits=False), pair.target) == pair.estate.identifier
    await pair.promote()
    row = await pair.write(pair.new)

    outputs = await rejoined(pair)

    assert (outputs.method, outputs.changed, outputs.discarded_commits) == ("rewound", True, 0)
    assert await pair.estate.ask(pair.old, HAS, row, database=DATABASE)
    assert await pair.estate.ask(pair.old, "SELECT pg_is_in_recovery()")
    assert await pair.estate.ask(pair.new, "SELECT count(*) FROM pg_stat_replication") == 1
    paid = RewindAndRejoin().debts(pair.target, RejoinParams(), outputs)
    assert all(isinstance(one, Cleared) for one in paid)
    assert {one.key.split(":")[0] for one in paid} == {"standby", "fence"}


async def test_a_standby_that_streams_is_only_proven(pair):
    pair.swap()
    outputs = await rejoined(pair)

    assert (outputs.method, outputs.changed) == ("none", False)
    looking = pair.estate.context(permits=False)
    settled = await RewindAndRejoin().settled(looking, pair.target, RejoinParams())
    assert isinstance(settled, Done)


async def test_a_primary_at_rest_at_the_head_of_a_page_is_reached(pair):
    """Where its next record will begin, no standby ever is: the head of a page is not a record."""
    pair.swap()
    at = "SELECT ('x' || right('0000000' || split_part(pg_current_wal_insert_lsn()::text, '/', 2)"
    at += ", 8))::bit(32)::bigint % (16 * 1024 * 1024)"
    async with asyncio.timeout(20):
        # Somebody else, as a snapshot of running transactions, may write in between.
        while await pair.estate.ask(pair.new, at) != 40:
            await pair.estate.ask(pair.new, "SELECT pg_switch_wal()")
    outputs = await rejoined(pair, within_s=15.0)
    assert outputs.method == "none"


async def test_a_standby_is_watched_and_a_missing_one_is_said(pair):
    """A window with a threshold; the plan's endless `logs -f` never was one."""
    pair.swap()
    new = pair.estate.target(pair.new)
    seen = await Monitor().perform(
        pair.estate.context(permits=False), new, MonitorParams(window="1s", standbys=1)
    )
    assert seen.samples >= 2
    assert seen.standbys == 1
    with pytest.raises(Rejected, match=r"1 standby.* stream, wanted are 2"):
        await Monitor().perform(pair.estate.context(), new, MonitorParams(window="1s", standbys=2))
    with pytest.raises(Rejected, match="is a standby"):
        await Monitor().perform(pair.estate.context(), pair.target, MonitorParams(window="1s"))


async def test_a_clean_stop_leaves_nothing_to_rewind(pair):
    """The graceful way: fenced, stopped, everything is on the other side."""
    row = await pair.write(pair.old)
    await Fence().perform(pair.estate.context(), pair.target, FenceParams())
    stopped = await Stop().perform(pair.estate.context(), pair.target, NoParams())
    assert (stopped.state, stopped.changed) == ("shut down", True)
    again = await Stop().perform(pair.estate.context(), pair.target, NoParams())
    assert not again.changed
    settled = await Stop().settled(pair.estate.context(permits=False), pair.target, NoParams())
    assert isinstance(settled, Done)
    looked = await Start().settled(pair.estate.context(permits=False), pair.target, NoParams())
    assert isinstance(looked, NotDone)
    await pair.promote()
    await pair.estate.ask(pair.new, f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS true")
    assert await pair.estate.ask(pair.new, HAS, row, database=DATABASE)

    outputs = await rejoined(pair)

    assert (outputs.method, outputs.discarded_commits) == ("started", 0)
    setting = "SELECT current_setting('default_transaction_read_only')"
    async with asyncio.timeout(5):
        while await pair.estate.ask(pair.old, setting) != "off":  # noqa: ASYNC110 (a poll)
            await asyncio.sleep(0.1)


async def test_rows_that_nobody_else_has_are_counted_and_refuse(pair):
    """Behind a link that is cut: acknowledged, and on one side only."""
    for link in pair.estate.part._links.values():
        await link.set_mode("blackhole")
    rows = [await pair.write(pair.old) for _ in range(3)]
    pair.estate.lose(pair.old)
    for link in pair.estate.part._links.values():
        await link.cut()  # what it holds back is lost, too
        await link.set_mode("open")
    await pair.promote()

    with pytest.raises(Rejected, match=r"committed \d+ transaction\(s\) after .*accept_discarded"):
        await rejoined(pair)
    assert not await Programs(pair.estate.context(), pair.target).is_running(), "untouched"

    outputs = await rejoined(pair, RejoinParams(accept_discarded_commits=1000))

    assert outputs.method == "rewound"
    assert outputs.discarded_commits >= 3
    assert not await pair.estate.ask(pair.old, HAS, rows[0], database=DATABASE)


@pytest.mark.parametrize("parted", ["there", "before"])
async def test_wal_that_ends_with_its_file_is_not_gone(pair, parted):
    """A quiet primary closes a file (archive_timeout), and dies before it has begun the next."""
    for link in pair.estate.part._links.values():
        await link.set_mode("blackhole")
    if parted == "before":
        await pair.estate.ask(pair.old, "SELECT pg_logical_emit_message(false, 'a', 'b')")
    switched = await pair.estate.ask(
        pair.old, "SELECT split_part(pg_walfile_name(pg_switch_wal()), '.', 1)"
    )
    pair.estate.lose(pair.old)
    for link in pair.estate.part._links.values():
        await link.cut()
        await link.set_mode("open")
    await pair.promote()
    programs = Programs(pair.estate.context(), pair.target)
    ran = await programs.read("ls", f"{programs.data}/pg_wal")
    later = [one for one in ran.out.split() if len(one) == 24 and one > switched]
    for segment in later:  # made in advance, and empty
        await programs.change("rm", "-f", f"{programs.data}/pg_wal/{segment}")

    outputs = await rejoined(pair)

    assert (outputs.method, outputs.discarded_commits) == ("rewound", 0)


async def test_a_primary_that_takes_writes_is_left_alone(pair):
    # "old" is the living primary, and "new" its standby: nobody is to be followed.
    with pytest.raises(Rejected, match="is a standby; a server rejoins a primary"):
        await rejoined(pair)
    assert not await pair.estate.ask(pair.old, "SELECT pg_is_in_recovery()")
    await pair.write(pair.old)


async def test_a_rewind_that_cannot_be_becomes_a_copy_and_the_old_files_are_kept(pair):
    pair.estate.lose(pair.old)
    await pair.promote()
    programs = Programs(pair.estate.context(), pair.target)
    ran = await programs.read("ls", f"{programs.data}/pg_wal")
    for segment in [one for one in ran.out.split() if len(one) == 24]:
        await programs.change("rm", "-f", f"{programs.data}/pg_wal/{segment}")

    with pytest.raises(Rejected):
        await rejoined(pair, RejoinParams(fallback="none"))
    outputs = await rejoined(pair, key="abcdefabcdef0123")

    assert outputs.method == "copied"
    assert outputs.kept.endswith(".before-abcdefabcdef")
    assert (await programs.control(outputs.kept)).system_identifier == pair.estate.identifier
    keys = {one.key.split(":")[0] for one in
            RewindAndRejoin().debts(pair.target, RejoinParams(), outputs)}  # fmt: skip
    assert keys == {"standby", "fence", "copy"}
    # Who was cut off before he could say so finds it, and does not say that nothing was lost.
    looking = pair.estate.context(permits=False, key="abcdefabcdef0123")
    settled = await RewindAndRejoin().settled(looking, pair.target, RejoinParams())
    assert isinstance(settled, Done)
    assert (settled.outputs.kept, settled.outputs.discarded_commits) == (outputs.kept, None)
    await programs.change("rm", "-rf", outputs.kept)


async def test_a_copy_that_is_cut_off_loses_no_files_and_is_finished(pair, monkeypatch):
    """First under the copy, then between the two moves: each time another attempt goes on."""
    pair.estate.lose(pair.old)
    await pair.promote()
    programs = Programs(pair.estate.context(), pair.target)
    ran = await programs.read("ls", f"{programs.data}/pg_wal")
    for segment in [one for one in ran.out.split() if len(one) == 24]:
        await programs.change("rm", "-f", f"{programs.data}/pg_wal/{segment}")
    await pair.estate.ask(pair.new, "SELECT count(pg_drop_replication_slot(slot_name))"
                          " FROM pg_replication_slots WHERE NOT active")  # fmt: skip
    change = Programs.change
    key, slots = "feedfeedfeed0123", "SELECT count(*) FROM pg_replication_slots"

    def cut_at(word, error):
        async def cut(self, *words, **more):
            if word(words):
                raise error
            return await change(self, *words, **more)

        return cut

    with monkeypatch.context() as patch:
        is_copy = lambda words: any(one.endswith("/pg_basebackup") for one in words)  # noqa: E731
        patch.setattr(Programs, "change", cut_at(is_copy, Rejected("no space")))
        with pytest.raises(Rejected, match="no space"):
            await rejoined(pair, key=key)
    assert (await programs.control()).system_identifier == pair.estate.identifier
    assert await pair.estate.ask(pair.new, slots) == 0, "WAL is kept for nobody"

    with monkeypatch.context() as patch:
        is_swap = lambda words: words[0] == "mv" and words[-1] == programs.data  # noqa: E731
        patch.setattr(Programs, "change", cut_at(is_swap, OutcomeUnknown("lost")))
        with pytest.raises(OutcomeUnknown):
            await rejoined(pair, key=key)
    assert not await programs.has_data()
    outputs = await rejoined(pair, key=key)

    assert outputs.method == "copied"
    assert outputs.discarded_commits is None
    assert outputs.kept.endswith(".before-feedfeedfeed")
    assert not await programs.has_data(f"{programs.data}.new-feedfeedfeed")
    await programs.change("rm", "-rf", outputs.kept)


async def test_a_standby_that_is_not_sent_to_by_this_primary_does_not_follow_it(pair):
    """Its timeline and its position name nobody: another server of that timeline has them too."""
    pair.swap()
    await pair.estate.ask(pair.old, "ALTER SYSTEM SET primary_slot_name = ''")
    await pair.estate.ask(pair.old, "SELECT pg_reload_conf()")
    streams = "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming')"
    idle = "SELECT NOT bool_or(active) FROM pg_replication_slots"
    async with asyncio.timeout(20):
        while not (  # noqa: ASYNC110 (a poll)
            await pair.estate.ask(pair.new, idle) and await pair.estate.ask(pair.new, streams)
        ):
            await asyncio.sleep(0.1)
    looking = pair.estate.context(permits=False)
    assert isinstance(
        await RewindAndRejoin().settled(looking, pair.target, RejoinParams()), NotDone
    )

    outputs = await rejoined(pair)

    assert outputs.method == "started"
    assert not await pair.estate.ask(pair.new, idle)


async def test_two_servers_of_one_first_name_have_two_slots(pair):
    """They would take the slot from each other, in turn."""
    names = {
        slot_name(pair.target.model_copy(update={"sql": pair.target.sql.model_copy(
            update={"host": host})}))
        for host in ("db.us.example", "db.eu.example", "d" * 70 + ".us", "d" * 70 + ".eu")
    }  # fmt: skip
    assert len(names) == 4
    assert all(len(one) <= 63 for one in names)


async def test_another_systems_files_and_another_upstream_are_refused(pair):
    strange = pair.target.model_copy(update={"system_identifier": "7"})
    with pytest.raises(Conflict, match="this is another database"):
        await RewindAndRejoin().perform(pair.estate.context(), strange, RejoinParams())
    with pytest.raises(Rejected, match="may follow"):
        await rejoined(pair, RejoinParams(primary="evil.example"))
    bare = pair.target.model_copy(update={"runs_on": None})
    with pytest.raises(Rejected, match="does not say what it runs_on"):
        await RewindAndRejoin().perform(pair.estate.context(), bare, RejoinParams())
