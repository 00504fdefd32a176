"""What makes a run a failover, for the cool-down."""

import pytest
from engine_model import plan_of, step

from drctl.actions.contract import Effect
from drctl.plan.leases import moves


@pytest.mark.parametrize(
    ("effects", "counted"),
    [
        ((Effect.FENCE, Effect.CHANGE, Effect.PROMOTE), "ac"),
        ((Effect.FENCE, Effect.TRAFFIC), "ab"),
        # A standby is rebuilt where the old primary was: nobody is moved, back or forth.
        ((Effect.FENCE, Effect.CHANGE), ""),
        ((Effect.READ, Effect.CHANGE, Effect.DESTROY), ""),
    ],
)
def test_only_what_promotes_or_moves_traffic_is_a_failover(effects, counted):
    plan = plan_of(*(step(name, effect=effect) for name, effect in zip("abc", effects)))  # noqa: B905
    assert "".join(found.id for found in moves(plan.steps)) == counted
