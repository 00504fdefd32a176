"""
Makes certain that the old primary of an operator takes no writes, and keeps it from coming back.

The operator is told first, because it would start what somebody else has stopped: Zalando's by
``numberOfInstances: 0``, CloudNativePG's by the annotation ``cnpg.io/fencedInstances``. Then it is
proven: its address refuses connections, several times. A time-out there is never a proof.
"""

import asyncio
import json
from contextlib import suppress
from typing import Any, ClassVar
from urllib.parse import quote

from pydantic import Field

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Cleared,
    Context,
    Debt,
    Done,
    Effect,
    NoParams,
    NotDone,
    Nothing,
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, Conflict, OutcomeUnknown, Rejected
from drctl.actions.targets import PostgresCluster
from drctl.adapters import _resolver
from drctl.adapters.kubernetes.client import JSON_PATCH, Cluster
from drctl.adapters.kubernetes.postgresql import path_of

FENCED = "cnpg.io/fencedInstances"
_INSTANCES = "drctl.dev/instances-before-fence"
_LABELS = {"zalando": "cluster-name", "cnpg": "cnpg.io/cluster"}
_ALL = '["*"]'
_REFUSALS = 3
_EVERY_S = 0.4
_CONNECT_S = 2.0
_SPARE_S = 1.0


class FenceOutputs(Outputs):
    """What was done, and what shows that it holds."""

    method: str
    """``scaled_to_zero`` or ``fenced_instances``."""
    durable: bool
    """True: the operator keeps it so."""
    previous_instances: int
    """How many it had; 0 when it was fenced already and nobody noted it."""
    final_lsn: str
    """Empty: the old side was not asked what it wrote last."""
    proof: tuple[str, ...]


class FenceCluster(Action[PostgresCluster, NoParams, FenceOutputs]):
    """Tells the operator to end every instance, and proves that none takes connections."""

    name: ClassVar[str] = "kubernetes.postgresql.fence"
    summary: ClassVar[str] = "Have an operator end a PostgreSQL, and prove that it takes no writes"
    effect: ClassVar[Effect] = Effect.FENCE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (PostgresCluster,)
    outputs = FenceOutputs

    def planes(self, target: PostgresCluster) -> tuple[str, ...]:
        return (f"data-plane:{target.cluster.region}",)

    async def observe(
        self, ctx: Context, target: PostgresCluster, params: NoParams | None
    ) -> Observation:
        raw = await Cluster(ctx, target.cluster).get(path_of(target))
        return Observation(
            facts={"fenced": is_fenced(target, raw), "instances": _count(target, raw)}
        )

    def preview(
        self, observation: Observation, target: PostgresCluster, params: NoParams | None
    ) -> Preview:
        if observation.facts["fenced"]:
            return Nothing(why=f"{target.name} is fenced; that it holds is proven again")
        return Change(
            before=f"{observation.facts['instances']} instance(s)", after="none takes connections"
        )

    async def perform(
        self, ctx: Context, target: PostgresCluster, params: NoParams
    ) -> FenceOutputs:
        """
        Tells the operator and proves it. Safe to repeat.

        Raises:
            Rejected: It still takes connections, or that it does not cannot be shown.
            Conflict: Somebody changed the resource meanwhile.
            OutcomeUnknown: Sent, and no answer came.

        Changes:
            The resource; with it every instance.
        """
        cluster = Cluster(ctx, target.cluster)
        raw = await cluster.get(path_of(target))
        if not is_fenced(target, raw):
            await _ask(cluster, target, raw, _fence(target, raw), wanted=True)
        proof = await _prove(ctx, cluster, target)
        return _outputs(target, _count(target, raw) or _noted(raw), proof)

    async def settled(
        self, ctx: Context, target: PostgresCluster, params: NoParams
    ) -> Done[FenceOutputs] | NotDone | CannotTell:
        cluster = Cluster(ctx, target.cluster)
        try:
            raw = await cluster.get(path_of(target))
            if not is_fenced(target, raw):
                return NotDone(why=f"{target.label} is not fenced")
            proof = await _prove(ctx, cluster, target)
        except ActionError as error:
            return CannotTell(why=str(error))
        return Done(outputs=_outputs(target, _noted(raw), proof))

    def debts(
        self, target: PostgresCluster, params: NoParams, outputs: FenceOutputs
    ) -> tuple[Debt | Cleared, ...]:
        return (
            Debt(
                key=f"fence:{target.identities[0]}",
                what=f"{target.label} is fenced; it had {outputs.previous_instances} instance(s)",
                remedy="make it a standby of the new primary; only where nothing was promoted,"
                " kubernetes.postgresql.unfence",
            ),
        )


class UnfenceParams(Params):
    """What it had."""

    instances: int = Field(ge=1, le=100)
    """Zalando: how many. CloudNativePG keeps its own number."""


class Unfenced(Outputs):
    """What it has now."""

    instances: int


