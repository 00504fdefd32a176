"""Runs that cannot be looked at."""

from dataclasses import replace
from pathlib import Path

import pytest

from drctl.app.compose import parts
from drctl.app.past import past_of
from drctl.plan.forecast_past import Past


@pytest.mark.parametrize("runs", ["nowhere", "x" * 300, "a\0b"], ids=["none", "too long", "nul"])
def test_runs_that_cannot_be_looked_at_say_nothing(tmp_path, runs):
    made = replace(parts(), runs=Path(tmp_path) / runs)
    assert past_of(made, None) == Past()
