"""Events: what controllers and the kubelet did, for ``kubectl describe``."""

import secrets

from drctl.lab.kubernetes.errors import Object
from drctl.lab.kubernetes.kinds import EVENT, Kind
from drctl.lab.kubernetes.store import Store, timestamp

_KEPT = 200
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def random_suffix(length: int = 5) -> str:
    """Makes the tail of a generated name."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


class Recorder:
    """Writes events for one component."""

    def __init__(self, store: Store, component: str) -> None:
        self._store = store
        self._component = component

    def normal(self, kind: Kind, obj: Object, reason: str, message: str) -> None:
        """Records something expected."""
        self._record("Normal", kind, obj, reason, message)

    def warning(self, kind: Kind, obj: Object, reason: str, message: str) -> None:
        """Records something that went wrong."""
        self._record("Warning", kind, obj, reason, message)

    def _record(self, level: str, kind: Kind, obj: Object, reason: str, message: str) -> None:
        metadata = obj["metadata"]
        namespace = metadata.get("namespace") or "default"
        now = timestamp()
        events = self._store.all_of(EVENT, namespace)
        for event in events:
            involved = event["involvedObject"]["uid"]
            if (involved, event["reason"], event["message"]) == (metadata["uid"], reason, message):
                again = {**event, "lastTimestamp": now, "count": event["count"] + 1}
                self._store.replace(EVENT, again)
                return
        if len(events) >= _KEPT:
            oldest = min(events, key=lambda event: int(event["metadata"]["resourceVersion"]))
            self._store.delete(EVENT, namespace, oldest["metadata"]["name"])
        self._store.create(
            EVENT,
            {
                "metadata": {
                    "name": f"{metadata['name']}.{secrets.token_hex(8)}",
                    "namespace": namespace,
                },
                "involvedObject": {
                    "kind": kind.kind,
                    "apiVersion": kind.api_version,
                    "namespace": metadata.get("namespace", ""),
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                    "resourceVersion": metadata["resourceVersion"],
                },
                "type": level,
                "reason": reason,
                "message": message,
                "count": 1,
                "firstTimestamp": now,
                "lastTimestamp": now,
                "source": {"component": self._component},
                "reportingComponent": self._component,
                "reportingInstance": "",
            },
        )
