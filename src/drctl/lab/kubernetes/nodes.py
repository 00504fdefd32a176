"""
The nodes of a cluster, one in each zone, and the controller that notices when one is gone.

A dead node says nothing at all: what is known of it is that its kubelet stopped posting. Times are
the real ones divided by a hundred.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from drctl.lab.kubernetes.conditions import find_condition, is_true, with_condition
from drctl.lab.kubernetes.errors import Object
from drctl.lab.kubernetes.kinds import NODE, POD
from drctl.lab.kubernetes.kubelet import Kubelet
from drctl.lab.kubernetes.records import Recorder
from drctl.lab.kubernetes.store import Store, timestamp

ZONE_LABEL: Final = "topology.kubernetes.io/zone"
REGION_LABEL: Final = "topology.kubernetes.io/region"
UNREACHABLE: Final = "node.kubernetes.io/unreachable"
COMPRESSION: Final = 100.0
_NOTICED_AFTER_S: Final = 50 / COMPRESSION  # the controller manager's --node-monitor-grace-period


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node: where it is, and who runs its pods."""

    name: str
    region: str
    zone: str
    address: str
    room: int
    """How many pods it has addresses for."""
    kubelet: Kubelet

    def described(self) -> Object:
        """The node's object, as its kubelet registers it."""
        return {
            "metadata": {
                "name": self.name,
                "labels": {
                    "kubernetes.io/hostname": self.name,
                    "kubernetes.io/os": "linux",
                    REGION_LABEL: self.region,
                    ZONE_LABEL: self.zone,
                },
            },
            "spec": {},
            "status": {
                "addresses": [{"type": "InternalIP", "address": self.address}],
                "capacity": {"pods": str(self.room)},
                "allocatable": {"pods": str(self.room)},
                "conditions": [_READY | _beaten()],
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


_READY: Final[Object] = {
    "type": "Ready",
    "status": "True",
    "reason": "KubeletReady",
    "message": "kubelet is posting ready status",
}
_UNKNOWN: Final[Object] = {
    "type": "Ready",
    "status": "Unknown",
    "reason": "NodeStatusUnknown",
    "message": "Kubelet stopped posting node status.",
}


class NodeController:
    """
    Taints nodes whose kubelet is silent and evicts their pods, as the controller manager does.

    An evicted pod stays, marked for deletion, until its node is back: nobody can say that its
    processes have ended. While no node at all is ready nothing is evicted ("master disruption").
    """

    def __init__(
        self, store: Store, nodes: Sequence[Node], on_delete_pod: Callable[[Object], None]
    ) -> None:
        self._store = store
        self._nodes = nodes
        self._delete_pod = on_delete_pod
        self._recorder = Recorder(store, "node-controller")
        self._evictor = Recorder(store, "taint-eviction-controller")
        self._heard: dict[str, tuple[int, float]] = {}
        """By node: its kubelet's last beat, and when that was first seen."""
        self._tainted: dict[str, float] = {}
        """By node: since when its pods are to leave."""

    def sync(self) -> None:
        """Does one round over all nodes; to be called right after the kubelets' own."""
        silent = [node for node in self._nodes if self._is_silent(node)]
        may_evict = len(silent) < len(self._nodes)
        for node in self._nodes:
            if node in silent:
                self._note_silent(node, may_evict=may_evict)
            else:
                self._note_ready(node)

    def _is_silent(self, node: Node) -> bool:
        beats, now = node.kubelet.beats, _now()
        known, since = self._heard.get(node.name, (-1, now))
        if beats != known:
            self._heard[node.name] = (beats, now)
            return False
        return now - since >= _NOTICED_AFTER_S

    def _note_ready(self, node: Node) -> None:
        self._tainted.pop(node.name, None)
        described = self._store.get(NODE, "", node.name)
        if is_true(described, "Ready"):
            return
        self._write(described, _READY | _beaten(), taints=[])
        message = f"Node {node.name} status is now: NodeReady"
        self._recorder.normal(NODE, described, "NodeReady", message)

    def _note_silent(self, node: Node, *, may_evict: bool) -> None:
        described = self._store.get(NODE, "", node.name)
        ready = find_condition(described["status"]["conditions"], "Ready")
        if ready is not None and ready["status"] != "Unknown":
            beat = {"lastHeartbeatTime": ready["lastHeartbeatTime"]}
            gone = _UNKNOWN | beat | {"lastTransitionTime": timestamp()}
            described = self._write(described, gone, taints=[_taint("NoSchedule")])
            message = f"Node {node.name} status is now: NodeNotReady"
            self._recorder.normal(NODE, described, "NodeNotReady", message)
        self._mark_pods(node)
        if not may_evict:
            self._tainted.pop(node.name, None)
            self._taint(described, _taints(described, "NoSchedule"))
            return
        if node.name not in self._tainted:
            self._tainted[node.name] = _now()
            kept = _taints(described, "NoSchedule")
            self._taint(described, [*kept, _taint("NoExecute")])
        self._evict(node)

    def _mark_pods(self, node: Node) -> None:
        for pod in self._pods_of(node):
            if is_true(pod, "Ready"):
                status = pod["status"]
                conditions = with_condition(status["conditions"], "Ready", holds=False)
                self._store.replace(POD, {**pod, "status": {**status, "conditions": conditions}})
                self._recorder.warning(POD, pod, "NodeNotReady", "Node is not ready")

    def _evict(self, node: Node) -> None:
        waited_s = _now() - self._tainted[node.name]
        taint = {"key": UNREACHABLE, "effect": "NoExecute"}
        for pod in self._pods_of(node):
            if pod["metadata"].get("deletionTimestamp"):
                continue
            held_s = _seconds_tolerated(pod, taint)
            if held_s is None or waited_s < held_s / COMPRESSION:
                continue
            status = pod["status"]
            conditions = with_condition(
                status.get("conditions", []),
                "DisruptionTarget",
                holds=True,
                reason="DeletionByTaintManager",
                message="Taint manager: deleting due to NoExecute taint",
            )
            changed = {**pod, "status": {**status, "conditions": conditions}}
            self._delete_pod(self._store.replace(POD, changed))
            path = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            text = f"Marking for deletion Pod {path}"
            self._evictor.normal(POD, pod, "TaintManagerEviction", text)

    def _pods_of(self, node: Node) -> list[Object]:
        """Those that have not ended."""
        return [
            pod
            for pod in self._store.all_of(POD)
            if pod["spec"].get("nodeName") == node.name
            and pod.get("status", {}).get("phase") not in {"Succeeded", "Failed"}
        ]

    def _write(self, described: Object, ready: Object, *, taints: list[Object]) -> Object:
        status = described["status"]
        conditions = [ready if one["type"] == "Ready" else one for one in status["conditions"]]
        changed = {**described, "status": {**status, "conditions": conditions}}
        return self._taint(changed, taints)

    def _taint(self, described: Object, taints: list[Object]) -> Object:
        spec = {name: value for name, value in described["spec"].items() if name != "taints"}
        if taints:
            spec["taints"] = taints
        return self._store.replace(NODE, {**described, "spec": spec})


def tolerations(pod: Object, taint: Object) -> list[Object]:
    """Those of a pod's ``tolerations`` that are for a taint."""
    return [
        one
        for one in pod["spec"].get("tolerations") or []
        if one.get("effect") in {None, "", taint["effect"]}
        and (one.get("key") == taint["key"] or _is_for_all(one))
        and (one.get("operator") == "Exists" or one.get("value", "") == taint.get("value", ""))
    ]


def _seconds_tolerated(pod: Object, taint: Object) -> float | None:
    """Uncompressed; 0 when not at all, None when for ever."""
    held = tolerations(pod, taint)
    if not held:
        return 0.0
    limits = [one["tolerationSeconds"] for one in held if "tolerationSeconds" in one]
    return max(0.0, float(min(limits))) if limits else None


def _is_for_all(toleration: Object) -> bool:
    return not toleration.get("key") and toleration.get("operator") == "Exists"


def _taint(effect: str) -> Object:
    return {"key": UNREACHABLE, "effect": effect, "timeAdded": timestamp()}


def _taints(described: Object, effect: str) -> list[Object]:
    return [one for one in described["spec"].get("taints", []) if one["effect"] == effect]


def _beaten() -> Object:
    return {"lastHeartbeatTime": timestamp(), "lastTransitionTime": timestamp()}


def _now() -> float:
    return asyncio.get_running_loop().time()
