"""The scheduler: gives each pod a node, spread over the zones; or says why it cannot."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from drctl.lab.kubernetes.conditions import with_condition
from drctl.lab.kubernetes.errors import Object
from drctl.lab.kubernetes.kinds import NODE, POD
from drctl.lab.kubernetes.nodes import Node, tolerations
from drctl.lab.kubernetes.records import Recorder
from drctl.lab.kubernetes.store import Store

_FULL: Final = "Too many pods"
_OTHER_LABELS: Final = "node(s) didn't match Pod's node affinity/selector"
_NO_VICTIMS: Final = "No preemption victims found for incoming pod"
_NO_HELP: Final = "Preemption is not helpful for scheduling"


class Scheduler:
    """
    Binds pods to nodes.

    It knows taints, ``nodeSelector`` and how many pods a node has addresses for; affinity and
    topology constraints are taken and not weighed. Of the nodes that will do it takes the one with
    the fewest pods of the same owner, as the real one's default spreading does.
    """

    def __init__(self, store: Store, nodes: Sequence[Node]) -> None:
        self._store = store
        self._nodes = nodes
        self._recorder = Recorder(store, "default-scheduler")

    def sync(self) -> None:
        """Does one round over the pods that no node has."""
        for pod in self._store.all_of(POD):
            if pod["spec"].get("nodeName"):
                continue
            if pod["metadata"].get("deletionTimestamp"):
                # It ran nowhere: there is nobody to wait for.
                self._store.delete(POD, pod["metadata"]["namespace"], pod["metadata"]["name"])
            elif pod.get("status", {}).get("phase") not in {"Succeeded", "Failed"}:
                self._place(pod)

    def _place(self, pod: Object) -> None:
        present = [one for one in self._store.all_of(POD) if _takes_room(one)]
        reasons: list[str] = []
        fitting: list[tuple[int, int, int]] = []
        for at, node in enumerate(self._nodes):
            here = [one for one in present if one["spec"].get("nodeName") == node.name]
            reason = self._objection(pod, node, len(here))
            if reason is None:
                same = sum(_owner(one) == _owner(pod) for one in here)
                fitting.append((same, len(here), at))
            else:
                reasons.append(reason)
        if fitting:
            self._bind(pod, self._nodes[min(fitting)[2]])
        else:
            self._refuse(pod, reasons)

    def _objection(self, pod: Object, node: Node, pods: int) -> str | None:
        described = self._store.get(NODE, "", node.name)
        for taint in described["spec"].get("taints", []):
            if not tolerations(pod, taint):
                held = f"{taint['key']}: {taint.get('value', '')}"
                return f"node(s) had untolerated taint {{{held}}}"
        wanted = pod["spec"].get("nodeSelector") or {}
        if not wanted.items() <= described["metadata"]["labels"].items():
            return _OTHER_LABELS
        return _FULL if pods >= node.room else None

    def _bind(self, pod: Object, node: Node) -> None:
        status = pod.get("status", {})
        conditions = with_condition(status.get("conditions", []), "PodScheduled", holds=True)
        bound = {
            **pod,
            "spec": {**pod["spec"], "nodeName": node.name},
            "status": {**status, "conditions": conditions},
        }
        self._store.replace(POD, bound)
        path = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        message = f"Successfully assigned {path} to {node.name}"
        self._recorder.normal(POD, pod, "Scheduled", message)

    def _refuse(self, pod: Object, reasons: Sequence[str]) -> None:
        status = pod.get("status", {})
        message = _unschedulable(reasons)
        conditions = with_condition(
            status.get("conditions", []),
            "PodScheduled",
            holds=False,
            reason="Unschedulable",
            message=message,
        )
        changed = {**pod, "status": {**status, "phase": "Pending", "conditions": conditions}}
        if changed != pod:
            self._store.replace(POD, changed)
            self._recorder.warning(POD, pod, "FailedScheduling", message)


def _unschedulable(reasons: Sequence[str]) -> str:
    """The real scheduler's sentence, ``FitError``."""
    none = f"0/{len(reasons)} nodes are available: "
    helps = [_NO_VICTIMS if reason == _FULL else _NO_HELP for reason in reasons]
    return f"{none}{_counted(reasons)}. preemption: {none}{_counted(helps)}."


def _counted(reasons: Sequence[str]) -> str:
    return ", ".join(sorted(f"{number} {reason}" for reason, number in Counter(reasons).items()))


def _takes_room(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") not in {"Succeeded", "Failed"}


def _owner(pod: Object) -> str:
    """The UID of what a pod belongs to; its own when that is nobody."""
    metadata = pod["metadata"]
    owners = [one["uid"] for one in metadata.get("ownerReferences", []) if one.get("controller")]
    return str(owners[0] if owners else metadata["uid"])
