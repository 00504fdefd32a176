"""The files that lead to a running lab: the environment file, a kubeconfig for each cluster."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from drctl.lab.access import Secrets
from drctl.lab.plan import ACCOUNT_ID, BALANCER_PORT, PUBLIC_NAME, AddressPlan

EAST, WEST = "us-east-1", "us-west-2"
APPLICATION = "healing-guard"
DATABASE = "healing_guard"
PRIMARY_BALANCER, RECOVERY_BALANCER = "healing-guard-lb", "healing-guard-dr-lb"
PRIMARY, REPLICA = "healing-guard-prod", "healing-guard-dr"
RESTORED = "healing-guard-restored"
NEIGHBOUR, REPLACEMENT = "healing-guard-standby", "healing-guard-standby-2"
SWITCH_BUCKET, SWITCH_KEY = "healing-guard-switch", "engaged"
WITNESS_BUCKET, WITNESS_KEY = "healing-guard-witness", "healing-guard-prod.json"
RETURN_WITNESS_BUCKET, RETURN_WITNESS_KEY = "healing-guard-return-witness", "healing-guard-dr.json"
LEASE_BUCKET, LEASE_KEY = "healing-guard-leases", "lab.json"
SLACK_WEBHOOK, INCIDENT_CHANNEL = "T0LAB/B0LAB/incidents", "incident-response"
STATUS_PAGE, COMPONENTS = "lab0page0001", ("lab0component1", "lab0component2")
_AWS_SERVICES = (
    "application-autoscaling", "autoscaling", "cloudwatch", "ec2", "ecs", "elasticache", "elbv2",
    "iam", "rds", "route53", "s3", "secretsmanager", "service-quotas", "sts",
)  # fmt: skip
Entries: TypeAlias = Mapping[str, Mapping[str, Any]]
_GLOBAL_SERVICES = {"iam", "route53"}
_STORES = {
    "db": ("database", "database"),
    "cache": ("cache", "cache"),
    "storage": ("files", "bucket"),
    "credential": ("password", "secrets"),
}
"""Family of targets to the store that they are of: its name, and what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """How a Kubernetes cluster of the lab is reached."""

    server: str
    ca_file: str
    uid: str
    """UID of its namespace kube-system."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What one region of the estate has."""

    balancer_name: str
    cluster: Cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """What was built, as far as somebody else must know it."""

    east: Side
    west: Side
    entries: Sequence[Entries]
    """What the database and the parts add to the environment file: ``connections``, ``targets`` and
    ``runbooks``, each name to entry."""


def environment_file(estate: Estate, plan: AddressPlan, secrets: Secrets) -> str:
    """Writes the environment ``lab``; every value is JSON, which YAML reads the same."""
    sections: dict[str, dict[str, Any]] = {
        "connections": _connections(estate, plan, secrets),
        "targets": _targets(estate, plan, secrets),
        "runbooks": {},
    }
    for entries in estate.entries:
        for section, named in entries.items():
            sections[section] |= named
    return f"""\
# Written by `drctl lab up`; gone after `drctl lab down`.
apiVersion: drctl/v1
kind: Environment
metadata:
  name: lab
  title: The embedded two-region estate
world: lab
protected: false
objectives: {{rpo: 10s}}   # the lab compresses time; tighter than the runbook's own
lease: {{store: s3, aws: aws-west, bucket: {LEASE_BUCKET}, key: {LEASE_KEY}}}
resolvers: [{_q(_resolver(plan))}]
connections:
{_section(sections["connections"])}
targets:
{_section(sections["targets"])}
runbooks:
{_lines(sections["runbooks"], indent=2)}
{_stores(sections["targets"], sections["runbooks"])}"""


def _stores(targets: Mapping[str, Any], runbooks: Mapping[str, Any]) -> str:
    """What a lost region takes away, for those labs that can lose one."""
    if "region-outage" not in runbooks:
        return ""
    named: dict[str, dict[str, Any]] = {}
    for family, (name, kind) in _STORES.items():
        own = [target for target in targets if target.startswith(f"{family}.")]
        if own:
            named[name] = {"kind": kind, "targets": own}
    return f"stores:\n{_section(named)}\n"


def sql(host: str, secrets: Secrets) -> dict[str, Any]:
    """The operator's access to the application's database on a host."""
    return {
        "host": host,
        "database": DATABASE,
        "user": "drctl",
        "password": secrets.reference("database_drctl"),
        "tls": "off",
    }


