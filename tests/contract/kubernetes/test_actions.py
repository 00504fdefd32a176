"""The actions against a real API: a rollout is over when the last old pod is gone."""

import base64

import pytest

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
from drctl.actions.errors import AuthRejected, Conflict, NotFound, OutcomeUnknown, Rejected
from drctl.adapters.kubernetes.cluster import CheckCluster, ClusterPin
from drctl.adapters.kubernetes.deployment import (
    RestartDeployment,
    ScaleDeployment,
    ScaleParams,
    WaitForDeployment,
    WaitParams,
)
from drctl.adapters.kubernetes.secret import PatchParams, PatchSecret

GO = NoParams()
SCALE, RESTART, WAIT, PATCH = (
    ScaleDeployment(),
    RestartDeployment(),
    WaitForDeployment(),
    PatchSecret(),
)
SECRETS = "/api/v1/namespaces/healing-guard/secrets"
DEPLOYMENT = "/apis/apps/v1/namespaces/healing-guard/deployments/healing-guard"
CRASH = "import sys;sys.exit(3)"


@pytest.fixture
def target(cluster, target_at):
    return target_at(cluster.port)


async def test_scaling_ends_when_so_many_serve(cluster, target, context):
    cluster.deploy(1)
    await WAIT.perform(context(), target, WaitParams())
    params = ScaleParams(replicas=3)
    seen = await SCALE.observe(context(), target, params)
    assert SCALE.preview(seen, target, params) == Change(before="1 replicas", after="3 replicas")
    assert isinstance(await SCALE.settled(context(), target, params), NotDone)
    done = await SCALE.perform(context(), target, params)
    assert (done.previous_replicas, done.replicas) == (1, 3)
    status = cluster.call("GET", DEPLOYMENT)["status"]
    assert status["availableReplicas"] == 3
    assert isinstance(await SCALE.settled(context(), target, params), Done)
    seen = await SCALE.observe(context(), target, params)
    assert isinstance(SCALE.preview(seen, target, params), Nothing)
    assert (await SCALE.perform(context(), target, params)).previous_replicas == 3
    # In a recovery a number that is too small takes nobody's pods away.
    floor = ScaleParams(replicas=2, at_least=True)
    kept = await SCALE.perform(context(), target, floor)
    assert (kept.previous_replicas, kept.replicas) == (3, 3)
    assert isinstance(
        SCALE.preview(await SCALE.observe(context(), target, floor), target, floor), Nothing
    )
    assert SCALE.debts(target, floor, kept) == ()
    down = await SCALE.perform(context(), target, ScaleParams(replicas=1))
    assert (down.previous_replicas, down.replicas) == (3, 1)
    [owed], [paid] = SCALE.debts(target, params, done), SCALE.debts(target, params, down)
    assert isinstance(owed, Debt)
    assert paid == Cleared(key=owed.key)


def test_zero_is_not_a_scale():
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        ScaleParams(replicas=0)


async def test_a_restart_replaces_every_pod_once_for_each_key(cluster, target, context):
    cluster.deploy(2)
    await WAIT.perform(context(), target, WaitParams(replicas=2))
    before = cluster.pods()
    assert isinstance(await RESTART.settled(context(), target, GO), NotDone)
    rolled = await RESTART.perform(context(), target, GO)
    after = cluster.pods()
    assert rolled.replicas == 2
    assert before & after == set()
    assert (await RESTART.settled(context(), target, GO)).outputs == rolled
    assert await RESTART.perform(context(), target, GO) == rolled
    assert cluster.pods() == after
    again = await RESTART.perform(context(key="run-2.step.1"), target, GO)
    assert int(again.revision) == int(rolled.revision) + 1


async def test_a_rollout_that_cannot_end_fails_before_the_deadline(cluster, target, context):
    """Old pods that still serve must not be taken for the end of it."""
    cluster.deploy(1, progressDeadlineSeconds=2)
    await WAIT.perform(context(), target, WaitParams())
    container = {"name": "app", "command": ["/bin/sh", "-c", "exit 3"]}
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    cluster.call("PATCH", DEPLOYMENT, patch, "application/strategic-merge-patch+json")
    ctx = context(30)
    with pytest.raises(Rejected, match="progress deadline"):
        await RESTART.perform(ctx, target, GO)
    assert ctx.deadline.left_s(ctx.clock) > 15
    assert isinstance(await RESTART.settled(context(), target, GO), CannotTell)


