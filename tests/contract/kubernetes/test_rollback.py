"""A rollback goes to the newest revision that is known to be good, and nowhere else."""

import asyncio
import json
import subprocess
from shutil import which

import pytest
from kube_bench import API, NAME, SERVER, template

from drctl.actions.contract import CannotTell, Change, Cleared, Debt, Done, NotDone, Nothing
from drctl.actions.errors import Conflict, OutcomeUnknown, Rejected
from drctl.adapters.kubernetes.deployment import WaitForDeployment, WaitParams
from drctl.adapters.kubernetes.history import GOOD
from drctl.adapters.kubernetes.known_good import CheckParams, CheckRevision, MarkGood, MarkParams
from drctl.adapters.kubernetes.rollback import RollBackDeployment, RollbackParams

MARK, CHECK, ROLL, WAIT = MarkGood(), CheckRevision(), RollBackDeployment(), WaitForDeployment()
SETS = "/apis/apps/v1/namespaces/healing-guard/replicasets"
DEPLOYMENT = "/apis/apps/v1/namespaces/healing-guard/deployments/healing-guard"
CRASH = "import sys;sys.exit(3)"
SOON = MarkParams(stable_for="200ms")
BACK = RollbackParams(stable_for="200ms")


@pytest.fixture
def target(cluster, target_at):
    return target_at(cluster.port)


class Releases:
    """A pipeline that puts versions of an application into a cluster."""

    def __init__(self, cluster, target, context):
        self.cluster, self.target, self.context = cluster, target, context

    async def first(self, tag, **spec):
        assert tag == "1", "what the bench deploys"
        self.cluster.deploy(1, **spec)
        await WAIT.perform(self.context(), self.target, WaitParams())

    async def next(self, tag, *, script=SERVER, waits=True):
        container = {**template(script)["spec"]["containers"][0], "image": f"example/app:{tag}"}
        patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
        before = int(self.revision())
        self.cluster.call("PATCH", DEPLOYMENT, patch, "application/strategic-merge-patch+json")
        while int(self.revision()) == before:  # noqa: ASYNC110 (a poll)
            await asyncio.sleep(0.02)
        if waits:
            await WAIT.perform(self.context(), self.target, WaitParams())

    async def mark(self):
        return await MARK.perform(self.context(), self.target, SOON)

    def revision(self):
        notes = self.cluster.call("GET", DEPLOYMENT)["metadata"].get("annotations", {})
        return notes.get("deployment.kubernetes.io/revision", "0")

    def image(self):
        spec = self.cluster.call("GET", DEPLOYMENT)["spec"]["template"]["spec"]
        return spec["containers"][0]["image"]


@pytest.fixture
def releases(cluster, target, context):
    return Releases(cluster, target, context)


async def good_good_bad_bad(releases):
    """The way it happens: two that work, one that never starts, one more in a hurry."""
    await releases.first("1")
    await releases.mark()
    await releases.next("2")
    await releases.mark()
    await releases.next("3", script=CRASH, waits=False)
    await releases.next("4", script=CRASH, waits=False)


async def test_the_newest_known_good_one_is_chosen_not_the_previous_one(
    cluster, target, context, releases
):
    await good_good_bad_bad(releases)
    known = await CHECK.perform(context(), target, CheckParams())
    assert (known.good_image, known.current_image, known.skipped) == (
        "example/app:2",
        "example/app:4",
        1,
    )
    seen = await ROLL.observe(context(), target, BACK)
    assert ROLL.preview(seen, target, BACK) == Change(
        before=f"revision {known.current} (example/app:4)",
        after=f"revision {known.good} (example/app:2)",
    )
    assert isinstance(await ROLL.settled(context(), target, BACK), NotDone)
    done = await ROLL.perform(context(), target, BACK)
    assert (done.from_revision, done.to_revision) == (known.current, known.good)
    assert (done.image, releases.image()) == ("example/app:2", "example/app:2")
    assert done.revision == known.current + 1 == int(releases.revision())
    assert cluster.call("GET", DEPLOYMENT)["status"]["availableReplicas"] == 1
    assert await ROLL.settled(context(), target, BACK) == Done(outputs=done)
    # The same key again waits and changes nothing.
    assert await ROLL.perform(context(), target, BACK) == done
    assert int(releases.revision()) == done.revision
    [debt] = ROLL.debts(target, BACK, done)
    assert isinstance(debt, Debt)
    assert debt.key.startswith("rollback:kubernetes:")


