"""Waits until an RDS instance has a status."""

from typing import ClassVar

from drctl.actions.contract import Action, Context, Effect, Observation, Outputs, Params, Repeat
from drctl.actions.targets import RdsInstance, Text
from drctl.adapters.aws.client import Aws
from drctl.adapters.aws.rds_api import AVAILABLE, describe, wait_until


class WaitParams(Params):
    """What to wait for."""

    status: Text = AVAILABLE
    """As RDS writes it."""


class InstanceState(Outputs):
    """The instance once it was there."""

    status: str
    endpoint: str
    port: int
    is_replica: bool
    arn: str = ""


class WaitForInstance(Action[RdsInstance, WaitParams, InstanceState]):
    """Polls; gives up at once on a status from which no instance comes back by itself."""

    name: ClassVar[str] = "aws.rds.instance.wait"
    summary: ClassVar[str] = "Wait until an RDS instance has a status"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (RdsInstance,)
    params = WaitParams
    outputs = InstanceState

    def planes(self, target: RdsInstance) -> tuple[str, ...]:
        return (f"control-plane:{target.aws.region}",)

    async def observe(
        self, ctx: Context, target: RdsInstance, params: WaitParams | None
    ) -> Observation:
        seen = await describe(Aws(ctx, target.aws), target.instance)
        return Observation(readings={"status": seen.status})

    async def perform(self, ctx: Context, target: RdsInstance, params: WaitParams) -> InstanceState:
        """
        Looks until RDS says so; changes nothing.

        Raises:
            Rejected: It failed, or is being deleted.
            Unavailable: It had not come so far by the deadline.
        """
        seen = await wait_until(
            ctx,
            Aws(ctx, target.aws),
            target.instance,
            lambda seen: seen.status == params.status,
            after_change=False,
        )
        return InstanceState(
            status=seen.status,
            endpoint=seen.host,
            port=seen.port,
            is_replica=seen.source is not None,
            arn=seen.arn,
        )
