"""Ten thousand steps cost ten times what a thousand do, and fit into 300 MiB."""

import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from large_runbook import runbook

from drctl.actions.registry import installed
from drctl.app.runbooks import Loaded, load
from drctl.config.environment import load_environment
from drctl.config.secrets import LocalSecrets
from drctl.kernel.clock import SystemClock
from drctl.plan.make import Planner

ROOT = Path(__file__).parent.parent.parent
MODEL = ROOT / "tests" / "scenarios" / "environment.yaml"
TIMES = 10
MOST = 2.5 * TIMES
"""What grows with the square takes a hundred times as long; a busy machine, not thrice."""
MOST_MIB = 300


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    made = {}
    for steps in (1_000, 1_000 * TIMES):
        made[steps] = folder / f"r{steps}.yaml"
        made[steps].write_text(runbook(steps))
    return made


def taken_s(work):
    """CPU seconds of this thread, the better of two: others on the machine count little."""
    taken = []
    for _ in range(2):
        gc.collect()
        gc.disable()  # what other tests have left is looked through too; `main` lets it be rare
        try:
            before = time.thread_time()
            kept = work()
            taken.append(time.thread_time() - before)
        finally:
            gc.enable()
    return min(taken), kept


@pytest.mark.timeout(300)
def test_validating_and_planning_grow_with_the_number_of_steps(files):
    registry, environment = installed(), load_environment(MODEL)
    planner = Planner(registry=registry, clock=SystemClock(), secrets=LocalSecrets())

    def drafted(loaded: Loaded):
        return planner.draft(loaded.runbook, loaded.sha256, environment, {})

    spent = {}
    for steps, file in files.items():
        reading_s, loaded = taken_s(lambda file=file: load(file, registry, environment.targets))
        planning_s, plan = taken_s(lambda loaded=loaded: drafted(loaded))
        assert len(plan.steps) == steps
        spent[steps] = (reading_s, planning_s)
    few, many = spent.values()
    assert many[0] / few[0] < MOST
    assert many[1] / few[1] < MOST


@pytest.mark.timeout(300)
@pytest.mark.parametrize("words", [["validate"], ["plan", "-e", str(MODEL), "--offline"]])
def test_ten_thousand_steps_fit_into_memory(files, words, tmp_path):
    program = (
        "import resource, subprocess, sys;"
        "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, sys.executable, "-m", "drctl", *words, files[10_000]],
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert int(done.stdout) <= MOST_MIB
