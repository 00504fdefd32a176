"""An operator is asked, a real PostgreSQL follows: fence, promote, and what promotes nothing."""

import asyncio
import contextlib
import json
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from drctl.actions.contract import (
    Change,
    Cleared,
    Context,
    Debt,
    Done,
    NoParams,
    NotDone,
    Nothing,
)
from drctl.actions.errors import Conflict, NotFound, Rejected
from drctl.actions.targets import PostgresCluster
from drctl.adapters.kubernetes.postgresql import (
    MeasureOperatorLag,
    PromoteCluster,
    PromoteParams,
)
from drctl.adapters.kubernetes.postgresql_fence import FenceCluster, UnfenceCluster, UnfenceParams
from drctl.kernel.clock import Deadline, SystemClock
from drctl.kernel.secret import Secret
from drctl.lab.access import Secrets
from drctl.lab.estate.environment import cluster_token
from drctl.lab.kubernetes import Certificate, KubernetesCluster
from drctl.lab.operator.instances import NAMESPACE, PRIMARY, STANDBY
from drctl.lab.operator.part import PostgresOperator
from drctl.lab.plan import AddressPlan
from drctl.lab.root import LabRoot
from drctl.lab.shapes import Site

NET = 48
EAST = "us-east-1"
GO, ONE = NoParams(), PromoteParams(from_timeline=1)
FENCE, UNFENCE, PROMOTE, LAG = (
    FenceCluster(),
    UnfenceCluster(),
    PromoteCluster(),
    MeasureOperatorLag(),
)
CNPG = f"/apis/postgresql.cnpg.io/v1/namespaces/{NAMESPACE}/clusters"
ZALANDO = f"/apis/acid.zalan.do/v1/namespaces/{NAMESPACE}/postgresqls"


class Files:
    """References to files of the lab."""

    def resolve(self, ref):
        return Secret(Path(ref.place).read_text())


