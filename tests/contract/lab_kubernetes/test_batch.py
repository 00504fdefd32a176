"""Jobs, CronJobs, autoscalers, custom resources and exec: they do what they do on a cluster."""

import json
import sys
from datetime import UTC, datetime

import pytest
from kubernetes import client as k8s
from kubernetes.client import ApiException
from kubernetes.stream import stream

from drctl.lab.kubernetes.cron import BadSchedule, Schedule

from .conftest import NAMESPACE, Kubectl, Running, deployment, eventually

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


def job(name="smoke", script="print('fine')", **spec):
    container = {"name": "job", "image": "example/job:1"}
    container["command"] = [sys.executable, "-S", "-c", script]
    pod = {"restartPolicy": "Never", "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": {"spec": pod}, **spec},
    }


def batch(running: Running):
    return k8s.BatchV1Api(running.core.api_client)


def ended(running: Running, name="smoke"):
    def look():
        status = batch(running).read_namespaced_job(name, NAMESPACE).status
        return (
            status
            if any(one.type in {"Complete", "Failed"} for one in status.conditions or [])
            else None
        )

    return eventually(look)


def test_a_job_runs_a_real_process_to_its_end(running: Running) -> None:
    batch(running).create_namespaced_job(NAMESPACE, job(script="print('all is well')"))
    status = ended(running)
    assert (status.succeeded, status.failed) == (1, None)
    [pod] = running.core.list_namespaced_pod(NAMESPACE).items
    assert pod.status.phase == "Succeeded"
    assert "all is well" in running.core.read_namespaced_pod_log(pod.metadata.name, NAMESPACE)
    deletion = {"propagationPolicy": "Background"}
    batch(running).delete_namespaced_job("smoke", NAMESPACE, body=deletion)
    eventually(lambda: not running.core.list_namespaced_pod(NAMESPACE).items)


def test_a_job_that_fails_is_tried_again_and_then_given_up(running: Running) -> None:
    batch(running).create_namespaced_job(
        NAMESPACE, job(script="raise SystemExit(4)", backoffLimit=1)
    )
    status = ended(running)
    assert (status.succeeded, status.failed) == (None, 2)
    assert [(one.type, one.reason) for one in status.conditions] == [
        ("Failed", "BackoffLimitExceeded")
    ]


def test_a_job_that_takes_too_long_is_ended(running: Running) -> None:
    slow = job(script="import time;time.sleep(60)", activeDeadlineSeconds=1)
    batch(running).create_namespaced_job(NAMESPACE, slow)
    status = ended(running)
    assert status.conditions[0].reason == "DeadlineExceeded"
    eventually(lambda: not running.core.list_namespaced_pod(NAMESPACE).items)


def test_a_job_must_not_restart_for_ever(running: Running) -> None:
    body = job()
    body["spec"]["template"]["spec"]["restartPolicy"] = "Always"
    with pytest.raises(ApiException) as caught:
        batch(running).create_namespaced_job(NAMESPACE, body)
    assert caught.value.status == 422


def test_kubectl_makes_a_job_from_a_cronjob_that_is_suspended(
    running: Running, kubectl: Kubectl
) -> None:
    spec = {"schedule": "*/5 * * * *", "suspend": True, "jobTemplate": {"spec": job()["spec"]}}
    cron = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "bill"}, "spec": spec}
    kubectl("apply", "-f", "-", stdin=json.dumps(cron))
    # Not in one go: kubectl sends that one as protobuf, which the lab does not speak.
    made = kubectl(
        "create", "job", "by-hand", "--from=cronjob/bill", "--dry-run=client", "-o", "json"
    )
    kubectl("create", "-f", "-", stdin=made)
    assert ended(running, "by-hand").succeeded == 1
    assert batch(running).read_namespaced_cron_job("bill", NAMESPACE).spec.suspend is True


def test_a_schedule_is_read_as_cron_does() -> None:
    at = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)
    assert Schedule.parse("*/15 4 23 11 1").is_due(at)
    assert Schedule.parse("30-40/5 * * * 0-2").is_due(at)
    assert not Schedule.parse("31 * * * *").is_due(at)
    for wrong in ("* * * *", "60 * * * *", "x * * * *", "5-1 * * * *"):
        with pytest.raises(BadSchedule):
            Schedule.parse(wrong)