async def test_a_bad_template_that_gitops_puts_back_is_no_success(
    cluster, target, context, releases, monkeypatch
):
    await releases.first("1")
    await releases.mark()
    await releases.next("2")

    async def put_back(*_args):
        await releases.next("2")

    monkeypatch.setattr("drctl.adapters.kubernetes.rollback.stay", put_back)
    with pytest.raises(Conflict, match="something put revision 4"):
        await ROLL.perform(context(), target, BACK)
    assert releases.image() == "example/app:2"
    assert isinstance(await ROLL.settled(context(), target, BACK), CannotTell)


async def test_a_present_revision_that_is_good_is_not_rolled_back(target, context, releases):
    await releases.first("1")
    await releases.mark()
    await releases.next("2")
    await releases.mark()
    with pytest.raises(Conflict, match="known to be good"):
        await ROLL.perform(context(), target, BACK)
    seen = await ROLL.observe(context(), target, BACK)
    assert isinstance(ROLL.preview(seen, target, BACK), CannotTell)
    assert releases.image() == "example/app:2"


async def test_nothing_known_to_be_good_is_a_refusal_and_a_ledger_helps(target, context, releases):
    await releases.first("1")
    await releases.next("2")
    with pytest.raises(Conflict, match="none of 1 older revisions"):
        await ROLL.perform(context(), target, BACK)
    assert releases.image() == "example/app:2"
    listed = RollbackParams(good_images=("example/app:1",), stable_for="200ms")
    done = await ROLL.perform(context(), target, listed)
    assert done.image == "example/app:1"


async def test_a_mark_that_wandered_to_another_revision_blesses_nothing(
    cluster, target, context, releases
):
    """``kubectl rollout undo`` copies a ReplicaSet's annotations up, the controller down again."""
    await releases.first("1")
    await releases.mark()
    [good] = [one for one in cluster.call("GET", SETS)["items"] if good_note(one)]
    patch = {"metadata": {"annotations": {GOOD: good_note(good)}}}
    cluster.call("PATCH", DEPLOYMENT, patch, "application/merge-patch+json")
    await releases.next("2", script=CRASH, waits=False)
    bad = max(cluster.call("GET", SETS)["items"], key=number)
    assert good_note(bad) == good_note(good), "the test proves nothing when it was not copied"
    done = await ROLL.perform(context(), target, BACK)
    assert done.image == "example/app:1"


def good_note(one):
    return one["metadata"].get("annotations", {}).get(GOOD)


def number(one):
    return int(one["metadata"]["annotations"]["deployment.kubernetes.io/revision"])


async def test_an_image_other_than_the_checked_one_is_refused(target, context, releases):
    await good_good_bad_bad(releases)
    other = RollbackParams(image="example/app:1", stable_for="200ms")
    with pytest.raises(Rejected, match=r"example/app:1 was checked"):
        await ROLL.perform(context(), target, other)
    assert releases.image() == "example/app:4"


async def test_a_stuck_rollout_is_a_failure_at_its_deadline(cluster, target, context, releases):
    """What was good may not start today: its secret is gone, say. That is no success."""
    await releases.first("1")
    await releases.mark()
    [good] = [one for one in cluster.call("GET", SETS)["items"] if good_note(one)]
    await releases.next("2", script=CRASH, waits=False)
    # The good template needs a Secret that somebody has deleted meanwhile.
    env = [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "gone", "key": "x"}}}]
    spec = good["spec"]
    spec["template"]["spec"]["containers"][0]["env"] += env
    path = f"{SETS}/{good['metadata']['name']}"
    cluster.call("PATCH", path, {"spec": spec}, "application/merge-patch+json")
    for pod in cluster.pods():  # those that still run are of the healthy days
        cluster.call("DELETE", f"/api/v1/namespaces/{NAME}/pods/{pod}")
    with pytest.raises(Rejected, match="not complete when its time was over"):
        await ROLL.perform(context(3), target, BACK)
    assert isinstance(await ROLL.settled(context(), target, BACK), CannotTell)


async def test_a_controller_that_gives_up_is_a_failure_before_the_deadline(
    cluster, target, context, releases
):
    await releases.first("1", progressDeadlineSeconds=2)
    await releases.mark()
    [good] = [one for one in cluster.call("GET", SETS)["items"] if good_note(one)]
    await releases.next("2", script=CRASH, waits=False)
    spec = good["spec"]
    spec["template"]["spec"]["containers"][0]["command"] = ["/bin/sh", "-c", "exit 3"]
    path = f"{SETS}/{good['metadata']['name']}"
    cluster.call("PATCH", path, {"spec": spec}, "application/merge-patch+json")
    for pod in cluster.pods():  # those that still run are of the healthy days
        cluster.call("DELETE", f"/api/v1/namespaces/{NAME}/pods/{pod}")
    ctx = context(20)
    with pytest.raises(Rejected, match="progress deadline"):
        await ROLL.perform(ctx, target, BACK)
    assert ctx.deadline.left_s(ctx.clock) > 8


