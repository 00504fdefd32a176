"""
I19: empty selects nothing, and so does everything. The table is made from the registry: an action
that is added tomorrow is in it tomorrow.
"""

import copy
from typing import Any

import pytest
import results
from engine_model import Fake, plan_of, started, step
from pydantic import BaseModel

from drctl.actions.contract import Adapter, Effect, Observation
from drctl.actions.registry import AnyAction, Registry, installed
from drctl.actions.targets import Target
from drctl.app.people import too_many
from drctl.config.environment import load_environment
from drctl.config.secrets import LocalSecrets
from drctl.engine.driver import Driver
from drctl.engine.events import EffectIntended
from drctl.engine.state import initial
from drctl.kernel.errors import InvalidError
from drctl.plan.model import PlannedCall
from drctl.simulated.clock import VirtualClock, run_virtual
from drctl.simulated.log import MemoryLog

MUTATING = [action for action in installed() if action.effect.changes_something]
BAD: dict[str, Any] = {
    "empty": "", "null": None, "missing": ..., "wildcard": "*", "whitespace": " \t\n",
    "unresolved": "${{ inputs.x }}", "half resolved": "${x}", "percent": "%",
}  # fmt: skip
AWS = {
    "region": "us-west-2", "account": "123456789012",
    "access_key_id": "env:A", "secret_access_key": "env:B",
}  # fmt: skip
CLUSTER = {
    "server": "https://127.0.0.1:1", "ca_file": "/x", "token": "env:T", "cluster_uid": "u",
    "region": "us-west-2",
}  # fmt: skip
GCP = {
    "project": "lab-project", "project_number": "1", "region": "us-west1", "access_token": "env:T",
}  # fmt: skip
SQL = {"host": "db", "database": "d", "user": "u", "password": "env:P"}
GOOD: dict[str, dict[str, Any]] = {
    "aws.rds.instance": {"aws": AWS, "instance": "i", "fence_security_group": "sg-1", "sql": SQL},
    "gcp.cloudsql.instance": {"gcp": GCP, "instance": "i", "sql": SQL},
    "gcp.dns.record": {"gcp": GCP, "managed_zone": "z", "zone_name": "z", "record_name": "r.z"},
    "postgres.server": {"sql": SQL, "region": "r", "system_identifier": "1"},
    "patroni.cluster": {
        "region": "r", "scope": "s", "sql": {"user": "u", "password": "env:P"},
        "system_identifier": "1", "members": [
            {"name": "one", "url": "http://127.0.0.1", "host": "127.0.0.1"},
            {"name": "two", "url": "http://127.0.0.2", "host": "127.0.0.2"},
        ],
    },
    "kubernetes.deployment": {"cluster": CLUSTER, "namespace": "n", "name": "d"},
    "aws.route53.failover_switch": {
        "aws": AWS, "bucket": "b", "key": "k", "record_name": "r", "recovery_name": "v",
        "url": "http://127.0.0.1",
    },
    "aws.route53.record": {"aws": AWS, "zone_id": "Z", "zone_name": "z", "record_name": "r"},
    "slack.channel": {"channel": "#c"},
    "statuspage.page": {"token": "env:T", "page_id": "p"},
    "argocd.application": {"cluster": CLUSTER, "namespace": "n", "name": "a"},
    "flux.helmrelease": {"cluster": CLUSTER, "namespace": "n", "name": "h"},
    "flux.kustomization": {"cluster": CLUSTER, "namespace": "n", "name": "k"},
    "kubernetes.postgresql": {
        "operator": "zalando", "cluster": CLUSTER, "namespace": "n", "name": "p", "sql": SQL,
    },
    "aws.ecr.repository": {"aws": AWS, "repository": "r"},
    "aws.s3.bucket": {"aws": AWS, "bucket": "bucket"},
    "aws.elbv2.load_balancer": {
        "aws": AWS, "name": "l", "emergency_name": "e", "isolation_security_group": "sg-2",
    },
    "postgres.role": {
        "sql": SQL, "role": "o", "password": "env:P", "next_password": "env:N",
        "delivered_to": {"a": {"cluster": CLUSTER, "namespace": "n", "secret": "s", "key": "k"}},
        "kept_in": {"aws": AWS, "secret": "s"}, "region": "r",
    },
    "redis.sentinel": {
        "region": "r", "group": "g", "sentinels": [{"host": "h", "port": 26379}],
        "nodes": [{"host": "h", "port": 6379}, {"host": "i", "port": 6379}],
        "access": {"password": "env:R"},
    },
    "redis.server": {
        "region": "r", "at": {"host": "h", "port": 6379}, "access": {"password": "env:R"},
    },
    "aws.region": {"aws": AWS},
    "aws.autoscaling.group": {"aws": AWS, "name": "g"},
    "aws.ecs.service": {"aws": AWS, "cluster_name": "c", "service": "s"},
    "aws.elasticache.global": {"aws": AWS, "datastore": "d", "replication_group": "g"},
    "aws.arc.routing_controls": {
        "aws": AWS,
        "cluster_endpoints": {f"eu-{n}": f"http://127.0.0.1:{n}" for n in (1, 2, 3)},
        "controls": {
            name: f"arn:aws:route53-recovery-control::123456789012:controlpanel/p/{name}"
            for name in ("east", "west")
        },
    },
    "prometheus.server": {"url": "http://127.0.0.1:3", "region": "r"},
    "grafana.server": {"url": "http://127.0.0.1:4", "region": "r"},
}  # fmt: skip
PARAMS: dict[str, dict[str, Any]] = {
    "aws.rds.assert_single_primary": {"new_primary": "db.recovery"},
    "postgres.primary.assert_only": {"new_primary": "db.recovery"},
    "aws.rds.unfence": {"security_groups": ["sg-1"]},
    "aws.route53.record.upsert": {"type": "A", "ttl": 60, "values": ["10.0.0.1"]},
    "gcp.cloudsql.assert_single_primary": {"new_primary": "db.recovery"},
    "gcp.cloudsql.clone_to_time": {"name": "r", "time": "2026-11-23T10:00:00Z"},
    "gcp.cloudsql.unfence": {"policy": "ALWAYS"},
    "gcp.dns.record.set": {"type": "A", "ttl": 60, "values": ["10.0.0.1"]},
    "kubernetes.deployment.scale": {"replicas": 2},
    "kubernetes.secret.patch": {"name": "s", "data": {"host": "h"}},
    "patroni.cluster.failover": {"candidate": "two"},
    "patroni.cluster.switchover": {"candidate": "two"},
    "human.task": {"instruction": "do", "confirm": "done"},
    "postgres.fence": {"admin_database": "postgres"},
    "postgres.promote": {"admin_database": "postgres"},
    "postgres.unfence": {"admin_database": "postgres"},
    "aws.arc.routing_control.set": {"states": {"east": "Off", "west": "On"}},
    "aws.autoscaling.group.scale": {"desired": 2},
    "aws.ecs.service.scale": {"desired": 2},
    "aws.elbv2.rebuild": {"addresses": ["10.0.0.1"]},
    "aws.rds.create_replica": {"source": "arn:aws:rds:us-east-1:123456789012:db:i"},
    "aws.rds.restore_to_time": {"instance": "r", "time": "2026-11-23T10:00:00Z"},
    "aws.rds.set_aside": {"instance": "i-aside"},
    "aws.rds.snapshot.create": {"snapshot": "s"},
    "aws.rds.snapshot.restore": {"snapshot": "s", "instance": "r"},
    "aws.s3.object.restore_version": {"key": "k", "version": "v"},
    "kubernetes.cronjob.resume": {"name": "c"},
    "kubernetes.cronjob.suspend": {"name": "c"},
    "kubernetes.job.run": {"name": "j", "image": "registry/i:1", "command": ["/bin/true"]},
    "kubernetes.manifests.apply": {"files": [{"path": "m.yaml", "sha256": "0" * 64}]},
    "kubernetes.pod.exec": {"command": ["/bin/true"], "does": "nothing"},
    "kubernetes.postgresql.unfence": {"instances": 1},
    "postgres.clients.admit": {"operators": ["drctl"], "networks": ["10.0.0.0/8"]},
    "postgres.restore_to_time": {
        "target_time": "2026-11-23T10:00:00Z",
        "operators": ["drctl"],
    },
    "redis.flush": {"db": 0},
    "shell.command": {"argv": ["/bin/true"]},
    "shell.destroy": {"argv": ["/bin/true"]},
}
"""A working example for each action that takes params; an action without one here must take none
that are required."""


