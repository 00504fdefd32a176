"""A recovery of a lost region about which no rule has anything to say, and ways to spoil it."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from drctl.actions.registry import installed
from drctl.app.compose import Parts
from drctl.app.judging import plan_to_judge, with_findings
from drctl.app.runbooks import load
from drctl.config.environment import load_environment
from drctl.config.secrets import LocalSecrets
from drctl.kernel.clock import Instant
from drctl.plan.model import Prediction
from drctl.simulated.clock import VirtualClock

TODAY = date(2026, 11, 23)
ENVIRONMENT = """\
apiVersion: drctl/v1
kind: Environment
metadata: {name: two, title: Two regions}
connections:
  east: {type: aws, region: us-east-1, account: "123456789012", access_key_id: "env:A", secret_access_key: "env:B"}
  west: {type: aws, region: us-west-2, account: "123456789012", access_key_id: "env:A", secret_access_key: "env:B"}
  kube: {type: kubernetes, server: "https://127.0.0.1:1", ca_file: /x, token: "env:T", cluster_uid: u, region: us-west-2}
  kube-east: {type: kubernetes, server: "https://127.0.0.1:2", ca_file: /x, token: "env:T", cluster_uid: e, region: us-east-1}
  box: {type: host, argv: [ssh, a], region: us-east-1}
lease: {store: s3, aws: west, bucket: leases, key: two.json}
targets:
  db.primary:
    kind: aws.rds.instance
    aws: east
    instance: orders
    fence_security_group: sg-1
    witness: {aws: west, bucket: witness, key: orders.json}
  db.recovery:
    kind: aws.rds.instance
    aws: west
    instance: orders-dr
    witness: {aws: west, bucket: witness, key: orders.json}
  db.own: {kind: postgres.server, region: us-east-1, sql: {host: a.internal, database: o, user: u, password: "env:P"}}
  db.own_again: {kind: postgres.server, region: us-east-1, sql: {host: a.internal, database: o, user: u, password: "env:P"}}
  db.beside: {kind: postgres.server, region: us-east-1, sql: {host: b.internal, database: o, user: u, password: "env:P"}}
  app.recovery: {kind: kubernetes.deployment, cluster: kube, namespace: n, name: orders, url: "https://127.0.0.1:3"}
  app.primary: {kind: kubernetes.deployment, cluster: kube-east, namespace: n, name: orders, url: "https://127.0.0.1:4"}
  traffic.api:
    kind: aws.route53.failover_switch
    aws: west
    bucket: switch
    key: engaged
    record_name: api.example.com
    recovery_name: west.example.com
    url: https://api.example.com
  traffic.record: {kind: aws.route53.record, aws: east, zone_id: Z1, zone_name: example.com, record_name: api.example.com, url: "https://api.example.com"}
  storage.files: {kind: aws.s3.bucket, aws: east, bucket: files, replica: {aws: west, bucket: files-dr}}
  comms.room: {kind: slack.channel, webhook: "env:W", channel: "#a"}
stores:
  database: {kind: database, targets: [db.primary, db.recovery]}
"""
RUNBOOK = """\
apiVersion: drctl/v1
kind: Runbook
metadata: {name: spoilt, title: T, owner: o, scenario: region-outage, category: 3}
objectives:
  rto: 15m
  rpo: 5m
  clock: {starts_at: incident, stops_after: [verify_public]}
inputs:
  network: {type: string, default: 10.20.0.0/16}
targets:
  old_db: db.primary
  new_db: db.recovery
  app: app.recovery
  switch: traffic.api
  room: comms.room
  # targets
gates:
  go:
    title: Go
    approvers: [commander]
    expires_after: 3m
steps:
  - {id: announce, uses: slack.message.post, target: room, with: {text: go}, needs: [], timeout: 5s, on_failure: continue}
  - {id: measure, uses: aws.rds.measure_lag, target: new_db, needs: [], timeout: 20s}
  - {id: go, gate: go, estimate: 1m}
  - {id: fence, uses: aws.rds.fence, target: old_db, estimate: 20s, timeout: 2m}
  - {id: promote, uses: aws.rds.promote_replica, target: new_db, estimate: 4m, timeout: 6m}
  # after promote
  - {id: verify_private, uses: http.probe, target: app, with: {path: /}, until: outputs.status == 200, every: 1s, timeout: 1m}
  - {id: move, uses: aws.route53.failover_switch.engage, target: switch, estimate: 1m, timeout: 3m}
  - {id: verify_public, uses: http.probe, target: switch, with: {path: /}, until: outputs.status == 200, every: 1s, timeout: 1m}
  - {id: one, uses: aws.rds.assert_single_primary, target: old_db, estimate: 5s, timeout: 1m, with: {new_primary: "${{ steps.promote.outputs.endpoint }}", port: "${{ steps.promote.outputs.port }}"}}
  # last
finally:
  - {id: tell, uses: slack.message.post, target: room, with: {text: over}, timeout: 5s, on_failure: continue}
"""


def edited(text, changes):
    """The text with each first part replaced by the second; a part that is not there is an error."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.fixture
def judge(tmp_path):
    """Plans the spoilt runbook; ``seen`` is what a look would have read, by step."""
    parts = Parts(
        registry=installed(),
        clock=VirtualClock(),
        secrets=LocalSecrets(),
        runs=tmp_path / "runs",
    )
    parts = replace(parts, clock=_On(TODAY))

    def of(*changes, env=(), seen=None, alone=False):
        (tmp_path / "env.yaml").write_text(edited(ENVIRONMENT, env))
        (tmp_path / "spoilt.yaml").write_text(edited(RUNBOOK, changes))
        environment = load_environment(tmp_path / "env.yaml")
        loaded = load(tmp_path / "spoilt.yaml", parts.registry, environment.targets)
        plan = plan_to_judge(parts, loaded, None if alone else environment)
        if seen is not None:
            steps = [_seen(step, seen.get(step.id, {})) for step in plan.steps]
            plan = plan.model_copy(update={"steps": tuple(steps), "is_offline": False})
            plan = with_findings(parts, loaded, environment, plan)
        return plan

    return of


def _seen(step, readings):
    facts, readings = readings.get("facts", {}), readings.get("readings", {})
    prediction = Prediction(symbol=" ", facts=facts, readings=readings)
    return step.model_copy(update={"prediction": prediction})


class _On(VirtualClock):
    """A clock that stands at noon of a day."""

    def __init__(self, day):
        super().__init__()
        self._day = day

    def now(self):
        noon = datetime(self._day.year, self._day.month, self._day.day, 12, tzinfo=UTC)
        return Instant(wall=noon, boot_s=0.0, boot_id="b")
