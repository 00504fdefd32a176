"""Waits until a standby has everything up to a position."""

from typing import ClassVar

from drctl.actions.contract import Action, Context, Effect, Outputs, Params, Repeat
from drctl.actions.errors import Conflict, Rejected
from drctl.actions.loss import LossBound
from drctl.actions.targets import CloudSqlInstance, PostgresServer, RdsInstance, Target, Text
from drctl.adapters import _sql, _witness
from drctl.adapters.postgres.server import Database, access_of, look, region_of, require_identity

_EVERY_S = 0.2
_SPARE_S = 0.5
"""Kept of the deadline, to say where the standby stands instead of being cut off."""


class WaitParams(Params):
    """How far."""

    lsn: _witness.Lsn
    """The position, normally ``final_lsn`` of the fence."""
    admin_database: Text = "postgres"
    """How the standby is reached: the fence closes the application's database on it too."""


class WaitForReplay(Action[Database, WaitParams, LossBound]):
    """
    Waits until the standby has replayed a position of a primary that no longer moves.

    Once it has, nothing that the primary acknowledged is missing: the bound is zero. That holds
    only for the last position of a *fenced* primary, which is what `WaitParams.lsn` must be.
    """

    name: ClassVar[str] = "postgres.replication.wait"
    summary: ClassVar[str] = "Waits until a standby has replayed a fenced primary's last position"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets: ClassVar[tuple[type[Target], ...]] = (PostgresServer, RdsInstance, CloudSqlInstance)
    params: ClassVar[type[Params]] = WaitParams
    outputs: ClassVar[type[Outputs]] = LossBound
    measures_loss: ClassVar[bool] = True

    def planes(self, target: Database) -> tuple[str, ...]:
        return (f"data-plane:{region_of(target)}",)

    async def perform(self, ctx: Context, target: Database, params: WaitParams) -> LossBound:
        """
        Waits.

        Raises:
            Rejected: The deadline came first; the message has both positions.
            Conflict: It is not a standby, or one of another system.
            ActionError: The standby stopped answering.
        """
        wanted = _witness.lsn_to_int(params.lsn)
        access, admin = access_of(target), params.admin_database
        async with _sql.connect(access, ctx, database=admin) as connection:
            while True:
                state = await look(connection)
                require_identity(target, state)
                if not state.is_in_recovery:
                    raise Conflict(f"{target.label} is a primary, not a standby")
                replayed = state.replay_lsn or "0/0"
                missing = wanted - _witness.lsn_to_int(replayed)
                if missing <= 0:
                    return LossBound(
                        bound=_witness.NO_LOSS,
                        safe_until=ctx.clock.now().wall,
                        lag_bytes=0,
                        source=f"the standby has replayed {params.lsn}",
                    )
                if ctx.deadline.left_s(ctx.clock) <= _SPARE_S:
                    raise Rejected(
                        f"{target.label} has replayed {replayed}, not {params.lsn}:"
                        f" {missing} bytes are missing"
                    )
                ctx.say(f"{missing} bytes to replay")
                await ctx.clock.sleep(_EVERY_S)
