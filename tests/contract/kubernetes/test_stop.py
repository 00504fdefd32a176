"""Stopping ends with the last pod gone; what would override or write behind our back is told."""

import asyncio
import sys

import pytest
from kube_bench import NAME, NAMESPACE

from drctl.actions.contract import (
    CannotTell,
    Change,
    Cleared,
    Debt,
    Done,
    NoParams,
    NotDone,
    Nothing,
)
from drctl.actions.errors import Conflict, NotFound, Rejected
from drctl.adapters.kubernetes.cronjob import ResumeCronJob, SuspendCronJob, SuspendParams
from drctl.adapters.kubernetes.deployment import (
    ScaleDeployment,
    ScaleParams,
    WaitForDeployment,
    WaitParams,
)
from drctl.adapters.kubernetes.secret import CheckSecret, CheckSecretParams
from drctl.adapters.kubernetes.stop import StartDeployment, StartParams, StopDeployment

GO = NoParams()
STOP, START, SCALE, WAIT = (
    StopDeployment(),
    StartDeployment(),
    ScaleDeployment(),
    WaitForDeployment(),
)
SUSPEND, RESUME, SECRET = SuspendCronJob(), ResumeCronJob(), CheckSecret()
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{NAME}"
AUTOSCALERS = f"/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers"
CRONS = f"/apis/batch/v1/namespaces/{NAMESPACE}/cronjobs"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
STUBBORN = (
    "import http.server,os,signal,time,threading;"
    "signal.signal(signal.SIGTERM,lambda *_:(time.sleep(1),os._exit(0)));"
    "http.server.ThreadingHTTPServer((os.environ['POD_IP'],8000),"
    "http.server.SimpleHTTPRequestHandler).serve_forever()"
)


@pytest.fixture
def target(cluster, target_at):
    return target_at(cluster.port)


async def test_stopping_waits_for_the_last_pod_and_starting_brings_all_back(
    cluster, target, context
):
    """A pod that is told to end takes a second to do so, and may write meanwhile."""
    cluster.deploy(2, script=STUBBORN)
    await WAIT.perform(context(), target, WaitParams())
    seen = await STOP.observe(context(), target, GO)
    assert STOP.preview(seen, target, GO) == Change(
        before="2 replicas", after="0 replicas, no pod left"
    )
    assert isinstance(await STOP.settled(context(), target, GO), NotDone)
    stopped = await STOP.perform(context(), target, GO)
    assert stopped.previous_replicas == 2
    assert cluster.pods() == set()
    assert await STOP.settled(context(), target, GO) == Done(outputs=stopped)
    assert (await STOP.perform(context(), target, GO)) == stopped
    [debt] = STOP.debts(target, GO, stopped)
    assert isinstance(debt, Debt)
    any_ = StartParams()
    seen = await START.observe(context(), target, any_)
    assert START.preview(seen, target, any_) == Change(before="0 replicas", after="2 replicas")
    assert isinstance(await START.settled(context(), target, any_), NotDone)
    started = await START.perform(context(), target, any_)
    assert started.replicas == 2
    assert len(cluster.pods()) == 2
    assert isinstance(await START.settled(context(), target, any_), Done)
    assert START.debts(target, any_, started) == (Cleared(key=debt.key),)
    notes = cluster.call("GET", DEPLOYMENT)["metadata"]["annotations"]
    assert "drctl.dev/stopped-replicas" not in notes


async def test_a_pod_that_does_not_go_in_time_is_a_failure(cluster, target, context):
    cluster.deploy(1, script=STUBBORN)
    await WAIT.perform(context(), target, WaitParams())
    with pytest.raises(Rejected, match="still there"):
        await STOP.perform(context(1.2), target, GO)
    assert isinstance(await STOP.settled(context(), target, GO), CannotTell | Done)


async def test_starting_what_nobody_noted_asks_how_many(cluster, target, context):
    cluster.deploy(0)
    with pytest.raises(Conflict, match="is not noted"):
        await START.perform(context(), target, StartParams())
    started = await START.perform(context(), target, StartParams(replicas=1))
    assert started.replicas == 1


def autoscaler(low, high, **notes):
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}
    spec = {"scaleTargetRef": reference, "minReplicas": low, "maxReplicas": high}
    return {"metadata": {"name": "web", "annotations": notes}, "spec": spec}


