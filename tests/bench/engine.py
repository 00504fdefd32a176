"""Part 2: what a step costs by itself: the engine against the disk, and drctl against its peers."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from estate import HERE, NoOperations
from timing import Harness, Row, Subject, ratio

_FLOOR = "bare fsynced append, same lines"
_SHAPES = ("sequence", "parallel")


def measure(
    harness: Harness, programs: Path, folder: Path, *, steps: int, rounds: int, with_debug: bool
) -> tuple[list[Row], dict[str, Any]]:
    """
    Runs the same no-op steps everywhere.

    Returns:
        The ratios, and what a step costs in this process in milliseconds.
    """
    made = NoOperations(folder, steps)
    made.write()
    inside = _inside(made, rounds)
    return [
        *_against_the_disk(inside),
        *_against_peers(harness, programs, made, rounds, with_debug),
    ], {shape: _per_step(runs) for shape, runs in inside.items()}


def _inside(made: NoOperations, rounds: int) -> dict[str, list[dict[str, Any]]]:
    runbooks = [made.runbook(shape) for shape in _SHAPES]
    done = subprocess.run(
        [
            *(sys.executable, HERE / "noop_run.py", str(rounds)),
            *(made.environment, made.folder / "runs", *runbooks),
        ],
        env={**os.environ, **made.variables},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return dict(zip(_SHAPES, json.loads(done.stdout), strict=True))


def _against_the_disk(inside: dict[str, list[dict[str, Any]]]) -> list[Row]:
    rows = []
    for shape, runs in inside.items():
        what = f"engine, {runs[0]['steps']:,} steps in {shape} ({runs[0]['events']:,} events)"
        walls, floors = ([run[key]["wall_s"] for run in runs] for key in ("run", "floor"))
        rows.append(ratio("engine", what, _FLOOR, walls, floors))
    return rows


def _per_step(runs: list[dict[str, Any]]) -> dict[str, float]:
    def per_step(part: str, clock: str) -> float:
        return statistics.median(run[part][clock] / run["steps"] * 1000 for run in runs)

    return {
        f"{part}_{clock.removesuffix('_s')}_ms": round(per_step(part, clock), 3)
        for part in ("plan", "run", "floor")
        for clock in ("wall_s", "cpu_s")
    }


def _against_peers(
    harness: Harness, programs: Path, made: NoOperations, rounds: int, with_debug: bool
) -> list[Row]:
    drctl = [Path(sys.executable), "-m", "drctl", "run"]
    ours = [
        Subject(
            f"drctl run, {shape}",
            [*drctl, made.runbook(shape), "-e", made.environment, "--no-input"],
            made.folder,
            made.variables,
        )
        for shape in _SHAPES
    ]
    theirs = [_chaos(programs, made), _ansible(programs, made, "meta")]
    seconds = harness.take_turns([*ours, *theirs], rounds)
    rows = [
        ratio("whole process", one.name, peer.name, seconds[one.name], seconds[peer.name])
        for one in ours
        for peer in theirs
    ]
    if with_debug:
        # Once: it forks for every task, and takes as long as everything else together.
        debug = _ansible(programs, made, "debug")
        turn = harness.take_turns([ours[0], debug], 1)
        rows.append(
            ratio("whole process", ours[0].name, debug.name, turn[ours[0].name], turn[debug.name])
        )
    return rows


def _chaos(programs: Path, made: NoOperations) -> Subject:
    command = [programs / "chaos", "--no-version-check", "run", made.experiment]
    variables = {"PYTHONPATH": str(made.folder), "HOME": str(made.folder)}
    return Subject("chaos run (journal not fsynced)", command, made.folder, variables)


def _ansible(programs: Path, made: NoOperations, task: str) -> Subject:
    command = [programs / "ansible-playbook", "-i", "localhost,", made.playbook(task)]
    variables = {
        "ANSIBLE_HOME": str(made.folder / "ansible"),
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": "",
    }
    name = {
        "meta": "ansible-playbook, meta: noop (no log)",
        "debug": "ansible-playbook, debug (no log)",
    }
    return Subject(name[task], command, made.folder, variables)
