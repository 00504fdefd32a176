"""Part 4: a runbook of 1,000 and of 10,000 steps, against reading its YAML and doing nothing."""

import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from estate import SOURCE
from timing import Harness, Row, Subject, ratio

TESTS = SOURCE.parent / "tests"
_PARSE = (
    "import sys, yaml; yaml.load(open(sys.argv[1]), getattr(yaml, 'CSafeLoader', yaml.SafeLoader))"
)
VALIDATE, PLAN = "drctl validate", "drctl plan --offline"
GOALS_S = {1_000: {VALIDATE: 0.5, PLAN: 0.5}, 10_000: {VALIDATE: 1.5, PLAN: 3.0}}
GOAL_MIB = 300


@dataclass(frozen=True)
class Reached:
    """How far a command is from what it is meant to take, on this machine at this time."""

    what: str
    took_s: float
    """Median of wall time."""
    cpu_s: float
    """The least of a few runs: what others do on the machine changes it least."""
    goal_s: float
    peak_mib: float

    def __str__(self) -> str:
        return (
            f"{self.what}: {self.took_s:.2f} s ({self.cpu_s:.2f} s of CPU) of {self.goal_s:.1f} s,"
            f" {_word(self.took_s <= self.goal_s)}; {self.peak_mib:.0f} MiB of {GOAL_MIB} MiB,"
            f" {_word(self.peak_mib <= GOAL_MIB)}"
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"goal_mib": GOAL_MIB}


def measure(harness: Harness, folder: Path, rounds: int) -> tuple[list[Row], list[Reached]]:
    """
    Times whole processes. Changes: the folder.

    Returns:
        ``validate`` and ``plan --offline`` over a bare parse of the same file in the same round,
        and the same against their goals.
    """
    sys.path.insert(0, str(TESTS / "cli"))
    from large_runbook import runbook

    folder.mkdir(parents=True, exist_ok=True)
    environment = TESTS / "scenarios" / "environment.yaml"
    variables = {
        "PYTHONPATH": str(SOURCE),
        "XDG_STATE_HOME": str(folder / "state"),
        # As where drctl is installed: what is imported was compiled before.
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
    }
    rows, reached = [], []
    for steps, goals_s in GOALS_S.items():
        file = folder / f"steps-{steps}.yaml"
        file.write_text(runbook(steps))
        floor = f"bare YAML parse, {steps:,} steps"
        python = Path(sys.executable)
        drctl = [python, "-m", "drctl"]
        plan = [*drctl, "plan", file, "-e", environment, "--offline"]
        subjects = [
            Subject(floor, [python, "-c", _PARSE, file], folder, variables),
            Subject(VALIDATE, [*drctl, "validate", file], folder, variables),
            Subject(PLAN, plan, folder, variables),
        ]
        used = {one.name: _used(one, rounds) for one in subjects}
        seconds = harness.take_turns(subjects, rounds)
        for one in subjects[1:]:
            name = f"{one.name}, {steps:,} steps"
            rows.append(ratio("large", name, floor, seconds[one.name], seconds[floor]))
            took_s = statistics.median(seconds[one.name])
            reached.append(
                Reached(name, took_s, used[one.name][0], goals_s[one.name], used[one.name][1])
            )
    return rows, reached


def _used(subject: Subject, rounds: int) -> tuple[float, float]:
    """CPU seconds and MiB; the least and the most of a few runs, after one that compiles."""
    found = [_once(subject) for _ in range(rounds + 1)][1:]
    return min(cpu_s for cpu_s, _mib in found), max(mib for _cpu_s, mib in found)


def _once(subject: Subject) -> tuple[float, float]:
    with subprocess.Popen(
        [str(part) for part in subject.command],
        cwd=subject.folder,
        env={**os.environ, **subject.variables},
        stdout=subprocess.DEVNULL,
    ) as process:
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, subject.command)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def _word(is_met: bool) -> str:
    return "met" if is_met else "NOT met"


def told(reached: Sequence[Reached]) -> list[str]:
    """One line for each goal."""
    return [f"goal: {one}" for one in reached]
