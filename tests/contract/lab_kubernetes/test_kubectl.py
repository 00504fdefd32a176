"""What an operator types works on the lab as on a real cluster."""

import base64
import json
import re
import time

from .conftest import CRASHER, NAMESPACE, Kubectl, Running, deployment, template


def revisions(kubectl: Kubectl) -> list[int]:
    text = kubectl("rollout", "history", "deployment/web")
    return [int(found) for found in re.findall(r"^(\d+)\s", text, re.MULTILINE)]


def test_get_prints_deployments_pods_and_secrets(running: Running, kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=json.dumps(deployment(replicas=2)))
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}}
    kubectl("apply", "-f", "-", stdin=json.dumps(secret | {"stringData": {"host": "a"}}))
    running.until_available(replicas=2)

    shown = kubectl("get", "deployments,pods,secrets")

    assert re.search(r"deployment.apps/web\s+2/2\s+2\s+2\s", shown)
    assert len(re.findall(r"pod/web-\w+-\w+\s+1/1\s+Running\s+0\s", shown)) == 2
    assert re.search(r"secret/db\s+Opaque\s+1\s", shown)
    assert "Server Version: v1.32" in kubectl("version")


def test_applying_the_same_file_again_changes_nothing(kubectl: Kubectl) -> None:
    text = json.dumps(deployment(replicas=0))
    assert "created" in kubectl("apply", "-f", "-", stdin=text)
    assert "unchanged" in kubectl("apply", "-f", "-", stdin=text)


def test_a_rollout_is_followed_undone_and_numbered_as_on_a_real_cluster(
    running: Running, kubectl: Kubectl
) -> None:
    """An undo takes the old ReplicaSet again and gives it a new, highest number."""
    kubectl("apply", "-f", "-", stdin=json.dumps(deployment()))
    running.until_available()
    kubectl("set", "image", "deployment/web", "app=example/app:2")
    done = kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    assert "successfully rolled out" in done
    kubectl("set", "env", "deployment/web", "GREETING=hello")
    kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    assert revisions(kubectl) == [1, 2, 3]

    kubectl("rollout", "undo", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    assert revisions(kubectl) == [1, 3, 4]
    kubectl("rollout", "undo", "deployment/web", "--to-revision=1")
    kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    assert revisions(kubectl) == [3, 4, 5]

    found = running.apps.read_namespaced_deployment("web", NAMESPACE)
    assert found.spec.template.spec.containers[0].image == "example/app:1"
    assert found.metadata.annotations["deployment.kubernetes.io/revision"] == "5"
    sets = running.apps.list_namespaced_replica_set(NAMESPACE).items
    again = next(one for one in sets if one.spec.replicas == 1)
    assert again.metadata.annotations["deployment.kubernetes.io/revision-history"] == "1"
    assert len(sets) == 3


def test_scale_is_done_when_status_says_so(running: Running, kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=json.dumps(deployment()))
    running.until_available()
    kubectl("scale", "deployment/web", "--replicas=3")
    kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    assert len(kubectl("get", "pods", "-o", "name").split()) == 3

    refused = kubectl.run("scale", "deployment/web", "--replicas=1", "--current-replicas=7")
    assert refused.returncode != 0
    kubectl("scale", "deployment/web", "--replicas=0")
    running.until_available(replicas=0)


def test_a_paused_deployment_waits_and_says_so(running: Running, kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=json.dumps(deployment()))
    running.until_available()
    kubectl("rollout", "pause", "deployment/web")
    kubectl("set", "image", "deployment/web", "app=example/app:2")
    found = running.until_seen()
    reasons = {condition.type: condition.reason for condition in found.status.conditions}
    assert reasons["Progressing"] == "DeploymentPaused"
    assert not found.status.updated_replicas
    kubectl("rollout", "resume", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    assert revisions(kubectl) == [1, 2]


def test_get_watches_until_it_is_stopped(running: Running, kubectl: Kubectl) -> None:
    running.core.create_namespaced_secret(NAMESPACE, {"metadata": {"name": "db"}})
    shown = kubectl.run("get", "secrets", "-w", "--request-timeout=1s").stdout
    assert re.search(r"NAME\s+TYPE\s+DATA\s+AGE\ndb\s+Opaque\s+0\s", shown)


def test_restart_replaces_every_pod(running: Running, kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=json.dumps(deployment()))
    running.until_available()
    before = kubectl("get", "pods", "-o", "name").split()
    kubectl("rollout", "restart", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    pods = running.core.list_namespaced_pod(NAMESPACE).items
    alive = [pod.metadata.name for pod in pods if pod.metadata.deletion_timestamp is None]
    assert len(alive) == 1
    assert f"pod/{alive[0]}" not in before


def test_patch_secret_merges_plain_text_and_refuses_what_is_not_base64(
    running: Running, kubectl: Kubectl
) -> None:
    running.core.create_namespaced_secret(
        NAMESPACE, {"metadata": {"name": "db"}, "stringData": {"host": "old", "port": "5432"}}
    )
    kubectl("patch", "secret", "db", "-p", '{"stringData":{"host":"new"}}')
    data = json.loads(kubectl("get", "secret", "db", "-o", "json"))
    assert "stringData" not in data
    plain = {name: base64.b64decode(value).decode() for name, value in data["data"].items()}
    assert plain == {"host": "new", "port": "5432"}

    refused = kubectl.run("patch", "secret", "db", "-p", '{"data":{"host":"%%"}}')
    assert refused.returncode != 0
    assert "illegal base64 data" in refused.stderr


def test_rollout_status_never_calls_a_crashing_version_done(
    running: Running, kubectl: Kubectl
) -> None:
    text = deployment(progressDeadlineSeconds=2)
    kubectl("apply", "-f", "-", stdin=json.dumps(text))
    running.until_available()
    text["spec"]["template"] = template(CRASHER)
    kubectl("apply", "-f", "-", stdin=json.dumps(text))

    ended = kubectl.run("rollout", "status", "deployment/web", "--timeout=20s")

    assert ended.returncode != 0
    assert "successfully" not in ended.stdout
    assert "exceeded its progress deadline" in ended.stderr
    assert "cannot start" in kubectl("logs", f"pod/{crashing(running)}")
    # In between it is started once more, and Running for a moment.
    assert any(_is_crashing(kubectl("get", "pods")) or time.sleep(0.1) for _ in range(100))


def _is_crashing(pods: str) -> bool:
    return "CrashLoopBackOff" in pods or "Error" in pods


def crashing(running: Running) -> str:
    pods = running.core.list_namespaced_pod(NAMESPACE).items
    return str(next(p.metadata.name for p in pods if p.status.container_statuses[0].restart_count))


def test_logs_delete_wait_and_describe_work(running: Running, kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=json.dumps(deployment()))
    kubectl("wait", "--for=condition=Available", "deployment/web", "--timeout=20s")
    assert "GET / HTTP" in kubectl("logs", "deployment/web", "--tail=1")
    assert "ScalingReplicaSet" in kubectl("describe", "deployment", "web")
    kubectl("delete", "pod", "-l", "app=web")  # waits until it is really gone
    kubectl("delete", "deployment", "web")
    kubectl("wait", "--for=delete", "pod", "-l", "app=web", "--timeout=20s")
    assert running.pids() == []
