"""Lets a fenced Cloud SQL instance run again."""

from typing import ClassVar, Literal

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Cleared,
    Context,
    Debt,
    Done,
    Effect,
    NotDone,
    Nothing,
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError
from drctl.actions.targets import CloudSqlInstance
from drctl.adapters.gcp.client import Gcp
from drctl.adapters.gcp.operations import is_under_way
from drctl.adapters.gcp.sql_api import describe
from drctl.adapters.gcp.sql_policy import (
    KINDS,
    RUNNING,
    STOPPED,
    set_policy,
    stopped_debt,
    survey,
)


class UnfenceParams(Params):
    """What it shall be again."""

    policy: Literal["ALWAYS", "UNCHANGED"]
    """``previous_policy`` of the fence. ``UNCHANGED``: the fence had changed nothing, so there is
    nothing to put back."""


class Unfenced(Outputs):
    """What it is."""

    activation: str
    """``ALWAYS``; ``NEVER``: it was stopped before the fence and still is; empty: not known, it did
    not say."""


class UnfenceInstance(Action[CloudSqlInstance, UnfenceParams, Unfenced]):
    """Starts it again. Only before a promotion."""

    name: ClassVar[str] = "gcp.cloudsql.unfence"
    summary: ClassVar[str] = "Start a fenced Cloud SQL instance again"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (CloudSqlInstance,)
    params = UnfenceParams
    outputs = Unfenced

    def planes(self, target: CloudSqlInstance) -> tuple[str, ...]:
        return (f"control-plane:{target.gcp.region}",)

    async def observe(
        self, ctx: Context, target: CloudSqlInstance, params: UnfenceParams | None
    ) -> Observation:
        seen = await describe(Gcp(ctx, target.gcp), target.instance)
        return Observation(facts={"state": seen.state, "activation": seen.activation})

    def preview(
        self, observation: Observation, target: CloudSqlInstance, params: UnfenceParams | None
    ) -> Preview:
        activation = observation.facts["activation"]
        if params is None:
            return CannotTell(why=f"activation {activation}; what it was is known during the run")
        if params.policy != RUNNING or activation == RUNNING:
            return Nothing(why=f"{target.instance} has activation {activation}")
        return Change(before=f"activation {activation}", after=f"activation {RUNNING}")

    def debts(
        self, target: CloudSqlInstance, params: UnfenceParams, outputs: Unfenced
    ) -> tuple[Debt | Cleared, ...]:
        """What an earlier run has stopped, and this one leaves alone, is owed again."""
        owed = stopped_debt(target)
        left: dict[str, tuple[Debt | Cleared, ...]] = {
            RUNNING: (Cleared(key=owed.key),),
            STOPPED: (owed,),
        }
        return left.get(outputs.activation, ())

    async def perform(
        self, ctx: Context, target: CloudSqlInstance, params: UnfenceParams
    ) -> Unfenced:
        """
        Starts it; nothing is sent when it is not stopped.

        Raises:
            Conflict: Its settings were changed meanwhile, or Cloud SQL is busy with it.
            OutcomeUnknown: Sent, and not seen in force.

        Changes:
            The instance's activation policy, unless nothing is to be put back.
        """
        if params.policy != RUNNING:
            return await _left_alone(ctx, target)
        seen = await describe(Gcp(ctx, target.gcp), target.instance)
        await set_policy(ctx, target, seen, RUNNING)
        return Unfenced(activation=RUNNING)

    async def settled(
        self, ctx: Context, target: CloudSqlInstance, params: UnfenceParams
    ) -> Done[Unfenced] | NotDone | CannotTell:
        if params.policy != RUNNING:
            return Done(outputs=await _left_alone(ctx, target))
        gcp = Gcp(ctx, target.gcp)
        try:
            seen = await describe(gcp, target.instance)
            is_changing = await is_under_way(gcp, target.instance, KINDS)
        except ActionError as error:
            return CannotTell(why=str(error))
        if is_changing:
            return CannotTell(why=f"Cloud SQL is still changing {target.label}")
        if seen.activation == RUNNING:
            return Done(outputs=Unfenced(activation=RUNNING))
        return NotDone(why=f"{target.label} has activation {seen.activation}")


async def _left_alone(ctx: Context, target: CloudSqlInstance) -> Unfenced:
    """The fence may have found it dead, with a control plane that says nothing to this day."""
    try:
        return Unfenced(activation=(await survey(ctx, target)).activation)
    except ActionError:
        return Unfenced(activation="")
