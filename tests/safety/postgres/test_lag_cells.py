"""
The loss gate on a real standby: five lags by six sources, for a server of one's own and for RDS.

Accepted only when the bound is known and not above 300 s. Everything else refuses.
"""

import itertools
import json
from datetime import UTC, datetime, timedelta

import pytest
from estate import DATABASE, command
from people import Http
from results import record
from runs import CLOCK, REGISTRY, World

from drctl.actions.contract import Context
from drctl.actions.targets import AwsConnection, RdsInstance, Witness
from drctl.adapters._witness import lsn_to_int
from drctl.adapters.aws.rds_lag import MeasureLag
from drctl.config.secrets import LocalSecrets
from drctl.engine.fold import loss_is_allowed
from drctl.kernel.clock import Deadline
from drctl.plan.model import Plan

pytestmark = pytest.mark.asyncio(loop_scope="session")

LAGS = (0, 299, 300, 301, 3600)
SOURCES = ("fresh", "61 s old", "missing", "negative", "NaN", "standby partitioned")
CELLS = list(itertools.product(LAGS, SOURCES))
ACCEPTED = {(0, "fresh"), (299, "fresh"), (300, "fresh")}
"""Whatever the lag was: a source that cannot be trusted bounds nothing."""


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


async def document(world: World, lag_s: int, source: str) -> tuple[bytes | None, int]:
    """Writes the heartbeat into the primary, waits for it on the standby; the witness's words."""
    now = datetime.now(UTC)
    checked = now - timedelta(seconds=61.5 if source == "61 s old" else 0)
    refused = checked - timedelta(seconds=0.5)
    beat = refused - timedelta(seconds=lag_s)
    if source == "negative":
        beat = refused + timedelta(seconds=lag_s + 5)
    pair = world.pair
    await pair.primary.query_as_superuser(
        "UPDATE drctl.heartbeat SET at = $1, seq = seq + 1", beat, database=DATABASE
    )
    while True:
        rows = await pair.standby.query_as_superuser(
            "SELECT at, pg_last_wal_replay_lsn()::text FROM drctl.heartbeat", database=DATABASE
        )
        if rows[0][0] == beat:
            break
    ahead = lsn_to_int(rows[0][1]) + 4096
    if source == "missing":
        return None, ahead
    said = {
        "version": 1,
        "system_identifier": pair.template.system_identifier,
        "timeline": 1,
        "lsn": f"{ahead >> 32:X}/{ahead & 0xFFFFFFFF:X}",
        "seq": 2,
        "last_ok_at": _text(min(beat, refused)),
        "checked_at": _text(checked),
        "refused_since": _text(refused),
        "last_error": "refused",
    }
    body = json.dumps(said)
    return body.replace('"seq": 2', '"seq": NaN').encode() if source == "NaN" else body.encode(), (
        ahead
    )


class Words:
    """The document that is served."""

    body: bytes | None = None

    async def answer(self, _body: bytes):
        return (404, b"") if self.body is None else (200, self.body)


def only_measure(plan: Plan) -> Plan:
    """The plan's first step alone; nothing is kept of what the whole plan has computed."""
    data = plan.model_dump()
    data["steps"] = [step for step in data["steps"] if step["id"] == "measure"]
    data["objectives"]["stops_after"] = []
    return Plan.model_validate(data)


async def test_a_bound_is_accepted_only_when_it_is_known_and_small_enough(template):
    ill, cases = [], 0
    async with World.of(template) as world:
        await world.witness.__aexit__()
        words = Words()
        async with Http(world.pair.host(0, 30), 8009, words.answer) as eye:
            world.eye = eye
            plan = only_measure(await world.plan())
            gone = only_measure(await world.plan(new=(world.pair.host(0, 11), 5432)))
            rds, put, s3 = await s3_side(world)
            for lag_s, source in CELLS:
                words.body, ahead = await document(world, lag_s, source)
                is_cut = source == "standby partitioned"
                await world.pair.operator.set_mode("blackhole" if is_cut else "open")
                ran = await world.run(gone if is_cut else plan)
                went_on = ran.end.result == "succeeded"
                put(words.body)
                loss = await rds(is_cut)
                bound_s = None if loss.bound is None else loss.bound.total_seconds()
                for way, goes in (
                    ("server", went_on),
                    ("RDS", loss_is_allowed(bound_s, 300, None)),
                ):
                    cases += 1
                    if goes != ((lag_s, source) in ACCEPTED):
                        ill.append(f"{way}, lag {lag_s} s, {source}: {ran.story()} {loss}")
                if source == "fresh" and not is_cut:
                    # A primary at rest writes a little, too: a snapshot every fifteen seconds.
                    rows = await world.pair.standby.query_as_superuser(
                        "SELECT pg_last_wal_receive_lsn()::text"
                    )
                    ill += _exact(ran, loss, lag_s, ahead - lsn_to_int(rows[0][0]))
            await s3.close()
    record("postgres", "I2", cases=cases, violations=len(ill), note="30 cells, two vendors")
    assert (30, 60) == (len(CELLS), cases)
    print(command("test_lag_cells.py") if ill else "")
    assert not ill, "\n".join(ill)


def _exact(ran, loss, lag_s: int, left: int) -> list[str]:
    """
    A known bound is the lag to the microsecond; the bytes are what the witness saw more, less what
    the standby had received when it was asked: *left* is missing afterwards.
    """
    outputs = ran.last("measure").outputs
    found = []
    if outputs["bound"] != lag_s or loss.bound != timedelta(seconds=lag_s):
        found.append(f"lag {lag_s} s was measured as {outputs['bound']} and {loss.bound}")
    if not 2048 < left <= loss.lag_bytes <= outputs["lag_bytes"] <= 4096:
        found.append(f"{outputs['lag_bytes']} and {loss.lag_bytes} bytes, in the end {left}")
    return found


async def s3_side(world: World):
    """RDS's measurement: the document in S3, SQL on the standby, a control plane that is gone."""
    pair, kept = world.pair, Words()
    s3 = Http(pair.host(0, 31), 8010, kept.answer)
    await s3.__aenter__()
    aws = AwsConnection(
        region="us-west-2",
        account="123456789012",
        access_key_id="env:DRCTL_TEST_PG_PASSWORD",
        secret_access_key="env:DRCTL_TEST_PG_PASSWORD",
        endpoints={"s3": s3.url, "rds": f"http://{pair.host(0, 32)}:1"},
    )
    sql = (await world.plan()).targets["db.new"].sql
    far = sql.model_copy(update={"host": pair.host(0, 11)})

    async def measure(is_cut: bool):
        target = RdsInstance(
            aws=aws, instance="dr", sql=far if is_cut else sql,
            witness=Witness(aws=aws, bucket="w", key="k"),
        )  # fmt: skip
        deadline = Deadline.after(CLOCK, timedelta(seconds=15))
        ctx = Context(clock=CLOCK, deadline=deadline, secrets=LocalSecrets())
        action = REGISTRY.get(MeasureLag.name)
        return await action.perform(ctx, target, action.params())

    def put(body: bytes | None) -> None:
        kept.body = body

    return measure, put, s3
