"""
Objects with versions, kept in memory.

One counter numbers every change of every object, as etcd's revision does. An object that
left the store stays in the history until the history is cut; a watch that asks for what was cut
away is told so (410) instead of silently missing changes.

What is stored is never changed in place: a change stores a new object. So readers may hold what
they were given, and must not write into it.
"""

import asyncio
import copy
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from drctl.lab.kubernetes.errors import Object, already_exists, conflict, expired, not_found
from drctl.lab.kubernetes.kinds import Kind

_HISTORY = 4096
_FIRST_VERSION = 1000  # a fresh cluster's counter is not at one either; nobody may rely on it

Key = tuple[str, str]
"""Namespace (empty for cluster-wide kinds) with name."""


def timestamp() -> str:
    """The present in the API's format: UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the history."""

    version: int
    type: Literal["ADDED", "MODIFIED", "DELETED"]
    kind: Kind
    obj: Object
    before: Object | None


class Store:
    """All objects of one cluster."""

    def __init__(self, history: int = _HISTORY) -> None:
        self.version = _FIRST_VERSION
        self._objects: dict[Kind, dict[Key, Object]] = {}
        self._changes: deque[Change] = deque(maxlen=history)
        self._forgotten = self.version
        self._listeners: set[asyncio.Queue[Change]] = set()

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """
        Returns an object.

        Raises:
            ApiError: 404, there is none.
        """
        found = self.find(kind, namespace, name)
        if found is None:
            raise not_found(kind.plural, kind.group, name)
        return found

    def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Returns an object, or nothing."""
        return self._objects.get(kind, {}).get((namespace, name))

    def all_of(self, kind: Kind, namespace: str | None = None) -> list[Object]:
        """Returns the objects of a kind by namespace and name."""
        objects = self._objects.get(kind, {})
        keys = sorted(key for key in objects if namespace is None or key[0] == namespace)
        return [objects[key] for key in keys]

    def create(self, kind: Kind, obj: Object, *, uid: str | None = None) -> Object:
        """
        Stores a new object with its identity filled in.

        Raises:
            ApiError: 409, the name is taken.
        """
        metadata = obj["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        if key in self._objects.get(kind, {}):
            raise already_exists(kind.plural, kind.group, metadata["name"])
        obj = copy.deepcopy(obj)
        obj["metadata"]["uid"] = uid or str(uuid.uuid4())
        obj["metadata"]["creationTimestamp"] = timestamp()
        if kind.has_generation:
            obj["metadata"]["generation"] = 1
        return self._put(kind, key, obj, None)

    def replace(self, kind: Kind, obj: Object) -> Object:
        """
        Stores a changed object; one that did not change keeps its version.

        The object's ``resourceVersion`` says what the change was made from.

        Raises:
            ApiError: 404, it is gone; 409, it was changed or made anew since.
        """
        metadata = obj["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        before = self.get(kind, namespace, name)
        if metadata["uid"] != before["metadata"]["uid"]:
            why = (
                f"Precondition failed: UID in precondition: {metadata['uid']}, "
                f"UID in object meta: {before['metadata']['uid']}"
            )
            raise conflict(kind.plural, kind.group, name, why)
        if metadata["resourceVersion"] != before["metadata"]["resourceVersion"]:
            raise conflict(kind.plural, kind.group, name)
        if obj == before:
            return before
        obj = copy.deepcopy(obj)
        if kind.has_generation and obj.get("spec") != before.get("spec"):
            obj["metadata"]["generation"] = before["metadata"]["generation"] + 1
        if metadata.get("deletionTimestamp") and _may_leave(obj):
            return self._drop(kind, (namespace, name), obj)
        return self._put(kind, (namespace, name), obj, before)

    def preview(self, kind: Kind, obj: Object) -> Object:
        """
        Returns what `create` or `replace` would store, and stores nothing.

        Raises:
            ApiError: 409, as they would.
        """
        trial = Store()
        metadata = obj["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        present = self.find(kind, *key)
        trial.version = self.version
        if present is not None:
            trial._objects[kind] = {key: present}
        return trial.replace(kind, obj) if "uid" in metadata else trial.create(kind, obj)

    def delete(self, kind: Kind, namespace: str, name: str, *, grace_s: int = 0) -> Object:
        """
        Deletes an object, or marks it when somebody has to end it first.

        Args:
            kind: What it is.
            namespace: Where it is.
            name: Its name.
            grace_s: Seconds its processes get. With more than none the object stays, marked,
                until whoever runs it has stopped it and calls again without grace.

        Returns:
            The object as it was marked or removed.

        Raises:
            ApiError: 404, there is none.
        """
        before = self.get(kind, namespace, name)
        obj = copy.deepcopy(before)
        metadata = obj["metadata"]
        metadata.setdefault("deletionTimestamp", timestamp())
        metadata["deletionGracePeriodSeconds"] = min(
            grace_s, metadata.get("deletionGracePeriodSeconds", grace_s)
        )
        if _may_leave(obj):
            return self._drop(kind, (namespace, name), obj)
        if obj == before:
            return before
        return self._put(kind, (namespace, name), obj, before)

    @contextmanager
    def listen(self) -> Iterator[asyncio.Queue[Change]]:
        """Gives a queue that receives every change from now on."""
        queue: asyncio.Queue[Change] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)

    def since(self, version: int) -> list[Change]:
        """
        Returns all changes after a version.

        Raises:
            ApiError: 410, some of them are forgotten.
        """
        if version < self._forgotten:
            raise expired(version, self._forgotten)
        return [change for change in self._changes if change.version > version]

    def _put(self, kind: Kind, key: Key, obj: Object, before: Object | None) -> Object:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self._objects.setdefault(kind, {})[key] = obj
        self._tell(Change(self.version, "MODIFIED" if before else "ADDED", kind, obj, before))
        return obj

    def _drop(self, kind: Kind, key: Key, obj: Object) -> Object:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        before = self._objects[kind].pop(key)
        self._tell(Change(self.version, "DELETED", kind, obj, before))
        return obj

    def _tell(self, change: Change) -> None:
        if len(self._changes) == self._changes.maxlen:
            self._forgotten = self._changes[0].version
        self._changes.append(change)
        for listener in self._listeners:
            listener.put_nowait(change)


def _may_leave(obj: Object) -> bool:
    metadata = obj["metadata"]
    return not metadata.get("finalizers") and not metadata.get("deletionGracePeriodSeconds")