def kinds() -> dict[str, type[Target]]:
    return {
        kind.model_fields["kind"].default: kind for action in installed() for kind in action.targets
    }


def target_of(kind: str) -> Target:
    return kinds()[kind].model_validate(GOOD[kind])


def recorded(action: AnyAction, sent: list[str]) -> AnyAction:
    """The action itself, except that what it would send is only counted."""
    mine = copy.copy(action)

    async def perform(ctx: Any, target: Target, params: Any) -> Any:
        ctx.permit()
        sent.append(action.name)
        return action.outputs.model_construct()

    async def observe(ctx: Any, target: Target, params: Any) -> Observation:
        return Observation()

    object.__setattr__(mine, "perform", perform)
    object.__setattr__(mine, "observe", observe)
    return mine


def effects_of(action: AnyAction, target: Target | None, params: Any) -> tuple[list[str], str]:
    """Runs a plan of that one change; gives what was sent, and why not."""
    sent: list[str] = []
    measure = Fake("measure", Effect.READ, loss=True, gives={"bound": 1.0, "source": "s"})
    steps = [
        step("measure", effect=Effect.READ, measures_loss=True),
        step("fence", effect=Effect.FENCE, needs=("measure",)),
        step("it", action.name, effect=action.effect, needs=("fence",), with_={}),
    ]
    plan = plan_of(*steps)
    call = PlannedCall(uses=action.name, target="it" if target else None, with_={})
    # Past every check of text: what the choke point gets when all before it have failed.
    call = call.model_copy(update={"with_": params})
    it = plan.steps[2].model_copy(update={"call": call})
    targets = {**plan.targets, **({"it": target} if target else {})}
    plan = plan.model_copy(update={"steps": (*plan.steps[:2], it), "targets": targets})
    registry = Registry(
        [Adapter(name="t", actions=(measure, Fake("fence", Effect.FENCE), recorded(action, sent)))]
    )

    async def main() -> tuple[list[str], str]:
        clock = VirtualClock()
        log = MemoryLog(clock)
        driver = Driver(
            plan, initial(plan), log=log, registry=registry, clock=clock, secrets=LocalSecrets()
        )
        await driver.run(started(plan))
        intended = [r.event.step for r in log.records if isinstance(r.event, EffectIntended)]
        assert bool(sent) == ("it" in intended), "what is refused leaves no intent"
        return sent, driver.state.steps["it"].why or ""

    return run_virtual(main())


