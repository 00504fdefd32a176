"""
The places where a run may die, and what must be true afterwards; `make crash` runs them all.

A shipped runbook that waits for a vendor renews its lease some nine hundred times: of places that
leave the same behind one is tried (`unlike`), and of such a long runbook's some that are drawn.

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

from crash_cases import RUNBOOKS, Case, base, hits, spread, tell, uninterrupted
from crash_estate import KINDS

SEEDS = (0, 1, 2, 3)
"""Of faults: 0 is none."""
LONG = 2000
"""A run that passes more places than this waits for most of them, with its lease renewed."""
OF_LONG = 100
"""So many of a long runbook's cases, drawn; each takes five times as long as another's."""


@dataclass(frozen=True)
class Found:
    """What one case showed."""

    case: str
    died: int
    ill: list[str]


def singles() -> list[Case]:
    """Of each runbook every place that is like no other, of a long one some that are drawn."""
    found = []
    for runbook in RUNBOOKS:
        cases = singles_of(runbook)
        is_long = len(hits(runbook, KINDS[0])) > LONG
        found += spread(cases, OF_LONG) if is_long else cases
    return found


def singles_of(runbook: str) -> list[Case]:
    """Every place like no other, in each kind of estate; with faults, and with the power too."""
    found = []
    whole = unlike(hits(runbook, KINDS[0]))
    for kind in KINDS:
        every = hits(runbook, kind)
        effects = sum(place.startswith("effect.send@") for place in every)
        # The lease knows nothing of when an effect happens: once is enough.
        wanted = whole if kind == KINDS[0] else _without_lease(unlike(every))
        wanted = [*wanted, *(f"applied@{n}" for n in range(1, effects + 1))]
        found += [Case(runbook, kind, 0, (place,)) for place in wanted]
    for seed in SEEDS[1:]:
        places = random.Random(seed).sample(unlike(hits(runbook, KINDS[0], seed)), 20)
        found += [Case(runbook, KINDS[0], seed, (place,)) for place in places]
    # What differs with the power is what was written and not synced.
    lost = [place for place in whole if place.startswith(("journal", "files", "effect.s"))]
    found += [Case(runbook, KINDS[0], 0, (f"{place}!",)) for place in lost]
    return found


def unlike(places: Sequence[str]) -> list[str]:
    """
    The places between two records of the journal, each point once: nothing is recorded there, so
    a death at the second renewal of a lease, or at the second look, leaves what one at the first
    does.
    """
    found, seen = [], set[str]()
    for place in places:
        point = place.partition("@")[0]
        if point == "journal.after_write":
            seen.clear()
        if point not in seen:
            seen.add(point)
            found.append(place)
    return found


def _without_lease(places: Sequence[str]) -> list[str]:
    return [place for place in places if not place.startswith("lease.")]


def several(deaths: int, count: int, seed: int) -> list[Case]:
    """Cases that die in a resume too. The further deaths are at the nth place of that process."""
    draw, found = random.Random(seed), []
    places = {(r, k): unlike(hits(r, k)) for r in RUNBOOKS for k in KINDS}
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
