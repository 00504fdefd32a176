"""
Runs of no-op steps in this process, through the real engine and journal, each with its floor.

The floor is the lines that the run has just written, appended and fsynced with nothing else.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drctl_bench_noop import ADAPTER

from drctl.actions.registry import Registry
from drctl.app.compose import Parts
from drctl.app.planning import plan_runbook
from drctl.app.running import Consent, run_plan
from drctl.config.secrets import LocalSecrets
from drctl.kernel.clock import SystemClock


def _timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def _append(path: Path, lines: list[bytes]) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    try:
        for line in lines:
            os.write(handle, line)
            os.fsync(handle)
    finally:
        os.close(handle)


def _measured(parts: Parts, runbook: str, environment: str) -> dict[str, Any]:
    plan, planning = _timed(lambda: asyncio.run(plan_runbook(parts, runbook, environment, {})))
    (end, folder), running = _timed(lambda: asyncio.run(run_plan(parts, plan, Consent(), [])))
    if end.result != "succeeded":
        sys.exit(f"the run {end.result}: {end.why}")
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    # In the run's own folder: the floor must be of the same file system.
    _none, floor = _timed(lambda: _append(folder.path / "floor", lines))
    measured = {"steps": len(plan.steps), "events": len(lines), "bytes": sum(map(len, lines))}
    return {**measured, "plan": planning, "run": running, "floor": floor}


def main(rounds: str, environment: str, runs: str, *runbooks: str) -> None:
    """Prints one list of measurements for each runbook, as JSON; runbooks take turns."""
    parts = Parts(
        registry=Registry([ADAPTER]), clock=SystemClock(), secrets=LocalSecrets(), runs=Path(runs)
    )
    rows = [
        [_measured(parts, runbook, environment) for runbook in runbooks] for _ in range(int(rounds))
    ]
    print(json.dumps(list(zip(*rows, strict=True))))


if __name__ == "__main__":
    main(*sys.argv[1:])
