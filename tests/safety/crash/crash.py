"""
Every place where a run may die, and what must be true afterwards; `make crash` runs it whole.

    python tests/safety/crash/crash.py                      everything
    python tests/safety/crash/crash.py --case CASE          one case, as a failure prints it
    python tests/safety/crash/crash.py --hits RUNBOOK       every place that a run passes
"""

import argparse
import gc
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from crash_cases import RUNBOOKS, Case, base, hits, tell, uninterrupted
from crash_estate import KINDS

SEEDS = (0, 1, 2, 3)
"""Of faults: 0 is none."""


@dataclass(frozen=True)
class Found:
    """What one case showed."""

    case: str
    died: int
    ill: list[str]


def singles() -> list[Case]:
    """Every place of every runbook, in each kind of estate; with faults, with the power too."""
    found = []
    for runbook in RUNBOOKS:
        for kind in KINDS:
            places = hits(runbook, kind)
            effects = sum(place.startswith("effect.send@") for place in places)
            places += [f"applied@{n}" for n in range(1, effects + 1)]
            # The lease knows nothing of when an effect happens: once is enough.
            wanted = [p for p in places if kind == KINDS[0] or not p.startswith("lease.")]
            found += [Case(runbook, kind, 0, (place,)) for place in wanted]
        for seed in SEEDS[1:]:
            places = random.Random(seed).sample(hits(runbook, "at_once", seed), 60)
            found += [Case(runbook, "at_once", seed, (place,)) for place in places]
        # What differs with the power is what was written and not synced.
        lost = [
            p for p in hits(runbook, "at_once") if p.startswith(("journal", "files", "effect.s"))
        ]
        found += [Case(runbook, "at_once", 0, (f"{place}!",)) for place in lost]
    return found


def several(deaths: int, count: int, seed: int) -> list[Case]:
    """Cases that die in a resume too. The further deaths are at the nth place of that process."""
    draw, found = random.Random(seed), []
    places = {(r, k): hits(r, k) for r in RUNBOOKS for k in KINDS}
    for _ in range(count):
        runbook, kind = draw.choice(RUNBOOKS), draw.choice(KINDS)
        # Not the last ones: what is left must be long enough to die in.
        first = draw.choice(places[runbook, kind][: -len(places[runbook, kind]) // 4])
        later = [f"any@{draw.randrange(1, 40)}" for _ in range(deaths - 1)]
        found.append(Case(runbook, kind, draw.choice(SEEDS), (first, *later)))
    return found


def signals(count: int, seed: int) -> list[Case]:
    """SIGINT and SIGTERM at instants all over a run."""
    draw = random.Random(seed)
    return [
        Case(
            draw.choice(RUNBOOKS), draw.choice(KINDS), 0,
            (f"{'SIGINT' if n % 2 else 'SIGTERM'}@{draw.uniform(0.05, 72):.3f}",),
        )
        for n in range(count)
    ]  # fmt: skip


def run_all(cases: Sequence[Case], workers: int | None = None) -> list[Found]:
    """Runs the cases on all cores; each in processes of its own, from what is imported here."""
    for case in cases:  # once, before the fork
        base(case.runbook)
        uninterrupted(case.runbook, case.estate, case.seed)
    gc.freeze()
    count = workers or os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        children = []
        for number in range(count):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    with (Path(folder) / str(number)).open("w") as file:
                        for case in cases[number::count]:
                            told = tell(case)
                            print(json.dumps([str(case), told.died, told.ill]), file=file)
                    code = 0
                except BaseException:  # noqa: BLE001 (the parent counts what is missing)
                    import traceback

                    traceback.print_exc()
                finally:
                    os._exit(code)
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
        lines = "".join((Path(folder) / str(n)).read_text() for n in range(count)).splitlines()
    found = [Found(*json.loads(line)) for line in lines]
    assert len(found) == len(cases), f"{len(cases) - len(found)} cases were not told to their end"
    return found


def report(found: Sequence[Found], show: int = 10) -> str:
    """The first that are ill, each with the command that repeats it."""
    ill = [one for one in found if one.ill]
    lines = [f"{len(found)} cases, {len(ill)} ill"]
    for one in ill[:show]:
        lines += [f"  python tests/safety/crash/crash.py --case '{one.case}'"]
        lines += [f"    {why}" for why in one.ill]
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", action="append", default=[])
    parser.add_argument("--hits")
    chosen = parser.parse_args(words)
    if chosen.hits:
        print("\n".join(hits(chosen.hits, "at_once")))
        return 0
    if chosen.case:
        ill = 0
        for text in chosen.case:
            told = tell(Case.read(text))
            print(f"{text}: died {told.died}, then {told.end}")
            print("\n".join(told.ill) or "as if nothing had happened")
            ill += bool(told.ill)
        return 1 if ill else 0
    started, ill = time.monotonic(), 0
    kinds = {
        "one death": singles(),
        "two deaths": several(2, 260, 2),
        "three deaths": several(3, 80, 3),
        "a signal": signals(120, 4),
    }
    for name, cases in kinds.items():
        found = run_all(cases)
        ill += sum(bool(one.ill) for one in found)
        print(f"{name}: {report(found)}; {Counter(one.died for one in found)}", flush=True)
    print(f"{time.monotonic() - started:.0f}s")
    return 1 if ill else 0


if __name__ == "__main__":
    sys.exit(main())