def autoscaler(low=2, high=4, **notes):
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    spec = {"scaleTargetRef": reference, "minReplicas": low, "maxReplicas": high}
    return {"metadata": {"name": "web", "annotations": notes}, "spec": spec}


def test_an_autoscaler_overrides_what_somebody_set(running: Running) -> None:
    apps, scaling = running.apps, k8s.AutoscalingV2Api(running.core.api_client)
    apps.create_namespaced_deployment(NAMESPACE, deployment(replicas=1))
    scaling.create_namespaced_horizontal_pod_autoscaler(NAMESPACE, autoscaler())

    def replicas():
        return apps.read_namespaced_deployment("web", NAMESPACE).spec.replicas

    eventually(lambda: replicas() == 2)
    too_many = {"spec": {"replicas": 9}}
    apps.patch_namespaced_deployment_scale("web", NAMESPACE, too_many, _content_type=MERGE)
    eventually(lambda: replicas() == 4)
    wish = {"metadata": {"annotations": {"lab.drctl.dev/metrics-say": "3"}}}
    scaling.patch_namespaced_horizontal_pod_autoscaler("web", NAMESPACE, wish, _content_type=MERGE)
    eventually(lambda: replicas() == 3)
    nothing = {"spec": {"replicas": 0}}
    apps.patch_namespaced_deployment_scale("web", NAMESPACE, nothing, _content_type=MERGE)

    def is_disabled():
        found = scaling.read_namespaced_horizontal_pod_autoscaler("web", NAMESPACE)
        return found.status.conditions[0].reason == "ScalingDisabled"

    eventually(is_disabled)
    assert replicas() == 0
    with pytest.raises(ApiException) as caught:
        scaling.create_namespaced_horizontal_pod_autoscaler(NAMESPACE, autoscaler(5, 4))
    assert caught.value.status == 422


def test_a_custom_resource_takes_no_strategic_patch(running: Running, kubectl: Kubectl) -> None:
    """E12: the plan's own command errors out, here as there."""
    body = {
        "apiVersion": "acid.zalan.do/v1",
        "kind": "postgresql",
        "metadata": {"name": "orders"},
        "spec": {"standby": {"standby_host": "east"}, "numberOfInstances": 1},
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(body))
    said = kubectl("patch", "postgresql", "orders", "-p", '{"spec":{"standby":null}}', fails=True)
    assert "application/strategic-merge-patch+json is not supported" in said or "415" in said
    kubectl("patch", "postgresql", "orders", "--type=merge", "-p", '{"spec":{"standby":null}}')
    shown = json.loads(kubectl("get", "postgresql", "orders", "-o", "json"))
    assert "standby" not in shown["spec"]
    assert shown["metadata"]["generation"] == 2


SAYS = "import os,sys;print(os.environ['GREETING']);print('ill',file=sys.stderr);sys.exit(3)"


def test_exec_runs_a_process_in_the_pods_environment(running: Running, kubectl: Kubectl) -> None:
    body = deployment()
    env = body["spec"]["template"]["spec"]["containers"][0]["env"]
    env.append({"name": "GREETING", "value": "hello"})
    running.apps.create_namespaced_deployment(NAMESPACE, body)
    running.until_available()
    [pod] = running.core.list_namespaced_pod(NAMESPACE).items
    said = stream(
        running.core.connect_get_namespaced_pod_exec,
        pod.metadata.name,
        NAMESPACE,
        command=[sys.executable, "-S", "-c", SAYS],
        stdout=True,
        stderr=True,
        _preload_content=False,
    )
    said.run_forever(timeout=10)
    assert (said.read_stdout().strip(), said.read_stderr().strip()) == ("hello", "ill")
    assert said.returncode == 3
    said.sock.shutdown()
    # The oracle speaks a newer protocol of the same kind.
    shown = kubectl("exec", pod.metadata.name, "--", sys.executable, "-S", "-c", "print(6*7)")
    assert shown.strip() == "42"
    fed = kubectl("exec", "-i", pod.metadata.name, "--", "cat", stdin="typed")
    assert fed == "typed"
