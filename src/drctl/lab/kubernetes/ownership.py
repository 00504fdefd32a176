"""
Who owns which field: the managed fields of an object, and server-side apply.

A field is named by its path: ``f:NAME`` for a member of a map, ``k:{…}`` for an item of a list that
is merged by its keys; any other list is one value. An applier owns what it said. What somebody else
owns, with another value, is a conflict, unless the applier forces it; what it said before and says
no more is removed, unless somebody else owns that too.
"""

import copy
import json
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from drctl.lab.kubernetes.errors import ApiError, Object
from drctl.lab.kubernetes.store import timestamp

Path: TypeAlias = tuple[str, ...]

# From the listMapKey tags of k8s.io/api.
_KEYS: dict[str, tuple[str, ...]] = {
    "conditions": ("type",),
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "hostAliases": ("ip",),
    "ownerReferences": ("uid",),
}
_PORTS = {"containerPort": ("containerPort", "protocol"), "port": ("port", "protocol")}
_NOT_OWNED = {
    *("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp"),
    *("managedFields", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"),
}
_ABSENT = object()


def note_update(obj: Object, before: Object | None, manager: str, api_version: str) -> None:
    """Gives what differs from *before* to the manager that wrote it, in place."""
    old = before or {}
    is_custom = _is_custom(api_version)
    now, then = _fields(obj, is_custom), _fields(old, is_custom)
    changed = {path for path in now if path not in then or _value(obj, path) != _value(old, path)}
    gone = then - now
    if not changed and not gone:
        _keep(obj, old)
        return
    entries = _entries(old)
    mine = (manager, "Update")
    for key in entries:
        entries[key] -= gone
        if key != mine:
            entries[key] -= changed
    entries[mine] = entries.get(mine, set()) | changed
    _write(obj, entries, old, api_version)


def apply(
    live: Object | None, applied: Object, manager: str, api_version: str, *, force: bool
) -> Object:
    """
    Makes what is to be stored of what is there and what is applied.

    Raises:
        ApiError: 409 with every conflict as a cause.
    """
    is_custom = _is_custom(api_version)
    before = live or {}
    wanted = _fields(applied, is_custom)
    mine = (manager, "Apply")
    entries = _entries(before)
    conflicts = {
        (key[0], path)
        for key, owned in entries.items()
        if key != mine
        for path in owned & wanted
        if _value(before, path) != _value(applied, path)
    }
    if conflicts and not force:
        raise _conflict(conflicts, api_version)
    merged: Object = _merged(copy.deepcopy(before), applied, is_custom)
    others: set[Path] = set().union(*(owned for key, owned in entries.items() if key != mine))
    for path in sorted(entries.get(mine, set()) - wanted - others, key=len, reverse=True):
        _remove(merged, path)
    lost = {path for _manager, path in conflicts}
    for key in entries:
        if key != mine:
            entries[key] -= lost
    entries[mine] = set(wanted)
    _write(merged, entries, before, api_version)
    return merged


def _is_custom(api_version: str) -> bool:
    group = api_version.partition("/")[0]
    return "." in group and not group.endswith(".k8s.io")


def _fields(obj: Object, is_custom: bool) -> set[Path]:
    found: set[Path] = set()
    for name, value in obj.items():
        if name in {"apiVersion", "kind", "status"}:
            continue
        if name == "metadata":
            owned = {key: item for key, item in value.items() if key not in _NOT_OWNED}
            found.update(("f:metadata", *path) for path in _paths(owned, "metadata", is_custom))
        else:
            found.update((f"f:{name}", *path) for path in _paths(value, name, is_custom))
    return found - {("f:metadata",)}


def _paths(value: Any, name: str, is_custom: bool) -> Iterator[Path]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            for rest in _paths(item, key, is_custom):
                yield (f"f:{key}", *rest)
        return
    keys = _keys_of(name, value, is_custom)
    if keys is None:
        yield ()
        return
    for item in value:
        head = _item(item, keys)
        for key, inner in item.items():
            for rest in _paths(inner, key, is_custom):
                yield (head, f"f:{key}", *rest)


def _keys_of(name: str, value: Any, is_custom: bool) -> tuple[str, ...] | None:
    if is_custom or not isinstance(value, list) or not value:
        return None
    if not all(isinstance(item, dict) for item in value):
        return None
    if name == "ports":
        return next((keys for first, keys in _PORTS.items() if first in value[0]), None)
    return _KEYS.get(name)


def _item(item: Object, keys: Iterable[str]) -> str:
    named = {key: item.get(key, "TCP" if key == "protocol" else None) for key in keys}
    return "k:" + json.dumps(named, sort_keys=True, separators=(",", ":"))


def _value(obj: Any, path: Path) -> Any:
    for part in path:
        obj = _step(obj, part)
        if obj is _ABSENT:
            return _ABSENT
    return obj


def _step(obj: Any, part: str) -> Any:
    if part.startswith("f:"):
        return obj.get(part[2:], _ABSENT) if isinstance(obj, dict) else _ABSENT
    if not isinstance(obj, list):
        return _ABSENT
    keys = json.loads(part[2:])
    return next((one for one in obj if _item(one, keys) == part), _ABSENT)


def _remove(obj: Object, path: Path) -> None:
    above = _value(obj, path[:-1])
    if isinstance(above, dict):
        above.pop(path[-1][2:], None)
    # An item of a list, or a map, of which nothing is left is gone itself.
    for length in range(len(path) - 1, 1, -1):
        inner, outer = _value(obj, path[:length]), _value(obj, path[: length - 1])
        part = path[length - 1]
        if part.startswith("k:") and isinstance(outer, list) and isinstance(inner, dict):
            if inner.keys() <= json.loads(part[2:]).keys():
                outer.remove(inner)
        elif isinstance(outer, dict) and inner in ({}, []):
            outer.pop(part[2:], None)


def _merged(live: Any, applied: Any, is_custom: bool, name: str = "") -> Any:
    if isinstance(applied, dict) and isinstance(live, dict):
        for key, value in applied.items():
            live[key] = _merged(live[key], value, is_custom, key) if key in live else value
        return live
    keys = _keys_of(name, applied, is_custom)
    if keys is None or not isinstance(live, list):
        return copy.deepcopy(applied)
    known = {_item(item, keys): item for item in live}
    for item in applied:
        head = _item(item, keys)
        if head in known:
            _merged(known[head], item, is_custom)
        else:
            live.append(copy.deepcopy(item))
    return live


def _entries(obj: Object) -> dict[tuple[str, str], set[Path]]:
    return {
        (entry["manager"], entry["operation"]): set(_decoded(entry["fieldsV1"]))
        for entry in obj.get("metadata", {}).get("managedFields", [])
    }


def _keep(obj: Object, before: Object) -> None:
    known = before.get("metadata", {}).get("managedFields")
    if known:
        obj["metadata"]["managedFields"] = known


def _write(
    obj: Object, entries: dict[tuple[str, str], set[Path]], before: Object, api_version: str
) -> None:
    """Stores the entries; one whose fields did not change keeps its time."""
    known = {
        (entry["manager"], entry["operation"]): entry
        for entry in before.get("metadata", {}).get("managedFields", [])
    }
    written = []
    for (manager, operation), owned in entries.items():
        if not owned:
            continue
        fields = _encoded(owned)
        same = known.get((manager, operation))
        moment = same["time"] if same and same["fieldsV1"] == fields else timestamp()
        written.append(
            {
                "manager": manager,
                "operation": operation,
                "apiVersion": api_version,
                "time": moment,
                "fieldsType": "FieldsV1",
                "fieldsV1": fields,
            }
        )
    obj["metadata"]["managedFields"] = written


def _encoded(paths: Iterable[Path]) -> Object:
    tree: Object = {}
    for path in sorted(paths):
        node = tree
        for part in path:
            node = node.setdefault(part, {})
    return tree


def _decoded(tree: Object, above: Path = ()) -> Iterator[Path]:
    for part, inner in tree.items():
        if inner:
            yield from _decoded(inner, (*above, part))
        else:
            yield (*above, part)


def _conflict(conflicts: set[tuple[str, Path]], api_version: str) -> ApiError:
    ordered = sorted(conflicts)
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f'conflict with "{manager}" using {api_version}',
            "field": _shown(path),
        }
        for manager, path in ordered
    ]
    many = "conflict" if len(causes) == 1 else "conflicts"
    head = f"Apply failed with {len(causes)} {many}: "
    if len(causes) == 1:
        text = head + f"{causes[0]['message']}: {causes[0]['field']}"
    else:
        text = head + "\n".join(f"{one['message']}: {one['field']}" for one in causes)
    return ApiError(409, "Conflict", text, {"causes": causes})


def _shown(path: Path) -> str:
    text = ""
    for part in path:
        if part.startswith("f:"):
            text += f".{part[2:]}"
        else:
            keys = json.loads(part[2:])
            text += "[" + ",".join(f"{key}={json.dumps(keys[key])}" for key in keys) + "]"
    return text
