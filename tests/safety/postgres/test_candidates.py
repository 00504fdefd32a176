"""
Nine standbys that must not be promoted, each refused twice: when the plan is made, and when a good
candidate turned into it between plan and promotion.
"""

import asyncio
import os
from datetime import timedelta

import pytest
from estate import DATABASE, PORT, Relay, command
from people import Http
from results import is_full, record
from runs import CLOCK, World

from drctl.actions.contract import Context
from drctl.actions.errors import ActionError
from drctl.adapters.postgres.promote import Promote, PromoteParams
from drctl.config.secrets import LocalSecrets
from drctl.kernel.clock import Deadline
from drctl.kernel.errors import RefusedError

pytestmark = pytest.mark.asyncio(loop_scope="session")

WRONG = {
    "other cluster": "it is system",
    "forked timeline": "it forked off at",
    "behind a sibling": "bytes more",
    "replay paused": "its replay is paused",
    "replay delayed": "its replay is delayed",
    "cascading child": "a standby itself|another standby",
    "already primary": "it is a primary already",
    "disconnected from WAL": "disconnected from WAL",
    "wrong port answers": "",
}
"""What the refusal of the promotion says, by regular expression."""
SLICE = ("other cluster", "forked timeline", "replay paused", "wrong port answers")


async def _set(server, **settings: str) -> None:
    for name, value in settings.items():
        await server.query_as_superuser(f"ALTER SYSTEM SET {name} = '{value}'")
    await server.query_as_superuser("SELECT pg_reload_conf()")


async def _until(server, sql: str) -> None:
    async with asyncio.timeout(15):
        while not (await server.query_as_superuser(sql))[0][0]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def _rows(world: World, count: int = 200) -> None:
    """What was written later than the candidate's last look at the primary."""
    await world.pair.primary.query_as_superuser(
        "INSERT INTO orders SELECT gen_random_uuid()::text FROM generate_series(1, $1)",
        count,
        database=DATABASE,
    )


async def _promote_out_of_band(world: World) -> None:
    """As pg_auto_failover's issue 683: somebody promotes it, and something writes."""
    standby = world.pair.standby
    await standby.promote()
    await standby.query_as_superuser("INSERT INTO orders VALUES ('forked')", database=DATABASE)
    await _rows(world)
    await asyncio.sleep(0.5)  # the witness sees the old primary go on


async def _turn(kind: str, world: World, door: Relay) -> None:
    """Makes the candidate a wrong one."""
    pair, standby = world.pair, world.pair.standby
    conninfo = "host={} port={} user=rdsrepladmin password={}"
    password = standby._replication_password
    match kind:
        case "other cluster":
            other = await pair.template.copy(
                pair.template.other, f"other{pair.number}", pair.host(1, 40)
            )
            pair.extra.append(other)
            await other.start()
            door._upstream = other.address
        case "forked timeline":
            await _promote_out_of_band(world)
            await standby.stop()
            signal_file = standby.data_dir / "standby.signal"
            signal_file.touch()
            if standby.run_as is not None:
                os.chown(signal_file, standby.run_as.uid, standby.run_as.gid)
            await standby.start()
        case "behind a sibling":
            await _set(standby, primary_conninfo=conninfo.format("127.0.0.1", 1, password))
            await _until(standby, "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)")
            await _rows(world)
            await asyncio.sleep(0.3)
        case "replay paused":
            await standby.query_as_superuser("SELECT pg_wal_replay_pause()")
        case "replay delayed":
            await _set(standby, recovery_min_apply_delay="1h")
            await _until(standby, "SELECT current_setting('recovery_min_apply_delay') = '1h'")
        case "cascading child":
            host, port = pair.siblings[0].address
            await _set(
                standby,
                primary_slot_name="",
                primary_conninfo=conninfo.format(host, port, password),
            )
            await _until(
                standby,
                f"SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE sender_host = '{host}'"  # noqa: S608 (ours)
                " AND status = 'streaming')",
            )
        case "already primary":
            await _promote_out_of_band(world)
        case "disconnected from WAL":
            # It tries all the time: a receiver that has just begun is there, and receives nothing.
            await _set(
                standby,
                primary_slot_name="there_is_no_such_slot",
                wal_retrieve_retry_interval="1ms",
            )
            await _until(standby, "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)")
        case "wrong port answers":

            async def answer(_body):
                return 200, b"hello"

            page = Http(pair.host(2, 50), 8080, answer)
            await page.__aenter__()
            world.page = page
            door._upstream = (page.host, page.port)


