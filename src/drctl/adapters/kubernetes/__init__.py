"""Kubernetes: the objects of a cluster, also those of Argo CD and Flux."""

from drctl.actions.contract import Adapter
from drctl.adapters.kubernetes.cluster import CheckCluster, ClusterPin
from drctl.adapters.kubernetes.credential import DeliverCredential
from drctl.adapters.kubernetes.cronjob import ResumeCronJob, SuspendCronJob
from drctl.adapters.kubernetes.deployment import (
    RestartDeployment,
    ScaleDeployment,
    WaitForDeployment,
)
from drctl.adapters.kubernetes.exec import ExecInPod
from drctl.adapters.kubernetes.image import CheckImage
from drctl.adapters.kubernetes.job import RunJob
from drctl.adapters.kubernetes.known_good import CheckRevision, MarkGood
from drctl.adapters.kubernetes.lease_cell import LeaseStore
from drctl.adapters.kubernetes.manifests import ApplyManifests
from drctl.adapters.kubernetes.pods import ListReadyPods
from drctl.adapters.kubernetes.postgresql import MeasureOperatorLag, PromoteCluster
from drctl.adapters.kubernetes.postgresql_fence import FenceCluster, UnfenceCluster
from drctl.adapters.kubernetes.ready import (
    Allowed,
    ImagesThere,
    QuotaLeavesRoom,
    SecretThere,
    ServerCertificate,
    TokenLasts,
)
from drctl.adapters.kubernetes.rollback import RollBackDeployment
from drctl.adapters.kubernetes.secret import CheckSecret, PatchSecret
from drctl.adapters.kubernetes.stop import StartDeployment, StopDeployment
from drctl.adapters.kubernetes.toggle import (
    PauseApplication,
    ResumeApplication,
    ResumeHelmRelease,
    ResumeKustomization,
    SuspendHelmRelease,
    SuspendKustomization,
)

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="kubernetes",
    actions=(
        CheckCluster(),
        ScaleDeployment(),
        RestartDeployment(),
        WaitForDeployment(),
        PatchSecret(),
        CheckRevision(),
        CheckImage(),
        MarkGood(),
        RollBackDeployment(),
        StopDeployment(),
        StartDeployment(),
        SuspendCronJob(),
        ResumeCronJob(),
        CheckSecret(),
        ApplyManifests(),
        ExecInPod(),
        RunJob(),
        MeasureOperatorLag(),
        FenceCluster(),
        UnfenceCluster(),
        PromoteCluster(),
        PauseApplication(),
        ResumeApplication(),
        SuspendKustomization(),
        ResumeKustomization(),
        SuspendHelmRelease(),
        ResumeHelmRelease(),
        ListReadyPods(),
        DeliverCredential(),
    ),
    pins=(ClusterPin(),),
    stores=(LeaseStore(),),
    checks=(
        ServerCertificate(),
        TokenLasts(),
        Allowed(),
        QuotaLeavesRoom(),
        ImagesThere(),
        SecretThere(),
    ),
    libraries=("kubernetes.client", "websocket", "asyncpg", "httpx", "dns.asyncresolver"),
)
