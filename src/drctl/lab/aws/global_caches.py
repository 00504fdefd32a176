"""
ElastiCache's Global Datastores, which moto does not have: a primary in one region, followers.

A failover is asked for at any member's region and takes its time: the datastore is ``modifying``
until the roles have changed. Errors are those of the API reference. Nothing is stored in them: a
recovery is judged by who is the primary.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from moto.core.responses import ActionResult
from moto.elasticache.exceptions import ElastiCacheException
from moto.elasticache.models import ElastiCacheBackend, ReplicationGroup
from moto.elasticache.responses import ElastiCacheResponse

from drctl.lab.plan import ACCOUNT_ID


@dataclass(slots=True)
class _Datastore:
    name: str
    primary: tuple[str, str]
    """Region and replication group."""
    members: list[tuple[str, str]]
    engine: str
    becomes: tuple[str, str] | None = None
    due: float = 0.0
    leavers: set[tuple[str, str]] = field(default_factory=set)
    """Members that do not follow any more."""


class GlobalCaches:
    """The datastores of the account, in all regions; an overlay of `AwsControlPlane`."""

    def __init__(self, failover_s: float = 0.6) -> None:
        """
        Args:
            failover_s: How long a failover takes; a minute on AWS.
        """
        self.failover_s = failover_s
        self.failovers: Counter[str] = Counter()
        """How many were taken, by datastore."""
        self._datastores: dict[str, _Datastore] = {}
        self._lock = threading.Lock()

    def disassociate(self, name: str, region: str) -> None:
        """Makes the member of a region stop following."""
        held = self._datastores[name]
        held.leavers.update(member for member in held.members if member[0] == region)

    def install(self) -> Callable[[], None]:
        """
        Gives moto's ElastiCache the missing calls.

        Returns:
            What takes them away again.
        """
        calls: dict[str, Callable[[ElastiCacheResponse], ActionResult]] = {
            "create_global_replication_group": self._create,
            "describe_global_replication_groups": self._describe,
            "failover_global_replication_group": self._failover,
        }
        for name, handler in calls.items():
            setattr(ElastiCacheResponse, name, _as_method(handler))
        joins = "create_replication_group"
        original = ElastiCacheBackend.__dict__[joins]
        setattr(ElastiCacheBackend, joins, self._joining(original))

        def undo() -> None:
            for name in calls:
                delattr(ElastiCacheResponse, name)
            setattr(ElastiCacheBackend, joins, original)
            self._datastores.clear()

        return undo

    def _joining(self, original: Callable[..., ReplicationGroup]) -> Callable[..., Any]:
        def create(backend: ElastiCacheBackend, *args: Any, **kwargs: Any) -> ReplicationGroup:
            name = kwargs.get("global_replication_group_id")
            held = self._held(name) if name else None
            group = original(backend, *args, **kwargs)
            if held is not None:
                held.members.append((backend.region_name, group.replication_group_id))
            return group

        return create

    def _held(self, name: str) -> _Datastore:
        if name not in self._datastores:
            raise ElastiCacheException(
                "GlobalReplicationGroupNotFoundFault", f"The Global datastore {name} does not exist"
            )
        held = self._datastores[name]
        with self._lock:
            if held.becomes is not None and time.monotonic() >= held.due:
                held.primary, held.becomes = held.becomes, None
        return held

    def _create(self, call: ElastiCacheResponse) -> ActionResult:
        asked = call._get_params()
        group = asked["PrimaryReplicationGroupId"]
        if group not in call.elasticache_backend.replication_groups:
            raise ElastiCacheException(
                "ReplicationGroupNotFoundFault", f"Replication group {group} not found."
            )
        name = f"ldgnf-{asked['GlobalReplicationGroupIdSuffix']}"
        primary = (call.region, group)
        self._datastores[name] = _Datastore(name, primary, [primary], "redis")
        return self._answer(name)

    def _describe(self, call: ElastiCacheResponse) -> ActionResult:
        asked = call._get_params()
        wanted = asked.get("GlobalReplicationGroupId")
        names = [wanted] if wanted else [*self._datastores]
        shows = bool(asked.get("ShowMemberInfo"))
        found = [_document(self._held(name), shows_members=shows) for name in names]
        return ActionResult({"GlobalReplicationGroups": found})

    def _failover(self, call: ElastiCacheResponse) -> ActionResult:
        asked = call._get_params()
        held = self._held(asked["GlobalReplicationGroupId"])
        wanted = (asked["PrimaryRegion"], asked["PrimaryReplicationGroupId"])
        if held.becomes is not None:
            raise ElastiCacheException(
                "InvalidGlobalReplicationGroupState",
                f"Global replication group {held.name} is not in available state.",
            )
        if wanted not in held.members or wanted == held.primary or wanted in held.leavers:
            raise ElastiCacheException(
                "InvalidParameterValue", f"{wanted[1]} is not a secondary of {held.name}."
            )
        with self._lock:
            self.failovers[held.name] += 1
            held.becomes, held.due = wanted, time.monotonic() + self.failover_s
        return self._answer(held.name)

    def _answer(self, name: str) -> ActionResult:
        document = _document(self._held(name), shows_members=True)
        return ActionResult({"GlobalReplicationGroup": document})


def _as_method(
    handler: Callable[[ElastiCacheResponse], ActionResult],
) -> Callable[[ElastiCacheResponse], ActionResult]:
    """A plain function, because a bound method in a class body would not be given the instance."""

    def method(call: ElastiCacheResponse) -> ActionResult:
        return handler(call)

    return method


def _document(held: _Datastore, *, shows_members: bool) -> dict[str, Any]:
    status = "modifying" if held.becomes is not None else "available"
    members = [
        {
            "ReplicationGroupId": group,
            "ReplicationGroupRegion": region,
            "Role": "PRIMARY" if (region, group) == held.primary else "SECONDARY",
            "AutomaticFailover": "enabled",
            "Status": "disassociated" if (region, group) in held.leavers else "associated",
        }
        for region, group in held.members
    ]
    return {
        "GlobalReplicationGroupId": held.name,
        "Status": status if len(members) > 1 else "primary-only",
        "Engine": held.engine,
        "ARN": f"arn:aws:elasticache::{ACCOUNT_ID}:globalreplicationgroup:{held.name}",
        **({"Members": members} if shows_members else {}),
    }
