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
from drctl.actions.targets.databases import PostgresServer, RdsInstance
from drctl.actions.targets.kubernetes import (
    ArgoApplication,
    FluxHelmRelease,
    FluxKustomization,
    KubernetesObject,
    PostgresCluster,
)
from drctl.actions.targets.parts import (
    AccountId,
    AwsConnection,
    ClientPath,
    KubernetesConnection,
    Part,
    Sibling,
    SqlAccess,
    Target,
    Text,
    Url,
    Witness,
)
from drctl.actions.targets.traffic import DnsRecord, FailoverSwitch

__all__ = [
    "AccountId",
    "AnyTarget",
    "ArgoApplication",
    "AwsConnection",
    "ClientPath",
    "Deployment",
    "DnsRecord",
    "FailoverSwitch",
    "FluxHelmRelease",
    "FluxKustomization",
    "KubernetesConnection",
    "KubernetesObject",
    "Part",
    "PostgresCluster",
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
    | PostgresServer
    | Deployment
    | ArgoApplication
    | FluxKustomization
    | FluxHelmRelease
    | PostgresCluster
    | FailoverSwitch
    | DnsRecord
    | SlackChannel
    | StatusPage,
    Field(discriminator="kind"),
]
