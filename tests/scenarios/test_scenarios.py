"""
Every folder here is a runbook in a model estate with what must come of it; `make golden` rewrites
what is expected.
"""

import os
from pathlib import Path

import pytest
from harness import HERE, REPOSITORY, fold_states, read_plain, read_world, tell

from drctl.engine.events import EffectIntended, StepFinished, StepStarted

SCENARIOS = sorted(path.parent for path in HERE.glob("*/world.yaml"))
INPUTS = {"incident": "inc-20260101-001"}


def told(folder: Path):
    base = read_world(HERE / "base_world.yaml")
    own = read_world(folder / "world.yaml")
    world = own.model_copy(update={"actions": {**base.actions, **own.actions}})
    which = {"runbook": "region-failover", "environment": "environment.yaml", "inputs": {}}
    if (folder / "which.yaml").exists():
        which |= read_plain(folder / "which.yaml")
    runbook = folder / "runbook.yaml"
    if not runbook.exists():
        runbook = REPOSITORY / "runbooks" / f"{which['runbook']}.yaml"
    return tell(runbook, world, INPUTS | which["inputs"], HERE / which["environment"])


@pytest.mark.parametrize("folder", SCENARIOS, ids=lambda path: path.name)
def test_a_scenario_ends_as_its_folder_says(folder):
    """The plan that is shown, every line that is told, the ledger of effects and the exit code."""
    came = told(folder)
    seen = {
        "plan.txt": came.plan_text,
        "lines.txt": "\n".join(came.lines) + "\n",
        "effects.txt": "".join(f"{name}\n" for name, _key in came.ledger.applied),
        "exit_code": f"{came.exit_code}\n",
    }
    expected = folder / "expected"
    if os.environ.get("DRCTL_GOLDEN"):
        expected.mkdir(exist_ok=True)
        for name, text in seen.items():
            (expected / name).write_text(text)
    for name, text in seen.items():
        assert (expected / name).read_text() == text, f"{folder.name}/{name}"


@pytest.mark.parametrize("folder", SCENARIOS, ids=lambda path: path.name)
def test_a_step_never_starts_before_its_needs_and_never_changes_without_an_intent(folder):
    """Holds for every run, whatever the world does."""
    came = told(folder)
    states = fold_states(came.plan, came.records)
    intents = 0
    for before, record in zip(states, came.records, strict=False):
        match record.event:
            case StepStarted(step=step):
                needs = came.plan.by_id[step].needs
                done = {n: before.steps[n].status for n in needs}
                messages = {n for n in needs if came.plan.by_id[n].is_message}
                assert all(
                    status in {"succeeded", "skipped"}
                    for n, status in done.items()
                    if n not in messages
                ), (step, done)
            case EffectIntended():
                intents += 1
            case StepFinished(step=step, outcome="unknown"):
                assert came.plan.by_id[step].retry.attempts >= 1
    assert intents >= len(came.ledger.applied)
    keys = [key for name, key in came.ledger.applied if name == "aws.rds.promote_replica"]
    assert len(keys) == len(set(keys)), "a promotion was sent twice"
