"""
I16, the replay of AWS, October 2025: an older plan is delayed after its check, a newer one applies
and cleans up, the older one goes on. The record is never empty, and ends as the newer plan says.

The real action writes into a zone that judges batches as the lab's Route 53 does; a scheduler
chooses at every request, by seed, which of the two goes on.
"""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import results
from integrity_model import draws

from drctl.actions.contract import Context
from drctl.actions.errors import Conflict, Rejected
from drctl.actions.targets import DnsRecord
from drctl.adapters.aws import record as record_module
from drctl.adapters.aws.errors import translate
from drctl.adapters.aws.record import UpsertParams, UpsertRecord
from drctl.config.secrets import LocalSecrets
from drctl.kernel.clock import Deadline
from drctl.lab.aws.change_batch import Scope, changed
from drctl.simulated.clock import VirtualClock, run_virtual

NAME = "api.example.com."
TARGET = DnsRecord.model_validate(
    {
        "aws": {
            "region": "us-east-1", "account": "123456789012",
            "access_key_id": "env:A", "secret_access_key": "env:B",
        },
        "zone_id": "Z1", "zone_name": "example.com", "record_name": "api.example.com",
    }
)  # fmt: skip
UPSERT = UpsertRecord()


def record(value, **more):
    return {
        "Name": NAME, "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": value}]
    } | more  # fmt: skip


class Zone:
    """One hosted zone, and every answer that it ever gave for the name."""

    def __init__(self, first):
        self.scope = Scope(
            zone="example.com", zone_id="Z1", zone_names={"Z1": "example.com"}, health_checks=()
        )
        self.records = changed([], [{"Action": "CREATE", "ResourceRecordSet": first}], self.scope)
        self.history = [self.answers()]
        self.batches = []

    def answers(self):
        return tuple(tuple(one.records) for one in self.records)

    def apply(self, batch):
        self.batches.append(batch)
        self.records = changed(self.records, batch, self.scope)
        self.history.append(self.answers())

    def listed(self):
        return [
            {"Name": NAME, "Type": one.type, "TTL": int(one.ttl),
             "ResourceRecords": [{"Value": value} for value in one.records]}
            for one in self.records
        ]  # fmt: skip


class Turns:
    """Lets one of the waiting go on at a time; which one is drawn."""

    def __init__(self, seed):
        self.draw, self.waiting = draws(seed), []

    async def turn(self):
        gate = asyncio.get_running_loop().create_future()
        self.waiting.append(gate)
        await gate

    async def run(self, *tasks):
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0.001)
            if self.waiting:
                self.waiting.pop(self.draw.randrange(len(self.waiting))).set_result(None)


class FakeAws:
    """The two calls of the action, in the scheduler's turn."""

    zone: Zone
    turns: Turns

    def __init__(self, ctx: Context, _connection: Any) -> None:
        self._ctx = ctx

    async def read(self, _service, operation, **_arguments):
        await self.turns.turn()
        if operation == "get_change":
            return {"ChangeInfo": {"Id": "/change/C1", "Status": "INSYNC"}}
        return {"ResourceRecordSets": self.zone.listed()}

    async def mutate(self, _service, _operation, **arguments):
        self._ctx.permit()
        await self.turns.turn()  # the request is under way; the other one may be quicker
        try:
            self.zone.apply(arguments["ChangeBatch"]["Changes"])
        except Exception as error:
            code = getattr(error, "error_type", "InvalidChangeBatch")
            error.response = {"Error": {"Code": code, "Message": str(error)}}
            raise translate(error, "route53", mutates=True) from error
        return {"ChangeInfo": {"Id": "/change/C1", "Status": "PENDING"}}


@pytest.fixture(autouse=True)
def zone(monkeypatch):
    monkeypatch.setattr(record_module, "Aws", FakeAws)


def context(seen=None):
    clock = VirtualClock()
    return Context(
        clock=clock, deadline=Deadline.after(clock, timedelta(seconds=60)), secrets=LocalSecrets(),
        permit=lambda: None, seen=seen,
    )  # fmt: skip


