"""Kubernetes: Deployments and Secrets of one cluster."""

from drctl.actions.contract import Adapter
from drctl.adapters.kubernetes.cluster import CheckCluster, ClusterPin
from drctl.adapters.kubernetes.credential import DeliverCredential
from drctl.adapters.kubernetes.deployment import (
    RestartDeployment,
    ScaleDeployment,
    WaitForDeployment,
)
from drctl.adapters.kubernetes.lease_cell import LeaseStore
from drctl.adapters.kubernetes.pods import ListReadyPods
from drctl.adapters.kubernetes.secret import PatchSecret

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="kubernetes",
    actions=(
        CheckCluster(),
        ScaleDeployment(),
        RestartDeployment(),
        WaitForDeployment(),
        PatchSecret(),
        ListReadyPods(),
        DeliverCredential(),
    ),
    pins=(ClusterPin(),),
    stores=(LeaseStore(),),
    libraries=("kubernetes.client",),
)
