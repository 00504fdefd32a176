"""A fence is its run's own, and is proven by what a kubelet has seen, never by readiness alone."""

import asyncio
import socket
from datetime import UTC, datetime, timedelta

import pytest
from kube_bench import API, NAMESPACE

from drctl.actions.contract import Cleared, Debt, Done, NoParams, NotDone, Nothing
from drctl.actions.errors import Rejected
from drctl.actions.targets import PostgresCluster
from drctl.adapters.kubernetes.postgresql_fence import (
    FenceCluster,
    FenceOutputs,
    UnfenceCluster,
    UnfenceParams,
)
from drctl.lab.kubernetes.kinds import NODE

GO, FENCE, UNFENCE = NoParams(), FenceCluster(), UnfenceCluster()
PLACES = {
    "zalando": f"/apis/acid.zalan.do/v1/namespaces/{NAMESPACE}/postgresqls",
    "cnpg": f"/apis/postgresql.cnpg.io/v1/namespaces/{NAMESPACE}/clusters",
}
MERGE = "application/merge-patch+json"
SPECS = {"zalando": {"teamId": "a", "numberOfInstances": 3}, "cnpg": {"instances": 3}}


def shut_port():
    """One that refuses: PostgreSQL's, as a client sees it that no endpoint serves."""
    with socket.socket() as taken:
        taken.bind((API, 0))
        return taken.getsockname()[1]


@pytest.fixture
def database(cluster, target_at):
    def make(operator):
        body = {"metadata": {"name": "orders"}, "spec": SPECS[operator]}
        cluster.call("POST", PLACES[operator], body)
        sql = {"host": API, "port": shut_port(), "database": "orders", "user": "drctl"}
        return PostgresCluster.model_validate(
            {
                "operator": operator,
                "cluster": target_at(cluster.port).cluster,
                "namespace": NAMESPACE,
                "name": "orders",
                "sql": {**sql, "password": "env:none", "tls": "off"},
            }
        )

    return make


@pytest.mark.parametrize("operator", ["zalando", "cnpg"])
async def test_another_runs_fence_is_neither_owed_nor_taken_back(
    cluster, database, context, operator
):
    target = database(operator)
    place = f"{PLACES[operator]}/orders"
    first = await FENCE.perform(context(key="run-1.fence"), target, GO)
    assert first.previous_instances == 3
    assert (await FENCE.perform(context(key="run-1.fence"), target, GO)) == first, "an attempt more"
    assert await FENCE.settled(context(key="run-1.fence"), target, GO) == Done(outputs=first)
    assert [type(one) for one in FENCE.debts(target, GO, first)] == [Debt]

    second = await FENCE.perform(context(key="run-2.fence"), target, GO)
    assert second.previous_instances == 0
    assert await FENCE.settled(context(key="run-2.fence"), target, GO) == Done(outputs=second)
    assert FENCE.debts(target, GO, second) == (), "a debt that the undo of this run would clear"
    before = cluster.call("GET", place)
    back = UnfenceParams(instances=second.previous_instances)
    seen = await UNFENCE.observe(context(), target, back)
    assert isinstance(UNFENCE.preview(seen, target, back), Nothing)
    undone = await UNFENCE.perform(context(), target, back)
    assert cluster.call("GET", place) == before
    assert await UNFENCE.settled(context(), target, back) == Done(outputs=undone)
    assert UNFENCE.debts(target, back, undone) == ()

    ours = UnfenceParams(instances=first.previous_instances)
    undone = await UNFENCE.perform(context(), target, ours)
    assert [type(one) for one in UNFENCE.debts(target, ours, undone)] == [Cleared]
    found = cluster.call("GET", place)
    assert found["spec"] == SPECS[operator]
    assert not found["metadata"].get("annotations")


def moment(seconds):
    """So long from now, as the API writes it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Pod:
    """An instance's pod, and what its kubelet says of it."""

    def __init__(self, cluster, node="node-a"):
        self.cluster = cluster
        self.path = f"/api/v1/namespaces/{NAMESPACE}/pods"
        self.node(node, "True")
        container = {"name": "postgres", "image": "registry.example/postgresql:17"}
        meta = {"name": "orders-1", "labels": {"cnpg.io/cluster": "orders"}}
        spec = {"nodeName": node, "containers": [container]}
        cluster.call("POST", self.path, {"metadata": meta, "spec": spec})
        self.says(ready=True, since=-60)

    def node(self, name, ready):
        """The node as the control plane sees it; its kubelet is none of the lab's."""
        body = {"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready"}]}}
        body["status"]["conditions"][0]["status"] = ready

        async def put():
            store = self.cluster.cluster._store
            if store.find(NODE, "", name) is None:
                store.create(NODE, body)
            else:
                store.replace(NODE, {**store.find(NODE, "", name), "status": body["status"]})

        self.cluster.run(put())

    def says(self, *, ready, since, started=-60, containers=None):
        both = {"ContainersReady": ready if containers is None else containers, "Ready": ready}
        conditions = [
            {"type": name, "status": str(one), "lastTransitionTime": moment(since)}
            for name, one in both.items()
        ]
        state = {"name": "postgres", "ready": ready, "restartCount": 0, "image": "x", "imageID": ""}
        state["state"] = {"running": {"startedAt": moment(started)}}
        body = {"phase": "Running", "conditions": conditions, "containerStatuses": [state]}
        self.cluster.call("PATCH", f"{self.path}/orders-1/status", {"status": body}, MERGE)


async def serves(context, target):
    """Whether it is taken for serving; the address refuses all along."""
    ended = await asyncio.gather(FENCE.perform(context(3), target, GO), return_exceptions=True)
    assert isinstance(ended[0], Rejected | FenceOutputs), ended
    return "orders-1 still serves" in str(ended[0])


async def test_an_instance_is_down_when_its_kubelet_saw_it_stop_after_the_fence(
    cluster, database, context
):
    target, pod = database("cnpg"), Pod(cluster)
    assert await serves(context, target), "it is ready"
    # A readiness probe that timed out under load, before anybody was told anything.
    pod.says(ready=False, since=-30)
    assert await serves(context, target)
    # A node that is cut off: its pods are called not ready, and its containers go on.
    pod.says(ready=False, containers=True, since=2)
    assert await serves(context, target)
    pod.says(ready=False, since=2)
    pod.node("node-a", "Unknown")
    assert await serves(context, target)
    pod.node("node-a", "True")
    assert not await serves(context, target)
    # It was down before, and its container has started with the fence in place.
    pod.says(ready=False, since=-30, started=2)
    assert not await serves(context, target)


async def test_a_fence_that_is_told_and_not_proven_is_there_to_be_taken_back(
    cluster, database, context
):
    """The operator is down, say: an undo that hears "cannot tell" would leave it fenced."""
    target, _pod = database("cnpg"), Pod(cluster)
    with pytest.raises(Rejected, match="still serves"):
        await FENCE.perform(context(3, key="run-1.fence"), target, GO)
    settled = await FENCE.settled(context(3, key="run-1.fence"), target, GO)
    assert isinstance(settled, NotDone)
    assert (settled.remains, settled.outputs) == (True, {"previous_instances": 3})