def spoiled(model: BaseModel, path: tuple[str, ...], value: Any) -> BaseModel:
    """The same model with one field spoiled, past its validation."""
    name, *deeper = path
    if deeper:
        return model.model_copy(update={name: spoiled(getattr(model, name), tuple(deeper), value)})
    if value is not ...:
        return model.model_copy(update={name: value})
    bare = model.model_copy()
    del bare.__dict__[name]
    return bare


def ids_of(model: BaseModel, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every field of a target that is a text and names something."""
    found = []
    for name, value in model:
        if isinstance(value, BaseModel):
            found += ids_of(value, (*path, name))
        elif isinstance(value, str) and name != "kind":
            found.append((*path, name))
    return found


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    match value:
        case dict():
            inner = [p for key, item in value.items() for p in leaves(item, (*path, key))]
        case list():
            inner = [p for at, item in enumerate(value) for p in leaves(item, (*path, at))]
        case _:
            inner = []
    return [*([path] if path else []), *inner]


def put(params: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    made = copy.deepcopy(params)
    place: Any = made
    for key in path[:-1]:
        place = place[key]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return made


def cases() -> list[tuple[str, AnyAction, Target | None, Any]]:
    made: list[tuple[str, AnyAction, Target | None, Any]] = []
    for action in MUTATING:
        if action.asks_person:
            continue  # the engine never performs it
        params = PARAMS.get(action.name, {})
        for kind in action.targets:
            good = target_of(kind.model_fields["kind"].default)
            for word, bad in BAD.items():
                for path in ids_of(good):
                    where = f"{action.name} {'.'.join(path)} {word}"
                    is_optional = not type(good).model_fields[path[0]].is_required()
                    if bad in (None, ...) and (is_optional or len(path) > 1):
                        continue
                    made.append((where, action, spoiled(good, path, bad), params))  # type: ignore[arg-type]
                for path in leaves(params):
                    is_deep = len(path) > 1
                    optional = path[0] in action.params.model_fields and not (
                        action.params.model_fields[path[0]].is_required()
                    )
                    if bad in (None, ...) and (is_deep or optional):
                        continue
                    where = f"{action.name} with {path} {word}"
                    made.append((where, action, good, put(params, path, bad)))
        if not action.targets:
            continue  # it names nothing of the estate
        made += [(f"{action.name} no target", action, None, params)]
        made += [
            (f"{action.name} on {kind}", action, target_of(kind), params)
            for kind, cls in kinds().items()
            if cls not in action.targets
        ]
    return made


def test_every_action_is_in_the_table_and_works_when_nothing_is_spoiled():
    for action in MUTATING:
        assert set(kinds()) <= set(GOOD), "a new kind of target needs a working example here"
        if action.asks_person:
            continue
        required = {n for n, f in action.params.model_fields.items() if f.is_required()}
        named = set(PARAMS.get(action.name, {}))
        defaulted = {"data", "secret_data"}  # one of the two
        assert required - defaulted <= named, f"{action.name} needs an example in PARAMS"
        kind = action.targets[0].model_fields["kind"].default if action.targets else None
        target = target_of(kind) if kind else None
        sent, why = effects_of(action, target, PARAMS.get(action.name, {}))
        assert sent == [action.name], f"{action.name}: {why}"


def test_nothing_is_sent_for_what_names_nothing_everything_or_another_kind():
    table, ill = cases(), []
    assert len(table) > 300
    for where, action, target, params in table:
        sent, why = effects_of(action, target, params)
        if sent or not why:
            ill.append(where)
    results.record("integrity", "I19", cases=len(table), violations=len(ill))
    assert ill == []


def test_one_more_than_the_cap_is_refused():
    rooms = {f"room{n}": Target.model_construct(kind="k") for n in range(3)}
    made = plan_of(
        *(step(f"s{n}", "x", target=f"room{n}", effect=Effect.CHANGE) for n in range(3)),
        step("look", target="room0", effect=Effect.READ),
    )
    labels = {name: _labelled(name) for name in rooms}
    made = made.model_copy(update={"targets": labels})
    assert too_many(made.model_copy(update={"max_targets": 3})) == []
    (problem,) = too_many(made.model_copy(update={"max_targets": 2}))
    assert problem.code == "DR3206"
    assert "changes 3 things" in problem.what


def _labelled(name: str) -> Target:
    class Labelled(Target):
        @property
        def label(self) -> str:
            return name

    return Labelled(kind="k")


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("kubernetes.deployment.scale", {"replicas": 0}),
        ("kubernetes.deployment.scale", {"replicas": -1}),
        ("aws.route53.record.upsert", {"ttl": 60, "values": []}),
        ("aws.route53.record.upsert", {"ttl": 60}),
    ],
)
def test_nothing_goes_below_the_floor(name, params):
    """Never the last pod, never an empty answer, never no group at all."""
    action = installed().get(name)
    assert action is not None
    sent, why = effects_of(
        action, target_of(action.targets[0].model_fields["kind"].default), params
    )
    assert sent == []
    assert why


PLACE = """
apiVersion: drctl/v1
kind: Environment
metadata: {name: e}
connections:
  c:
    {type: aws, region: r, account: "123456789012", access_key_id: "env:A",
     secret_access_key: "env:B"}
targets:
  db.primary: {kind: aws.rds.instance, aws: c, instance: VALUE}
"""


@pytest.mark.parametrize("value", ['""', "null", '"*"', '"  "', '"${{ inputs.x }}"', '"orders-*"'])
def test_an_environment_cannot_name_it_either(value, tmp_path):
    path = tmp_path / "e.yaml"
    path.write_text(PLACE.replace("VALUE", "orders"))
    load_environment(path)
    path.write_text(PLACE.replace("VALUE", value))
    with pytest.raises(InvalidError):
        load_environment(path)
