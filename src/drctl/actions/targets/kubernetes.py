"""Objects of a Kubernetes cluster: the family ``gitops``, and ``db`` for what an operator runs."""

from typing import Annotated, ClassVar, Literal

from pydantic import StringConstraints

from drctl.actions.targets.parts import (
    KubernetesConnection,
    Sibling,
    SqlAccess,
    Target,
    Text,
    Url,
)


class KubernetesObject(Target):
    """What every object of a cluster has."""

    cluster: KubernetesConnection
    namespace: Text
    name: Text

    @property
    def label(self) -> str:
        word = self.kind.rpartition(".")[2]
        return f"{word}/{self.name} in {self.namespace} ({self.cluster.region})"

    @property
    def identities(self) -> tuple[str, ...]:
        uid = self.cluster.cluster_uid
        return (f"kubernetes:{uid}:{self.namespace}/{self.kind}/{self.name}",)

    @property
    def places(self) -> tuple[str, ...]:
        return (self.cluster.region,)


class ArgoApplication(KubernetesObject):
    """An Argo CD Application: what keeps a Deployment as a repository says."""

    family: ClassVar[str] = "gitops"
    kind: Literal["argocd.application"] = "argocd.application"


class FluxKustomization(KubernetesObject):
    """A Kustomization of Flux."""

    family: ClassVar[str] = "gitops"
    kind: Literal["flux.kustomization"] = "flux.kustomization"


class FluxHelmRelease(KubernetesObject):
    """A HelmRelease of Flux."""

    family: ClassVar[str] = "gitops"
    kind: Literal["flux.helmrelease"] = "flux.helmrelease"


class PostgresCluster(KubernetesObject):
    """
    A PostgreSQL that an operator runs: a ``postgresql`` of Zalando's or a ``Cluster`` of
    CloudNativePG's. It is reached by SQL through its own service, which leads to its leader.
    """

    family: ClassVar[str] = "db"
    kind: Literal["kubernetes.postgresql"] = "kubernetes.postgresql"
    operator: Literal["zalando", "cnpg"]
    instance: Text | None = None
    """CloudNativePG: the instance that is to lead, where the cluster is not a replica cluster."""
    sql: SqlAccess
    """Of CloudNativePG's *instance*: its own address, not the ``-rw`` service."""
    system_identifier: Annotated[str, StringConstraints(pattern=r"^[0-9]+$")] | None = None
    siblings: tuple[Sibling, ...] = ()
    """Other standbys; one that has more than this one is to be promoted instead of it."""
    sightings_url: Url | None = None
    """Where the observer publishes its last sighting of the primary; see
    `drctl.adapters._witness`."""
    sightings_region: Text | None = None
    """Where that is. Without it no plan can say what the loss of that region would break."""

    @property
    def identities(self) -> tuple[str, ...]:
        system = (f"postgres:{self.system_identifier}",) if self.system_identifier else ()
        return (*super().identities, *system)

    @property
    def places(self) -> tuple[str, ...]:
        return (self.cluster.region, f"{self.sql.host}:{self.sql.port}")
