"""Part 4: a runbook of 1,000 and of 10,000 steps, against reading its YAML and doing nothing."""

import sys
from pathlib import Path

from estate import SOURCE
from timing import Harness, Row, Subject, ratio

TESTS = SOURCE.parent / "tests"
_PARSE = (
    "import sys, yaml; yaml.load(open(sys.argv[1]), getattr(yaml, 'CSafeLoader', yaml.SafeLoader))"
)


def measure(harness: Harness, folder: Path, rounds: int) -> list[Row]:
    """
    Times whole processes. Changes: the folder.

    Returns:
        ``validate`` and ``plan --offline`` over a bare parse of the same file in the same round.
    """
    sys.path.insert(0, str(TESTS / "cli"))
    from large_runbook import runbook

    folder.mkdir(parents=True, exist_ok=True)
    environment = TESTS / "scenarios" / "environment.yaml"
    variables = {"PYTHONPATH": str(SOURCE), "XDG_STATE_HOME": str(folder / "state")}
    rows = []
    for steps in (1_000, 10_000):
        file = folder / f"steps-{steps}.yaml"
        file.write_text(runbook(steps))
        floor = f"bare YAML parse, {steps:,} steps"
        python = Path(sys.executable)
        drctl = [python, "-m", "drctl"]
        subjects = [
            Subject(floor, [python, "-c", _PARSE, file], folder, variables),
            Subject("drctl validate", [*drctl, "validate", file], folder, variables),
            Subject(
                "drctl plan --offline",
                [*drctl, "plan", file, "-e", environment, "--offline"],
                folder,
                variables,
            ),
        ]
        seconds = harness.take_turns(subjects, rounds)
        rows += [
            ratio("large", f"{one.name}, {steps:,} steps", floor, seconds[one.name], seconds[floor])
            for one in subjects[1:]
        ]
    return rows
