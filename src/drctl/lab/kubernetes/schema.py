"""
The fields that the served kinds have.

An API server drops fields it does not know and refuses values of the wrong type; without that, a
misspelt field in a patch would look as if it had been accepted.
"""

from dataclasses import dataclass, field
from typing import Any

from drctl.lab.kubernetes.errors import Object
from drctl.lab.kubernetes.kinds import Kind

_Shape = Any  # a type's name, {field: shape}, [shape] for a list, (shape,) for a map of them

_TEXT, _NUMBER, _BOOL, _EITHER, _ANY = "string", "int", "bool", "intstr", "any"

_REFERENCE = {"name": _TEXT, "optional": _BOOL}
_KEY_REFERENCE = {**_REFERENCE, "key": _TEXT}
_PROBE = {
    "httpGet": {
        "path": _TEXT,
        "port": _EITHER,
        "host": _TEXT,
        "scheme": _TEXT,
        "httpHeaders": [{"name": _TEXT, "value": _TEXT}],
    },
    "tcpSocket": {"port": _EITHER, "host": _TEXT},
    "exec": {"command": [_TEXT]},
    "grpc": _ANY,
    "initialDelaySeconds": _NUMBER,
    "timeoutSeconds": _NUMBER,
    "periodSeconds": _NUMBER,
    "successThreshold": _NUMBER,
    "failureThreshold": _NUMBER,
    "terminationGracePeriodSeconds": _NUMBER,
}
_CONTAINER = {
    "name": _TEXT,
    "image": _TEXT,
    "command": [_TEXT],
    "args": [_TEXT],
    "workingDir": _TEXT,
    "ports": [
        {
            "name": _TEXT,
            "containerPort": _NUMBER,
            "hostPort": _NUMBER,
            "hostIP": _TEXT,
            "protocol": _TEXT,
        }
    ],
    "env": [
        {
            "name": _TEXT,
            "value": _TEXT,
            "valueFrom": {
                "fieldRef": {"apiVersion": _TEXT, "fieldPath": _TEXT},
                "secretKeyRef": _KEY_REFERENCE,
                "configMapKeyRef": _KEY_REFERENCE,
                "resourceFieldRef": _ANY,
            },
        }
    ],
    "envFrom": [{"prefix": _TEXT, "secretRef": _REFERENCE, "configMapRef": _REFERENCE}],
    "resources": _ANY,
    "resizePolicy": _ANY,
    "restartPolicy": _TEXT,
    "volumeMounts": _ANY,
    "volumeDevices": _ANY,
    "livenessProbe": _PROBE,
    "readinessProbe": _PROBE,
    "startupProbe": _PROBE,
    "lifecycle": _ANY,
    "terminationMessagePath": _TEXT,
    "terminationMessagePolicy": _TEXT,
    "imagePullPolicy": _TEXT,
    "securityContext": _ANY,
    "stdin": _BOOL,
    "stdinOnce": _BOOL,
    "tty": _BOOL,
}
_POD_SPEC = {
    "containers": [_CONTAINER],
    "initContainers": [_CONTAINER],
    "restartPolicy": _TEXT,
    "terminationGracePeriodSeconds": _NUMBER,
    "activeDeadlineSeconds": _NUMBER,
    "nodeName": _TEXT,
    "serviceAccountName": _TEXT,
    "serviceAccount": _TEXT,
    "automountServiceAccountToken": _BOOL,
    "hostNetwork": _BOOL,
    "hostname": _TEXT,
    "subdomain": _TEXT,
    "schedulerName": _TEXT,
    "dnsPolicy": _TEXT,
    "priorityClassName": _TEXT,
    "priority": _NUMBER,
    "enableServiceLinks": _BOOL,
    "preemptionPolicy": _TEXT,
    "shareProcessNamespace": _BOOL,
} | dict.fromkeys(
    (
        "affinity",
        "dnsConfig",
        "ephemeralContainers",
        "hostAliases",
        "imagePullSecrets",
        "nodeSelector",
        "overhead",
        "readinessGates",
        "runtimeClassName",
        "securityContext",
        "tolerations",
        "topologySpreadConstraints",
        "volumes",
    ),
    _ANY,
)
_METADATA = {
    "name": _TEXT,
    "generateName": _TEXT,
    "namespace": _TEXT,
    "uid": _TEXT,
    "resourceVersion": _TEXT,
    "generation": _NUMBER,
    "creationTimestamp": _TEXT,
    "deletionTimestamp": _TEXT,
    "deletionGracePeriodSeconds": _NUMBER,
    "selfLink": _TEXT,
    "labels": (_TEXT,),
    "annotations": (_TEXT,),
    "finalizers": [_TEXT],
    "ownerReferences": [
        {
            "apiVersion": _TEXT,
            "kind": _TEXT,
            "name": _TEXT,
            "uid": _TEXT,
            "controller": _BOOL,
            "blockOwnerDeletion": _BOOL,
        }
    ],
    "managedFields": _ANY,
}
_TEMPLATE = {"metadata": _METADATA, "spec": _POD_SPEC}
_SELECTOR = {
    "matchLabels": (_TEXT,),
    "matchExpressions": [{"key": _TEXT, "operator": _TEXT, "values": [_TEXT]}],
}
_JOB_SPEC = {
    "template": _TEMPLATE,
    "parallelism": _NUMBER,
    "completions": _NUMBER,
    "backoffLimit": _NUMBER,
    "activeDeadlineSeconds": _NUMBER,
    "ttlSecondsAfterFinished": _NUMBER,
    "suspend": _BOOL,
    "selector": _SELECTOR,
    "manualSelector": _BOOL,
    "completionMode": _TEXT,
    "podReplacementPolicy": _TEXT,
    "podFailurePolicy": _ANY,
}
_KINDS: dict[str, Object] = {
    "Namespace": {"spec": {"finalizers": [_TEXT]}, "status": _ANY},
    "Node": {"spec": _ANY, "status": _ANY},
    "Pod": {"spec": _POD_SPEC, "status": _ANY},
    "Secret": {
        "data": (_TEXT,),
        "stringData": (_TEXT,),
        "type": _TEXT,
        "immutable": _BOOL,
    },
    "ClusterRole": {"rules": _ANY, "aggregationRule": _ANY},
    "ResourceQuota": {"spec": {"hard": _ANY, "scopes": [_TEXT]}, "status": _ANY},
    "ConfigMap": {"data": (_TEXT,), "binaryData": (_TEXT,), "immutable": _BOOL},
    "Event": dict.fromkeys(
        (
            "action",
            "count",
            "eventTime",
            "firstTimestamp",
            "involvedObject",
            "lastTimestamp",
            "message",
            "reason",
            "related",
            "reportingComponent",
            "reportingInstance",
            "series",
            "source",
            "type",
        ),
        _ANY,
    ),
    "Deployment": {
        "spec": {
            "replicas": _NUMBER,
            "selector": _SELECTOR,
            "template": _TEMPLATE,
            "strategy": {
                "type": _TEXT,
                "rollingUpdate": {"maxSurge": _EITHER, "maxUnavailable": _EITHER},
            },
            "minReadySeconds": _NUMBER,
            "revisionHistoryLimit": _NUMBER,
            "paused": _BOOL,
            "progressDeadlineSeconds": _NUMBER,
        },
        "status": _ANY,
    },
    "ReplicaSet": {
        "spec": {
            "replicas": _NUMBER,
            "minReadySeconds": _NUMBER,
            "selector": _SELECTOR,
            "template": _TEMPLATE,
        },
        "status": _ANY,
    },
    "Lease": {
        "spec": {
            "holderIdentity": _TEXT,
            "leaseDurationSeconds": _NUMBER,
            "acquireTime": _TEXT,
            "renewTime": _TEXT,
            "leaseTransitions": _NUMBER,
            "strategy": _TEXT,
            "preferredHolder": _TEXT,
        }
    },
    "Service": {"spec": _ANY, "status": _ANY},
    "Endpoints": {"subsets": _ANY},
    "Job": {"spec": _JOB_SPEC, "status": _ANY},
    "CronJob": {
        "spec": {
            "schedule": _TEXT,
            "timeZone": _TEXT,
            "suspend": _BOOL,
            "concurrencyPolicy": _TEXT,
            "startingDeadlineSeconds": _NUMBER,
            "successfulJobsHistoryLimit": _NUMBER,
            "failedJobsHistoryLimit": _NUMBER,
            "jobTemplate": {"metadata": _METADATA, "spec": _JOB_SPEC},
        },
        "status": _ANY,
    },
    "HorizontalPodAutoscaler": {
        "spec": {
            "scaleTargetRef": {"apiVersion": _TEXT, "kind": _TEXT, "name": _TEXT},
            "minReplicas": _NUMBER,
            "maxReplicas": _NUMBER,
            "metrics": _ANY,
            "behavior": _ANY,
        },
        "status": _ANY,
    },
    # Of the custom ones the first level of the spec: what their schemas would drop, is dropped.
    "postgresql": {
        "spec": dict.fromkeys(
            (
                *("allowedSourceRanges", "clone", "databases", "dockerImage", "numberOfInstances"),
                *("patroni", "postgresql", "preparedDatabases", "resources", "spiloRunAsUser"),
                *("standby", "teamId", "users", "volume", "enableMasterLoadBalancer"),
            ),
            _ANY,
        ),
        "status": _ANY,
    },
    "Cluster": {
        "spec": dict.fromkeys(
            (
                *("affinity", "backup", "bootstrap", "description", "env", "externalClusters"),
                *("failoverDelay", "imageName", "instances", "maxSyncReplicas", "minSyncReplicas"),
                *("postgresql", "primaryUpdateMethod", "primaryUpdateStrategy", "replica"),
                *("replicationSlots", "resources", "stopDelay", "storage", "switchoverDelay"),
            ),
            _ANY,
        ),
        "status": _ANY,
    },
    "Application": {
        "spec": dict.fromkeys(
            (
                *("destination", "ignoreDifferences", "info", "project", "revisionHistoryLimit"),
                *("source", "sources", "syncPolicy"),
            ),
            _ANY,
        ),
        "operation": _ANY,
        "status": _ANY,
    },
    "Kustomization": {
        "spec": dict.fromkeys(
            (
                *("dependsOn", "force", "healthChecks", "interval", "path", "patches", "prune"),
                *("retryInterval", "serviceAccountName", "sourceRef", "suspend", "targetNamespace"),
                *("timeout", "wait"),
            ),
            _ANY,
        )
        | {"suspend": _BOOL},
        "status": _ANY,
    },
    "HelmRelease": {
        "spec": dict.fromkeys(
            (
                *("chart", "chartRef", "dependsOn", "driftDetection", "install", "interval"),
                *("maxHistory", "releaseName", "rollback", "serviceAccountName", "suspend"),
                *("targetNamespace", "timeout", "upgrade", "values", "valuesFrom"),
            ),
            _ANY,
        )
        | {"suspend": _BOOL},
        "status": _ANY,
    },
    "Scale": {"spec": {"replicas": _NUMBER}, "status": _ANY},
}
_PYTHON: dict[str, tuple[type, ...]] = {
    _TEXT: (str,),
    _NUMBER: (int,),
    _BOOL: (bool,),
    _EITHER: (int, str),
}


