"""Which runs exclude each other: by what they change, not by what anything is called."""

import asyncio
import itertools

import pytest
from arena import claim, lease, outcome, tally
from engine_model import plan_of, step

from drctl.actions.cell import Cell, Reading, Store
from drctl.actions.contract import Adapter, Effect
from drctl.actions.registry import Registry, installed
from drctl.actions.targets import (
    Deployment,
    DnsRecord,
    FailoverSwitch,
    Part,
    PostgresServer,
    RdsInstance,
)
from drctl.config.environment import load_environment
from drctl.journal.file_cell import FileCell
from drctl.kernel.errors import InvalidError
from drctl.plan.leases import planned_lease

AWS = {
    "account": "210987654321",
    "access_key_id": "env:A",
    "secret_access_key": "env:B",
}
EAST, WEST = {**AWS, "region": "us-east-1"}, {**AWS, "region": "us-west-2"}
CLUSTER = {
    "server": "https://a", "ca_file": "/x", "token": "env:T", "cluster_uid": "uid-1",
    "region": "us-west-2",
}  # fmt: skip
SQL = {"host": "db.example", "database": "d", "user": "u", "password": "env:P"}


def target(kind, **fields):
    return kind.model_validate(fields)


TARGETS = {
    "db.east": target(RdsInstance, aws=EAST, instance="prod", system_identifier="7001"),
    "db.west": target(RdsInstance, aws=WEST, instance="dr", system_identifier="7001"),
    "db.alias": target(PostgresServer, sql=SQL, system_identifier="7001", region="us-west-2"),
    "db.other": target(PostgresServer, sql={**SQL, "host": "b"}, system_identifier="7002",
                       region="us-west-2"),
    "app.west": target(Deployment, cluster=CLUSTER, namespace="shop", name="web"),
    "traffic.switch": target(FailoverSwitch, aws=WEST, bucket="b", key="k",
                             record_name="API.example.org.", recovery_name="r.example.org",
                             url="https://api.example.org"),
    "traffic.record": target(DnsRecord, aws=WEST, zone_id="Z1", zone_name="example.org",
                             record_name="api.example.org"),
}  # fmt: skip

RUNBOOKS = {
    "failover": (("db.east", Effect.FENCE), ("db.west", Effect.PROMOTE),
                 ("traffic.switch", Effect.TRAFFIC)),
    "failback": (("db.west", Effect.FENCE), ("db.east", Effect.PROMOTE)),
    "by_sql": (("db.alias", Effect.PROMOTE),),
    "dns_only": (("traffic.record", Effect.TRAFFIC), ("app.west", Effect.CHANGE)),
    "other": (("db.other", Effect.PROMOTE),),
}  # fmt: skip

CONFLICTS = {
    # One PostgreSQL, seen as two RDS instances in two directions, and through SQL under a name.
    frozenset({"failover", "failback"}),
    frozenset({"failover", "by_sql"}),
    frozenset({"failback", "by_sql"}),
    # One public name, moved by a switch or by its record.
    frozenset({"failover", "dns_only"}),
}


class Env:
    """As much of an environment as a lease is made from."""

    name, lease, cool_down_s = "model", None, 3600.0


def lease_for(runbook, targets=TARGETS):
    steps = [
        step(f"s{n}", effect=effect, target=name)
        for n, (name, effect) in enumerate(RUNBOOKS[runbook])
    ]
    return planned_lease(Registry([]), Env(), steps, targets)


@pytest.mark.parametrize(("first", "second"), itertools.product(RUNBOOKS, RUNBOOKS))
def test_runs_exclude_each_other_when_they_change_one_thing(tmp_path, first, second):
    async def main():
        cell = FileCell(tmp_path / "book")
        one = lease(cell, claim("one", lease_for(first).identities))
        other = lease(FileCell(tmp_path / "book"), claim("two", lease_for(second).identities))
        return await outcome(one), await outcome(other)

    is_conflict = first == second or frozenset({first, second}) in CONFLICTS
    got = asyncio.run(main())
    tally("I9", 1, got != ("won", "DR3501" if is_conflict else "won"))
    assert got == ("won", "DR3501" if is_conflict else "won")


def test_other_names_in_another_environment_are_the_same_things():
    renamed = {name: TARGETS[name] for name in TARGETS}
    renamed["db.x"] = renamed["db.east"]
    steps = [step("s", effect=Effect.FENCE, target="db.x")]
    named = planned_lease(Registry([]), Env(), steps, renamed)
    assert set(named.identities) <= set(lease_for("failover").identities)


def test_a_plan_that_only_looks_or_tells_needs_no_lease():
    steps = [
        step("a", effect=Effect.READ, target="db.east"),
        step("b", effect=Effect.NOTIFY, target="db.east"),
    ]
    assert planned_lease(Registry([]), Env(), steps, TARGETS).identities == ()


def test_a_change_of_something_without_a_name_excludes_the_whole_environment():
    steps = [step("a", effect=Effect.CHANGE)]
    assert planned_lease(Registry([]), Env(), steps, TARGETS).identities == ("environment:model",)


FILE = """
apiVersion: drctl/v1
kind: Environment
metadata: {name: mine}
cool_down: 90m
connections:
  east: {type: aws, region: us-east-1, account: "210987654321", access_key_id: "env:A",
         secret_access_key: "env:B"}
lease: %s
"""


def choice(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(FILE % text)
    return load_environment(path)


def test_the_plan_says_where_leases_are_and_when_that_place_is_left(tmp_path):
    env = choice(tmp_path, "{store: s3, aws: east, bucket: b, key: k}")
    steps = [step("s", effect=Effect.FENCE, target="db.east")]
    made = planned_lease(installed(), env, steps, TARGETS)
    assert (made.store, made.label) == ("s3", "s3://b/k (us-east-1)")
    assert made.settings["aws"]["region"] == "us-east-1"
    assert made.cool_down_s == 5400.0
    assert made.shares_fate_with == ("us-east-1",)
    west = [step("s", effect=Effect.FENCE, target="db.west")]
    assert planned_lease(installed(), env, west, TARGETS).shares_fate_with == ()
    plan = plan_of(*steps, lease=made)
    other = plan_of(*steps, lease=made.model_copy(update={"label": "elsewhere"}))
    assert plan.digest != other.digest, "what was approved says where the lease is"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{store: s4, bucket: b}", '"s4"'),
        ("{store: s3, aws: east, bucket: b}", "lease.key"),
        ("{store: s3, aws: west, bucket: b, key: k}", "west"),
        ("{bucket: b}", "say where"),
        ("nowhere", "say where"),
    ],
)
def test_a_store_that_cannot_be_is_an_error_with_its_place(tmp_path, text, said):
    with pytest.raises(InvalidError) as caught:
        planned_lease(installed(), choice(tmp_path, text), (), {})
    [problem] = caught.value.problems
    assert said in problem.what
    assert "mine.yaml:9" in str(problem.at)


def test_a_third_party_brings_its_own_store(tmp_path):
    class Settings(Part):
        shelf: str

    class Shelf(Cell):
        label = "shelf"

        async def read(self, ctx):
            return Reading(data=None, version=None)

        async def write(self, ctx, data, expected):
            return "1"

    class Shelves(Store):
        name, settings = "shelf", Settings

        def open(self, settings):
            return Shelf()

    registry = Registry([Adapter(name="third", actions=(), stores=(Shelves(),))])
    made = planned_lease(registry, choice(tmp_path, "{store: shelf, shelf: top}"), (), {})
    assert (made.store, made.settings, made.label) == ("shelf", {"shelf": "top"}, "shelf")
