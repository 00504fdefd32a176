"""Part 1: what it costs to start drctl."""

import sys
from pathlib import Path

from estate import SOURCE
from timing import Harness, Row, Subject, ratio

_FLOOR = "python -c pass"
_COMMANDS = {
    "drctl --help": ["--help"],
    "drctl version": ["version"],
    "drctl validate (13 steps)": ["validate", "runbooks/region-failover.yaml"],
}


def measure(harness: Harness, rounds: int) -> list[Row]:
    """Times each command against an interpreter that does nothing."""
    folder, variables = SOURCE.parent, {"PYTHONPATH": str(SOURCE)}
    python = Path(sys.executable)
    subjects = [Subject(_FLOOR, [python, "-c", "pass"], folder, variables)]
    subjects += [
        Subject(name, [python, "-m", "drctl", *words], folder, variables)
        for name, words in _COMMANDS.items()
    ]
    harness.take_turns(subjects, 1)  # byte code and disk cache
    seconds = harness.take_turns(subjects, rounds)
    return [ratio("start-up", name, _FLOOR, seconds[name], seconds[_FLOOR]) for name in _COMMANDS]