async def test_a_rollout_that_does_not_end_in_time_is_unknown(cluster, target, context):
    cluster.deploy(1, script=CRASH)
    with pytest.raises(OutcomeUnknown, match="0 available"):
        await RESTART.perform(context(2), target, GO)


async def test_a_paused_deployment_is_not_restarted(cluster, target, context):
    cluster.deploy(1, paused=True)
    seen = await RESTART.observe(context(), target, GO)
    assert isinstance(RESTART.preview(seen, target, GO), CannotTell)
    with pytest.raises(Conflict, match="is paused"):
        await RESTART.perform(context(), target, GO)


async def test_a_cut_off_cluster_says_nothing_and_nothing_is_invented(cluster, target, context):
    cluster.deploy(1)
    await WAIT.perform(context(), target, WaitParams())
    cluster.run(cluster.cluster.set_reachable(False))
    settled = await RESTART.settled(context(1), target, GO)
    assert isinstance(settled, CannotTell)
    cluster.run(cluster.cluster.set_reachable(True))


async def test_a_secret_changes_only_where_asked_and_is_read_back(cluster, target, context):
    plain = {"host": "east.example.com", "port": "5432", "password": "old"}
    data = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
    cluster.call("POST", SECRETS, {"metadata": {"name": "healing-guard-db"}, "data": data})
    params = PatchParams(
        name="healing-guard-db",
        data={"host": "west.example.com", "port": "5432"},
        secret_data={"password": "env:new-password"},
    )
    seen = await PATCH.observe(context(), target, params)
    preview = PATCH.preview(seen, target, params)
    assert preview == Change(
        before="host=east.example.com, password=***", after="host=west.example.com, password=***"
    )
    assert "old" not in str(seen)
    assert isinstance(await PATCH.settled(context(), target, params), NotDone)
    done = await PATCH.perform(context(), target, params)
    assert done.changed_keys == ("host", "password")
    kept = cluster.call("GET", f"{SECRETS}/healing-guard-db")["data"]
    assert {key: base64.b64decode(value).decode() for key, value in kept.items()} == {
        "host": "west.example.com",
        "port": "5432",
        "password": "new-password",
    }
    assert (await PATCH.perform(context(), target, params)).changed_keys == ()
    assert isinstance(await PATCH.settled(context(), target, params), Done)


async def test_a_secret_that_somebody_else_changed_is_a_conflict(faulty, target_at, context):
    """Between our look and our write: the server compares versions, we do not win by being late."""
    names = b'"name": "healing-guard-db", "namespace": "healing-guard"'
    secret = b'{"metadata": {' + names + b', "resourceVersion": "7"}, "data": {}}'
    refused = (409, {}, b'{"message": "modified"}')
    answers = iter([(200, {}, secret), refused, (200, {}, secret)])
    port, requests = await faulty(lambda _method, _path: next(answers))
    params = PatchParams(name="healing-guard-db", data={"host": "west.example.com"})
    with pytest.raises(Conflict):
        await PATCH.perform(context(), target_at(port), params)
    assert b'"resourceVersion": "7"' in requests[1][3]


async def test_what_is_not_there_is_not_found(target, context):
    with pytest.raises(NotFound):
        await SCALE.perform(context(), target, ScaleParams(replicas=1))
    with pytest.raises(NotFound):
        await PATCH.perform(context(), target, PatchParams(name="nowhere", data={"a": "b"}))


async def test_the_pin_is_the_clusters_own_uid(cluster, target, target_at, context):
    pin = ClusterPin()
    assert await pin.read(context(), target) == pin.identity(target).expected
    seen = await CheckCluster().perform(context(), target, GO)
    assert seen.uid == "11111111-2222-4333-8444-555555555555"
    assert seen.version.startswith("v1.")
    with pytest.raises(AuthRejected):
        await pin.read(context(), target_at(cluster.port, token="stolen"))


def test_a_patch_names_each_key_once_and_at_least_one():
    for wrong in ({}, {"data": {"a": "b"}, "secret_data": {"a": "env:A"}}):
        with pytest.raises(ValueError, match=r"at least one key|in data and in secret_data"):
            PatchParams(name="x", **wrong)
