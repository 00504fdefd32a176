"""
I20: a plan changes nothing. I21: nothing that lies around on a machine says where to, or as whom.

Two sides listen: the one that the environment file names, and a trap that every ambient variable
and file of the machine names. Nine of those, set before the plan, between plan and run, and in the
middle of a run: the trap must never see a connection, and the right side must have seen some.
"""

import asyncio
import itertools
import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import results
import yaml
from emulator import Emulator
from integrity_model import started
from model_estate import environment_of, inputs_of
from test_plan_file import INPUTS, ROOT

from drctl.actions.contract import (
    Action,
    Adapter,
    Effect,
    NoOutputs,
    NoParams,
    NotPermittedError,
    Observation,
    Repeat,
)
from drctl.actions.registry import Registry, installed
from drctl.app.compose import Parts, logins, operator
from drctl.app.planning import plan_runbook
from drctl.app.saved import still_holds
from drctl.config.secrets import LocalSecrets
from drctl.engine.attempt import Attempt
from drctl.engine.driver import Driver
from drctl.engine.effects import Effects
from drctl.engine.ports import Unleased
from drctl.engine.state import initial
from drctl.kernel.clock import SystemClock
from drctl.kernel.errors import RefusedError
from drctl.plan import make
from drctl.simulated.log import MemoryLog

RIGHT, TRAP = "127.208.0.10", "127.209.0.66"
_PORTS = itertools.count(20800)
SECRETS = {"DRCTL_T_ID": "AKIARIGHTRIGHTRIGHT1", "DRCTL_T_KEY": "right", "DRCTL_T_TOKEN": "right"}

ENVIRONMENT = """
apiVersion: drctl/v1
kind: Environment
metadata: {{name: right}}
protected: false
connections:
  east: {{type: aws, region: us-east-1, {aws}}}
  west: {{type: aws, region: us-west-2, {aws}}}
  cluster: {{type: kubernetes, server: "{url}", ca_file: {ca}, token: "env:DRCTL_T_TOKEN", cluster_uid: u, region: us-west-2}}
targets:
  db.primary: {{kind: aws.rds.instance, aws: east, instance: orders, fence_security_group: sg-1, sql: {sql}}}
  db.recovery: {{kind: aws.rds.instance, aws: west, instance: orders-dr, sql: {sql}, system_identifier: "7"}}
  app.recovery: {{kind: kubernetes.deployment, cluster: cluster, namespace: n, name: orders, url: "{url}"}}
  traffic.api: {{kind: aws.route53.failover_switch, aws: west, bucket: b, key: k, record_name: localhost, recovery_name: localhost, url: "{url}"}}
  comms.incident_room: {{kind: slack.channel, token: "env:DRCTL_T_TOKEN", channel: "#c", api_url: "{url}"}}
  comms.statuspage: {{kind: statuspage.page, token: "env:DRCTL_T_TOKEN", page_id: p, api_url: "{url}"}}
"""  # noqa: E501 (one target a line)


@pytest.fixture
def sides():
    port = next(_PORTS)
    right, trap = Emulator(RIGHT, port), Emulator(TRAP, port)
    right.start()
    trap.start()
    yield right, trap
    right.stop()
    trap.stop()


@pytest.fixture
def place(sides, tmp_path, monkeypatch):
    """An environment file that names the right side, and parts to plan with."""
    right, _trap = sides
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    # Looks end soon: nothing on the right side knows any answer.
    monkeypatch.setattr(make, "LOOK_TIMEOUT", timedelta(seconds=2))
    endpoints = ", ".join(f'{name}: "{right.url}"' for name in ("rds", "ec2", "s3", "sts"))
    aws = (
        f'account: "123456789012", access_key_id: "env:DRCTL_T_ID",'
        f' secret_access_key: "env:DRCTL_T_KEY", endpoints: {{{endpoints}}}'
    )
    sql = (
        f'{{host: "{right.host}", port: {right.port}, database: d, user: u,'
        ' password: "env:DRCTL_T_TOKEN", tls: "off"}'
    )
    ca = tmp_path / "ca.pem"
    ca.write_text("")
    path = tmp_path / "right.yaml"
    path.write_text(ENVIRONMENT.format(aws=aws, url=right.url, sql=sql, ca=ca))
    return path


