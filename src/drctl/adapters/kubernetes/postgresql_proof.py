"""
Proves that no instance of an operator's PostgreSQL serves: by its pods, and by its address.

A pod that is not ready is no proof: a readiness probe that times out under load makes it so, and so
does the cutting off of its node, while PostgreSQL goes on taking writes.
"""

import asyncio
from typing import Any
from urllib.parse import quote

from drctl.actions.contract import Context
from drctl.actions.errors import ActionError, AuthRejected, NotFound, Rejected
from drctl.actions.targets import PostgresCluster
from drctl.adapters import _resolver
from drctl.adapters.kubernetes.client import Cluster

FENCED = "cnpg.io/fencedInstances"
_LABELS = {"zalando": "cluster-name", "cnpg": "cnpg.io/cluster"}
_SERVER = "postgres"
"""The container of a CloudNativePG instance."""
_REFUSALS = 3
_EVERY_S = 0.4
_CONNECT_S = 2.0
_SPARE_S = 1.0


async def prove(
    ctx: Context, cluster: Cluster, target: PostgresCluster, raw: dict[str, Any]
) -> tuple[str, ...]:
    """
    Waits until no pod of the cluster serves and its address refuses, several times in a row.

    Args:
        raw: The resource, as it is fenced.

    Raises:
        Rejected: Not before the deadline.
    """
    refusals, said = 0, "nothing was seen"
    while ctx.deadline.left_s(ctx.clock) > _SPARE_S:
        left = await _serving(cluster, target, raw)
        verdict, said = await _knock(ctx, target)
        refusals = refusals + 1 if verdict and not left else 0
        if left:
            said = f"{', '.join(left)} still serves, as far as can be shown"
        if refusals >= _REFUSALS:
            return (f"no pod of {target.name} serves", *(said for _ in range(_REFUSALS)))
        ctx.say(f"{target.name}: {said}")
        await ctx.clock.sleep(_EVERY_S)
    raise Rejected(f"{target.label}: the operator is told, but {said}")


async def _serving(cluster: Cluster, target: PostgresCluster, raw: dict[str, Any]) -> list[str]:
    """The pods that are not shown to be down."""
    place = f"/api/v1/namespaces/{quote(target.namespace, safe='')}/pods"
    pods = await cluster.items(place, selector=f"{_LABELS[target.operator]}={target.name}")
    told = _told_at(raw)
    # Zalando's ends its pods; CloudNativePG keeps a fenced one, without PostgreSQL in it.
    return [
        str(pod["metadata"]["name"])
        for pod in pods
        if target.operator == "zalando" or not await _is_down(cluster, pod, told)
    ]


def _told_at(raw: dict[str, Any]) -> str:
    """When the annotation was put there, by the API server's clock; empty when it does not say."""
    field = f"f:{FENCED}"
    moments = [
        str(one.get("time", ""))
        for one in raw["metadata"].get("managedFields") or []
        if field in ((one.get("fieldsV1") or {}).get("f:metadata") or {}).get("f:annotations", {})
    ]
    return max(moments, default="")


async def _is_down(cluster: Cluster, pod: dict[str, Any], told: str) -> bool:
    status, node = pod.get("status") or {}, (pod.get("spec") or {}).get("nodeName")
    if not node or status.get("phase") == "Succeeded":
        return True  # it never ran, or was a job that has ended
    return _went_down(status, told) and await _reports(cluster, str(node))


def _went_down(status: dict[str, Any], told: str) -> bool:
    """
    Whether its kubelet has seen it stop serving, or start without serving, after *told*.

    What is older than the fence may be a probe that timed out. The API writes every moment in UTC
    and whole seconds, so that their texts compare; the second of the fence itself proves nothing.
    """
    named = {one["type"]: one for one in status.get("conditions") or []}
    unready = named.get("ContainersReady", {})
    servers = [one for one in status.get("containerStatuses") or [] if one["name"] == _SERVER]
    if unready.get("status") != "False" or any(one.get("ready", True) for one in servers):
        return False
    moments = [str(unready.get("lastTransitionTime") or "")]
    for one in servers:
        state = one.get("state") or {}
        moments.append(str((state.get("terminated") or {}).get("finishedAt") or ""))
        # One that starts with the fence in place leaves PostgreSQL alone.
        moments.append(str((state.get("running") or {}).get("startedAt") or ""))
    return bool(told) and max(moments) > told


async def _reports(cluster: Cluster, node: str) -> bool:
    """Whether the node is there to say what runs on it; true where nodes may not be read."""
    try:
        raw = await cluster.get(f"/api/v1/nodes/{quote(node, safe='')}")
    except AuthRejected:
        return True
    except NotFound:
        return False
    conditions = (raw.get("status") or {}).get("conditions") or []
    return any((one["type"], one["status"]) == ("Ready", "True") for one in conditions)


async def _knock(ctx: Context, target: PostgresCluster) -> tuple[bool, str]:
    """Whether its address definitely refuses, and what was seen there."""
    where = f"{target.sql.host}:{target.sql.port}"
    try:
        addresses = await _resolver.resolve(target.sql.host, ctx.resolvers, timeout_s=_CONNECT_S)
    except ActionError as error:
        return False, f"{where} is not resolved: {error}"
    for address in addresses:
        try:
            async with asyncio.timeout(_CONNECT_S):
                _reader, writer = await asyncio.open_connection(address, target.sql.port)
        except ConnectionRefusedError:
            continue
        except (TimeoutError, OSError) as error:
            return False, f"{where} did not answer ({type(error).__name__}), which proves nothing"
        writer.close()
        return False, f"{where} still takes connections"
    return True, f"{where} refuses connections"
