"""A recovery of a lost region about which no rule has anything to say, and ways to spoil it."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from drctl.actions.registry import installed
from drctl.app.compose import Parts
from drctl.app.judging import plan_to_judge, with_findings
from drctl.app.runbooks import load
from drctl.config.environment import load_environment
from drctl.config.secrets import LocalSecrets
from drctl.kernel.clock import Instant
from drctl.plan.model import Prediction
from drctl.simulated.clock import VirtualClock

TODAY = date(2026, 11, 23)
ENVIRONMENT = (Path(__file__).parent / "estate.yaml").read_text()
RUNBOOK = (Path(__file__).parent / "recovery.yaml").read_text()


def edited(text, changes):
    """The text with each first part replaced by the second, which must be there."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.fixture
def judge(tmp_path):
    """Plans the spoilt runbook; ``seen`` is what a look would have read, by step."""
    parts = Parts(
        registry=installed(), clock=_On(TODAY), secrets=LocalSecrets(), runs=tmp_path / "runs"
    )

    def of(*changes, env=(), seen=None, alone=False):
        (tmp_path / "env.yaml").write_text(edited(ENVIRONMENT, env))
        (tmp_path / "spoilt.yaml").write_text(edited(RUNBOOK, changes))
        environment = load_environment(tmp_path / "env.yaml")
        loaded = load(tmp_path / "spoilt.yaml", parts.registry, environment.targets)
        plan = plan_to_judge(parts, loaded, None if alone else environment)
        if seen is not None:
            steps = [_seen(step, seen.get(step.id, {})) for step in plan.steps]
            plan = plan.model_copy(update={"steps": tuple(steps), "is_offline": False})
            plan = with_findings(parts, loaded, environment, plan)
        return plan

    return of


def _seen(step, readings):
    facts, readings = readings.get("facts", {}), readings.get("readings", {})
    prediction = Prediction(symbol=" ", facts=facts, readings=readings)
    return step.model_copy(update={"prediction": prediction})


class _On(VirtualClock):
    """A clock that stands at noon of a day."""

    def __init__(self, day):
        super().__init__()
        self._day = day

    def now(self):
        noon = datetime(self._day.year, self._day.month, self._day.day, 12, tzinfo=UTC)
        return Instant(wall=noon, boot_s=0.0, boot_id="b")
