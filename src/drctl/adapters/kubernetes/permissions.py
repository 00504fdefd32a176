"""
What each action does to which resources of a cluster. The one table.

A rule is ``group/resource: verbs``; the core group is empty.
"""

from collections.abc import Iterator
from typing import Final

_Rules = tuple[tuple[str, str, tuple[str, ...]], ...]

NEEDS: Final[dict[str, _Rules]] = {
    "kubernetes.cluster.check": (("", "namespaces", ("get",)),),
    "kubernetes.deployment.scale": (
        ("apps", "deployments", ("get",)), ("apps", "deployments/scale", ("patch",)),
        ("autoscaling", "horizontalpodautoscalers", ("list",)),
    ),
    "kubernetes.deployment.restart": (("apps", "deployments", ("get", "patch")),),
    "kubernetes.deployment.wait": (("apps", "deployments", ("get",)),),
    "kubernetes.secret.patch": (("", "secrets", ("get", "patch")),),
    "kubernetes.secret.check": (("", "secrets", ("get",)),),
    "kubernetes.pods.list_ready": (
        ("apps", "deployments", ("get",)), ("", "pods", ("list",)),
    ),
    "kubernetes.deployment.rollback": (
        ("apps", "deployments", ("get", "patch")), ("apps", "replicasets", ("list",)),
    ),
    "kubernetes.revision.check": (
        ("apps", "deployments", ("get",)), ("apps", "replicasets", ("list",)),
    ),
    "kubernetes.deployment.mark_good": (
        ("apps", "deployments", ("get",)), ("apps", "replicasets", ("list", "patch")),
    ),
}  # fmt: skip
"""Actions that are not here are not asked about, and `drctl ready` says so."""


def needed(action: str) -> Iterator[tuple[str, str, str]]:
    """Group, resource with its part, verb."""
    for group, resource, verbs in NEEDS.get(action, ()):
        for verb in verbs:
            yield group, resource, verb
