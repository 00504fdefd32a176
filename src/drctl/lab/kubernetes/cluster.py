"""An emulated Kubernetes cluster: API server, controllers and kubelet in one event loop."""

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import ip_address
from pathlib import Path

from aiohttp import web

from drctl.kernel.ledger import LEDGER
from drctl.lab.kubernetes.autoscalers import Autoscalers
from drctl.lab.kubernetes.deployments import Deployments
from drctl.lab.kubernetes.endpoints import OnReadyPods, ReadyPods
from drctl.lab.kubernetes.errors import ApiError, Object
from drctl.lab.kubernetes.garbage import collect
from drctl.lab.kubernetes.gate import Gate
from drctl.lab.kubernetes.jobs import CronJobs, Jobs
from drctl.lab.kubernetes.kinds import CLUSTER_ROLE, NAMESPACE, NODE, POD
from drctl.lab.kubernetes.kubelet import Kubelet
from drctl.lab.kubernetes.nodes import Node, NodeController
from drctl.lab.kubernetes.objects import Objects
from drctl.lab.kubernetes.replicasets import ReplicaSets
from drctl.lab.kubernetes.rights import first_role
from drctl.lab.kubernetes.routes import Ledger, Routes
from drctl.lab.kubernetes.scheduler import Scheduler
from drctl.lab.kubernetes.store import Store
from drctl.lab.kubernetes.tls import Certificate
from drctl.lab.plan import zones_of

_LOG = logging.getLogger(__name__)
_ROUND_S = 0.05
_AFTER_FAILURE_S = 0.5
_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


