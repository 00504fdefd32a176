"""An emulated Kubernetes cluster: API server, controllers and kubelet in one event loop."""

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from aiohttp import web

from drctl.kernel.ledger import LEDGER
from drctl.lab.kubernetes.autoscalers import Autoscalers
from drctl.lab.kubernetes.deployments import Deployments
from drctl.lab.kubernetes.errors import Object
from drctl.lab.kubernetes.garbage import collect
from drctl.lab.kubernetes.gate import Gate
from drctl.lab.kubernetes.jobs import CronJobs, Jobs
from drctl.lab.kubernetes.kinds import NAMESPACE, NODE, POD
from drctl.lab.kubernetes.kubelet import Kubelet, OnReadyPods
from drctl.lab.kubernetes.objects import Objects
from drctl.lab.kubernetes.replicasets import ReplicaSets
from drctl.lab.kubernetes.routes import Ledger, Routes
from drctl.lab.kubernetes.store import Store, timestamp
from drctl.lab.kubernetes.tls import Certificate

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
        run_as: tuple[int, int] | None = None,
    ) -> None:
        """
        Describes a cluster; nothing runs before `start`.

        Args:
            region: Names the only node.
            address: Where the API listens, and what the node calls its own address.
            port: Port of the API.
            uid: UID of the ``kube-system`` namespace, by which a cluster is recognised.
            tls: Certificate of the API.
            token: The one bearer token that is accepted.
            pod_addresses: Addresses that pods get; there are never more pods than these.
            root: Where logs and process ids go.
            on_ready_pods: Called with namespace, ``app`` label and addresses whenever the set of
                ready pods changes.
            run_as: User and group of the pods, when not ours.
        """
        self._tls = tls
        self._uid = uid
        self._node = f"{region}-node-1"
        self._store = Store()
        self._objects = Objects(self._store)
        self._kubelet = Kubelet(
            self._store,
            node=self._node,
            node_address=address,
            addresses=pod_addresses,
            root=root,
            run_as=run_as,
            on_ready_pods=on_ready_pods,
        )
        self._parts: tuple[Callable[[], None], ...] = (
            Deployments(self._store).sync,
            ReplicaSets(self._store, self._delete_pod).sync,
            Jobs(self._store, self._delete_pod).sync,
            CronJobs(self._store).sync,
            Autoscalers(self._store).sync,
            partial(collect, self._store, self._delete_pod),
            self._kubelet.sync,
        )
        self._reachable = asyncio.Event()
        self._reachable.set()
        self._rounds: asyncio.Task[None] | None = None
        self._gate: Gate | None = None
        routes = Routes(
            self._objects,
            address=f"{address}:{port}",
            token=token,
            log_of=self._kubelet.log_of,
            start_in=self._kubelet.start_in,
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
        self._store.create(NODE, _node(self._node, self._listen[0]))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._tls.certificate, self._tls.key)
        await self._runner.setup()
        server = self._runner.server
        if server is None:
            raise RuntimeError("aiohttp made no server")
        self._gate = Gate(*self._listen, server, context)
        await self._gate.start()
        self._rounds = asyncio.create_task(self._run())

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
        await self._kubelet.stop()
        await self._runner.cleanup()

    def kill_pods(self) -> None:
        """
        Kills every pod's processes where they stand, as when a region dies.

        They start again by themselves while the cluster is reachable, so make it unreachable first
        or right after, without waiting in between.

        Changes:
            The pods' processes.
        """
        self._kubelet.kill()

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
            self._kubelet.thaw()
            self._reachable.set()
        else:
            self._reachable.clear()
            self._kubelet.freeze()

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
                    _LOG.exception("a controller of %s failed; it tries again", self._node)
                    await asyncio.sleep(_AFTER_FAILURE_S)

    def _delete_pod(self, pod: Object) -> None:
        metadata, spec = pod["metadata"], pod["spec"]
        # A pod that ran nowhere has no processes to wait for.
        grace_s = spec.get("terminationGracePeriodSeconds", 30) if spec.get("nodeName") else 0
        self._store.delete(POD, metadata["namespace"], metadata["name"], grace_s=grace_s)


def _node(name: str, address: str) -> Object:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}],
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "KubeletReady",
                    "message": "kubelet is posting ready status",
                    "lastHeartbeatTime": timestamp(),
                    "lastTransitionTime": timestamp(),
                }
            ],
            "nodeInfo": {
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
                "kernelVersion": "",
                "osImage": "drctl lab",
                "containerRuntimeVersion": "process://1",
                "kubeletVersion": "v1.32.4-drctl.lab",
                "kubeProxyVersion": "",
                "operatingSystem": "linux",
                "architecture": "",
            },
        },
    }
