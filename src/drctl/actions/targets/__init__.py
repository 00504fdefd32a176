"""
The things an environment may name, by kind.

A target is complete: it holds the connection it is reached through, so an action needs nothing
ambient. The first word of a target's name in an environment (``db.primary``) is its *family*; a
runbook that is checked without an environment is checked by family, with one by kind.
One family is one module; a new kind is added to its module and to `AnyTarget`.
"""

from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Annotated, Any, TypeAlias, get_args

from pydantic import Field, TypeAdapter, ValidationError

from drctl.actions.targets.apps import AutoScalingGroup, Deployment, EcsService
from drctl.actions.targets.balancers import LoadBalancer
from drctl.actions.targets.caches import (
    Cache,
    ElastiCacheGlobal,
    Endpoint,
    RedisAccess,
    RedisSentinels,
    RedisServer,
)
from drctl.actions.targets.capacity import AwsRegion
from drctl.actions.targets.comms import SlackChannel, StatusPage
from drctl.actions.targets.credentials import DatabaseRole
from drctl.actions.targets.databases import (
    CloudSqlInstance,
    PatroniAuth,
    PatroniCluster,
    PatroniMember,
    PatroniSql,
    PostgresServer,
    RdsInstance,
)
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
from drctl.actions.targets.storage import EcrRepository, S3Bucket, S3Replica
from drctl.actions.targets.traffic import CloudDnsRecord, DnsRecord, FailoverSwitch, RoutingControls

__all__ = [
    "AccountId",
    "AnyTarget",
    "ArgoApplication",
    "AutoScalingGroup",
    "AwsConnection",
    "AwsRegion",
    "Cache",
    "ClientPath",
    "CloudDnsRecord",
    "CloudSqlInstance",
    "DatabaseRole",
    "Deployment",
    "DnsRecord",
    "EcrRepository",
    "EcsService",
    "ElastiCacheGlobal",
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
    "PatroniAuth",
    "PatroniCluster",
    "PatroniMember",
    "PatroniSql",
    "PostgresBackups",
    "PostgresCluster",
    "PostgresHost",
    "PostgresServer",
    "PrometheusServer",
    "RdsInstance",
    "RedisAccess",
    "RedisSentinels",
    "RedisServer",
    "RoutingControls",
    "S3Bucket",
    "S3Replica",
    "Sibling",
    "SlackChannel",
    "SqlAccess",
    "StatusPage",
    "Target",
    "Text",
    "Upstream",
    "Url",
    "Witness",
    "of_kind",
]

AnyTarget: TypeAlias = Annotated[
    RdsInstance
    | CloudSqlInstance
    | PostgresServer
    | PatroniCluster
    | Deployment
    | AutoScalingGroup
    | EcsService
    | ArgoApplication
    | FluxKustomization
    | FluxHelmRelease
    | PostgresCluster
    | FailoverSwitch
    | DnsRecord
    | CloudDnsRecord
    | RoutingControls
    | LoadBalancer
    | DatabaseRole
    | PrometheusServer
    | GrafanaServer
    | RedisSentinels
    | RedisServer
    | ElastiCacheGlobal
    | S3Bucket
    | EcrRepository
    | AwsRegion
    | SlackChannel
    | StatusPage,
    Field(discriminator="kind"),
]


@cache
def _adapter() -> TypeAdapter[Target]:
    return TypeAdapter(AnyTarget)  # of all kinds, it takes 20 ms to make


@cache
def _kinds() -> Mapping[str, type[Target]]:
    classes: tuple[type[Target], ...] = get_args(get_args(AnyTarget)[0])
    return {kind: one for one in classes for kind in get_args(one.model_fields["kind"].annotation)}


def of_kind(value: Any) -> Target:
    """
    The target that a mapping describes, by its ``kind``; a target is itself.

    Raises:
        ValidationError: It is none.
    """
    if isinstance(value, Target):
        return value
    kind = value.get("kind") if isinstance(value, dict) else None
    known = _kinds().get(kind) if isinstance(kind, str) else None
    with suppress(ValidationError):  # the whole union says what is wrong, and where
        if known is not None:
            return known.model_validate(value)
    return _adapter().validate_python(value)