def elsewhere(path: Path, right: Emulator, place: Path) -> Path:
    """
    The model estate that a shipped runbook is for, all of it on the right side: no address, name
    or secret of the model's is left.
    """

    def moved(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: moved(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [moved(inner, key) for inner in value]
        if isinstance(value, str) and value.startswith("env:"):
            return "env:DRCTL_T_KEY" if key == "next_password" else "env:DRCTL_T_TOKEN"
        if isinstance(value, str) and value.startswith("http"):
            return right.url
        return {"host": right.host, "port": right.port}.get(key, value)

    model, own = yaml.safe_load(path.read_text()), yaml.safe_load(place.read_text())
    connections = {
        name: {
            "aws": own["connections"]["west"] | {"region": entry.get("region")},
            "kubernetes": own["connections"]["cluster"] | {"region": entry.get("region")},
            "host": entry | {"argv": ["/bin/false"]},
        }.get(entry["type"], entry)
        for name, entry in model["connections"].items()
    }
    targets = moved(model["targets"])
    for name, mine in own["targets"].items():
        if targets.get(name, mine)["kind"] == mine["kind"]:
            targets[name] = mine
    for target in targets.values():
        if "sql" in target:
            target["sql"] = target["sql"] | {"port": right.port, "tls": "off"}
    document = own | {"connections": connections, "targets": targets}
    made = place.with_name(f"right-{path.stem}.yaml")
    made.write_text(json.dumps(document))  # YAML too, and without anchors
    return made


def parts(registry, tmp_path):
    return Parts(
        registry=registry, clock=SystemClock(), secrets=LocalSecrets(), runs=tmp_path / "runs"
    )


AMBIENT = [
    "AWS_PROFILE", "AWS keys", "AWS region", "AWS_ENDPOINT_URL", "~/.aws", "kubeconfig", "PG",
    "proxies", "~/.pgpass",
]  # fmt: skip


def set_ambient(name: str, trap: Emulator, home: Path, monkeypatch: Any) -> None:
    """Points one of the nine at the trap."""
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(home))
    host, port, url = trap.host, str(trap.port), trap.url
    config = (
        f"[default]\nregion = eu-central-1\nendpoint_url = {url}\n[profile trap]\n"
        f"region = eu-central-1\nendpoint_url = {url}\n"
    )
    keys = "[default]\naws_access_key_id = AKIATRAP\naws_secret_access_key = t\n"
    kube = {
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "k", "cluster": {"server": url}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "users": [{"name": "u", "user": {"token": "trap"}}],
    }  # fmt: skip
    files: dict[str, dict[str, str]] = {
        "AWS_PROFILE": {".aws/config": config, ".aws/credentials": keys},
        "~/.aws": {".aws/config": config, ".aws/credentials": keys},
        "kubeconfig": {".kube/config": json.dumps(kube)},
        "PG": {".pg_service.conf": f"[trap]\nhost={host}\nport={port}\n"},
        "~/.pgpass": {".pgpass": f"*:*:*:*:trap\n{host}:{port}:*:*:trap\n"},
    }
    for file, text in files.get(name, {}).items():
        (home / file).parent.mkdir(exist_ok=True)
        (home / file).write_text(text)
        (home / file).chmod(0o600)
    variables: dict[str, dict[str, str]] = {
        "AWS_PROFILE": {"AWS_PROFILE": "trap", "AWS_DEFAULT_PROFILE": "trap"},
        "AWS keys": {
            "AWS_ACCESS_KEY_ID": "AKIATRAP", "AWS_SECRET_ACCESS_KEY": "t", "AWS_SESSION_TOKEN": "t",
        },
        "AWS region": {"AWS_DEFAULT_REGION": "eu-central-1", "AWS_REGION": "eu-central-1"},
        "AWS_ENDPOINT_URL": {
            f"AWS_ENDPOINT_URL{s}": url for s in ("", "_STS", "_RDS", "_S3", "_EC2", "_ROUTE_53")
        },
        "kubeconfig": {
            "KUBECONFIG": str(home / ".kube/config"), "KUBERNETES_SERVICE_HOST": host,
            "KUBERNETES_SERVICE_PORT": port,
        },
        "PG": {
            "PGHOST": host, "PGPORT": port, "PGPASSWORD": "trap", "PGUSER": "trap",
            "PGDATABASE": "trap", "PGSERVICE": "trap",
            "PGSERVICEFILE": str(home / ".pg_service.conf"), "PGHOSTADDR": host,
        },
        "proxies": {
            name: url
            for word in ("http_proxy", "https_proxy", "all_proxy")
            for name in (word, word.upper())
        },
        "~/.pgpass": {"PGPASSFILE": str(home / ".pgpass")},
    }  # fmt: skip
    for variable, value in variables.get(name, {}).items():
        monkeypatch.setenv(variable, value)


def plan_here(made, place):
    runbook = str(ROOT / "runbooks" / "region-failover.yaml")
    return asyncio.run(plan_runbook(made, runbook, str(place), INPUTS))


def perform_all(made, plan):
    """Every step of the plan, one attempt each, through the choke point, to whatever answers."""

    async def main():
        log = MemoryLog(made.clock)
        driver = Driver(
            plan,
            initial(plan),
            log=log,
            registry=made.registry,
            clock=made.clock,
            secrets=made.secrets,
        )
        driver._record(started(plan))
        effects: Effects = driver._effects
        steps = [
            one.model_copy(update={"timeout_s": 2.0, "verify": (), "until": None})
            for one in plan.steps
            if one.call is not None and "${{" not in str(one.call.with_)
        ]
        done = await asyncio.gather(
            *(Attempt(effects=effects, step=one).run() for one in steps), return_exceptions=True
        )
        assert len(done) >= 6
        assert isinstance(effects.lease, Unleased)

    asyncio.run(main())


@pytest.mark.parametrize("moment", ["before the plan", "between plan and run", "mid-run"])
def test_what_lies_around_is_never_used(moment, sides, place, tmp_path, monkeypatch):
    right, trap = sides
    made = parts(installed(), tmp_path)
    ill = []
    saved = None if moment == "before the plan" else plan_here(made, place)
    # One after the other, each on top of the ones before; the slice sets all nine, then looks once.
    for name in AMBIENT:
        before = right.connections
        set_ambient(name, trap, tmp_path / "home", monkeypatch)
        if not results.is_full() and name != AMBIENT[-1]:
            continue
        if moment == "before the plan":
            saved = plan_here(made, place)
        elif moment == "between plan and run":
            with _either():
                asyncio.run(still_holds(made, saved))
        else:
            perform_all(made, saved)
        if trap.connections or right.connections == before:
            ill.append(f"{name}: trap {trap.connections}, right {right.connections - before}")
    trapped = [request for request in right.requests if b"AKIATRAP" in request]
    results.record(
        f"integrity-{moment.replace(' ', '-')}", "I21", cases=len(AMBIENT), violations=len(ill)
    )
    assert ill == []
    assert trapped == []
    assert any(b"AKIARIGHTRIGHTRIGHT1" in request for request in right.requests)


class _either:  # noqa: N801 (a context manager, used as a word)
    """The world may have drifted: nobody knows any answer there. What counts is who was asked."""

    def __enter__(self):
        return self

    def __exit__(self, kind, *_rest):
        return kind is not None and issubclass(kind, RefusedError)


def test_a_plan_of_every_shipped_runbook_changes_nothing(sides, place, tmp_path, monkeypatch):
    """Counted on the other side: requests that read, and not one that does not."""
    right, _trap = sides
    monkeypatch.setattr(make, "LOOK_TIMEOUT", timedelta(seconds=0.4))
    made, runbooks = parts(installed(), tmp_path), sorted((ROOT / "runbooks").glob("*.yaml"))
    assert runbooks
    for runbook in runbooks:
        there = elsewhere(environment_of(runbook), right, place)
        saved = asyncio.run(plan_runbook(made, str(runbook), str(there), inputs_of(runbook)))
        with _either():
            asyncio.run(still_holds(made, saved))
    changed = right.mutations()
    results.record("integrity", "I20", cases=len(right.requests), violations=len(changed))
    assert len(right.requests) > 5
    assert changed == []


class Eager(Action[Any, NoParams, NoOutputs]):
    """Tries to change something wherever it is called."""

    name, summary, effect, repeat = "eager.it", "tries", Effect.CHANGE, Repeat.IDEMPOTENT
    params, outputs = NoParams, NoOutputs

    def __init__(self) -> None:
        self.tried: list[str] = []
        self.sent: list[str] = []

    def _try(self, ctx: Any, where: str) -> None:
        self.tried.append(where)
        ctx.permit()
        self.sent.append(where)

    async def observe(self, ctx: Any, target: Any, params: Any) -> Observation:
        self._try(ctx, "observe")
        return Observation()

    async def perform(self, ctx: Any, target: Any, params: Any) -> NoOutputs:
        self._try(ctx, "perform")
        return NoOutputs()

    async def settled(self, ctx: Any, target: Any, params: Any) -> Any:
        self._try(ctx, "settled")
        raise AssertionError


EAGER = """
apiVersion: drctl/v1
kind: Runbook
metadata: {name: eager, title: t, owner: o}
objectives: {rto: 15m, rpo: 5m, clock: {stops_after: [a]}}
steps:
  - {id: a, uses: eager.it, timeout: 5s, estimate: 1s}
"""


def test_an_adapter_that_tries_while_planning_sends_nothing(place, tmp_path):
    eager = Eager()
    made = parts(Registry([Adapter(name="eager", actions=(eager,))]), tmp_path)
    (tmp_path / "eager.yaml").write_text(EAGER)
    plan = asyncio.run(plan_runbook(made, str(tmp_path / "eager.yaml"), str(place), {}))
    assert eager.tried == ["observe"]
    assert eager.sent == []
    assert plan.steps[0].prediction.symbol == "?"
    assert NotPermittedError.__name__ in plan.steps[0].prediction.why
    with pytest.raises(RefusedError, match="DR5202") if plan.pins else _either():
        asyncio.run(still_holds(made, plan))
    assert eager.sent == []


def test_the_operator_is_who_the_kernel_says(monkeypatch):
    """What sudo, or anybody, writes into the environment is shown as what it is: a claim."""
    true = logins()
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "mallory")
    assert logins() == true
    assert true[-1] in operator()
    assert operator().endswith("(SUDO_USER says mallory)")
    monkeypatch.delenv("SUDO_USER")
    assert "mallory" not in operator()
    assert os.getuid() >= 0
