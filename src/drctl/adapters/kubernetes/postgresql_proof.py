"""
Proves that no instance of an operator's PostgreSQL serves: by its pods, and by its address.

A pod that is not ready is no proof: a readiness probe that times out under load makes it so, and so
does the cutting off of its node, while PostgreSQL goes on taking writes.
"""

import asyncio
from typing import Any
from urllib.parse import quote

from drctl.actions.contract import Context
from drctl.actions.errors import ActionError, Rejected
from drctl.actions.targets import PostgresCluster
from drctl.adapters import _resolver
from drctl.adapters.kubernetes.client import Cluster

FENCED = "cnpg.io/fencedInstances"
_LABELS = {"zalando": "cluster-name", "cnpg": "cnpg.io/cluster"}
_REFUSALS = 3
_EVERY_S = 0.4
_CONNECT_S = 2.0
_SPARE_S = 1.0


async def prove(ctx: Context, cluster: Cluster, target: PostgresCluster) -> tuple[str, ...]:
    """
    Waits until no pod of the cluster serves and its address refuses, several times in a row.

    Raises:
        Rejected: Not before the deadline.
    """
    refusals, said = 0, "nothing was seen"
    while ctx.deadline.left_s(ctx.clock) > _SPARE_S:
        left = await _serving(cluster, target)
        verdict, said = await _knock(ctx, target)
        refusals = refusals + 1 if verdict and not left else 0
        if left:
            said = f"{', '.join(left)} still serves"
        if refusals >= _REFUSALS:
            return (f"no pod of {target.name} serves", *(said for _ in range(_REFUSALS)))
        ctx.say(f"{target.name}: {said}")
        await ctx.clock.sleep(_EVERY_S)
    raise Rejected(f"{target.label}: the operator is told, but {said}")


async def _serving(cluster: Cluster, target: PostgresCluster) -> list[str]:
    place = f"/api/v1/namespaces/{quote(target.namespace, safe='')}/pods"
    pods = await cluster.items(place, selector=f"{_LABELS[target.operator]}={target.name}")
    left = []
    for pod in pods:
        conditions = (pod.get("status") or {}).get("conditions") or []
        is_ready = any((one["type"], one["status"]) == ("Ready", "True") for one in conditions)
        # Zalando's ends its pods; CloudNativePG keeps a fenced one, without PostgreSQL in it.
        if is_ready or target.operator == "zalando":
            left.append(str(pod["metadata"]["name"]))
    return left


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