async def test_a_release_in_between_is_not_overwritten(faulty, target_at, context):
    """The template is set only on the generation that was looked at."""
    state = {"generation": 3}

    def answer(method, path):
        meta = {
            "name": NAME,
            "uid": "d-1",
            "generation": state["generation"],
            "resourceVersion": "9",
            "annotations": {"deployment.kubernetes.io/revision": "2"},
        }
        if "replicasets" in path:
            return 200, {}, json.dumps({"kind": "ReplicaSetList", "items": sets()}).encode()
        if method == "PATCH":
            state["generation"] = 4
            return 422, {}, b'{"message": "testing value /metadata/generation failed"}'
        spec = {"replicas": 1, "template": {"spec": {"containers": []}}}
        body = {"metadata": meta, "spec": spec, "status": {"observedGeneration": 9}}
        return 200, {}, json.dumps(body).encode()

    port, requests = await faulty(answer)
    with pytest.raises(Conflict, match="somebody else"):
        await ROLL.perform(context(), target_at(port), BACK)
    sent = [json.loads(one[3]) for one in requests if one[0] == "PATCH"]
    assert sent[0][0] == {"op": "test", "path": "/metadata/generation", "value": 3}
    assert len(sent) == 1


def sets():
    """A good revision, and the present one after it."""
    owner = {"controller": True, "uid": "d-1", "name": NAME}
    return [
        {
            "metadata": {
                "name": f"{NAME}-{at}",
                "uid": f"r-{at}",
                "annotations": {"deployment.kubernetes.io/revision": str(at), **notes},
                "ownerReferences": [owner],
            },
            "spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}},
        }
        for at, image, notes in ((1, "good", {GOOD: "r-1"}), (2, "bad", {}))
    ]


async def test_a_lost_answer_is_unknown_and_then_found(faulty, target_at, context):
    def answer(method, path):
        if method == "PATCH":
            return "reset"
        if "replicasets" in path:
            return 200, {}, json.dumps({"kind": "ReplicaSetList", "items": sets()}).encode()
        meta = {
            "name": NAME,
            "uid": "d-1",
            "generation": 3,
            "resourceVersion": "9",
            "annotations": {"deployment.kubernetes.io/revision": "2"},
        }
        spec = {"replicas": 1, "template": {"spec": {"containers": []}}}
        body = {"metadata": meta, "spec": spec, "status": {"observedGeneration": 9}}
        return 200, {}, json.dumps(body).encode()

    port, _requests = await faulty(answer)
    with pytest.raises(OutcomeUnknown):
        await ROLL.perform(context(), target_at(port), BACK)


async def test_a_mark_needs_pods_that_serve_and_go_on_serving(target, context, releases):
    await releases.first("1")
    await releases.next("2", script=CRASH, waits=False)
    with pytest.raises(Rejected, match="not complete"):
        await releases.mark()
    await releases.next("3")
    seen = await MARK.observe(context(), target, SOON)
    assert isinstance(MARK.preview(seen, target, SOON), Change)
    assert isinstance(await MARK.settled(context(), target, SOON), NotDone)
    marked = await releases.mark()
    assert marked.changed
    assert isinstance(await MARK.settled(context(), target, SOON), Done)
    again = await releases.mark()
    assert (again.changed, again.revision) == (False, marked.revision)
    seen = await MARK.observe(context(), target, SOON)
    assert isinstance(MARK.preview(seen, target, SOON), Nothing)
    [cleared] = MARK.debts(target, SOON, marked)
    assert isinstance(cleared, Cleared)
    assert not MARK.debts(target, SOON, again)


@pytest.mark.skipif(which("kubectl") is None, reason="the oracle is not here")
async def test_kubectl_undo_and_the_mark(cluster, target, context, releases, tmp_path):
    """The oracle's own rollback moves annotations about; the choice stays the same."""
    await good_good_bad_bad(releases)
    command = ["kubectl", "--kubeconfig", "/dev/null", "--server", f"https://{API}:{cluster.port}"]
    command += ["--token", "token-of-the-tests", "--certificate-authority"]
    command += [str(cluster.authority), "-n", NAME, "--cache-dir", str(tmp_path / "cache")]
    shown = await asyncio.to_thread(
        subprocess.run,
        [*command, "rollout", "undo", f"deployment/{NAME}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert releases.image() == "example/app:3", "kubectl goes to the previous one, which is bad"
    done = await ROLL.perform(context(), target, BACK)
    assert done.image == "example/app:2"
