"""Jobs, programs in pods, pinned manifests, and what GitOps would undo."""

import asyncio
import hashlib
import json
import sys

import pytest
from kube_bench import NAME, NAMESPACE, SERVER, template

from drctl.actions.contract import CannotTell, Change, Cleared, Done, NoParams, NotDone, Nothing
from drctl.actions.errors import Conflict, NotFound, OutcomeUnknown, Rejected
from drctl.actions.targets import ArgoApplication, FluxHelmRelease, FluxKustomization
from drctl.adapters.kubernetes.deployment import WaitForDeployment, WaitParams
from drctl.adapters.kubernetes.exec import ExecInPod, ExecParams, _exit_code
from drctl.adapters.kubernetes.job import JobParams, RunJob
from drctl.adapters.kubernetes.manifests import ApplyManifests, ApplyParams
from drctl.adapters.kubernetes.toggle import (
    PauseApplication,
    ResumeApplication,
    ResumeHelmRelease,
    ResumeKustomization,
    SuspendHelmRelease,
    SuspendKustomization,
)

JOB, EXEC, APPLY, WAIT = RunJob(), ExecInPod(), ApplyManifests(), WaitForDeployment()
GO = NoParams()
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{NAME}"
PYTHON = (sys.executable, "-S", "-c")


@pytest.fixture
def target(cluster, target_at):
    return target_at(cluster.port)


def job(script, **more):
    return JobParams(name="smoke", image="example/smoke:1", command=(*PYTHON, script), **more)


async def test_a_job_that_succeeds_is_a_step_that_did_and_runs_once_for_a_key(
    cluster, target, context
):
    params = job("import os;print('checked', os.environ['URL'])", env={"URL": "http://x"})
    assert isinstance(await JOB.settled(context(), target, params), NotDone)
    ran = await JOB.perform(context(), target, params)
    assert ran.log == "checked http://x"
    assert await JOB.settled(context(), target, params) == Done(outputs=ran)
    assert await JOB.perform(context(), target, params) == ran
    jobs = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
    assert len(cluster.call("GET", jobs)["items"]) == 1
    again = await JOB.perform(context(key="run-2.step.1"), target, params)
    assert again.job != ran.job


async def test_a_job_that_fails_is_a_failure_with_the_end_of_its_log(target, context):
    params = job("print('3 of 9 checks failed');raise SystemExit(1)")
    with pytest.raises(Rejected, match="3 of 9 checks failed"):
        await JOB.perform(context(), target, params)
    assert isinstance(await JOB.settled(context(), target, params), CannotTell)
    flaky = job("raise SystemExit(1)", attempts=2)
    with pytest.raises(Rejected, match="BackoffLimitExceeded"):
        await JOB.perform(context(key="run-3.step.1"), target, flaky)


async def test_a_job_that_does_not_end_in_time_is_a_failure(target, context):
    with pytest.raises(Rejected, match=r"had not ended|DeadlineExceeded"):
        await JOB.perform(context(2.5), target, job("import time;time.sleep(60)"))


async def test_a_program_runs_in_a_ready_pod_of_the_present_revision(cluster, target, context):
    cluster.deploy(1)
    await WAIT.perform(context(), target, WaitParams())
    # A new template that never gets ready: only the old pod serves, and that is of the past.
    container = {**template("import time;time.sleep(60)")["spec"]["containers"][0]}
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    cluster.call("PATCH", DEPLOYMENT, patch, "application/strategic-merge-patch+json")
    params = ExecParams(command=(*PYTHON, "print(1)"), does="prints")
    with pytest.raises(Conflict, match="no pod of revision 2"):
        await EXEC.perform(context(), target, params)
    fixed = {
        **template(SERVER)["spec"]["containers"][0],
        "env": [
            *template(SERVER)["spec"]["containers"][0]["env"],
            {"name": "WHO", "value": "third"},
        ],
    }
    patch = {"spec": {"template": {"spec": {"containers": [fixed]}}}}
    cluster.call("PATCH", DEPLOYMENT, patch, "application/strategic-merge-patch+json")
    await WAIT.perform(context(), target, WaitParams())
    script = "import os,sys;print(os.environ['WHO']);print('ill', file=sys.stderr)"
    ran = await EXEC.perform(context(), target, ExecParams(command=(*PYTHON, script), does="asks"))
    assert (ran.revision, ran.stdout.strip(), ran.stderr.strip()) == (3, "third", "ill")
    assert (ran.exit_code, {ran.pod}) == (0, cluster.pods())
    failing = ExecParams(command=(*PYTHON, "raise SystemExit('no such table')"), does="migrates")
    with pytest.raises(Rejected, match=r"ended with 1: no such table"):
        await EXEC.perform(context(), target, failing)
    nothing = ExecParams(command=("/no/such/program",), does="nothing")
    with pytest.raises(OutcomeUnknown):
        await EXEC.perform(context(), target, nothing)
    hidden = ExecParams(command=(*PYTHON, "print('hush')"), does="asks", keeps_output=False)
    assert "hush" not in str(await EXEC.perform(context(), target, hidden))
    slow = ExecParams(command=(*PYTHON, "import time;time.sleep(30)"), does="sleeps")
    with pytest.raises(OutcomeUnknown):
        await EXEC.perform(context(1.5), target, slow)


