"""
A plan is reproducible: the same inputs and the same observation have the same digest, whoever
planned, when and where; another world has another one.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import drctl

pytestmark = pytest.mark.timeout(600)  # processes of their own, on whatever machine
ROOT = Path(__file__).parents[3]
ENVIRONMENT = ROOT / "tests" / "scenarios" / "environment.yaml"
WORLD = ROOT / "tests" / "scenarios" / "base_world.yaml"
# A whole process for each plan: its own hash seed, its own folder, its own time.
PROGRAM = """
import asyncio, sys
from datetime import timedelta
from pathlib import Path
from drctl.actions.registry import installed
from drctl.app.compose import Parts
from drctl.app.planning import plan_runbook
from drctl.config.secrets import LocalSecrets
from drctl.kernel import yaml_text, yaml_tree
from drctl.kernel.clock import Instant
from drctl.simulated.clock import VirtualClock, run_virtual
from drctl.simulated.world import Ledger, World, registry_of

world, days, offline, state = sys.argv[1], float(sys.argv[2]), sys.argv[3] == "offline", sys.argv[4]

class Later(VirtualClock):
    def now(self):
        now = super().now()
        off = timedelta(days=days)
        return Instant(wall=now.wall + off, boot_s=now.boot_s + days, boot_id=now.boot_id)

raw = yaml_tree.plain(yaml_text.read(Path(world).read_text(), file=world).root)
known = World.model_validate(raw)
if state:
    behaviour = known.actions[state].model_copy(update={"before": "otherwise than it was"})
    known = known.model_copy(update={"actions": {**known.actions, state: behaviour}})

async def made():
    registry = registry_of(known, installed(), Ledger())
    parts = Parts(registry=registry, clock=Later(), secrets=LocalSecrets(), runs=Path("runs"))
    inputs = {"incident": "inc-20260101-001"}
    return await plan_runbook(parts, "r.yaml", "e.yaml", inputs, offline=offline)

sys.stdout.buffer.write(run_virtual(made()).as_saved())
"""


def planned(folder, *, seed, days=0.0, mode="looked", state="", edit=None):
    """A plan made in a process of its own, as saved."""
    folder.mkdir(exist_ok=True)
    shutil.copy(ROOT / "runbooks" / "region-failover.yaml", folder / "r.yaml")
    shutil.copy(ENVIRONMENT, folder / "e.yaml")
    if edit:
        name, old, new = edit
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))
    source = Path(drctl.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(WORLD), str(days), mode, state],
        cwd=folder, capture_output=True, check=False, timeout=300,
        env={**os.environ, "PYTHONPATH": str(source), "PYTHONHASHSEED": seed},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.mark.parametrize("mode", ["looked", "offline"])
def test_two_processes_at_two_times_in_two_places_make_one_digest(tmp_path, mode):
    one = planned(tmp_path / "here", seed="1", mode=mode)
    two = planned(tmp_path / "there", seed="4242", days=3.5, mode=mode)
    assert one["created_at"] != two["created_at"]
    assert one["sources"] != two["sources"]
    assert one["digest"] == two["digest"]
    assert one["seal"] != two["seal"], "people approve one plan, not all that are like it"
    apart = ("created_at", "sources", "seal", "steps")
    assert {k: v for k, v in one.items() if k not in apart} == {
        k: v for k, v in two.items() if k not in apart
    }
    assert [step["id"] for step in one["steps"]] == [step["id"] for step in two["steps"]]


def test_another_world_makes_another_digest(tmp_path):
    one = planned(tmp_path / "a", seed="1")
    looked_at = {step["call"]["uses"] for step in one["steps"] if step["call"]}
    assert "aws.rds.promote_replica" in looked_at
    two = planned(tmp_path / "b", seed="1", state="aws.rds.promote_replica")
    assert one["digest"] != two["digest"]


@pytest.mark.parametrize(
    "edit",
    [
        ("r.yaml", "estimate: 3s", "estimate: 4s"),
        ("r.yaml", "# The order is the point", "# The point is the order"),
        ("e.yaml", "instance: orders-dr", "instance: others"),
    ],
)
def test_another_text_makes_another_digest(tmp_path, edit):
    one = planned(tmp_path / "a", seed="1", mode="offline")
    two = planned(tmp_path / "b", seed="1", mode="offline", edit=edit)
    assert one["digest"] != two["digest"]
