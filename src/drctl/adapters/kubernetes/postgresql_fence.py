"""
Makes certain that the old primary of an operator takes no writes, and keeps it from coming back.

The operator is told first, because it would start what somebody else has stopped: Zalando's by
``numberOfInstances: 0``, CloudNativePG's by the annotation ``cnpg.io/fencedInstances``. Then it is
proven: its address refuses connections, several times. A time-out there is never a proof.
"""

import json
from contextlib import suppress
from typing import Any, ClassVar

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
from drctl.adapters.kubernetes.client import JSON_PATCH, Cluster
from drctl.adapters.kubernetes.postgresql import path_of
from drctl.adapters.kubernetes.postgresql_proof import FENCED, prove

_INSTANCES = "drctl.dev/instances-before-fence"
_BY = "drctl.dev/fenced-by"
"""The key of the fence that told the operator: another run's fence is not ours to take back."""
_ALL = '["*"]'
UNCHANGED = 0
"""As a number of instances: it was fenced already, so that there is nothing to put back."""


class FenceOutputs(Outputs):
    """What was done, and what shows that it holds."""

    method: str
    """``scaled_to_zero`` or ``fenced_instances``."""
    durable: bool
    """True: the operator keeps it so."""
    previous_instances: int
    """How many it had, for ``kubernetes.postgresql.unfence``; 0 when something else than this run
    had fenced it already, so that nothing was changed and an undo leaves it fenced."""
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
            raw = await _ask(cluster, target, raw, _fence(target, raw, ctx.key), wanted=True)
        proof = await prove(ctx, cluster, target, raw)
        return _outputs(target, _before(target, raw, ctx.key), proof)

    async def settled(
        self, ctx: Context, target: PostgresCluster, params: NoParams
    ) -> Done[FenceOutputs] | NotDone | CannotTell:
        cluster = Cluster(ctx, target.cluster)
        try:
            raw = await cluster.get(path_of(target))
        except ActionError as error:
            return CannotTell(why=str(error))
        if not is_fenced(target, raw):
            return NotDone(why=f"{target.label} is not fenced")
        previous = _before(target, raw, ctx.key)
        try:
            proof = await prove(ctx, cluster, target, raw)
        except Rejected as error:
            known = {"previous_instances": previous}
            return NotDone(why=str(error), remains=True, outputs=known)
        except ActionError as error:
            return CannotTell(why=str(error))
        return Done(outputs=_outputs(target, previous, proof))

    def debts(
        self, target: PostgresCluster, params: NoParams, outputs: FenceOutputs
    ) -> tuple[Debt | Cleared, ...]:
        if outputs.previous_instances == UNCHANGED:
            return ()  # owed by the run that fenced it; an undo of this one must not clear that
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

    instances: int = Field(ge=0, le=100)
    """``previous_instances`` of the fence. Zalando: how many; CloudNativePG keeps its own number.
    0: the fence had changed nothing, so nothing is sent and it stays fenced."""


class Unfenced(Outputs):
    """What it has now."""

    instances: int
    """0: nothing was put back."""


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
        if params is not None and params.instances == UNCHANGED:
            return Nothing(why=f"{target.name} was fenced by something else, and stays so")
        return Change(before="fenced", after="its operator starts it")

    async def perform(
        self, ctx: Context, target: PostgresCluster, params: UnfenceParams
    ) -> Unfenced:
        """
        Tells the operator, unless the fence had changed nothing; does not wait for the server.

        Safe to repeat.

        Raises:
            Conflict: Somebody changed the resource meanwhile.
            OutcomeUnknown: Sent, and no answer came.

        Changes:
            The resource; with it every instance.
        """
        if params.instances == UNCHANGED:
            return Unfenced(instances=UNCHANGED)
        cluster = Cluster(ctx, target.cluster)
        raw = await cluster.get(path_of(target))
        if is_fenced(target, raw):
            await _ask(cluster, target, raw, _unfence(target, raw, params.instances), wanted=False)
        return Unfenced(instances=params.instances)

    async def settled(
        self, ctx: Context, target: PostgresCluster, params: UnfenceParams
    ) -> Done[Unfenced] | NotDone | CannotTell:
        if params.instances == UNCHANGED:
            return Done(outputs=Unfenced(instances=UNCHANGED))
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
        if params.instances == UNCHANGED:
            return ()
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
    text = _notes(raw).get(_INSTANCES, "")
    return int(text) if text.isascii() and text.isdigit() else 0


def _before(target: PostgresCluster, raw: dict[str, Any], key: str) -> int:
    """How many it had before the fence of this key; `UNCHANGED` when that fence is not this one."""
    if _notes(raw).get(_BY) != key:
        return UNCHANGED
    return _count(target, raw) or _noted(raw)


def _notes(raw: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = raw["metadata"].get("annotations") or {}
    return found


def _fence(target: PostgresCluster, raw: dict[str, Any], key: str) -> list[dict[str, Any]]:
    if target.operator == "cnpg":
        return _noting(raw, {FENCED: _ALL, _BY: key})
    return [
        {"op": "replace", "path": "/spec/numberOfInstances", "value": 0},
        *_noting(raw, {_INSTANCES: str(_count(target, raw)), _BY: key}),
    ]


def _unfence(target: PostgresCluster, raw: dict[str, Any], instances: int) -> list[dict[str, Any]]:
    ours = (FENCED, _BY) if target.operator == "cnpg" else (_INSTANCES, _BY)
    gone = [{"op": "remove", "path": _pointer(name)} for name in ours if name in _notes(raw)]
    if target.operator == "cnpg":
        return gone
    return [{"op": "replace", "path": "/spec/numberOfInstances", "value": instances}, *gone]


def _noting(raw: dict[str, Any], more: dict[str, str]) -> list[dict[str, Any]]:
    """Some annotations more; those of others stay as they are."""
    if _notes(raw):
        return [{"op": "add", "path": _pointer(name), "value": more[name]} for name in more]
    return [{"op": "add", "path": "/metadata/annotations", "value": more}]


def _pointer(name: str) -> str:
    return "/metadata/annotations/" + name.replace("/", "~1")


async def _ask(
    cluster: Cluster,
    target: PostgresCluster,
    raw: dict[str, Any],
    operations: list[dict[str, Any]],
    *,
    wanted: bool,
) -> dict[str, Any]:
    """Patches the resource that was read and no other version of it; returns what it is then."""
    meta, path = raw["metadata"], path_of(target)
    # Not the version, which the operator itself moves with every status.
    same = {"op": "test", "path": "/metadata/generation", "value": meta["generation"]}
    try:
        return await cluster.patch(path, [same, *operations], kind=JSON_PATCH)
    except (Conflict, Rejected) as error:
        # A network that delivers twice gives the answer to the second: look what is there.
        try:
            found = await cluster.get(path)
        except ActionError as unread:
            raise OutcomeUnknown(f"refused, and then not readable: {unread}") from unread
        if is_fenced(target, found) is not wanted:
            raise Conflict(f"{target.label} was changed meanwhile: {error}") from error
        return found


def _outputs(target: PostgresCluster, instances: int, proof: tuple[str, ...]) -> FenceOutputs:
    is_zalando = target.operator == "zalando"
    return FenceOutputs(
        method="scaled_to_zero" if is_zalando else "fenced_instances",
        durable=True,
        previous_instances=instances,
        final_lsn="",
        proof=proof,
    )
