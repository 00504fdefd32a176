"""What a container's process is started with: program, arguments, variables."""

import base64
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drctl.lab.kubernetes.errors import Object
from drctl.lab.kubernetes.kinds import CONFIG_MAP, SECRET, Kind
from drctl.lab.kubernetes.store import Store

_PASSED_THROUGH = ("PATH", "PYTHONPATH", "HOME", "LANG")
_VARIABLE = re.compile(r"\$(?:\$|\(([-._a-zA-Z][-._a-zA-Z0-9]*)\))")
_BY_KEY = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


@dataclass(eq=False)
class NotStartable(Exception):
    """A container that cannot be started as it is described now."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything about a process before it exists."""

    argv: list[str]
    environment: dict[str, str]
    directory: str


def prepare(
    store: Store,
    pod: Object,
    container: Object,
    has_image: Callable[[str], bool] = lambda _image: True,
) -> Launch:
    """
    Reads a container's description together with the objects it refers to.

    Raises:
        NotStartable: Something it needs is missing, or nothing here can provide it.
    """
    image = str(container["image"])
    if not has_image(image):
        raise NotStartable("ImagePullBackOff", f'Back-off pulling image "{image}"')
    _refuse_what_is_not_emulated(pod["spec"], container)
    declared = _variables(store, pod, container)
    argv = [_expand(word, declared) for word in container.get("command", [])]
    argv += [_expand(word, declared) for word in container.get("args", [])]
    if not container.get("command"):
        raise NotStartable(
            "RunContainerError", "no command specified: images have no entry point in the lab"
        )
    inherited = {name: os.environ[name] for name in _PASSED_THROUGH if name in os.environ}
    return Launch(argv, {**inherited, **declared}, container.get("workingDir") or "/")


def _refuse_what_is_not_emulated(spec: Object, container: Object) -> None:
    image = str(container["image"])
    if image.partition("/")[0].endswith(".invalid"):  # RFC 2606: such a registry cannot exist
        raise NotStartable("ImagePullBackOff", f'Back-off pulling image "{image}"')
    probes = [container.get(name, {}) for name in ("readinessProbe", "livenessProbe")]
    missing = {
        "initContainers": spec.get("initContainers"),
        "volumes": spec.get("volumes"),
        "volumeMounts": container.get("volumeMounts"),
        "lifecycle": container.get("lifecycle"),
        "startupProbe": container.get("startupProbe"),
        "exec and grpc probes": any("exec" in probe or "grpc" in probe for probe in probes),
    }
    for what, used in missing.items():
        if used:
            raise NotStartable("CreateContainerConfigError", f"the lab does not emulate {what}")


def _variables(store: Store, pod: Object, container: Object) -> dict[str, str]:
    variables: dict[str, str] = {}
    for source in container.get("envFrom", []):
        for field, kind in (("secretRef", SECRET), ("configMapRef", CONFIG_MAP)):
            if field in source:
                for name, value in _read(store, kind, pod, source[field]).items():
                    variables[source.get("prefix", "") + name] = value
    for env in container.get("env", []):
        if "valueFrom" in env:
            found = _referred(store, pod, env["valueFrom"])
            if found is not None:
                variables[env["name"]] = found
        else:
            variables[env["name"]] = _expand(env.get("value", ""), variables)
    return variables


def _referred(store: Store, pod: Object, source: Object) -> str | None:
    if "fieldRef" in source:
        return _field(pod, source["fieldRef"]["fieldPath"])
    for field, kind in (("secretKeyRef", SECRET), ("configMapKeyRef", CONFIG_MAP)):
        if field in source:
            reference = source[field]
            data = _read(store, kind, pod, reference)
            if reference["key"] in data:
                return data[reference["key"]]
            if reference.get("optional"):
                return None
            raise NotStartable(
                "CreateContainerConfigError",
                f"couldn't find key {reference['key']} in {kind.kind} "
                f"{pod['metadata']['namespace']}/{reference['name']}",
            )
    raise NotStartable(
        "CreateContainerConfigError", f"the lab does not emulate valueFrom {sorted(source)}"
    )


def _read(store: Store, kind: Kind, pod: Object, reference: Object) -> dict[str, str]:
    found = store.find(kind, pod["metadata"]["namespace"], reference["name"])
    if found is None:
        if reference.get("optional"):
            return {}
        raise NotStartable(
            "CreateContainerConfigError", f'{kind.singular} "{reference["name"]}" not found'
        )
    data: dict[str, str] = found.get("data", {})
    if kind is not SECRET:
        return data
    try:
        return {name: base64.b64decode(value).decode() for name, value in data.items()}
    except UnicodeDecodeError as error:
        raise NotStartable(
            "CreateContainerConfigError", f'secret "{reference["name"]}" holds bytes, not text'
        ) from error


def _field(pod: Object, path: str) -> str:
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status", {})
    if found := _BY_KEY.fullmatch(path):
        return str(metadata.get(found[1], {}).get(found[2], ""))
    fields = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.podIP": status.get("podIP", ""),
        "status.podIPs": status.get("podIP", ""),
        "status.hostIP": status.get("hostIP", ""),
    }
    if path not in fields:
        raise NotStartable("CreateContainerConfigError", f"unsupported fieldPath: {path}")
    return str(fields[path])


def _expand(text: str, variables: Mapping[str, str]) -> str:
    """Replaces ``$(NAME)``; an unknown name stays as it is written, ``$$`` is one ``$``."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name is None:
            return "$"
        return variables.get(name, found[0])

    return _VARIABLE.sub(value, text)
