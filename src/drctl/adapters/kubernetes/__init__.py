"""Kubernetes: Deployments and Secrets of one cluster."""

from drctl.actions.contract import Adapter
from drctl.adapters.kubernetes.cluster import CheckCluster, ClusterPin
from drctl.adapters.kubernetes.deployment import (
    RestartDeployment,
    ScaleDeployment,
    WaitForDeployment,
)
from drctl.adapters.kubernetes.image import CheckImage
from drctl.adapters.kubernetes.known_good import CheckRevision, MarkGood
from drctl.adapters.kubernetes.lease_cell import LeaseStore
from drctl.adapters.kubernetes.rollback import RollBackDeployment
from drctl.adapters.kubernetes.secret import PatchSecret
from drctl.adapters.kubernetes.stop import StopDeployment

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="kubernetes",
    actions=(
        CheckCluster(),
        ScaleDeployment(),
        RestartDeployment(),
        WaitForDeployment(),
        StopDeployment(),
        PatchSecret(),
        CheckRevision(),
        CheckImage(),
        MarkGood(),
        RollBackDeployment(),
    ),
    pins=(ClusterPin(),),
    stores=(LeaseStore(),),
    libraries=("kubernetes.client",),
)
