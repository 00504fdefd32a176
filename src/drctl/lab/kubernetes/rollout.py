"""
The arithmetic of a rollout, without any object store.

Follows ``k8s.io/kubernetes/pkg/controller/deployment`` rule by rule; the names in the docstrings
are the functions there.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from drctl.lab.kubernetes.errors import Object

HASH_LABEL = "pod-template-hash"
_SAFE = "bcdfghjklmnpqrstvwxz2456789"  # the API machinery's alphabet: no vowels, no words


@dataclass(frozen=True, slots=True)
class Size:
    """What the arithmetic needs to know about one ReplicaSet; older ones come first in lists."""

    wanted: int
    available: int
    max_annotated: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a Deployment allows while it changes over."""

    replicas: int
    surge: int
    unavailable: int

    @property
    def most(self) -> int:
        """Pods there may be at once."""
        return self.replicas + self.surge

    @property
    def least(self) -> int:
        """Pods that have to be available."""
        return self.replicas - self.unavailable


def share(value: int | str, total: int, *, up: bool) -> int:
    """
    Turns ``2`` or ``"25%"`` into a number of pods.

    Raises:
        ValueError: The text is no percentage, or negative.
    """
    if isinstance(value, int):
        if value < 0:
            raise ValueError(f"{value} is negative")
        return value
    if not value.endswith("%") or not value[:-1].isdigit():
        raise ValueError(f"{value!r} is not a percentage")
    exact = int(value[:-1]) * total / 100
    return math.ceil(exact) if up else math.floor(exact)


def limits(spec: Object) -> Limits:
    """Reads the limits of a Deployment's spec (``ResolveFenceposts``)."""
    replicas = spec["replicas"]
    if spec["strategy"]["type"] != "RollingUpdate":
        return Limits(replicas, 0, 0)
    rolling = spec["strategy"]["rollingUpdate"]
    surge = share(rolling["maxSurge"], replicas, up=True)
    unavailable = share(rolling["maxUnavailable"], replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1  # otherwise nothing could ever move
    return Limits(replicas, surge, min(unavailable, replicas))


def grow_new(allowed: Limits, new: Size, everyone: Sequence[Size]) -> int:
    """Says how large the new ReplicaSet may be now (``NewRSNewReplicas``)."""
    if new.wanted >= allowed.replicas:
        return allowed.replicas
    room = allowed.most - sum(size.wanted for size in everyone)
    if room <= 0:
        return new.wanted
    return new.wanted + min(room, allowed.replicas - new.wanted)


def shrink_old(allowed: Limits, new: Size, old: Sequence[Size]) -> list[int]:
    """Says how large the old ReplicaSets may stay (``reconcileOldReplicaSets``)."""
    sizes = [size.wanted for size in old]
    if not sum(sizes):
        return sizes
    new_unavailable = new.wanted - new.available
    removable = sum(sizes) + new.wanted - allowed.least - new_unavailable
    if removable <= 0:
        return sizes
    # Pods that serve nobody go first; they are never needed to keep the minimum.
    for at, size in enumerate(old):
        cut = min(removable, max(0, sizes[at] - size.available))
        sizes[at] -= cut
        removable -= cut
    surplus = sum(size.available for size in old) + new.available - allowed.least
    for at, wanted in enumerate(sizes):
        cut = min(max(surplus, 0), wanted)
        sizes[at] -= cut
        surplus -= cut
    return sizes


def spread(allowed: Limits, sizes: Sequence[Size]) -> list[int]:
    """Shares a changed number of replicas out in the middle of a rollout (``scale``)."""
    target = allowed.most if allowed.replicas > 0 else 0
    to_add = target - sum(size.wanted for size in sizes)
    result = [size.wanted for size in sizes]
    if not to_add:
        return result
    # The largest moves first; among equals the newest grows and the oldest shrinks.
    order = sorted(
        range(len(sizes)),
        key=lambda at: (-sizes[at].wanted, -at if to_add > 0 else at),
    )
    added = 0
    for at in order:
        size = sizes[at]
        fraction = -size.wanted
        if allowed.replicas and size.max_annotated:
            fraction = math.floor(size.wanted * allowed.most / size.max_annotated + 0.5)
            fraction -= size.wanted
        left = to_add - added
        part = min(fraction, left) if to_add > 0 else max(fraction, left)
        result[at] += part
        added += part
    result[order[0]] = max(0, result[order[0]] + to_add - added)
    return result


def template_hash(template: Object) -> str:
    """Names a pod template; equal templates have equal names."""
    text = json.dumps(bare_template(template), sort_keys=True)
    digest = hashlib.sha256(text.encode()).digest()
    return "".join(_SAFE[byte % len(_SAFE)] for byte in digest[:10])


def bare_template(template: Object) -> Object:
    """Returns a template without the label its ReplicaSet added (``EqualIgnoreHash``)."""
    metadata = dict(template.get("metadata", {}))
    labels = dict(metadata.get("labels", {}))
    labels.pop(HASH_LABEL, None)
    metadata["labels"] = labels
    metadata.pop("creationTimestamp", None)
    return {**template, "metadata": metadata}
