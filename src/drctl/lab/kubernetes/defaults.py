"""What the API server fills into an object whose author left it out."""

import base64

from drctl.lab.kubernetes.errors import Object
from drctl.lab.kubernetes.kinds import (
    AUTOSCALER,
    CRON_JOB,
    DEPLOYMENT,
    JOB,
    NAMESPACE,
    POD,
    REPLICA_SET,
    SECRET,
    Kind,
)

JOB_LABEL = "batch.kubernetes.io/job-name"


def fill(kind: Kind, obj: Object) -> None:
    """Fills the defaults of a kind into an object, in place."""
    if kind is DEPLOYMENT:
        _deployment(obj.setdefault("spec", {}))
    elif kind is REPLICA_SET:
        spec = obj.setdefault("spec", {})
        spec.setdefault("replicas", 1)
        _pod_spec(spec.setdefault("template", {}).setdefault("spec", {}))
    elif kind is POD:
        spec = obj.setdefault("spec", {})
        _pod_spec(spec)
        spec.setdefault("enableServiceLinks", True)
        _tolerate(spec)
    elif kind is SECRET:
        _secret(obj)
    elif kind is JOB:
        _job(obj.setdefault("spec", {}), obj["metadata"].get("name", ""))
    elif kind is CRON_JOB:
        spec = obj.setdefault("spec", {})
        spec.setdefault("suspend", False)
        spec.setdefault("concurrencyPolicy", "Allow")
        spec.setdefault("successfulJobsHistoryLimit", 3)
        spec.setdefault("failedJobsHistoryLimit", 1)
        inner = spec.setdefault("jobTemplate", {}).setdefault("spec", {})
        _pod_spec(inner.setdefault("template", {}).setdefault("spec", {}))
    elif kind is AUTOSCALER:
        obj.setdefault("spec", {}).setdefault("minReplicas", 1)
    elif kind is NAMESPACE:
        labels = obj["metadata"].setdefault("labels", {})
        labels.setdefault("kubernetes.io/metadata.name", obj["metadata"].get("name", ""))
        obj.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
        obj["status"] = {"phase": "Active"}


def _job(spec: Object, name: str) -> None:
    """The real one selects by the Job's UID too; names do, as long as nobody reuses one."""
    spec.setdefault("parallelism", 1)
    spec.setdefault("completions", 1)
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("suspend", False)
    spec.setdefault("completionMode", "NonIndexed")
    labels = {JOB_LABEL: name}
    spec.setdefault("selector", {"matchLabels": labels})
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {}).setdefault("labels", {}).update(labels)
    _pod_spec(template.setdefault("spec", {}))


def _secret(obj: Object) -> None:
    """``stringData`` is for writing only: it is folded into ``data`` and never kept."""
    obj.setdefault("type", "Opaque")
    text = obj.pop("stringData", None)
    if text:
        data = obj.setdefault("data", {})
        for name, value in text.items():
            data[name] = base64.b64encode(value.encode()).decode()


def _deployment(spec: Object) -> None:
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    _pod_spec(spec.setdefault("template", {}).setdefault("spec", {}))


def _pod_spec(spec: Object) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    for container in [*spec.get("initContainers", []), *spec.get("containers", [])]:
        _container(container)


def _tolerate(spec: Object) -> None:
    """The admission plugin ``DefaultTolerationSeconds``: five minutes on a node that is lost."""
    held = list(spec.get("tolerations") or [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(
            one.get("key") in {None, "", key} and one.get("effect") in {None, "", "NoExecute"}
            for one in held
        ):
            held.append(
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            )
    spec["tolerations"] = held


def _container(container: Object) -> None:
    image = str(container.get("image", ""))
    tag = image.rpartition("/")[2].partition(":")[2]
    latest = "@" not in image and tag in {"", "latest"}
    container.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    for port in container.get("ports", []):
        port.setdefault("protocol", "TCP")
    for env in container.get("env", []):
        source = env.get("valueFrom", {}).get("fieldRef")
        if source is not None:
            source.setdefault("apiVersion", "v1")
    for name in ("readinessProbe", "livenessProbe", "startupProbe"):
        if name in container:
            _probe(container[name])


def _probe(probe: Object) -> None:
    probe.setdefault("timeoutSeconds", 1)
    probe.setdefault("periodSeconds", 10)
    probe.setdefault("successThreshold", 1)
    probe.setdefault("failureThreshold", 3)
    if "httpGet" in probe:
        probe["httpGet"].setdefault("path", "/")
        probe["httpGet"].setdefault("scheme", "HTTP")
