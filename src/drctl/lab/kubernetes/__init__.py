"""An emulated Kubernetes API whose pods are real processes."""

from drctl.lab.kubernetes.cluster import KubernetesCluster
from drctl.lab.kubernetes.tls import Certificate

__all__ = ["Certificate", "KubernetesCluster"]
