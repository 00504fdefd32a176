"""The files that lead to a running lab: the environment file, a kubeconfig for each cluster."""

import json
from dataclasses import dataclass

from drctl.lab.access import Secrets
from drctl.lab.plan import ACCOUNT_ID, BALANCER_PORT, PUBLIC_NAME, AddressPlan

EAST, WEST = "us-east-1", "us-west-2"
APPLICATION = "healing-guard"
DATABASE = "healing_guard"
PRIMARY, REPLICA = "healing-guard-prod", "healing-guard-dr"
SWITCH_BUCKET, SWITCH_KEY = "healing-guard-switch", "engaged"
WITNESS_BUCKET, WITNESS_KEY = "healing-guard-witness", "healing-guard-prod.json"
LEASE_BUCKET, LEASE_KEY = "healing-guard-leases", "lab.json"
SLACK_WEBHOOK, INCIDENT_CHANNEL = "T0LAB/B0LAB/incidents", "incident-response"
STATUS_PAGE, COMPONENTS = "lab0page0001", ("lab0component1", "lab0component2")
_AWS_SERVICES = ("ec2", "elbv2", "iam", "rds", "route53", "s3", "sts")
_GLOBAL_SERVICES = {"iam", "route53"}


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

    database_host: str
    balancer_name: str
    fence_group: str
    cluster: Cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """What was built, as far as somebody else must know it."""

    east: Side
    west: Side
    system_identifier: str


def environment_file(estate: Estate, plan: AddressPlan, secrets: Secrets) -> str:
    """Writes the environment ``lab``; every value is JSON, which YAML reads the same."""
    east, west = estate.east, estate.west
    public = f"http://{PUBLIC_NAME}:{BALANCER_PORT}"
    clients = f"{{url: {_q(f'{public}/api/v1/pipelines')}, table: healing_guard.pipelines}}"
    witness = f"{{aws: aws-west, bucket: {WITNESS_BUCKET}, key: {WITNESS_KEY}}}"
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
{_aws_connection("aws-east", EAST, plan, secrets)}
{_aws_connection("aws-west", WEST, plan, secrets)}
{_cluster_connection("cluster-east", EAST, east.cluster, secrets)}
{_cluster_connection("cluster-west", WEST, west.cluster, secrets)}
targets:
  db.primary:
    kind: aws.rds.instance
    aws: aws-east
    instance: {PRIMARY}
    system_identifier: {_q(estate.system_identifier)}
    fence_security_group: {_q(east.fence_group)}
    client_write_urls: [{_q(f"http://{east.balancer_name}:{BALANCER_PORT}/api/v1/pipelines")}]
    sql: {_sql(east, secrets)}
    witness: {witness}
    client_path: {clients}
  db.recovery:
    kind: aws.rds.instance
    aws: aws-west
    instance: {REPLICA}
    system_identifier: {_q(estate.system_identifier)}
    fence_security_group: {_q(west.fence_group)}
    sql: {_sql(west, secrets)}
    witness: {witness}
    client_path: {clients}
  app.primary:
    kind: kubernetes.deployment
    cluster: cluster-east
    namespace: {APPLICATION}
    name: {APPLICATION}
    url: {_q(f"http://{east.balancer_name}:{BALANCER_PORT}")}
  app.recovery:
    kind: kubernetes.deployment
    cluster: cluster-west
    namespace: {APPLICATION}
    name: {APPLICATION}
    url: {_q(f"http://{west.balancer_name}:{BALANCER_PORT}")}
  traffic.api:
    kind: aws.route53.failover_switch
    aws: aws-west
    bucket: {SWITCH_BUCKET}
    key: {SWITCH_KEY}
    record_name: {PUBLIC_NAME}
    recovery_name: {_q(west.balancer_name)}
    url: {_q(public)}
  comms.incident_room:
    kind: slack.channel
    webhook: {_q(secrets.reference("slack_webhook"))}
    channel: "#{INCIDENT_CHANNEL}"
  comms.statuspage:
    kind: statuspage.page
    api_url: {_q(f"{plan.recorder_url}/v1")}
    token: {_q(secrets.reference("statuspage_token"))}
    page_id: {STATUS_PAGE}
    component_ids: [{", ".join(COMPONENTS)}]
runbooks:
  region-outage: region-failover
"""


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


def _aws_connection(name: str, region: str, plan: AddressPlan, secrets: Secrets) -> str:
    endpoints = "\n".join(
        f"      {service}: {_q(plan.aws_url(EAST if service in _GLOBAL_SERVICES else region))}"
        for service in _AWS_SERVICES
    )
    return f"""\
  {name}:
    type: aws
    region: {region}
    account: {_q(ACCOUNT_ID)}
    access_key_id: {_q(secrets.reference("aws_access_key_id"))}
    secret_access_key: {_q(secrets.reference("aws_secret_access_key"))}
    endpoints:
{endpoints}"""


def _cluster_connection(name: str, region: str, cluster: Cluster, secrets: Secrets) -> str:
    return f"""\
  {name}:
    type: kubernetes
    server: {_q(cluster.server)}
    ca_file: {_q(cluster.ca_file)}
    token: {_q(secrets.reference(cluster_token(region)))}
    cluster_uid: {_q(cluster.uid)}
    region: {region}"""


def _sql(side: Side, secrets: Secrets) -> str:
    password = _q(secrets.reference("database_drctl"))
    host = _q(side.database_host)
    return f'{{host: {host}, database: {DATABASE}, user: drctl, password: {password}, tls: "off"}}'


def _resolver(plan: AddressPlan) -> str:
    host, port = plan.dns
    return f"{host}:{port}"


def _q(text: str) -> str:
    return json.dumps(text)
