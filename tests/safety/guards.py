"""
Guards switched off, one at a time: the suite that proves a guard must then fail.

Each suite keeps its own list in ``tests/safety/<suite>/guards.py`` as ``GUARDS``. A guard is a
piece of the source and what stands in its place when it is off; ``make guard-kill`` copies the
source, puts that in, runs the suite's command on the copy, and prints guard, suite, red.
"""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@dataclass(frozen=True, kw_only=True)
class Guard:
    """One guard, and how to switch it off."""

    name: str
    promise: str
    """``I1`` to ``I38``."""
    file: str
    """Relative to ``src/drctl``."""
    old: str
    """Occurs exactly once in the file."""
    new: str
    command: str
    """Arguments of pytest: the smallest part of the suite that must go red."""
    suite: str = ""


def guards() -> list[Guard]:
    """All of them, by suite."""
    found = []
    for path in sorted(HERE.glob("*/guards.py")):
        spec = importlib.util.spec_from_file_location(f"guards_{path.parent.name}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found += [Guard(**{**vars(g), "suite": path.parent.name}) for g in module.GUARDS]
    return found


def is_red(guard: Guard) -> tuple[bool, str]:
    """Runs the guard's command with the guard off; true when tests ran and one of them failed."""
    with tempfile.TemporaryDirectory(prefix="drctl-guard-") as folder:
        source = Path(folder) / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "runbooks", Path(folder) / "runbooks")
        target = source / "drctl" / guard.file
        text = target.read_text()
        if text.count(guard.old) != 1:
            return False, f"the guard's text occurs {text.count(guard.old)} times in {guard.file}"
        target.write_text(text.replace(guard.old, guard.new))
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p",
             "no:randomly", *shlex.split(guard.command)],
            cwd=ROOT, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(source), "DRCTL_SAFETY": "slice",
                 "PYTHONDONTWRITEBYTECODE": "1", "DRCTL_GUARD_OFF": guard.name},
        )  # fmt: skip
    last = (done.stdout.strip().splitlines() or ["no output"])[-1]
    # 1: tests were collected and some failed. Anything else proves nothing.
    return done.returncode == 1, last


def main(words: list[str]) -> int:
    """Prints guard, suite and colour; fails when one is not red."""
    chosen = [g for g in guards() if not words or g.suite in words or g.name in words]
    ill = 0
    print(f"{'guard':<48} {'promise':<8} {'suite':<12} result")
    # By suite, because two runs of one suite may want the same loopback net.
    suites = {suite: [g for g in chosen if g.suite == suite] for suite in {g.suite for g in chosen}}
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for done in as_completed(pool.submit(_run, suite) for suite in suites.values()):
            ill += done.result()
    print(f"{len(chosen)} guards, {len(chosen) - ill} red, {ill} not")
    return 1 if ill or not chosen else 0


def _run(chosen: list[Guard]) -> int:
    ill = 0
    for guard in chosen:
        red, said = is_red(guard)
        ill += not red
        colour = "red" if red else f"NOT RED: {said}"
        print(f"{guard.name:<48} {guard.promise:<8} {guard.suite:<12} {colour}", flush=True)
    return ill


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