def witness() -> dict[str, Any]:
    """Where the observer of the primary keeps what it saw."""
    return {"aws": "aws-west", "bucket": WITNESS_BUCKET, "key": WITNESS_KEY}


def client_path() -> dict[str, Any]:
    """How customers write."""
    return {"url": writes(PUBLIC_NAME), "table": "healing_guard.pipelines"}


def writes(host: str) -> str:
    """Where rows are written through the application that a host leads to."""
    return f"http://{host}:{BALANCER_PORT}/api/v1/pipelines"


def _targets(estate: Estate, plan: AddressPlan, secrets: Secrets) -> dict[str, Any]:
    registry_host, registry_port = plan.registry

    def app(cluster: str, side: Side) -> dict[str, Any]:
        return {
            "kind": "kubernetes.deployment",
            "cluster": cluster,
            "namespace": APPLICATION,
            "name": APPLICATION,
            "url": f"http://{side.balancer_name}:{BALANCER_PORT}",
            "registry": f"http://{registry_host}:{registry_port}",
        }

    return {
        "app.primary": app("cluster-east", estate.east),
        "app.recovery": app("cluster-west", estate.west),
        "traffic.api": {
            "kind": "aws.route53.failover_switch",
            "aws": "aws-west",
            "bucket": SWITCH_BUCKET,
            "key": SWITCH_KEY,
            "record_name": PUBLIC_NAME,
            "recovery_name": estate.west.balancer_name,
            "home_region": EAST,
            "url": f"http://{PUBLIC_NAME}:{BALANCER_PORT}",
        },
        "comms.incident_room": {
            "kind": "slack.channel",
            "webhook": secrets.reference("slack_webhook"),
            "channel": f"#{INCIDENT_CHANNEL}",
        },
        "comms.statuspage": {
            "kind": "statuspage.page",
            "api_url": f"{plan.recorder_url}/v1",
            "token": secrets.reference("statuspage_token"),
            "page_id": STATUS_PAGE,
            "component_ids": COMPONENTS,
        },
    }


def _connections(estate: Estate, plan: AddressPlan, secrets: Secrets) -> dict[str, Any]:
    def aws(region: str) -> dict[str, Any]:
        return {
            "type": "aws",
            "region": region,
            "account": ACCOUNT_ID,
            "access_key_id": secrets.reference("aws_access_key_id"),
            "secret_access_key": secrets.reference("aws_secret_access_key"),
            "endpoints": {
                service: plan.aws_url(EAST if service in _GLOBAL_SERVICES else region)
                for service in _AWS_SERVICES
            },
        }

    def kubernetes(region: str, cluster: Cluster) -> dict[str, Any]:
        return {
            "type": "kubernetes",
            "server": cluster.server,
            "ca_file": cluster.ca_file,
            "token": secrets.reference(cluster_token(region)),
            "cluster_uid": cluster.uid,
            "region": region,
        }

    return {
        "aws-east": aws(EAST),
        "aws-west": aws(WEST),
        "cluster-east": kubernetes(EAST, estate.east.cluster),
        "cluster-west": kubernetes(WEST, estate.west.cluster),
    }


def kubeconfig(region: str, cluster: Cluster, secrets: Secrets) -> str:
    """Writes a kubeconfig for people and kubectl; drctl itself reads none."""
    token = _q(str(secrets.path(cluster_token(region))))
    return f"""\
apiVersion: v1
kind: Config
clusters:
- name: lab-{region}
  cluster: {{server: {_q(cluster.server)}, certificate-authority: {_q(cluster.ca_file)}}}
users:
- name: lab-{region}
  user: {{tokenFile: {token}}}
contexts:
- name: lab-{region}
  context: {{cluster: lab-{region}, user: lab-{region}, namespace: {APPLICATION}}}
current-context: lab-{region}
"""


def cluster_token(region: str) -> str:
    """The name of the secret that is a cluster's bearer token."""
    return f"kubernetes_token_{region}"


def _resolver(plan: AddressPlan) -> str:
    host, port = plan.dns
    return f"{host}:{port}"


def _section(named: Mapping[str, Mapping[str, Any]]) -> str:
    return "\n".join(f"  {name}:\n{_lines(entry, indent=4)}" for name, entry in named.items())


def _lines(entry: Mapping[str, Any], *, indent: int) -> str:
    return "\n".join(f"{' ' * indent}{name}: {_q(value)}" for name, value in entry.items())


def _q(value: Any) -> str:
    return json.dumps(value)
