"""
The patch formats of the API: JSON patch, JSON merge patch, strategic merge patch.

None of them changes the document it is given.
"""

import copy
from typing import Any

from drctl.lab.kubernetes.errors import ApiError, Object, bad_request

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
"""Server-side apply; `drctl.lab.kubernetes.ownership` does it."""
STRATEGIC_PATCH = "application/strategic-merge-patch+json"

# From the patchMergeKey tags of k8s.io/api; a list that is not named here is replaced whole.
_MERGE_KEYS = {
    "conditions": "type",
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "ports": "containerPort",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
_MERGED_PRIMITIVES = frozenset({"finalizers"})
_DIRECTIVES = ("$setElementOrder/", "$deleteFromPrimitiveList/")


def apply_patch(content_type: str, document: Object, patch: Any) -> Object:
    """
    Applies a patch.

    Raises:
        ApiError: 400, the patch is malformed; 422, a JSON patch does not fit the document.
    """
    if content_type == JSON_PATCH:
        return _json_patch(document, patch)
    if not isinstance(patch, dict):
        raise bad_request("the patch must be a JSON object")
    if content_type == MERGE_PATCH:
        merged: Object = _merge(document, patch)
        return merged
    return _strategic(document, patch)


def _merge(document: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), value)
    return merged


def _strategic(document: Object, patch: Object) -> Object:
    directive = patch.get("$patch")
    if directive == "replace":
        return {name: copy.deepcopy(value) for name, value in patch.items() if name != "$patch"}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise bad_request(f"unknown $patch directive {directive!r}")
    merged = dict(document)
    for name, value in patch.items():
        if name in {"$patch", "$retainKeys"} or name.startswith(_DIRECTIVES):
            continue
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _strategic_value(name, merged.get(name), value, patch)
    for name, value in patch.items():
        if name.startswith("$deleteFromPrimitiveList/"):
            field = name.partition("/")[2]
            merged[field] = [item for item in merged.get(field) or [] if item not in value]
    if "$retainKeys" in patch:
        kept = set(patch["$retainKeys"])
        merged = {name: value for name, value in merged.items() if name in kept}
    return merged


def _strategic_value(name: str, present: Any, value: Any, around: Object) -> Any:
    if isinstance(value, dict):
        return _strategic(present if isinstance(present, dict) else {}, value)
    if isinstance(value, list):
        return _strategic_list(name, present or [], value, around)
    return value


def _strategic_list(name: str, present: list[Any], patch: list[Any], around: Object) -> list[Any]:
    if name in _MERGED_PRIMITIVES:
        return [*present, *(item for item in patch if item not in present)]
    key = _MERGE_KEYS.get(name)
    if key is None or not all(isinstance(item, dict) for item in patch):
        return copy.deepcopy(patch)
    if any(item.get("$patch") == "replace" for item in patch):
        return [copy.deepcopy(item) for item in patch if "$patch" not in item]
    merged: dict[Any, Object] = {item.get(key): item for item in present}
    for item in patch:
        if key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {key}")
        if item.get("$patch") == "delete":
            merged.pop(item[key], None)
        else:
            merged[item[key]] = _strategic(merged.get(item[key], {}), item)
    order = [item.get(key) for item in around.get(f"$setElementOrder/{name}") or []]
    if not order:
        return list(merged.values())
    return sorted(
        merged.values(),
        key=lambda item: order.index(item[key]) if item[key] in order else len(order),
    )


def _json_patch(document: Object, operations: Any) -> Object:
    if not isinstance(operations, list):
        raise bad_request("a JSON patch must be a list of operations")
    patched: Any = copy.deepcopy(document)
    for operation in operations:
        if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
            raise bad_request(f"not a JSON patch operation: {operation!r}")
        try:
            patched = _operate(patched, operation)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            message = (
                "the server rejected our request due to an error in our request: "
                f"{operation.get('op')} operation does not apply: doc is missing path: "
                f"{operation['path']!r}: {error}"
            )
            raise ApiError(422, "Invalid", message) from error
    if not isinstance(patched, dict):
        raise bad_request("a JSON patch must leave an object")
    return patched


def _operate(document: Any, operation: Object) -> Any:
    op = operation.get("op")
    path = _pointer(operation["path"])
    match op:
        case "add" | "replace":
            return _set(document, path, copy.deepcopy(operation["value"]), insert=op == "add")
        case "remove":
            return _remove(document, path)
        case "move":
            source = _pointer(operation["from"])
            value = _read(document, source)
            return _set(_remove(document, source), path, value, insert=True)
        case "copy":
            value = copy.deepcopy(_read(document, _pointer(operation["from"])))
            return _set(document, path, value, insert=True)
        case "test":
            if _read(document, path) != operation["value"]:
                raise ValueError("testing value failed")
            return document
        case _:
            raise bad_request(f"unknown JSON patch operation {op!r}")


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise ValueError(f"{text!r} is not a JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _read(document: Any, path: list[str]) -> Any:
    for part in path:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def _set(document: Any, path: list[str], value: Any, *, insert: bool) -> Any:
    if not path:
        return value
    parent, last = _read(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        if not insert:
            parent[int(last)] = value
            return document
        index = len(parent) if last == "-" else int(last)
        if not 0 <= index <= len(parent):
            raise IndexError(last)
        parent.insert(index, value)
        return document
    if not insert and last not in parent:
        raise KeyError(last)
    parent[last] = value
    return document


def _remove(document: Any, path: list[str]) -> Any:
    parent, last = _read(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        del parent[int(last)]
    else:
        del parent[last]
    return document
