"""
The things an environment may name, by kind.

A target is complete: it holds the connection it is reached through, so an action needs nothing
ambient. The first word of a target's name in an environment (``db.primary``) is its *family*; a
runbook that is checked without an environment is checked by family, with one by kind.
One family is one module; a new kind is added to its module and to `AnyTarget`.
"""

from typing import Annotated, TypeAlias

from pydantic import Field

from drctl.actions.targets.apps import Deployment
from drctl.actions.targets.balancers import LoadBalancer
from drctl.actions.targets.caches import Cache, Endpoint, RedisAccess, RedisSentinels, RedisServer
from drctl.actions.targets.comms import SlackChannel, StatusPage
from drctl.actions.targets.credentials import DatabaseRole
from drctl.actions.targets.databases import CloudSqlInstance, PostgresServer, RdsInstance
from drctl.actions.targets.kubernetes import (
    ArgoApplication,
    FluxHelmRelease,
    FluxKustomization,
    KubernetesObject,
    PostgresCluster,
)
from drctl.actions.targets.monitoring import GrafanaServer, PrometheusServer
from drctl.actions.targets.parts import (
    AccountId,
    AwsConnection,
    ClientPath,
    GcpConnection,
    HostConnection,
    KubernetesConnection,
    Part,
    PostgresBackups,
    PostgresHost,
    Sibling,
    SqlAccess,
    Target,
    Text,
    Upstream,
    Url,
    Witness,
)
from drctl.actions.targets.storage import EcrRepository, S3Bucket
from drctl.actions.targets.traffic import CloudDnsRecord, DnsRecord, FailoverSwitch

__all__ = [
    "AccountId",
    "AnyTarget",
    "ArgoApplication",
    "AwsConnection",
    "Cache",
    "ClientPath",
    "CloudDnsRecord",
    "CloudSqlInstance",
    "DatabaseRole",
    "Deployment",
    "DnsRecord",
    "EcrRepository",
    "Endpoint",
    "FailoverSwitch",
    "FluxHelmRelease",
    "FluxKustomization",
    "GcpConnection",
    "GrafanaServer",
    "HostConnection",
    "KubernetesConnection",
    "KubernetesObject",
    "LoadBalancer",
    "Part",
    "PostgresBackups",
    "PostgresCluster",
    "PostgresHost",
    "PostgresServer",
    "PrometheusServer",
    "RdsInstance",
    "RedisAccess",
    "RedisSentinels",
    "RedisServer",
    "S3Bucket",
    "Sibling",
    "SlackChannel",
    "SqlAccess",
    "StatusPage",
    "Target",
    "Text",
    "Upstream",
    "Url",
    "Witness",
]

AnyTarget: TypeAlias = Annotated[
    RdsInstance
    | CloudSqlInstance
    | PostgresServer
    | Deployment
    | ArgoApplication
    | FluxKustomization
    | FluxHelmRelease
    | PostgresCluster
    | FailoverSwitch
    | DnsRecord
    | CloudDnsRecord
    | LoadBalancer
    | DatabaseRole
    | PrometheusServer
    | GrafanaServer
    | RedisSentinels
    | RedisServer
    | S3Bucket
    | EcrRepository
    | SlackChannel
    | StatusPage,
    Field(discriminator="kind"),
]
