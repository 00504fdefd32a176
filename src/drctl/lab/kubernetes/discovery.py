"""What the emulated API server says about itself."""

import platform

from drctl.lab.kubernetes.errors import Object
from drctl.lab.kubernetes.kinds import KINDS, Kind
from drctl.lab.kubernetes.patch import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH

_SUB_KINDS = {"scale": "Scale", "exec": "PodExecOptions"}
_SUB_VERBS = {"log": ["get"], "exec": ["create", "get"]}
_VERSION = {
    "major": "1",
    "minor": "32",
    "gitVersion": "v1.32.4-drctl.lab",
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "2025-04-22T16:02:58Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": f"linux/{platform.machine()}",
}


def document(path: str, address: str) -> Object | None:
    """
    Returns the discovery document at a path, or nothing.

    Args:
        path: Request path without the leading slash.
        address: ``host:port`` of this server.
    """
    if path.startswith("openapi/"):
        return _openapi_document(path)
    parts = path.split("/")
    found: Object | None = None
    match parts:
        case ["version"]:
            found = _VERSION
        case ["api"]:
            endpoints = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
            found = {
                "kind": "APIVersions",
                "versions": ["v1"],
                "serverAddressByClientCIDRs": endpoints,
            }
        case ["apis"]:
            groups = [_group(name) for name in _group_names()]
            found = {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        case ["apis", name] if name in _group_names():
            found = {"kind": "APIGroup", "apiVersion": "v1", **_group(name)}
        case ["api", version] | ["apis", _, version]:
            group = parts[1] if parts[0] == "apis" else ""
            kinds = [kind for kind in KINDS if (kind.group, kind.version) == (group, version)]
            found = _resources(kinds) if kinds else None
    return found


def _openapi_document(path: str) -> Object | None:
    prefixes = dict.fromkeys(kind.prefix for kind in KINDS)
    if path == "openapi/v3":
        urls = {name: {"serverRelativeURL": f"/openapi/v3/{name}?hash=1"} for name in prefixes}
        return {"paths": urls}
    kinds = [kind for kind in KINDS if path == f"openapi/v3/{kind.prefix}"]
    return _openapi(kinds) if kinds else None


def _group_names() -> list[str]:
    return list(dict.fromkeys(kind.group for kind in KINDS if kind.group))


def _group(name: str) -> Object:
    versions = [
        {"groupVersion": version, "version": version.partition("/")[2]}
        for version in dict.fromkeys(kind.api_version for kind in KINDS if kind.group == name)
    ]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _resources(kinds: list[Kind]) -> Object:
    resources: list[Object] = []
    for kind in kinds:
        resource: Object = {
            "name": kind.plural,
            "singularName": kind.singular,
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": list(kind.verbs),
        }
        if kind.short:
            resource["shortNames"] = list(kind.short)
        if kind.categories:
            resource["categories"] = list(kind.categories)
        resources.append(resource)
        for subresource in kind.subresources:
            sub: Object = {
                "name": f"{kind.plural}/{subresource}",
                "singularName": "",
                "namespaced": kind.namespaced,
                "kind": _SUB_KINDS.get(subresource, kind.kind),
                "verbs": _SUB_VERBS.get(subresource, ["get", "patch", "update"]),
            }
            if subresource == "scale":
                sub |= {"group": "autoscaling", "version": "v1"}
            resources.append(sub)
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": kinds[0].api_version,
        "resources": resources,
    }


def _openapi(kinds: list[Kind]) -> Object:
    """Says no more than kubectl asks for: which kinds accept server-side field validation."""
    parameters = [
        {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
        for name in ("dryRun", "fieldManager", "fieldValidation")
    ]
    content: Object = {
        media: {} for media in (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)
    }
    paths: Object = {}
    for kind in kinds:
        place = "/namespaces/{namespace}" if kind.namespaced else ""
        gvk = {"group": kind.group, "version": kind.version, "kind": kind.kind}
        paths[f"/{kind.prefix}{place}/{kind.plural}/{{name}}"] = {
            "patch": {
                "parameters": parameters,
                "requestBody": {"content": content},
                "responses": {"200": {"description": "OK"}},
                "x-kubernetes-action": "patch",
                "x-kubernetes-group-version-kind": gvk,
            }
        }
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": _VERSION["gitVersion"]},
        "paths": paths,
        "components": {"schemas": {}},
    }
