"""Kubernetes: Deployments and Secrets of one cluster."""

from drctl.actions.contract import Adapter
from drctl.adapters.kubernetes.cluster import CheckCluster, ClusterPin
from drctl.adapters.kubernetes.deployment import (
    RestartDeployment,
    ScaleDeployment,
    WaitForDeployment,
)
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
    ),
    pins=(ClusterPin(),),
    libraries=("kubernetes.client",),
)
