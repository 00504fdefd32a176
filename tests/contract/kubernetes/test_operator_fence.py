"""A fence is its run's own, and is proven by what a kubelet has seen, never by readiness alone."""

import asyncio
import socket
from datetime import UTC, datetime, timedelta

import pytest
from kube_bench import API, NAMESPACE

from drctl.actions.contract import Cleared, Debt, Done, NoParams, Nothing
from drctl.actions.errors import Rejected
from drctl.actions.targets import PostgresCluster
from drctl.adapters.kubernetes.postgresql_fence import FenceCluster, UnfenceCluster, UnfenceParams

GO, FENCE, UNFENCE = NoParams(), FenceCluster(), UnfenceCluster()
PLACES = {
    "zalando": f"/apis/acid.zalan.do/v1/namespaces/{NAMESPACE}/postgresqls",
    "cnpg": f"/apis/postgresql.cnpg.io/v1/namespaces/{NAMESPACE}/clusters",
}
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
