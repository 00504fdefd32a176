"""Tells a listener which pods are ready, whenever that changes."""

from collections.abc import Callable

from drctl.lab.kubernetes.conditions import is_true
from drctl.lab.kubernetes.kinds import POD
from drctl.lab.kubernetes.store import Store

OnReadyPods = Callable[[str, str, tuple[str, ...]], None]
"""Called with namespace, the pods' ``app`` label, and the addresses that are ready."""


class ReadyPods:
    """What the endpoints controller is for; by the API's word, not by the nodes'."""

    def __init__(self, store: Store, on_ready_pods: OnReadyPods) -> None:
        self._store = store
        self._on_ready_pods = on_ready_pods
        self._told: dict[tuple[str, str], tuple[str, ...]] = {}

    def sync(self) -> None:
        """Does one round over all pods."""
        ready: dict[tuple[str, str], list[str]] = {key: [] for key in self._told}
        for pod in self._store.all_of(POD):
            metadata = pod["metadata"]
            app = metadata.get("labels", {}).get("app")
            if app and is_true(pod, "Ready") and not metadata.get("deletionTimestamp"):
                key = (metadata["namespace"], app)
                ready.setdefault(key, []).append(pod["status"]["podIP"])
        for key, addresses in ready.items():
            now = tuple(sorted(addresses))
            if self._told.get(key, ()) != now:
                self._on_ready_pods(*key, now)
                self._told[key] = now
