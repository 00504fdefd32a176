"""Kubernetes: the objects of a cluster, also those of Argo CD and Flux."""

from drctl.actions.contract import Adapter
from drctl.actions.late import Late

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="kubernetes",
    actions=Late(
        __name__,
        {
            "kubernetes.cluster.check": "cluster:CheckCluster",
            "kubernetes.deployment.scale": "deployment:ScaleDeployment",
            "kubernetes.deployment.restart": "deployment:RestartDeployment",
            "kubernetes.deployment.wait": "deployment:WaitForDeployment",
            "kubernetes.secret.patch": "secret:PatchSecret",
            "kubernetes.revision.check": "known_good:CheckRevision",
            "kubernetes.image.check": "image:CheckImage",
            "kubernetes.deployment.mark_good": "known_good:MarkGood",
            "kubernetes.deployment.rollback": "rollback:RollBackDeployment",
            "kubernetes.deployment.stop": "stop:StopDeployment",
            "kubernetes.deployment.start": "stop:StartDeployment",
            "kubernetes.cronjob.suspend": "cronjob:SuspendCronJob",
            "kubernetes.cronjob.resume": "cronjob:ResumeCronJob",
            "kubernetes.secret.check": "secret:CheckSecret",
            "kubernetes.manifests.apply": "manifests:ApplyManifests",
            "kubernetes.pod.exec": "exec:ExecInPod",
            "kubernetes.job.run": "job:RunJob",
            "kubernetes.postgresql.measure_lag": "postgresql:MeasureOperatorLag",
            "kubernetes.postgresql.fence": "postgresql_fence:FenceCluster",
            "kubernetes.postgresql.unfence": "postgresql_fence:UnfenceCluster",
            "kubernetes.postgresql.promote": "postgresql:PromoteCluster",
            "argocd.application.pause": "toggle:PauseApplication",
            "argocd.application.resume": "toggle:ResumeApplication",
            "flux.kustomization.suspend": "toggle:SuspendKustomization",
            "flux.kustomization.resume": "toggle:ResumeKustomization",
            "flux.helmrelease.suspend": "toggle:SuspendHelmRelease",
            "flux.helmrelease.resume": "toggle:ResumeHelmRelease",
            "kubernetes.pods.list_ready": "pods:ListReadyPods",
            "kubernetes.credential.deliver": "credential:DeliverCredential",
        },
    ),
    pins=Late(
        __name__,
        {
            "kubernetes.cluster_uid": "cluster:ClusterPin",
        },
    ),
    stores=Late(
        __name__,
        {
            "kubernetes": "lease_cell:LeaseStore",
        },
    ),
    checks=Late(
        __name__,
        {
            "kubernetes.certificate": "ready:ServerCertificate",
            "kubernetes.token": "ready:TokenLasts",
            "kubernetes.permissions": "ready:Allowed",
            "kubernetes.quota": "ready:QuotaLeavesRoom",
            "kubernetes.images": "ready:ImagesThere",
            "kubernetes.secret": "ready:SecretThere",
        },
    ),
    libraries=("kubernetes.client", "websocket", "asyncpg", "httpx", "dns.asyncresolver"),
)
