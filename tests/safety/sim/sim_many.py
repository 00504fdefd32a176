"""
Many simulated nights, on all cores: ``make sim SEEDS=1000``, or one again: ``make sim SEED=17``.

Exits 1 when a promise was broken; for the first such seed it prints the night made as small as it
still breaks it, and the one command that repeats it.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import results  # noqa: E402 (its folder is not on the path before)
from sim_night import live, story_of  # noqa: E402 (its folder is not on the path before)
from sim_shrink import shrink, told  # noqa: E402 (its folder is not on the path before)

from drctl.lab.history import CHECKS  # noqa: E402 (its folder is not on the path before)


@dataclass(frozen=True)
class Seen:
    """What is kept of one night."""

    seed: int
    result: str
    events: int
    deaths: int
    broken: tuple[str, ...]
    promises: frozenset[str]


def see(seed: int) -> Seen:
    """Lives through the night of *seed*."""
    came = live(story_of(seed))
    return Seen(
        seed=seed,
        result=came.result,
        events=came.journal.count(b"\n"),
        deaths=max(0, came.lives - 1),
        broken=tuple(str(one) for one in came.violations),
        promises=frozenset(one.promise for one in came.violations),
    )


def explain(seed: int) -> str:
    """Why a seed fails, as small as it gets, and how to see it again."""
    story = story_of(seed)
    promises = {one.promise for one in live(story).violations}
    small = shrink(story, lambda one: bool(promises & {v.promise for v in live(one).violations}))
    came = live(small)
    broken = "\n".join(f"  {one}" for one in came.violations)
    return f"{told(small)}\nbroken:\n{broken}\nagain: make sim SEED={seed}"


def many(seeds: Sequence[int], processes: int) -> list[Seen]:
    """Lives through all of them."""
    if processes < 2 or len(seeds) < 2:
        return [see(seed) for seed in seeds]
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        return pool.map(see, seeds, chunksize=25)


def keep(seen: Sequence[Seen]) -> None:
    """Puts the counts where the table of promises is made from."""
    for promise in CHECKS:
        violations = sum(promise in one.promises for one in seen)
        results.record("sim", promise, cases=len(seen), violations=violations)


def main() -> int:
    """Runs, prints what came of it, and fails when a promise was broken."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    chosen = parser.parse_args()
    if chosen.seed is not None:
        came = live(story_of(chosen.seed))
        sys.stdout.write(came.journal.decode(errors="replace"))
        print(told(came.story), file=sys.stderr)
        for one in came.violations:
            print(f"BROKEN {one}", file=sys.stderr)
        print(f"{came.result}; {len(came.violations)} broken", file=sys.stderr)
        return 1 if came.violations else 0
    began = time.perf_counter()
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    seen = many(seeds, os.cpu_count() or 1)
    keep(seen)
    ends = ", ".join(f"{n} {word}" for word, n in Counter(s.result for s in seen).most_common())
    print(
        f"{len(seen)} nights, {sum(s.events for s in seen)} events, {sum(s.deaths for s in seen)} "
        f"taken up again, in {time.perf_counter() - began:.1f}s: {ends}"
    )
    ill = [one for one in seen if one.broken]
    print(f"{len(CHECKS)} promises checked, {sum(len(one.broken) for one in ill)} broken")
    for one in ill[:10]:
        print(f"  seed {one.seed}: {one.broken[0]}")
    if ill:
        print(explain(ill[0].seed))
    return 1 if ill else 0


if __name__ == "__main__":
    sys.exit(main())