@pytest.mark.parametrize("causes", [[], [{"reason": "ExitCode", "message": "killed"}]])
def test_a_failure_without_an_exit_code_says_nothing_of_the_program(causes):
    """The stream broke in the kubelet: what was started may go on."""
    status = {
        "status": "Failure",
        "message": "error dialing backend",
        "details": {"causes": causes},
    }
    with pytest.raises(OutcomeUnknown, match="error dialing backend"):
        _exit_code(json.dumps(status).encode(), "exec in app-1")


def pinned(folder, text, name="app.yaml"):
    path = folder / name
    path.write_text(text)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"path": str(path), "sha256": digest}


TWO = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {mode: recovery}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: more
  labels: {team: a}
data: {x: "1"}
"""


async def test_pinned_manifests_are_applied_as_previewed_and_nothing_twice(
    cluster, target, context, tmp_path
):
    params = ApplyParams(files=[pinned(tmp_path, TWO)], revision="abc")
    before = cluster.call("GET", f"/api/v1/namespaces/{NAMESPACE}/configmaps")
    ctx = context()
    seen = await APPLY.observe(ctx, target, params)
    assert (
        cluster.call("GET", f"/api/v1/namespaces/{NAMESPACE}/configmaps")["items"]
        == before["items"]
    )
    assert APPLY.preview(seen, target, params) == Change(
        before="2 object(s)",
        after="configmap/settings created, configmap/more created",
        creates=True,
    )
    assert isinstance(await APPLY.settled(context(), target, params), NotDone)
    done = await APPLY.perform(context(), target, params)
    assert done.created == ("configmap/settings", "configmap/more")
    assert isinstance(await APPLY.settled(context(), target, params), Done)
    again = await APPLY.perform(context(), target, params)
    assert again.unchanged == ("configmap/settings", "configmap/more")
    seen = await APPLY.observe(context(), target, params)
    assert isinstance(APPLY.preview(seen, target, params), Nothing)
    path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/settings"
    theirs = {"data": {"mode": "normal"}}
    cluster.call("PATCH", f"{path}?fieldManager=somebody", theirs, "application/merge-patch+json")
    with pytest.raises(Conflict, match="somebody"):
        await APPLY.perform(context(), target, params)
    assert cluster.call("GET", path)["data"] == {"mode": "normal"}


async def test_two_objects_of_one_kind_and_name_in_two_groups_are_two(
    target, context, tmp_path, monkeypatch
):
    """``Cluster`` of CloudNativePG and of Cluster API, say: one is there, the other is not."""

    async def resources(_cluster, _root):
        return [{"kind": "Cluster", "name": "clusters", "namespaced": True}]

    class Server:
        def __init__(self, _ctx, _connection):
            self.sent = sent

        async def get(self, path, **_more):
            if path in self.sent:
                return {"metadata": {}, "spec": self.sent[path]["spec"]}
            raise NotFound(path)

        async def apply(self, path, body, *, manager, dry_run=False):
            assert manager == "drctl"
            if not dry_run:
                self.sent[path] = body
            return {"metadata": {}, "spec": body["spec"]}

    monkeypatch.setattr("drctl.adapters.kubernetes.manifests._resources", resources)
    monkeypatch.setattr("drctl.adapters.kubernetes.manifests.Cluster", Server)
    text = "".join(
        f"---\napiVersion: {group}\nkind: Cluster\nmetadata: {{name: orders}}\nspec: {{a: 1}}\n"
        for group in ("cluster.x-k8s.io/v1", "postgresql.cnpg.io/v1")
    )
    place = f"/apis/postgresql.cnpg.io/v1/namespaces/{NAMESPACE}/clusters/orders"
    sent = {place: {"spec": {"a": 1}}}
    params = ApplyParams(files=[pinned(tmp_path, text)])
    assert isinstance(await APPLY.settled(context(), target, params), NotDone)
    seen = await APPLY.observe(context(), target, params)
    assert isinstance(APPLY.preview(seen, target, params), Change)
    done = await APPLY.perform(context(), target, params)
    assert (done.created, done.unchanged) == (("cluster/orders",), ("cluster/orders",))
    assert len(sent) == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n", "no secret"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: s, namespace: prod}\n", "not healing"),
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: s}\n", "belongs to no namespace"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n", "has no name"),
        ("- 1\n", "no Kubernetes object"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: s}\ndaata: {a: b}\n", "daata"),
    ],
)
async def test_what_must_not_be_applied_is_refused(cluster, target, context, tmp_path, text, why):
    with pytest.raises(Rejected, match=why):
        await APPLY.perform(context(), target, ApplyParams(files=[pinned(tmp_path, text)]))


async def test_a_file_that_is_not_as_it_was_reviewed_is_refused(target, context, tmp_path):
    file = pinned(tmp_path, TWO)
    (tmp_path / "app.yaml").write_text(TWO + "# one more word\n")
    with pytest.raises(Rejected, match="not what was pinned"):
        await APPLY.perform(context(), target, ApplyParams(files=[file]))
    missing = {"path": str(tmp_path / "none.yaml"), "sha256": "0" * 64}
    with pytest.raises(NotFound):
        await APPLY.perform(context(), target, ApplyParams(files=[missing]))


AUTOMATED = {"prune": True, "selfHeal": True}
OBJECTS = {
    "argocd": (
        "/apis/argoproj.io/v1alpha1", "applications", ArgoApplication,
        {"syncPolicy": {"automated": AUTOMATED, "syncOptions": ["a=b"]}},
        PauseApplication(), ResumeApplication(),
    ),
    "kustomization": (
        "/apis/kustomize.toolkit.fluxcd.io/v1", "kustomizations", FluxKustomization,
        {"interval": "1m"}, SuspendKustomization(), ResumeKustomization(),
    ),
    "helmrelease": (
        "/apis/helm.toolkit.fluxcd.io/v2", "helmreleases", FluxHelmRelease,
        {"interval": "1m"}, SuspendHelmRelease(), ResumeHelmRelease(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("which", OBJECTS)
async def test_gitops_is_paused_and_resumed_as_it_was(cluster, target, context, which):
    root, plural, kind, spec, pause, resume = OBJECTS[which]
    collection = f"{root}/namespaces/{NAMESPACE}/{plural}"
    made = cluster.call("POST", collection, {"metadata": {"name": "web"}, "spec": spec})
    obj = kind(cluster=target.cluster, namespace=NAMESPACE, name="web")
    seen = await pause.observe(context(), obj, GO)
    assert pause.preview(seen, obj, GO) == Change(before="reconciling", after="paused")
    assert isinstance(await pause.settled(context(), obj, GO), NotDone)
    done = await pause.perform(context(), obj, GO)
    assert done.changed
    assert isinstance(await pause.settled(context(), obj, GO), Done)
    assert (await pause.perform(context(), obj, GO)).changed is False
    [debt] = pause.debts(obj, GO, done)
    assert debt.key.startswith("gitops-paused:kubernetes:")
    assert (await resume.perform(context(), obj, GO)).changed
    assert resume.debts(obj, GO, done) == (Cleared(key=debt.key),)
    after = cluster.call("GET", f"{collection}/web")["spec"]
    if which == "argocd":
        assert after == made["spec"]
    else:
        assert after == made["spec"] | {"suspend": False}


async def test_an_application_that_another_object_makes_is_not_paused(cluster, target, context):
    root, plural, kind, spec, pause, resume = OBJECTS["argocd"]
    collection = f"{root}/namespaces/{NAMESPACE}/{plural}"
    owner = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "ApplicationSet",
        "name": "s",
        "uid": "u",
    }
    meta = {"name": "web", "ownerReferences": [owner]}
    cluster.call("POST", collection, {"metadata": meta, "spec": spec})
    obj = kind(cluster=target.cluster, namespace=NAMESPACE, name="web")
    with pytest.raises(Conflict, match="ApplicationSet"):
        await pause.perform(context(), obj, GO)
    cluster.call("POST", collection, {"metadata": {"name": "manual"}, "spec": {"project": "x"}})
    manual = kind(cluster=target.cluster, namespace=NAMESPACE, name="manual")
    with pytest.raises(Rejected, match="was not paused by drctl"):
        await resume.perform(context(), manual, GO)
    await asyncio.sleep(0)