async def enact(value, planned=None):
    """Plans, then applies that plan; says how it ended."""
    params = UpsertParams(ttl=60, values=(value,))
    seen = await UPSERT.observe(context(), TARGET, params)
    if planned is not None:
        planned.set()
    try:
        await UPSERT.perform(context(seen.facts), TARGET, params)
    except Conflict:
        return "stale"
    return "applied"


async def replay(seed):
    FakeAws.zone, FakeAws.turns = Zone(record("10.0.0.1")), Turns(seed)

    async def newer():
        # Made later than the older plan, at a moment that is drawn; plans again when it is refused.
        await planned.wait()
        for _ in range(FakeAws.turns.draw.randrange(6)):
            await FakeAws.turns.turn()
        while await enact("10.0.0.3") == "stale":
            pass

    planned = asyncio.Event()
    older_done = asyncio.create_task(enact("10.0.0.2", planned))
    newer_done = asyncio.create_task(newer())
    await FakeAws.turns.run(older_done, newer_done)
    await newer_done
    return FakeAws.zone, older_done.result()


def test_two_hundred_interleavings_of_an_older_and_a_newer_plan():
    ill, ways = [], set()
    for seed in range(200):
        zone, older = run_virtual(replay(seed))
        ways.add((older, zone.history[1:2] == [(("10.0.0.2",),)]))
        is_empty = any(answers in {(), ((),)} for answers in zone.history)
        if is_empty or zone.history[-1] != (("10.0.0.3",),):
            ill.append(f"seed {seed}: {zone.history}")
    results.record("integrity-enactors", "I16", cases=200, violations=len(ill))
    assert ill == []
    assert {("stale", False), ("applied", True)} <= ways, "both orders were among them"


def one(params, seen, first=None, between=None):
    async def main():
        FakeAws.zone, FakeAws.turns = Zone(first or record("10.0.0.1")), Turns(0)
        done = asyncio.create_task(UPSERT.perform(context(seen), TARGET, params))
        if between is not None:
            reads = FakeAws.read

            async def read(self, service, operation, **arguments):
                answer = await reads(self, service, operation, **arguments)
                between(FakeAws.zone)
                return answer

            FakeAws.read = read
        try:
            await FakeAws.turns.run(done)
            return await done
        finally:
            if between is not None:
                FakeAws.read = reads

    return run_virtual(main())


TO = UpsertParams(ttl=60, values=("10.0.0.2",))


def test_a_record_is_replaced_in_one_batch_of_delete_exact_and_create():
    one(TO, {"records": ["A 10.0.0.1 for 60 s"]})
    (batch,) = FakeAws.zone.batches
    assert [("DELETE", "10.0.0.1"), ("CREATE", "10.0.0.2")] == [
        (c["Action"], c["ResourceRecordSet"]["ResourceRecords"][0]["Value"]) for c in batch
    ]


def test_a_record_that_is_as_wanted_is_left_alone():
    assert not one(UpsertParams(ttl=60, values=("10.0.0.1",)), {"records": ["something"]}).change_id
    assert FakeAws.zone.batches == []


def test_a_record_that_the_plan_did_not_see_is_not_overwritten():
    with pytest.raises(Conflict, match="when the plan was made"):
        one(TO, {"records": ["A 10.9.9.9 for 60 s"]})
    with pytest.raises(Conflict, match="not there when the plan was made"):
        one(TO, {"records": ["AAAA ::1 for 60 s"]})
    assert FakeAws.zone.batches == []


def test_a_record_that_changes_between_our_look_and_our_write_is_not_overwritten():
    def meddle(zone):
        if zone.answers() == (("10.0.0.1",),):
            batch = [{"Action": "UPSERT", "ResourceRecordSet": record("10.7.7.7")}]
            zone.records = changed(zone.records, batch, zone.scope)

    with pytest.raises(Conflict, match="changed by something else"):
        one(TO, None, between=meddle)
    assert FakeAws.zone.answers() == (("10.7.7.7",),)


def test_a_record_of_another_policy_is_not_touched(monkeypatch):
    weighted = record("10.0.0.1", SetIdentifier="a", Weight=1)
    monkeypatch.setattr(Zone, "listed", lambda _self: [weighted])
    with pytest.raises(Rejected, match="routing policy"):
        one(TO, None)
    assert FakeAws.zone.batches == []
