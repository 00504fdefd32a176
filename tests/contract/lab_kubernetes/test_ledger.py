"""The API server notes what a client changed: not what it refused, not what its controllers did."""

import pytest
from kubernetes.client.exceptions import ApiException

from drctl.kernel.ledger import LEDGER, read

from .conftest import NAMESPACE, Running, deployment


def test_each_change_is_a_line_and_nothing_else_is(running: Running) -> None:
    apps, core = running.apps, running.core
    wanted = [("create namespaces", NAMESPACE)]

    def applied(operation: str, target: str) -> None:
        wanted.append((operation, target))
        lines = read(running.root / LEDGER)
        assert [(line["operation"], line["target"]) for line in lines] == wanted
        assert lines[-1]["where"] == "kubernetes us-east-1"

    apps.create_namespaced_deployment(NAMESPACE, deployment(replicas=0))
    applied("create deployments", f"{NAMESPACE}/web")
    running.until_seen()  # controllers have written its status
    patch = {"metadata": {"labels": {"a": "b"}}}
    apps.patch_namespaced_deployment("web", NAMESPACE, patch)
    applied("patch deployments", f"{NAMESPACE}/web")
    apps.patch_namespaced_deployment("web", NAMESPACE, patch)  # as it is already
    apps.patch_namespaced_deployment("web", NAMESPACE, {"spec": {"replicas": 3}}, dry_run="All")
    apps.read_namespaced_deployment("web", NAMESPACE)
    core.list_namespaced_pod(NAMESPACE)
    for refused in (
        lambda: apps.create_namespaced_deployment(NAMESPACE, deployment(replicas=0)),
        lambda: apps.patch_namespaced_deployment("none", NAMESPACE, patch),
        lambda: apps.patch_namespaced_deployment("web", NAMESPACE, {"spec": {"replicas": -1}}),
    ):
        with pytest.raises(ApiException):
            refused()
    apps.patch_namespaced_deployment_scale("web", NAMESPACE, {"spec": {"replicas": 1}})
    applied("patch deployments/scale", f"{NAMESPACE}/web")
    running.until_available(replicas=1)
    apps.delete_namespaced_deployment("web", NAMESPACE)
    applied("delete deployments", f"{NAMESPACE}/web")