class KubernetesCluster:
    """One region's cluster, reached over TLS with a bearer token."""

    def __init__(
        self,
        *,
        region: str,
        address: str,
        port: int,
        uid: str,
        tls: Certificate,
        token: str,
        pod_addresses: Sequence[str],
        root: Path,
        on_ready_pods: OnReadyPods,
        has_image: Callable[[str], bool] = lambda _image: True,
        run_as: tuple[int, int] | None = None,
    ) -> None:
        """
        Describes a cluster; nothing runs before `start`.

        Args:
            region: Names the nodes, one in each of its zones.
            address: Where the API listens; the nodes have the addresses after it.
            port: Port of the API.
            uid: UID of the ``kube-system`` namespace, by which a cluster is recognised.
            tls: Certificate of the API.
            token: The one bearer token that is accepted.
            pod_addresses: Addresses that pods get, the nodes by turns; there are never more pods
                than these.
            root: Where logs and process ids go.
            on_ready_pods: Called with namespace, ``app`` label and addresses whenever the set of
                ready pods changes.
            has_image: Whether a registry has an image that a pod names.
            run_as: User and group of the pods, when not ours.
        """
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._uid = uid
        self._region = region
        self._store = Store()
        self._objects = Objects(self._store)
        zones = zones_of(region)
        self._nodes = tuple(
            self._node(
                k, zone, address, pod_addresses[k - 1 :: len(zones)], root, run_as, has_image
            )
            for k, zone in enumerate(zones, start=1)
        )
        self._parts: tuple[Callable[[], None], ...] = (
            Deployments(self._store).sync,
            ReplicaSets(self._store, self._delete_pod).sync,
            Jobs(self._store, self._delete_pod).sync,
            CronJobs(self._store).sync,
            Autoscalers(self._store).sync,
            partial(collect, self._store, self._delete_pod),
            Scheduler(self._store, self._nodes).sync,
            *(node.kubelet.sync for node in self._nodes),
            NodeController(self._store, self._nodes, self._delete_pod).sync,
            ReadyPods(self._store, on_ready_pods).sync,
        )
        self._reachable = asyncio.Event()
        self._reachable.set()
        self._rounds: asyncio.Task[None] | None = None
        self._gate: Gate | None = None
        routes = Routes(
            self._objects,
            address=f"{address}:{port}",
            token=token,
            log_of=self._log_of,
            start_in=self._start_in,
            ledger=Ledger(root / LEDGER, f"kubernetes {region}"),
        )
        # A watch whose client left must end at once; without cancellation it would linger.
        self._runner = web.AppRunner(
            routes.application(), handler_cancellation=True, access_log=None, shutdown_timeout=0.5
        )
        self._listen = (address, port)

    async def start(self) -> None:
        """
        Opens the API and starts the controllers.

        Raises:
            OSError: The address is taken.

        Changes:
            Listens on the address; from now on pods are processes.
        """
        for name in _NAMESPACES:
            metadata: Object = {"name": name, "labels": {"kubernetes.io/metadata.name": name}}
            self._store.create(
                NAMESPACE,
                {
                    "metadata": metadata,
                    "spec": {"finalizers": ["kubernetes"]},
                    "status": {"phase": "Active"},
                },
                uid=self._uid if name == "kube-system" else None,
            )
        for node in self._nodes:
            self._store.create(NODE, node.described())
        self._store.create(CLUSTER_ROLE, first_role())
        context = self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._tls.certificate, self._tls.key)
        await self._runner.setup()
        server = self._runner.server
        if server is None:
            raise RuntimeError("aiohttp made no server")
        self._gate = Gate(*self._listen, server, context)
        await self._gate.start()
        self._rounds = asyncio.create_task(self._run())

    def set_certificate(self, *, expired: bool) -> None:
        """From now on shows new clients a certificate that has run out, or the good one again."""
        if self._context is None:
            raise RuntimeError("the cluster was not started")
        chain = self._tls.expired if expired else self._tls.certificate
        self._context.load_cert_chain(chain, self._tls.key)

    async def stop(self) -> None:
        """
        Closes the API, ends every pod and waits until they are gone.

        Safe to repeat.

        Changes:
            The pods' processes; the port.
        """
        if self._rounds is not None:
            self._rounds.cancel()
            await asyncio.gather(self._rounds, return_exceptions=True)
            self._rounds = None
        if self._gate is not None:
            await self._gate.stop()
            self._gate = None
        await asyncio.gather(*(node.kubelet.stop() for node in self._nodes))
        await self._runner.cleanup()

    def kill_pods(self) -> None:
        """
        Kills every pod's processes where they stand, as when a region dies.

        They start again by themselves while the cluster is reachable, so make it unreachable first
        or right after, without waiting in between.

        Changes:
            The pods' processes.
        """
        for node in self._nodes:
            node.kubelet.kill()

    def lose_zone(self, zone: str) -> None:
        """
        Takes the power from the nodes of a zone; they come back with `restore_zones`.

        The API and its controllers live on: they are not in one zone.

        Args:
            zone: Which; one without a node loses none.

        Changes:
            Kills the processes of the zone's pods.
        """
        for node in self._nodes:
            if node.zone == zone and not node.kubelet.is_dead:
                node.kubelet.die()

    def restore_zones(self) -> None:
        """Gives lost zones their nodes back, which take up their pods again."""
        for node in self._nodes:
            if node.kubelet.is_dead:
                node.kubelet.revive()
                if self._reachable.is_set():
                    node.kubelet.thaw()

    async def set_reachable(self, reachable: bool) -> None:
        """
        Cuts the cluster off, or brings it back.

        While it is cut off, connections are accepted and never answered, those that exist stall,
        controllers stand still, and pods that die stay dead. Pods that live keep serving.

        Args:
            reachable: Whether requests are answered.
        """
        if reachable == self._reachable.is_set():
            return
        if self._gate is not None:
            self._gate.set_open(reachable)
        if reachable:
            for node in self._nodes:
                node.kubelet.thaw()
            self._reachable.set()
        else:
            self._reachable.clear()
            for node in self._nodes:
                node.kubelet.freeze()

    async def _run(self) -> None:
        """
        Runs controllers and kubelet in rounds.

        The pause between rounds is why a status lags behind its spec, here as in a real cluster.
        """
        while True:
            await asyncio.sleep(_ROUND_S)
            await self._reachable.wait()
            for part in self._parts:
                try:
                    part()
                except Exception:  # noqa: BLE001 - what a controller may meet has no end
                    # Like real controllers: one object that cannot be handled, or a listener that
                    # fails, is told about and must not stop the others.
                    _LOG.exception("a controller of %s failed; it tries again", self._region)
                    await asyncio.sleep(_AFTER_FAILURE_S)

    def _delete_pod(self, pod: Object) -> None:
        metadata, spec = pod["metadata"], pod["spec"]
        # A pod that ran nowhere has no processes to wait for.
        grace_s = spec.get("terminationGracePeriodSeconds", 30) if spec.get("nodeName") else 0
        self._store.delete(POD, metadata["namespace"], metadata["name"], grace_s=grace_s)

    def _node(
        self,
        k: int,
        zone: str,
        address: str,
        pod_addresses: Sequence[str],
        root: Path,
        run_as: tuple[int, int] | None,
        has_image: Callable[[str], bool],
    ) -> Node:
        name, own = f"{self._region}-node-{k}", str(ip_address(address) + k)
        kubelet = Kubelet(
            self._store,
            node=name,
            node_address=own,
            addresses=pod_addresses,
            root=root,
            run_as=run_as,
            has_image=has_image,
        )
        return Node(
            name=name,
            region=self._region,
            zone=zone,
            address=own,
            room=len(pod_addresses),
            kubelet=kubelet,
        )

    def _kubelet_of(self, pod: Object) -> Kubelet | None:
        """
        Who runs a pod; None for one that no node here has.

        Raises:
            ApiError: 500, the node does not answer.
        """
        for node in self._nodes:
            if node.name == pod["spec"].get("nodeName"):
                if node.kubelet.is_dead:
                    message = f"error dialing backend: dial tcp {node.address}:10250: i/o timeout"
                    raise ApiError(500, "InternalError", message)
                return node.kubelet
        return None

    def _log_of(self, pod: Object, container: str) -> Path:
        kubelet = self._kubelet_of(pod) or self._nodes[0].kubelet
        return kubelet.log_of(pod["metadata"]["name"], container)

    async def _start_in(
        self, pod: Object, container: str, argv: list[str], *, stdin: bool
    ) -> asyncio.subprocess.Process | None:
        kubelet = self._kubelet_of(pod)
        return await kubelet.start_in(pod, container, argv, stdin=stdin) if kubelet else None
