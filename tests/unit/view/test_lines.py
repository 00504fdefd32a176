"""What a line says of an event."""

from drctl.engine import events as e
from drctl.engine.settling import NEVER_HAPPENED
from drctl.view.lines import describe


def test_what_a_death_interrupted_and_is_started_again_is_not_called_a_failure():
    said = {"step": "fence", "attempt": 1, "outcome": "failed", "why": "its process died"}
    assert describe(e.StepFinished(**said, error=NEVER_HAPPENED), "r") == (
        "fence interrupted: its process died"
    )
    assert describe(e.StepFinished(**said, error="rejected"), "r") == (
        "fence FAILED (rejected): its process died"
    )