class Operated:
    """A cluster with the operator in it, on a loop of its own."""

    def __init__(self):
        self.plan, self.root = AddressPlan(NET), LabRoot.of(NET)
        self.root.create()
        self.secrets = Secrets(self.root.secrets)
        self.secrets.make("database_master", "database_healing_guard", "database_drctl")
        self.secrets.make(cluster_token(EAST))
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        address, port = self.plan.kubernetes_address(EAST)
        tls = Certificate.make(self.root.path / "kubernetes" / EAST, [address])
        self.uid = "11111111-2222-4333-8444-555555555555"
        self.cluster = self.run(self._cluster(tls, address, port))
        self.operator = PostgresOperator(Site(plan=self.plan, root=self.root, secrets=self.secrets))
        self.ca_file = str(tls.authority)

    async def _cluster(self, tls, address, port):
        cluster = KubernetesCluster(
            region=EAST,
            address=address,
            port=port,
            uid=self.uid,
            tls=tls,
            token=self.secrets.read(cluster_token(EAST)),
            pod_addresses=self.plan.pod_addresses(EAST)[:3],
            root=self.root.path,
            on_ready_pods=lambda *_told: None,
        )
        await cluster.start()
        return cluster

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(150)

    def stop(self):
        with contextlib.suppress(Exception):
            self.run(self.operator.stop())
        self.run(self.cluster.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
        self.root.remove()

    def call(self, verb, path, body=None):
        return self.operator._caller.now(verb, path, body)

    @property
    def servers(self):
        return self.operator._instances.by_name

    def target(self, name, operator="zalando", **more):
        host, port = self.operator._instances.address(name)
        return PostgresCluster.model_validate(
            {
                "operator": operator,
                "cluster": {
                    "server": self.plan.kubernetes_url(EAST),
                    "ca_file": self.ca_file,
                    "token": self.secrets.reference(cluster_token(EAST)),
                    "cluster_uid": self.uid,
                    "region": EAST,
                },
                "namespace": NAMESPACE,
                "name": name if operator == "zalando" else "orders",
                "sql": {
                    "host": host,
                    "port": port,
                    "database": "healing_guard",
                    "user": "drctl",
                    "password": self.secrets.reference("database_drctl"),
                    "tls": "off",
                },
                "system_identifier": self.operator._instances.identifier,
                **more,
            }
        )


@pytest.fixture
def operated():
    made = Operated()
    try:
        made.run(made.operator.start())
        yield made
    finally:
        made.stop()


@pytest.fixture
def ask():
    clock = SystemClock()

    def make(seconds=30.0, *, key="run-1.step.1"):
        return Context(
            clock=clock,
            deadline=Deadline.after(clock, timedelta(seconds=seconds)),
            secrets=Files(),
            key=key,
            permit=lambda: None,
        )

    return make


def is_in_recovery(operated, name):
    return operated.run(operated.servers[name].server.status()).in_recovery


@pytest.mark.timeout(400)
async def test_a_zalando_standby_is_promoted_by_its_section_and_by_nothing_else(operated, ask):
    old, new = operated.target(PRIMARY), operated.target(STANDBY)
    # The plan's way: it changes nothing, since Patroni sets that parameter itself.
    off = {"spec": {"postgresql": {"parameters": {"hot_standby": "off"}}}}
    operated.call("PATCH", f"{ZALANDO}/{STANDBY}", off)
    await asyncio.sleep(1)
    assert is_in_recovery(operated, STANDBY) is True

    seen = await FENCE.observe(ask(), old, GO)
    assert isinstance(FENCE.preview(seen, old, GO), Change)
    assert isinstance(await FENCE.settled(ask(), old, GO), NotDone)
    fenced = await FENCE.perform(ask(), old, GO)
    assert (fenced.method, fenced.durable, fenced.previous_instances) == ("scaled_to_zero", True, 1)
    assert not operated.servers[PRIMARY].server.is_running
    assert isinstance(await FENCE.settled(ask(), old, GO), Done)
    assert (await FENCE.perform(ask(), old, GO)).previous_instances == 1
    assert (await FENCE.perform(ask(key="run-2.step.1"), old, GO)).previous_instances == 0
    seen = await FENCE.observe(ask(), old, GO)
    assert isinstance(FENCE.preview(seen, old, GO), Nothing)
    [debt] = FENCE.debts(old, GO, fenced)
    assert isinstance(debt, Debt)

    assert (await LAG.perform(ask(), new, GO)).bound is None, "without a witness nobody knows"
    with pytest.raises(Conflict):
        await PROMOTE.perform(ask(12), new, PromoteParams())
    assert is_in_recovery(operated, STANDBY) is True
    seen = await PROMOTE.observe(ask(), new, ONE)
    assert isinstance(PROMOTE.preview(seen, new, ONE), Change)
    assert isinstance(await PROMOTE.settled(ask(), new, ONE), NotDone)
    promoted = await PROMOTE.perform(ask(), new, ONE)
    assert (promoted.timeline, promoted.changed) == (2, True)
    assert is_in_recovery(operated, STANDBY) is False
    assert "standby" not in operated.call("GET", f"{ZALANDO}/{STANDBY}")["spec"]
    assert isinstance(await PROMOTE.settled(ask(), new, ONE), Done)
    assert (await PROMOTE.perform(ask(), new, ONE)).changed is False
    seen = await PROMOTE.observe(ask(), new, ONE)
    assert isinstance(PROMOTE.preview(seen, new, ONE), Nothing)
    [owed] = PROMOTE.debts(new, ONE, promoted)
    assert owed.key.startswith("standby:postgres:")


@pytest.mark.timeout(400)
async def test_a_fence_is_taken_back_and_a_living_primary_is_not_called_fenced(operated, ask):
    old = operated.target(PRIMARY)
    # An operator that does not act: its server goes on taking connections.
    operated.run(stand_still(operated))
    with pytest.raises(Rejected, match=r"still serves|still takes connections"):
        await FENCE.perform(ask(4), old, GO)
    settled = await FENCE.settled(ask(3), old, GO)
    assert isinstance(settled, NotDone)
    assert settled.remains, "told and not proven: an undo takes it back"
    back = UnfenceParams(instances=1)
    assert isinstance(await UNFENCE.settled(ask(), old, back), NotDone)
    assert (await UNFENCE.perform(ask(), old, back)).instances == 1
    assert isinstance(await UNFENCE.settled(ask(), old, back), Done)
    spec = operated.call("GET", f"{ZALANDO}/{PRIMARY}")
    assert spec["spec"]["numberOfInstances"] == 1
    assert not spec["metadata"].get("annotations")
    [cleared] = UNFENCE.debts(old, back, await UNFENCE.perform(ask(), old, back))
    assert isinstance(cleared, Cleared)


async def stand_still(operated):
    operated.operator._loop.cancel()


class Cnpg:
    """What CloudNativePG does with a ``Cluster``, as far as this needs it."""

    def __init__(self, operated):
        self.operated = operated
        spec = {"instances": 2, "storage": {"size": "1Gi"}}
        operated.call("POST", CNPG, {"metadata": {"name": "orders"}, "spec": spec})
        status = {"currentPrimary": PRIMARY, "targetPrimary": PRIMARY}
        status["instanceNames"] = [PRIMARY, STANDBY]
        operated.call("PATCH", f"{CNPG}/orders/status", {"status": status})
        self.task = asyncio.run_coroutine_threadsafe(self.follow(), operated.loop)

    async def follow(self):
        caller, servers = self.operated.operator._caller, self.operated.servers
        while True:
            await asyncio.sleep(0.1)
            cluster = await caller.call("GET", f"{CNPG}/orders")
            notes, status = cluster["metadata"].get("annotations", {}), cluster["status"]
            if "*" in json.loads(notes.get("cnpg.io/fencedInstances", "[]")):
                servers[PRIMARY].is_lost = True
                await servers[PRIMARY].server.stop()
            if status["targetPrimary"] != status["currentPrimary"]:
                await servers[status["targetPrimary"]].server.promote()
                now = {"status": {"currentPrimary": status["targetPrimary"]}}
                await caller.call("PATCH", f"{CNPG}/orders/status", now)


@pytest.mark.timeout(400)
async def test_cloudnativepg_is_asked_by_target_primary_and_fenced_by_its_annotation(operated, ask):
    cnpg = Cnpg(operated)
    old = operated.target(PRIMARY, "cnpg", instance=PRIMARY)
    new = operated.target(STANDBY, "cnpg", instance=STANDBY)
    fenced = await FENCE.perform(ask(), old, GO)
    assert fenced.method == "fenced_instances"
    notes = operated.call("GET", f"{CNPG}/orders")["metadata"]["annotations"]
    assert notes["cnpg.io/fencedInstances"] == '["*"]'
    with pytest.raises(NotFound, match="no instance"):
        await PROMOTE.perform(ask(), operated.target(STANDBY, "cnpg", instance="orders-9"), ONE)
    assert isinstance(await PROMOTE.settled(ask(), new, ONE), NotDone)
    promoted = await PROMOTE.perform(ask(), new, ONE)
    assert (promoted.timeline, promoted.changed) == (2, True)
    status = operated.call("GET", f"{CNPG}/orders")["status"]
    assert (status["targetPrimary"], status["phase"]) == (STANDBY, "Switchover in progress")
    assert isinstance(await PROMOTE.settled(ask(), new, ONE), Done)
    await UNFENCE.perform(ask(), old, UnfenceParams(instances=2))
    assert (
        "annotations" not in operated.call("GET", f"{CNPG}/orders")["metadata"]
        or not (operated.call("GET", f"{CNPG}/orders")["metadata"]["annotations"])
    )
    cnpg.task.cancel()
