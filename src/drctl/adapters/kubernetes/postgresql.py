"""
Promotes a PostgreSQL that an operator runs, by asking the operator.

What asks is what the operators document: a Zalando standby cluster becomes a primary when its
``standby`` section is taken away; CloudNativePG makes the instance the leader that its
``status.targetPrimary`` names (as ``kubectl cnpg promote`` does), and a replica cluster a primary
once ``spec.replica.enabled`` is false. Never ``hot_standby: off``: that says whether a standby
answers queries, and both operators set it themselves.

Whether it is the right standby is decided by `drctl.adapters._candidate`, as for any other server.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar, cast

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
from drctl.actions.errors import (
    ActionError,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
)
from drctl.actions.loss import LossBound
from drctl.actions.planes import Ask, data, places_needed, sightings
from drctl.actions.targets import PostgresCluster
from drctl.adapters import _candidate, _candidate_look, _http, _sql, _witness
from drctl.adapters.kubernetes.client import JSON_PATCH, MERGE_PATCH, Cluster, object_path

ADMIN_DATABASE = "postgres"
_FETCH = timedelta(seconds=3)
_EVERY_S = 0.3
_SPARE_S = 1.0
_NOW = """
SELECT pg_is_in_recovery() AS is_in_recovery,
       NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off'
         AS takes_writes,
       (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       CASE WHEN pg_is_in_recovery() THEN NULL
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int
       END AS timeline
"""


def path_of(target: PostgresCluster) -> str:
    """Where the API server keeps the target's resource."""
    if target.operator == "zalando":
        return object_path(target, "acid.zalan.do/v1", "postgresqls")
    return object_path(target, "postgresql.cnpg.io/v1", "clusters")


def _own(target: PostgresCluster) -> Ask:
    return data(target.cluster.region, "the cluster's API server and PostgreSQL")


class MeasureOperatorLag(Action[PostgresCluster, NoParams, LossBound]):
    """Bounds the acknowledged writes that promoting this standby would lose."""

    name: ClassVar[str] = "kubernetes.postgresql.measure_lag"
    summary: ClassVar[str] = "Bounds what promoting an operator's standby would lose"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (PostgresCluster,)
    outputs = LossBound
    measures_loss: ClassVar[bool] = True

    def planes(self, target: PostgresCluster) -> tuple[str, ...]:
        return places_needed(self.asks(target))

    def asks(self, target: PostgresCluster, params: NoParams | None = None) -> tuple[Ask, ...]:
        own = data(target.cluster.region, "PostgreSQL: else nothing bounds the loss")
        return (own, *sightings(target.sightings_url, target.sightings_region))

    async def perform(self, ctx: Context, target: PostgresCluster, params: NoParams) -> LossBound:
        """Measures. Never raises for silence: the bound is then unknown, and says why."""
        url = target.sightings_url
        if url is None:
            return LossBound(bound=None, source="unknown: no sightings_url, so no witness")
        return await _witness.measure(ctx, target.sql, lambda: _fetch(ctx, url))


class PromoteParams(Params):
    """What must hold before."""

    from_timeline: int | None = Field(default=None, ge=1)
    """The primary's timeline, as somebody else saw it; needed where there is no observer."""
    accept_silent_siblings: bool = False
    """True to promote although a sibling that does not answer may have more than this one."""


class Promoted(Outputs):
    """The new primary."""

    endpoint: str
    """The host of its service."""
    port: int
    timeline: int
    changed: bool
    """False when it was a primary already."""


class PromoteCluster(Action[PostgresCluster, PromoteParams, Promoted]):
    """Asks the operator to make this standby the primary, and waits until it takes writes."""

    name: ClassVar[str] = "kubernetes.postgresql.promote"
    no_way_back: ClassVar[str] = (
        "a new timeline begins: the old primary can only follow it, or be discarded"
    )
    summary: ClassVar[str] = "Have an operator promote its standby, and wait until it takes writes"
    effect: ClassVar[Effect] = Effect.PROMOTE
    repeat: ClassVar[Repeat] = Repeat.IRREVERSIBLE
    targets = (PostgresCluster,)
    params = PromoteParams
    outputs = Promoted

    def planes(self, target: PostgresCluster) -> tuple[str, ...]:
        return places_needed(self.asks(target))

    def asks(self, target: PostgresCluster, params: PromoteParams | None = None) -> tuple[Ask, ...]:
        return (_own(target), *self._witness(target, params))

    def asks_to_look(
        self, target: PostgresCluster, params: PromoteParams | None = None
    ) -> tuple[Ask, ...]:
        if params is None:
            return (_own(target),)
        how = "it is said to be unfit: nothing says which timeline the primary was on"
        return (_own(target), *self._witness(target, params, copes=how))

    @staticmethod
    def _witness(
        target: PostgresCluster, params: PromoteParams | None, *, copes: str = ""
    ) -> tuple[Ask, ...]:
        if params is not None and params.from_timeline is not None:
            copes = copes or "the step itself says which timeline the primary was on"
        return sightings(target.sightings_url, target.sightings_region, copes=copes)

    async def observe(
        self, ctx: Context, target: PostgresCluster, params: PromoteParams | None
    ) -> Observation:
        """
        Reads the resource and the server.

        Raises:
            ActionError: One of them did not answer.
        """
        resource = await Cluster(ctx, target.cluster).get(path_of(target))
        async with _sql.connect(target.sql, ctx, database=ADMIN_DATABASE) as connection:
            first = await _candidate_look.read(connection)
        unfit: list[str] = []
        if params is not None and first.is_in_recovery:
            evidence, first = await _evidence(ctx, target, params, first)
            unfit = _candidate.lasting(_candidate.objections(first, evidence))
        return Observation(
            facts={
                "role": "standby" if first.is_in_recovery else "primary",
                "system_identifier": first.system_identifier,
                "timeline": first.timeline,
                "asked": not is_standby(target, resource),
                "unfit": list(unfit),
            }
        )

    def preview(
        self, observation: Observation, target: PostgresCluster, params: PromoteParams | None
    ) -> Preview:
        facts = observation.facts
        unfit = facts["unfit"]
        if isinstance(unfit, list) and unfit:
            return CannotTell(why=f"it is not fit to be promoted: {unfit[0]}")
        if facts["role"] == "primary":
            return Nothing(why=f"it is a primary already, on timeline {facts['timeline']}")
        return Change(
            before=f"standby on timeline {facts['timeline']}", after="primary on the next timeline"
        )

    async def perform(
        self, ctx: Context, target: PostgresCluster, params: PromoteParams
    ) -> Promoted:
        """
        Checks the candidate, asks the operator once, and waits for the server's own word.

        Safe to repeat: a primary whose resource says so returns at once with ``changed=False``. A
        promotion cannot be cancelled; on cancel we stop waiting and it goes on.

        Raises:
            Conflict: It is not the right candidate, or somebody changed the resource meanwhile.
            Rejected: The environment names no instance that could be promoted.
            OutcomeUnknown: Asked, and not seen to end before the deadline.

        Changes:
            The resource; with it the server's role, for good.
        """
        cluster = Cluster(ctx, target.cluster)
        resource = await cluster.get(path_of(target))
        asked = not is_standby(target, resource)
        if (seen := await _state(ctx, target)) is not None and asked:
            return _outputs(target, seen, changed=False)
        if not asked:
            await _fit(ctx, target, params)
            await self._ask(ctx, cluster, target, resource)
        return await self._wait(ctx, target)

    @staticmethod
    async def _ask(
        ctx: Context, cluster: Cluster, target: PostgresCluster, resource: dict[str, Any]
    ) -> None:
        path, (where, body, kind) = path_of(target), promotion(ctx, target, resource)
        try:
            await cluster.patch(path + where, body, kind=kind)
        except (Conflict, Rejected) as error:
            # A network that delivers twice gives the answer to the second: look what is there.
            try:
                found = await cluster.get(path)
            except ActionError as unread:
                raise OutcomeUnknown(f"refused, and then not readable: {unread}") from unread
            if is_standby(target, found):
                raise Conflict(f"{target.label}: {error}") from error

    @staticmethod
    async def _wait(ctx: Context, target: PostgresCluster) -> Promoted:
        said = "it has not answered"
        while ctx.deadline.left_s(ctx.clock) > _SPARE_S:
            try:
                seen = await _state(ctx, target)
            except ActionError as error:
                said = str(error)
            else:
                if seen is not None:
                    return _outputs(target, seen, changed=True)
                said = "it is still in recovery"
            ctx.say(f"{target.name}: {said}")
            await ctx.clock.sleep(_EVERY_S)
        raise OutcomeUnknown(f"{target.label}: the operator was asked, and {said}")

    async def settled(
        self, ctx: Context, target: PostgresCluster, params: PromoteParams
    ) -> Done[Promoted] | NotDone | CannotTell:
        try:
            resource = await Cluster(ctx, target.cluster).get(path_of(target))
            if is_standby(target, resource):
                return NotDone(why=f"{target.label} is still asked to be a standby")
            seen = await _state(ctx, target)
        except ActionError as error:
            return CannotTell(why=str(error))
        if seen is None:
            return CannotTell(why=f"{target.label}: the operator was asked; it is in recovery yet")
        return Done(outputs=_outputs(target, seen, changed=True))

    def debts(
        self, target: PostgresCluster, params: PromoteParams, outputs: Promoted
    ) -> tuple[Debt | Cleared, ...]:
        if not outputs.changed:
            return ()
        return (
            Debt(
                key=f"standby:{target.identities[-1]}",
                what=f"{target.label} is the only copy: nothing follows it",
                remedy="make the old cluster a standby cluster of it (clone it anew, with a"
                " standby section), and see it stream",
            ),
        )


def is_standby(target: PostgresCluster, resource: dict[str, Any]) -> bool:
    """
    Whether the resource asks for a standby.

    Raises:
        NotFound: The cluster has no instance of the target's name.
    """
    spec, status = resource["spec"], resource.get("status") or {}
    if target.operator == "zalando":
        return bool(spec.get("standby"))
    if (spec.get("replica") or {}).get("enabled"):
        return True
    if target.instance is None:
        return False
    names = status.get("instanceNames") or []
    if names and target.instance not in names:
        raise NotFound(f"{target.label} has no instance {target.instance}")
    return target.instance not in {status.get("currentPrimary"), status.get("targetPrimary")}


def promotion(
    ctx: Context, target: PostgresCluster, resource: dict[str, Any]
) -> tuple[str, Any, str]:
    """
    What asks the operator: subresource, patch, and its kind.

    Each holds only on the resource that was read, so that a change in between is not overwritten.
    """
    meta, spec = resource["metadata"], resource["spec"]
    same = {"op": "test", "path": "/metadata/generation", "value": meta["generation"]}
    if target.operator == "zalando":
        return "", [same, {"op": "remove", "path": "/spec/standby"}], JSON_PATCH
    if (spec.get("replica") or {}).get("enabled"):
        off = {"op": "replace", "path": "/spec/replica/enabled", "value": False}
        return "", [same, off], JSON_PATCH
    moment = ctx.clock.now().wall.isoformat(timespec="seconds").replace("+00:00", "Z")
    status = {
        "targetPrimary": target.instance,
        "targetPrimaryTimestamp": moment,
        "phase": "Switchover in progress",
        "phaseReason": f"Switching over to {target.instance}",
    }
    version = {"resourceVersion": meta["resourceVersion"]}
    return "/status", {"metadata": version, "status": status}, MERGE_PATCH


async def _fetch(ctx: Context, url: str) -> bytes:
    answer = await _http.send_ok(ctx, "GET", url, label="the witness", timeout=_FETCH)
    return answer.body


async def _state(ctx: Context, target: PostgresCluster) -> dict[str, Any] | None:
    """The primary that answers at the target's address; ``None`` while it is a standby."""
    async with _sql.connect(target.sql, ctx, database=ADMIN_DATABASE) as connection:
        row = cast("dict[str, Any]", dict(await connection.fetchrow(_NOW)))
    pinned = target.system_identifier
    if pinned is not None and row["system_identifier"] != pinned:
        found = row["system_identifier"]
        raise Conflict(f"{target.sql.host} is system {found}, the environment pins {pinned}")
    return row if not row["is_in_recovery"] and row["takes_writes"] else None


async def _evidence(
    ctx: Context, target: PostgresCluster, params: PromoteParams, first: _candidate.Seen
) -> tuple[_candidate.Evidence, _candidate.Seen]:
    url = target.sightings_url
    sighting: _witness.Sighting | _witness.Missing = _witness.Missing("no sightings_url")
    if url is not None:
        sighting = await _witness.sighted(lambda: _fetch(ctx, url))
    evidence = await _candidate_look.gather(
        ctx,
        target.sql,
        first,
        database=ADMIN_DATABASE,
        pinned=target.system_identifier,
        siblings=target.siblings,
        sighting=sighting,
        from_timeline=params.from_timeline,
        accepts_silence=params.accept_silent_siblings,
    )
    beat = None if url is None else await _candidate_look.last_beat(ctx, target.sql)
    return evidence, replace(first, beat=beat)


async def _fit(ctx: Context, target: PostgresCluster, params: PromoteParams) -> None:
    """
    Looks at the candidate until nothing speaks against it.

    Raises:
        Conflict: Something does, and waiting does not mend it.
    """
    async with _sql.connect(target.sql, ctx, database=ADMIN_DATABASE) as connection:

        async def look_again() -> _candidate_look.Looks:
            first = await _candidate_look.read(connection)
            evidence, before = await _evidence(ctx, target, params, first)
            now_s = ctx.clock.now().boot_s
            after = await _candidate_look.read(connection)
            return _candidate_look.Looks(
                before=before, evidence=evidence, after=after, after_s=now_s
            )

        await _candidate_look.choose(ctx, target.label, look_again)


def _outputs(target: PostgresCluster, seen: dict[str, Any], *, changed: bool) -> Promoted:
    return Promoted(
        endpoint=target.sql.host,
        port=target.sql.port,
        timeline=seen["timeline"],
        changed=changed,
    )
