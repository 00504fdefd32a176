"""The rules for the description of a pod, alone or in a template."""

from collections.abc import Iterator

from drctl.lab.kubernetes.errors import Cause, Object

_REFERENCES = {
    "fieldRef": ("fieldPath",),
    "secretKeyRef": ("name", "key"),
    "configMapKeyRef": ("name", "key"),
}


def check_pod_spec(path: str, spec: Object) -> Iterator[Cause]:
    """Names what is wrong with the pod described at a path."""
    containers = spec.get("containers", [])
    if not containers:
        yield _required(f"{path}.containers")
    seen: set[str] = set()
    for at, container in enumerate(containers):
        here = f"{path}.containers[{at}]"
        name = container.get("name", "")
        if not name:
            yield _required(f"{here}.name")
        elif name in seen:
            yield Cause(f"{here}.name", f'Duplicate value: "{name}"', "FieldValueDuplicate")
        seen.add(name)
        if not container.get("image"):
            yield _required(f"{here}.image")
        for index, env in enumerate(container.get("env", [])):
            yield from _env(f"{here}.env[{index}]", env)
        for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
            if probe in container:
                yield from _probe(f"{here}.{probe}", container[probe])


def _env(path: str, env: Object) -> Iterator[Cause]:
    if not env.get("name"):
        yield _required(f"{path}.name")
    source = env.get("valueFrom")
    if source is None:
        return
    if env.get("value"):
        yield Cause(
            f"{path}.valueFrom", "Invalid value: may not be specified when `value` is not empty"
        )
    if len(source) != 1:
        yield Cause(
            f"{path}.valueFrom",
            "Invalid value: must specify exactly one of: `fieldRef`, "
            "`resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
        )
    for kind, reference in source.items():
        for name in _REFERENCES.get(kind, ()):
            if not reference.get(name):
                yield _required(f"{path}.valueFrom.{kind}.{name}")


def _probe(path: str, probe: Object) -> Iterator[Cause]:
    ways = [name for name in ("exec", "grpc", "httpGet", "tcpSocket") if name in probe]
    if len(ways) != 1:
        yield Cause(path, "Required value: must specify exactly one handler type")
    for name in ("httpGet", "tcpSocket"):
        if name in ways and not probe[name].get("port"):
            yield _required(f"{path}.{name}.port")


def _required(path: str) -> Cause:
    return Cause(path, "Required value", "FieldValueRequired")


def check_pod_change(spec: Object, before: Object) -> Iterator[Cause]:
    """Names what a pod that exists may not change."""
    if _fixed(spec) != _fixed(before):
        yield Cause(
            "spec",
            "Forbidden: pod updates may not change fields other than "
            "`spec.containers[*].image`,`spec.initContainers[*].image`,"
            "`spec.activeDeadlineSeconds`,`spec.tolerations`,"
            "`spec.terminationGracePeriodSeconds`",
            "FieldValueForbidden",
        )


def _fixed(spec: Object) -> Object:
    free = {"activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"}
    fixed: Object = {name: value for name, value in spec.items() if name not in free}
    fixed["containers"] = [
        {name: value for name, value in container.items() if name != "image"}
        for container in spec.get("containers", [])
    ]
    return fixed
