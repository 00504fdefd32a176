"""Pods are real processes, and their status is what is true of those processes."""

import os
import signal
import urllib.request
from pathlib import Path
from typing import Any

from .conftest import CRASHER, NAMESPACE, NET, SERVER, Running, deployment, eventually, template

SHOWS_ENVIRONMENT = "import os;print(sorted(os.environ.items()),flush=True);" + SERVER
STUBBORN = "import signal;signal.signal(signal.SIGTERM,signal.SIG_IGN);" + SERVER


def pods(running: Running) -> list[Any]:
    return list(running.core.list_namespaced_pod(NAMESPACE).items)


def waiting_reason(pod: Any) -> str | None:
    states = pod.status.container_statuses
    waiting = states[0].state.waiting if states else None
    return waiting.reason if waiting else None


def is_process(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def start(running: Running, script: str = SERVER, **spec: Any) -> None:
    body = deployment(template=template(script), **spec)
    running.apps.create_namespaced_deployment(NAMESPACE, body)


def test_a_ready_pod_serves_on_its_own_address(running: Running) -> None:
    start(running, replicas=2)
    running.until_available(replicas=2)
    addresses = sorted(pod.status.pod_ip for pod in pods(running))
    assert addresses == [f"{NET}.2.1", f"{NET}.2.2"]
    for address in addresses:
        with urllib.request.urlopen(f"http://{address}:8000/") as answer:
            assert answer.status == 200
    assert all(os.getsid(pid) == pid for pid in running.pids())
    assert eventually(lambda: running.ready[-1] == (NAMESPACE, "web", tuple(addresses)))


def test_a_process_sees_what_was_declared_and_little_else(
    running: Running, monkeypatch: Any
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-for-pods")
    running.core.create_namespaced_secret(
        NAMESPACE, {"metadata": {"name": "db"}, "stringData": {"host": "db.example"}}
    )
    body = deployment(template=template(SHOWS_ENVIRONMENT))
    body["spec"]["template"]["spec"]["containers"][0]["env"] += [
        {"name": "DB", "valueFrom": {"secretKeyRef": {"name": "db", "key": "host"}}},
        {"name": "URL", "value": "http://$(DB)/$(UNKNOWN)"},
    ]
    running.apps.create_namespaced_deployment(NAMESPACE, body)
    running.until_available()
    log = running.core.read_namespaced_pod_log(pods(running)[0].metadata.name, NAMESPACE)
    assert "('DB', 'db.example')" in log
    assert "('URL', 'http://db.example/$(UNKNOWN)')" in log
    assert f"('POD_IP', '{NET}.2.1')" in log
    assert "not-for-pods" not in log


def test_a_missing_secret_key_keeps_the_container_from_starting(running: Running) -> None:
    running.core.create_namespaced_secret(NAMESPACE, {"metadata": {"name": "db"}})
    body = deployment()
    body["spec"]["template"]["spec"]["containers"][0]["env"].append(
        {"name": "DB", "valueFrom": {"secretKeyRef": {"name": "db", "key": "host"}}}
    )
    running.apps.create_namespaced_deployment(NAMESPACE, body)
    eventually(
        lambda: [waiting_reason(pod) for pod in pods(running)] == ["CreateContainerConfigError"]
    )
    assert running.pids() == []
    running.core.patch_namespaced_secret(
        "db",
        NAMESPACE,
        {"stringData": {"host": "a"}},
        _content_type="application/merge-patch+json",
    )
    running.until_available()


def test_an_image_of_a_registry_that_cannot_exist_is_not_started(running: Running) -> None:
    body = deployment()
    body["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.invalid/app:2"
    running.apps.create_namespaced_deployment(NAMESPACE, body)
    eventually(lambda: [waiting_reason(pod) for pod in pods(running)] == ["ImagePullBackOff"])
    assert running.pids() == []


def test_a_crashing_pod_is_restarted_and_never_available(running: Running) -> None:
    start(running, CRASHER, progressDeadlineSeconds=1)

    def status() -> Any:
        return pods(running)[0].status.container_statuses[0]

    eventually(lambda: pods(running) and pods(running)[0].status.container_statuses)
    eventually(lambda: status().restart_count >= 3)
    eventually(lambda: waiting_reason(pods(running)[0]) == "CrashLoopBackOff")
    assert status().last_state.terminated.exit_code == 3
    found = running.apps.read_namespaced_deployment("web", NAMESPACE)
    assert not found.status.available_replicas

    def reasons() -> set[str]:
        conditions = running.apps.read_namespaced_deployment("web", NAMESPACE).status.conditions
        return {condition.reason for condition in conditions if condition.status == "False"}

    eventually(lambda: reasons() == {"MinimumReplicasUnavailable", "ProgressDeadlineExceeded"})
    assert running.ready == []


def test_the_old_version_keeps_serving_while_the_new_one_crashes(running: Running) -> None:
    start(running, replicas=2)
    running.until_available(replicas=2)
    running.apps.patch_namespaced_deployment(
        "web",
        NAMESPACE,
        {"spec": {"template": template(CRASHER)}},
        _content_type="application/strategic-merge-patch+json",
    )
    eventually(lambda: any(waiting_reason(pod) == "CrashLoopBackOff" for pod in pods(running)))
    found = running.apps.read_namespaced_deployment("web", NAMESPACE)
    assert (found.status.available_replicas, found.status.updated_replicas) == (2, 1)
    assert len(running.ready[-1][2]) == 2


def test_a_killed_process_comes_back_in_the_same_pod(running: Running) -> None:
    start(running)
    running.until_available()
    (pid,) = running.pids()
    os.kill(pid, signal.SIGKILL)

    def came_back() -> bool:
        (pod,) = pods(running)
        state = pod.status.container_statuses[0]
        return bool(state.restart_count == 1 and state.ready)

    eventually(came_back)
    eventually(lambda: [heard[2] for heard in running.ready[-2:]] == [(), (f"{NET}.2.1",)])
    assert pods(running)[0].status.container_statuses[0].last_state.terminated.exit_code == 137


def test_a_deleted_pod_gets_time_and_is_then_killed(running: Running) -> None:
    start(running, STUBBORN)
    running.until_available()
    (pid,) = running.pids()
    name = pods(running)[0].metadata.name
    answer = running.core.delete_namespaced_pod(name, NAMESPACE)
    assert answer.metadata.deletion_timestamp is not None
    assert is_process(pid)
    eventually(lambda: name not in [pod.metadata.name for pod in pods(running)])
    assert not is_process(pid)


def test_a_forced_delete_leaves_no_process(running: Running) -> None:
    start(running, STUBBORN)
    running.until_available()
    (pid,) = running.pids()
    name = pods(running)[0].metadata.name
    running.apps.delete_namespaced_deployment("web", NAMESPACE, propagation_policy="Orphan")
    running.core.delete_namespaced_pod(name, NAMESPACE, grace_period_seconds=0)
    assert name not in [pod.metadata.name for pod in pods(running)]
    eventually(lambda: not is_process(pid))


def test_a_pod_that_cannot_be_described_does_not_stop_the_others(running: Running) -> None:
    """Bytes that are no text cannot become a variable; every other pod goes on."""
    running.core.create_namespaced_secret(
        NAMESPACE, {"metadata": {"name": "db"}, "data": {"host": "/w=="}}
    )
    start(running)
    body = deployment("other", selector={"matchLabels": {"app": "other"}})
    body["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    body["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"secretRef": {"name": "db"}}]
    running.apps.create_namespaced_deployment(NAMESPACE, body)
    running.until_available()
    reasons = [
        waiting_reason(pod) for pod in pods(running) if pod.metadata.labels["app"] == "other"
    ]
    assert reasons == ["CreateContainerConfigError"]


def test_a_pod_without_an_address_waits_for_one(running: Running) -> None:
    start(running, "import time;time.sleep(600)", replicas=11)
    eventually(lambda: len(running.pids()) == 10)
    eventually(
        lambda: (
            [
                condition.reason
                for pod in pods(running)
                for condition in pod.status.conditions or []
                if condition.type == "PodScheduled" and condition.status == "False"
            ]
            == ["Unschedulable"]
        )
    )