class UnfenceCluster(Action[PostgresCluster, UnfenceParams, Unfenced]):
    """Lets the operator start it again; possible until another one was promoted."""

    name: ClassVar[str] = "kubernetes.postgresql.unfence"
    summary: ClassVar[str] = "Let an operator start a fenced PostgreSQL again"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (PostgresCluster,)
    params = UnfenceParams
    outputs = Unfenced

    def planes(self, target: PostgresCluster) -> tuple[str, ...]:
        return (f"data-plane:{target.cluster.region}",)

    async def observe(
        self, ctx: Context, target: PostgresCluster, params: UnfenceParams | None
    ) -> Observation:
        raw = await Cluster(ctx, target.cluster).get(path_of(target))
        return Observation(facts={"fenced": is_fenced(target, raw)})

    def preview(
        self, observation: Observation, target: PostgresCluster, params: UnfenceParams | None
    ) -> Preview:
        if not observation.facts["fenced"]:
            return Nothing(why=f"{target.name} is not fenced")
        return Change(before="fenced", after="its operator starts it")

    async def perform(
        self, ctx: Context, target: PostgresCluster, params: UnfenceParams
    ) -> Unfenced:
        """
        Tells the operator; does not wait for the server. Safe to repeat.

        Raises:
            Conflict: Somebody changed the resource meanwhile.
            OutcomeUnknown: Sent, and no answer came.

        Changes:
            The resource; with it every instance.
        """
        cluster = Cluster(ctx, target.cluster)
        raw = await cluster.get(path_of(target))
        if is_fenced(target, raw):
            await _ask(cluster, target, raw, _unfence(target, raw, params.instances), wanted=False)
        return Unfenced(instances=params.instances)

    async def settled(
        self, ctx: Context, target: PostgresCluster, params: UnfenceParams
    ) -> Done[Unfenced] | NotDone | CannotTell:
        try:
            raw = await Cluster(ctx, target.cluster).get(path_of(target))
        except ActionError as error:
            return CannotTell(why=str(error))
        if is_fenced(target, raw):
            return NotDone(why=f"{target.label} is fenced")
        return Done(outputs=Unfenced(instances=params.instances))

    def debts(
        self, target: PostgresCluster, params: UnfenceParams, outputs: Unfenced
    ) -> tuple[Debt | Cleared, ...]:
        return (Cleared(key=f"fence:{target.identities[0]}"),)


def is_fenced(target: PostgresCluster, raw: dict[str, Any]) -> bool:
    """Whether the operator is told to keep every instance down."""
    if target.operator == "zalando":
        return bool(raw["spec"].get("numberOfInstances") == 0)
    with suppress(ValueError):
        named = json.loads((raw["metadata"].get("annotations") or {}).get(FENCED) or "[]")
        return isinstance(named, list) and "*" in named
    return False


def _count(target: PostgresCluster, raw: dict[str, Any]) -> int:
    spec = raw["spec"]
    return int(spec.get("numberOfInstances" if target.operator == "zalando" else "instances", 0))


def _noted(raw: dict[str, Any]) -> int:
    text = (raw["metadata"].get("annotations") or {}).get(_INSTANCES, "")
    return int(text) if text.isascii() and text.isdigit() else 0


def _fence(target: PostgresCluster, raw: dict[str, Any]) -> list[dict[str, Any]]:
    if target.operator == "cnpg":
        return [_note(raw, FENCED, _ALL)]
    return [
        {"op": "replace", "path": "/spec/numberOfInstances", "value": 0},
        _note(raw, _INSTANCES, str(_count(target, raw))),
    ]


def _unfence(target: PostgresCluster, raw: dict[str, Any], instances: int) -> list[dict[str, Any]]:
    if target.operator == "cnpg":
        return [{"op": "remove", "path": _pointer(FENCED)}]
    operations: list[dict[str, Any]] = [
        {"op": "replace", "path": "/spec/numberOfInstances", "value": instances}
    ]
    if _INSTANCES in (raw["metadata"].get("annotations") or {}):
        operations.append({"op": "remove", "path": _pointer(_INSTANCES)})
    return operations


def _note(raw: dict[str, Any], name: str, value: str) -> dict[str, Any]:
    """One annotation more; those of others stay as they are."""
    if raw["metadata"].get("annotations"):
        return {"op": "add", "path": _pointer(name), "value": value}
    return {"op": "add", "path": "/metadata/annotations", "value": {name: value}}


def _pointer(name: str) -> str:
    return "/metadata/annotations/" + name.replace("/", "~1")


async def _ask(
    cluster: Cluster,
    target: PostgresCluster,
    raw: dict[str, Any],
    operations: list[dict[str, Any]],
    *,
    wanted: bool,
) -> None:
    """Patches the resource that was read and no other version of it."""
    meta, path = raw["metadata"], path_of(target)
    # Not the version, which the operator itself moves with every status.
    same = {"op": "test", "path": "/metadata/generation", "value": meta["generation"]}
    try:
        await cluster.patch(path, [same, *operations], kind=JSON_PATCH)
    except (Conflict, Rejected) as error:
        # A network that delivers twice gives the answer to the second: look what is there.
        try:
            found = await cluster.get(path)
        except ActionError as unread:
            raise OutcomeUnknown(f"refused, and then not readable: {unread}") from unread
        if is_fenced(target, found) is not wanted:
            raise Conflict(f"{target.label} was changed meanwhile: {error}") from error


async def _prove(ctx: Context, cluster: Cluster, target: PostgresCluster) -> tuple[str, ...]:
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


def _outputs(target: PostgresCluster, instances: int, proof: tuple[str, ...]) -> FenceOutputs:
    is_zalando = target.operator == "zalando"
    return FenceOutputs(
        method="scaled_to_zero" if is_zalando else "fenced_instances",
        durable=True,
        previous_instances=instances,
        final_lsn="",
        proof=proof,
    )
