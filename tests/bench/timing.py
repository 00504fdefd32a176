"""
Whole processes timed by pyperf, taking turns.

The machine drifts more within a minute than a tool differs from the next, so subjects are run one
after the other, round by round, and a ratio is made inside each round: what is reported is the
median of those, with the smallest and the largest.
"""

import json
import os
import statistics
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Subject:
    """A command to be timed."""

    name: str
    command: Sequence[str | Path]
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One ratio: *what* over *against*, taken in pairs."""

    part: str
    what: str
    against: str
    minimum: float
    median: float
    maximum: float
    pairs: int
    what_s: float
    """Median."""
    against_s: float
    """Median."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def ratio(
    part: str, what: str, against: str, values: Sequence[float], floors: Sequence[float]
) -> Row:
    """Pairs what was taken in the same round."""
    ratios = [value / floor for value, floor in zip(values, floors, strict=True)]
    return Row(
        part,
        what,
        against,
        min(ratios),
        statistics.median(ratios),
        max(ratios),
        len(ratios),
        statistics.median(values),
        statistics.median(floors),
    )


@dataclass(frozen=True)
class Harness:
    """pyperf, in the peers' environment."""

    python: Path

    def take_turns(self, subjects: Sequence[Subject], rounds: int) -> dict[str, list[float]]:
        """
        Runs each subject once a round; what it prints is thrown away.

        Returns:
            Seconds of wall time, by subject's name, in the order of the rounds.

        Raises:
            subprocess.CalledProcessError: A subject failed: its time is worth nothing.
        """
        seconds: dict[str, list[float]] = {subject.name: [] for subject in subjects}
        for _ in range(rounds):
            for subject in subjects:
                seconds[subject.name].append(self.once(subject))
        return seconds

    def once(self, subject: Subject) -> float:
        """Times one run."""
        one = ["--processes=1", "--warmups=0", "--values=1", "--loops=1"]
        with tempfile.TemporaryDirectory() as folder:
            result = Path(folder) / "result.json"
            subprocess.run(
                [
                    *(self.python, "-m", "pyperf", "command", "--quiet", "--copy-env", *one),
                    *("--output", result, "--", *subject.command),
                ],
                cwd=subject.folder,
                env={**os.environ, **subject.variables},
                stdout=subprocess.DEVNULL,
                check=True,
            )
            (benchmark,) = json.loads(result.read_text())["benchmarks"]
        return float(benchmark["runs"][-1]["values"][0])
