"""The ``Table`` form of lists, which is what ``kubectl get`` prints."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from drctl.lab.kubernetes.conditions import find_condition
from drctl.lab.kubernetes.errors import Object
from drctl.lab.kubernetes.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    EVENT,
    LEASE,
    NAMESPACE,
    NODE,
    POD,
    REPLICA_SET,
    SECRET,
    Kind,
)

_UNITS = (("d", 86400), ("h", 3600), ("m", 60))


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    cell: Callable[[Object], Any]
    type: str = "string"
    priority: int = 0
    """Columns above zero are shown with ``-o wide`` only."""


def table(kind: Kind, objects: Sequence[Object], metadata: Object) -> Object:
    """Makes a Table of objects of one kind."""
    columns = _COLUMNS.get(kind, _PLAIN)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [
            {
                "name": column.name,
                "type": column.type,
                "format": "name" if column.name == "Name" else "",
                "description": "",
                "priority": column.priority,
            }
            for column in columns
        ],
        "rows": [
            {
                "cells": [column.cell(obj) for column in columns],
                "object": {
                    "kind": "PartialObjectMetadata",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": obj["metadata"],
                },
            }
            for obj in objects
        ],
    }


def _age(since: str | None) -> str:
    if not since:
        return "<unknown>"
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds())
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{max(0, seconds)}s"


def _name(obj: Object) -> Any:
    return obj["metadata"]["name"]


def _created(obj: Object) -> str:
    return _age(obj["metadata"]["creationTimestamp"])


def _ready_containers(pod: Object) -> str:
    states = pod.get("status", {}).get("containerStatuses", [])
    return f"{sum(state['ready'] for state in states)}/{len(pod['spec']['containers'])}"


def _pod_status(pod: Object) -> str:
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    status = pod.get("status", {})
    for container in status.get("containerStatuses", []):
        for state in ("waiting", "terminated"):
            reason = container["state"].get(state, {}).get("reason")
            if reason:
                return str(reason)
    return str(status.get("phase", "Unknown"))


def _restarts(pod: Object) -> str:
    states = pod.get("status", {}).get("containerStatuses", [])
    return str(sum(state["restartCount"] for state in states))


def _containers(obj: Object, field: str) -> str:
    return ",".join(container[field] for container in obj["spec"]["template"]["spec"]["containers"])


def _selector(obj: Object) -> str:
    labels = obj["spec"]["selector"].get("matchLabels", {})
    return ",".join(f"{name}={value}" for name, value in labels.items())


def _count(field: str) -> Callable[[Object], int]:
    return lambda obj: obj.get("status", {}).get(field, 0)


def _ready_of_wanted(deployment: Object) -> str:
    ready = deployment.get("status", {}).get("readyReplicas", 0)
    return f"{ready}/{deployment['spec']['replicas']}"


def _entries(obj: Object) -> int:
    return len(obj.get("data", {}))


def _node_status(node: Object) -> str:
    ready = find_condition(node.get("status", {}).get("conditions", []), "Ready")
    return "Ready" if ready is not None and ready["status"] == "True" else "NotReady"


_NAME = _Column("Name", _name)
_AGE = _Column("Age", _created)
_WORKLOAD_WIDE = (
    _Column("Containers", lambda obj: _containers(obj, "name"), priority=1),
    _Column("Images", lambda obj: _containers(obj, "image"), priority=1),
    _Column("Selector", _selector, priority=1),
)
_PLAIN = (_NAME, _AGE)
_COLUMNS: dict[Kind, tuple[_Column, ...]] = {
    NAMESPACE: (_NAME, _Column("Status", lambda obj: obj["status"]["phase"]), _AGE),
    NODE: (
        _NAME,
        _Column("Status", _node_status),
        _Column("Roles", lambda _: "<none>"),
        _AGE,
        _Column("Version", lambda obj: obj["status"]["nodeInfo"]["kubeletVersion"]),
    ),
    POD: (
        _NAME,
        _Column("Ready", _ready_containers),
        _Column("Status", _pod_status),
        _Column("Restarts", _restarts),
        _AGE,
        _Column("IP", lambda obj: obj.get("status", {}).get("podIP", "<none>"), priority=1),
        _Column("Node", lambda obj: obj["spec"].get("nodeName", "<none>"), priority=1),
        _Column("Nominated Node", lambda _: "<none>", priority=1),
        _Column("Readiness Gates", lambda _: "<none>", priority=1),
    ),
    SECRET: (
        _NAME,
        _Column("Type", lambda obj: obj["type"]),
        _Column("Data", _entries, "integer"),
        _AGE,
    ),
    CONFIG_MAP: (_NAME, _Column("Data", _entries, "integer"), _AGE),
    EVENT: (
        _Column("Last Seen", lambda obj: _age(obj.get("lastTimestamp"))),
        _Column("Type", lambda obj: obj.get("type", "")),
        _Column("Reason", lambda obj: obj.get("reason", "")),
        _Column(
            "Object",
            lambda obj: f"{obj['involvedObject']['kind']}/{obj['involvedObject']['name']}".lower(),
        ),
        _Column("Message", lambda obj: obj.get("message", "")),
    ),
    DEPLOYMENT: (
        _NAME,
        _Column("Ready", _ready_of_wanted),
        _Column("Up-to-date", _count("updatedReplicas"), "integer"),
        _Column("Available", _count("availableReplicas"), "integer"),
        _AGE,
        *_WORKLOAD_WIDE,
    ),
    REPLICA_SET: (
        _NAME,
        _Column("Desired", lambda obj: obj["spec"]["replicas"], "integer"),
        _Column("Current", _count("replicas"), "integer"),
        _Column("Ready", _count("readyReplicas"), "integer"),
        _AGE,
        *_WORKLOAD_WIDE,
    ),
    LEASE: (
        _NAME,
        _Column("Holder", lambda obj: obj.get("spec", {}).get("holderIdentity", "")),
        _AGE,
    ),
}