@dataclass(slots=True)
class Decoded:
    """An object with only the fields its kind has, and what was found on the way."""

    obj: Object
    unknown: list[str] = field(default_factory=list)
    mistyped: list[str] = field(default_factory=list)


def decode(kind: Kind | str, body: Object) -> Decoded:
    """Sorts a request's object into known fields, unknown ones and values of the wrong type."""
    name = kind if isinstance(kind, str) else kind.kind
    shape = {"apiVersion": _TEXT, "kind": _TEXT, "metadata": _METADATA, **_KINDS[name]}
    found = Decoded({})
    found.obj = _walk(body, shape, "", found)
    return found


def _walk(value: Any, shape: _Shape, path: str, found: Decoded) -> Any:
    if shape == _ANY:
        return value
    if isinstance(shape, str):
        fits = isinstance(value, _PYTHON[shape]) and (shape == _BOOL or not isinstance(value, bool))
        return value if fits else _refuse(value, shape, path, found)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return _refuse(value, "list", path, found)
        return [_walk(item, shape[0], f"{path}[{at}]", found) for at, item in enumerate(value)]
    if not isinstance(value, dict):
        return _refuse(value, "object", path, found)
    result: Object = {}
    for name, item in value.items():
        inner = f"{path}.{name}" if path else name
        if isinstance(shape, tuple):
            # Go decodes null in a map as the empty value and elsewhere as "not there".
            result[name] = "" if item is None else _walk(item, shape[0], inner, found)
        elif name not in shape:
            found.unknown.append(inner)
        elif item is not None:
            result[name] = _walk(item, shape[name], inner, found)
    return result


def _refuse(value: Any, wanted: str, path: str, found: Decoded) -> Any:
    words = {str: "string", bool: "bool", int: "number", float: "number", list: "array"}
    got = words.get(type(value), "object")
    found.mistyped.append(
        f"json: cannot unmarshal {got} into Go struct field {path} of type {wanted}"
    )
    return value
