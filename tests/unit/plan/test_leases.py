"""What makes a run a failover, for the cool-down."""

import pytest
from engine_model import plan_of, step

from drctl.actions.contract import Effect
from drctl.actions.targets import Target
from drctl.plan.leases import identities_of, moves
from drctl.plan.model import PlannedCall


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


class _Known(Target):
    names: tuple[str, ...]

    @property
    def identities(self):
        return self.names


def test_what_is_changed_is_named_once_in_the_order_of_the_steps():
    """Its own target first, then what its undo acts on; without a name, all of the environment."""
    targets = {
        "one": _Known(names=("x", "y")),
        "two": _Known(names=("y", "z")),
        "mute": _Known(names=()),
    }
    back = PlannedCall(uses="back", target="two")
    plan = plan_of(
        step("a", target="one"), step("b", target="one", undo=back), step("c", target="one")
    )
    assert ("x", "y", "z") == identities_of(plan.steps, targets, "env")
    plan = plan_of(step("a", target="mute"), step("b", target="two"), step("c", target="mute"))
    assert ("environment:env", "y", "z") == identities_of(plan.steps, targets, "env")
