"""
Makes certain that an old Cloud SQL primary takes no write any more, and proves it.

Invariant, as for `drctl.adapters.aws.rds_fence`: `perform` returns only when a write was tried from
every place where clients are, and each attempt failed for a reason that was established. Either
Google's control plane stopped the instance (``activationPolicy: NEVER``, the operation done, read
back): a stopped server has no sessions, and silence is then a refusal. Or the control plane does
not answer; then every vantage point must refuse definitely, several times, at least two of them.

Not promised: that a dead instance stays dead when the control plane could not be asked; the outputs
then say ``durable: false`` and why.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

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
    Observation,
    Outputs,
    Preview,
    Repeat,
)
from drctl.actions.errors import (
    ActionError,
    Rejected,
    Throttled,
    Unavailable,
)
from drctl.actions.planes import Ask, control, data
from drctl.actions.targets import CloudSqlInstance
from drctl.adapters import _vantage
from drctl.adapters.gcp.client import Gcp
from drctl.adapters.gcp.operations import is_under_way
from drctl.adapters.gcp.sql_policy import (
    KINDS,
    RUNNING,
    STOPPED,
    UNCHANGED,
    set_policy,
    stopped_debt,
    survey,
)

_SILENT = (Unavailable, Throttled)
"""What Cloud SQL says, or does not, when a dead instance can still be proven dead."""


class Fence(Outputs):
    """How the old primary is kept from writing, and how that is known."""

    method: Literal["stopped", "observed_dead"]
    durable: bool
    """False: it holds because the instance is dead, and nothing keeps it from coming back."""
    previous_policy: str
    """To be given to ``gcp.cloudsql.unfence``; ``UNCHANGED`` when nothing was changed."""
    proof: tuple[str, ...]
    """One sentence for each place from which a write was tried."""
    note: str = ""
    """What a person has to know or do."""


class FenceInstance(Action[CloudSqlInstance, NoParams, Fence]):
    """Stops the instance, and proves it; or proves that nothing is left to stop."""

    name: ClassVar[str] = "gcp.cloudsql.fence"
    summary: ClassVar[str] = "Make certain, and prove, that an old Cloud SQL primary takes no write"
    effect: ClassVar[Effect] = Effect.FENCE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (CloudSqlInstance,)
    outputs = Fence

    def planes(self, target: CloudSqlInstance) -> tuple[str, ...]:
        """None: without the control plane a dead instance can still be proven dead."""
        return ()

    def asks(self, target: CloudSqlInstance, params: NoParams | None = None) -> tuple[Ask, ...]:
        how = "then each vantage point must refuse definitely; nothing keeps it from coming back"
        return (
            control(target.gcp.region, "Cloud SQL", copes=how, only_when_dead=True),
            data(target.gcp.region, "PostgreSQL, clients' URLs", copes=how, only_when_dead=True),
        )

    def asks_to_look(
        self, target: CloudSqlInstance, params: NoParams | None = None
    ) -> tuple[Ask, ...]:
        how = "the look says that the control plane is silent, and what the fence then takes"
        return (control(target.gcp.region, "Cloud SQL", copes=how),)

    def without(
        self, target: CloudSqlInstance, params: NoParams | None, lost: tuple[Ask, ...]
    ) -> Mapping[str, Any]:
        return {"method": "observed_dead", "durable": False, "final_lsn": ""}

    async def observe(
        self, ctx: Context, target: CloudSqlInstance, params: NoParams | None
    ) -> Observation:
        readings = {"vantage_points": _vantage.count(target)}
        try:
            seen = await survey(ctx, target)
        except _SILENT as error:
            return Observation(readings={**readings, "control_plane": str(error)})
        return Observation(
            facts={"state": seen.state, "activation": seen.activation, "source": seen.source},
            readings=readings,
        )

    def preview(
        self, observation: Observation, target: CloudSqlInstance, params: NoParams | None
    ) -> Preview:
        facts, readings = observation.facts, observation.readings
        if "state" not in facts:
            return CannotTell(
                why=f"{readings['control_plane']}; the fence then takes a definite refusal from"
                f" each of {readings['vantage_points']} place(s), at least two"
            )
        if facts["source"] is not None:
            return CannotTell(why=f"{target.instance} is a replica; Cloud SQL does not stop those")
        before = f"{facts['state']}, activation {facts['activation']}"
        return Change(before=before, after="stopped, writes refused")

    def debts(
        self, target: CloudSqlInstance, params: NoParams, outputs: Fence
    ) -> tuple[Debt | Cleared, ...]:
        owed = stopped_debt(target)
        if outputs.durable:
            return (owed,)
        what = f"{target.label} was only seen to be dead: {outputs.note}"
        remedy = "fence it as soon as Cloud SQL answers: gcp.cloudsql.fence"
        return (Debt(key=owed.key, what=what, remedy=remedy),)

    async def perform(self, ctx: Context, target: CloudSqlInstance, params: NoParams) -> Fence:
        """
        Fences, and proves it. Safe to repeat.

        Raises:
            Rejected: A write was accepted, or a place did not answer where only a refusal counts;
                the fence does not hold. Or it is a replica, which Cloud SQL does not stop.
            Conflict: Its settings were changed meanwhile, or Cloud SQL is busy with it.
            OutcomeUnknown: The change was sent and not seen in force.

        Changes:
            The instance's activation policy: it is stopped. One write for each of
            ``client_write_urls``, which is meant to fail.
        """
        if not _vantage.count(target):
            raise Rejected(f"{target.label} has neither sql nor client_write_urls to prove it by")
        death = asyncio.create_task(_vantage.prove_dead(ctx, target))
        try:
            try:
                seen = await survey(ctx, target)
                if seen.source is not None:
                    raise Rejected(f"{target.label} is a replica of {seen.source}: no old primary")
                previous = await set_policy(ctx, target, seen, STOPPED)
                previous = _before(ctx, previous)
            except _SILENT as error:  # nothing was sent
                return await _observed_dead(target, death, error)
            ctx.say(f"{target.instance}: stopped; trying to write")
            return Fence(
                method="stopped",
                durable=True,
                previous_policy=previous,
                proof=await _vantage.prove_quarantine(ctx, target),
            )
        finally:
            death.cancel()
            await asyncio.gather(death, return_exceptions=True)

    async def settled(
        self, ctx: Context, target: CloudSqlInstance, params: NoParams
    ) -> Done[Fence] | NotDone | CannotTell:
        """
        Never `Done`: what was not proven is proven by fencing it again, which is safe. Stopped and
        not proven is something that an undo takes back.
        """
        try:
            seen = await survey(ctx, target)
            is_changing = await is_under_way(Gcp(ctx, target.gcp), target.instance, KINDS)
        except ActionError as error:
            return CannotTell(why=str(error), again_tells=isinstance(error, _SILENT))
        if is_changing:
            return CannotTell(why=f"Cloud SQL is still changing {target.label}")
        return NotDone(
            why=f"{target.label} has activation {seen.activation}, and it is not proven",
            remains=seen.activation == STOPPED,
            outputs={"previous_policy": _before(ctx, UNCHANGED)},
        )


def _before(ctx: Context, previous: str) -> str:
    """Its policy before this run, of which an earlier attempt may have stopped it."""
    was_running = (ctx.seen or {}).get("activation") == RUNNING
    return RUNNING if previous == UNCHANGED and was_running else previous


async def _observed_dead(
    target: CloudSqlInstance, death: "asyncio.Task[tuple[str, ...]]", reason: ActionError
) -> Fence:
    try:
        proof = await death
    except Rejected as error:
        raise Rejected(f"{error}; and it cannot be stopped: {reason}") from error
    return Fence(
        method="observed_dead",
        durable=False,
        previous_policy=UNCHANGED,
        proof=proof,
        note=f"nothing keeps {target.label} from coming back: as soon as Cloud SQL answers, stop it"
        f" ({reason})",
    )