async def test_an_autoscaler_that_would_override_is_a_conflict_that_says_so(
    cluster, target, context
):
    cluster.deploy(1)
    await WAIT.perform(context(), target, WaitParams())
    cluster.call("POST", AUTOSCALERS, autoscaler(1, 3))
    many = ScaleParams(replicas=5)
    seen = await SCALE.observe(context(), target, many)
    assert "would override 5" in SCALE.preview(seen, target, many).why
    with pytest.raises(Conflict, match="keeps 1 to 3 replicas and would override 5"):
        await SCALE.perform(context(), target, many)
    assert cluster.call("GET", DEPLOYMENT)["spec"]["replicas"] == 1
    # Within its bounds, and with no metrics of its own, it lets be.
    done = await SCALE.perform(context(), target, ScaleParams(replicas=2))
    assert done.previous_replicas == 1
    wish = {"metadata": {"annotations": {"lab.drctl.dev/metrics-say": "1"}}}
    cluster.call("PATCH", f"{AUTOSCALERS}/web", wish, "application/merge-patch+json")
    while cluster.call("GET", DEPLOYMENT)["spec"]["replicas"] != 1:  # noqa: ASYNC110 (a poll)
        await asyncio.sleep(0.05)
    with pytest.raises(Conflict, match="wants 1 now"):
        await SCALE.perform(context(), target, ScaleParams(replicas=2))
    # To stop is another matter: zero switches an autoscaler off.
    await STOP.perform(context(), target, GO)
    await asyncio.sleep(0.7)
    assert cluster.call("GET", DEPLOYMENT)["spec"]["replicas"] == 0


def cron(name, suspend=False):
    command = [sys.executable, "-S", "-c", "import time;time.sleep(1)"]
    pod = {
        "restartPolicy": "Never",
        "containers": [{"name": "job", "image": "example/job:1", "command": command}],
    }
    spec = {"schedule": "0 0 1 1 *", "suspend": suspend}
    spec["jobTemplate"] = {"spec": {"template": {"spec": pod}}}
    return {"metadata": {"name": name}, "spec": spec}


async def test_a_cronjob_is_suspended_once_its_last_job_has_ended(cluster, target, context):
    made = cluster.call("POST", CRONS, cron("bills"))
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "bills", "controller": True}
    job = {
        "metadata": {
            "name": "bills-1",
            "ownerReferences": [owner | {"uid": made["metadata"]["uid"]}],
        },
        "spec": made["spec"]["jobTemplate"]["spec"],
    }
    cluster.call("POST", JOBS, job)
    while not cluster.call("GET", f"{JOBS}/bills-1").get("status", {}).get("active"):  # noqa: ASYNC110 (a poll)
        await asyncio.sleep(0.02)
    params = SuspendParams(name="bills")
    assert isinstance(await SUSPEND.settled(context(), target, params), NotDone)
    done = await SUSPEND.perform(context(), target, params)
    assert done.changed
    assert cluster.call("GET", f"{JOBS}/bills-1")["status"]["succeeded"] == 1
    assert isinstance(await SUSPEND.settled(context(), target, params), Done)
    assert (await SUSPEND.perform(context(), target, params)).changed is False
    seen = await SUSPEND.observe(context(), target, params)
    assert isinstance(SUSPEND.preview(seen, target, params), Nothing)
    [debt] = SUSPEND.debts(target, params, done)
    assert (await RESUME.perform(context(), target, params)).changed
    assert RESUME.debts(target, params, done) == (Cleared(key=debt.key),)
    assert cluster.call("GET", f"{CRONS}/bills")["spec"]["suspend"] is False
    with pytest.raises(NotFound):
        await SUSPEND.perform(context(), target, SuspendParams(name="none"))


async def test_a_secret_without_its_keys_is_refused_and_no_value_is_shown(cluster, target, context):
    path = f"/api/v1/namespaces/{NAMESPACE}/secrets"
    body = {"metadata": {"name": "db"}, "stringData": {"host": "east", "password": "hush"}}
    cluster.call("POST", path, body)
    there = await SECRET.perform(context(), target, CheckSecretParams(name="db", keys=("host",)))
    assert there.keys == ("host", "password")
    assert "hush" not in str(there)
    with pytest.raises(Rejected, match="nothing under port"):
        await SECRET.perform(context(), target, CheckSecretParams(name="db", keys=("port",)))
    with pytest.raises(NotFound):
        await SECRET.perform(context(), target, CheckSecretParams(name="x", keys=("port",)))
