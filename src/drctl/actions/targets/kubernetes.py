"""Objects of a Kubernetes cluster that are acted on by themselves: the family ``gitops``."""

from typing import ClassVar, Literal

from drctl.actions.targets.parts import KubernetesConnection, Target, Text


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