async def _role(server) -> bool:
    return bool((await server.query_as_superuser("SELECT pg_is_in_recovery()"))[0][0])


async def _one(template, kind: str, when: str) -> list[str]:
    siblings = 1 if kind in {"behind a sibling", "cascading child"} else 0
    async with World.of(template, siblings=siblings) as world:
        pair = world.pair
        door = Relay((pair.host(2, 30), PORT), pair.standby.address)
        await door.set_mode("open")
        try:
            place = {"new": (pair.host(2, 30), PORT)}
            if when == "planned":
                await _turn(kind, world, door)
                try:
                    await world.plan(look=True, **place)
                except RefusedError as error:
                    print(kind, "planned:", error.problems[0].what)
                    return []
                return [f"[{kind} / {when}] the plan was made and not refused"]
            plan = await world.plan(look=True, **place)
            await _turn(kind, world, door)
            was = await _role(pair.standby)
            said = await _promotion(world, plan)
            ill = []
            if said is None:
                ill.append("it was promoted")
            elif not any(one in said for one in WRONG[kind].split("|")):
                ill.append(f"refused for another reason: {said}")
            if await _role(pair.standby) != was:
                ill.append("it changed its role")
            return [f"[{kind} / {when}] {one}" for one in ill]
        finally:
            await door.close()
            if getattr(world, "page", None):
                await world.page.close()


async def _promotion(world: World, plan) -> str | None:
    """What the promotion says to it; ``None`` when it promotes."""
    ctx = Context(
        clock=CLOCK,
        deadline=Deadline.after(CLOCK, timedelta(seconds=15)),
        secrets=LocalSecrets(),
        permit=lambda: None,
    )
    try:
        await Promote().perform(
            ctx, plan.targets["db.new"], PromoteParams(sightings_url=world.eye.url)
        )
    except ActionError as error:
        print(f"{error}")
        return str(error)
    return None


@pytest.mark.timeout(900)
async def test_a_wrong_candidate_is_refused_when_planned_and_when_swapped(template):
    only = os.environ.get("DRCTL_CANDIDATE")
    kinds = [kind for kind in WRONG if is_full() or kind in SLICE]
    cells = [(kind, when) for kind in kinds for when in ("planned", "swapped")]
    cells = [tuple(only.split(" / "))] if only else cells
    slots, ill = asyncio.Semaphore(4), []

    async def one(kind: str, when: str) -> None:
        async with slots:
            try:
                ill.extend(await _one(template, kind, when))
            except Exception as error:  # noqa: BLE001 (one case must not hide the others)
                ill.append(f"[{kind} / {when}] {type(error).__name__}: {error}")

    await asyncio.gather(*(one(*cell) for cell in cells))
    record("postgres", "I3", cases=len(cells), violations=len(ill))
    again = sorted({line[1 : line.index("]")] for line in ill})
    print("".join(f"\nDRCTL_CANDIDATE='{n}' {command('test_candidates.py')}" for n in again))
    assert not ill, "\n".join(ill)


async def test_the_right_candidate_is_promoted_and_named_in_the_record(template):
    """Else refusing everything would pass."""
    async with World.of(template, siblings=1) as world:
        await world.plan(look=True)
        plan = await world.plan()
        await world.pair.kill("kill9")
        await world.pair.dead_network()
        ran = await world.run(plan)
        assert ran.end.result == "succeeded", ran.story()
        outputs = ran.last("promote").outputs
        assert outputs["system_identifier"] == template.system_identifier
        assert (outputs["from_timeline"], outputs["timeline"]) == (1, 2)
        assert outputs["lsn"]
