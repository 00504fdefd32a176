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
from drctl.actions.targets.comms import SlackChannel, StatusPage
from drctl.actions.targets.databases import CloudSqlInstance, PostgresServer, RdsInstance
from drctl.actions.targets.parts import (
    AccountId,
    AwsConnection,
    ClientPath,
    GcpConnection,
    KubernetesConnection,
    Part,
    Sibling,
    SqlAccess,
    Target,
    Text,
    Url,
    Witness,
)
from drctl.actions.targets.traffic import CloudDnsRecord, DnsRecord, FailoverSwitch

__all__ = [
    "AccountId",
    "AnyTarget",
    "AwsConnection",
    "ClientPath",
    "CloudDnsRecord",
    "CloudSqlInstance",
    "Deployment",
    "DnsRecord",
    "FailoverSwitch",
    "GcpConnection",
    "KubernetesConnection",
    "Part",
    "PostgresServer",
    "RdsInstance",
    "Sibling",
    "SlackChannel",
    "SqlAccess",
    "StatusPage",
    "Target",
    "Text",
    "Url",
    "Witness",
]

AnyTarget: TypeAlias = Annotated[
    RdsInstance
    | CloudSqlInstance
    | PostgresServer
    | Deployment
    | FailoverSwitch
    | DnsRecord
    | CloudDnsRecord
    | SlackChannel
    | StatusPage,
    Field(discriminator="kind"),
]
