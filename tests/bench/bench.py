"""
Ratios to floors and peers, all taken in this one run; also in ``build/bench.json``.

Absolute times drift with the machine, so none is asserted anywhere, and none is comparable between
runs. Where a command has a goal in seconds, it is said whether this machine reached it this time.
"""

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import engine
import failover
import large
import peers
import startup
from timing import Harness, Row

BUILD = Path(__file__).parent.parent.parent / "build"


def main() -> None:
    """Measures, prints, writes. Leaves no process behind."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--quick", action="store_true", help="fewer rounds, no lab: under a minute"
    )
    options.add_argument(
        "--only", choices=("startup", "engine", "large", "failover"), help="one part instead of all"
    )
    options.add_argument("--steps", type=int, default=1000, help="no-op steps (default 1,000)")
    chosen = options.parse_args()
    programs = peers.prepared(BUILD / "bench-venv")
    began = time.monotonic()
    found = _measure(chosen, programs)
    found["took_s"] = round(time.monotonic() - began, 1)
    found["machine"] = {"python": platform.python_version(), "system": platform.platform()}
    _write(found)


def _measure(chosen: argparse.Namespace, programs: Path) -> dict[str, Any]:
    harness, quick = Harness(programs / "python"), chosen.quick
    rows: list[Row] = []
    found: dict[str, Any] = {"version": 1, "quick": quick}
    if chosen.only in {None, "startup"}:
        rows += _shown(startup.measure(harness, 5 if quick else 15))
    if chosen.only in {None, "engine"}:
        made, per_step = engine.measure(
            harness,
            programs,
            BUILD / "bench" / "noop",
            steps=chosen.steps,
            rounds=1 if quick else 5,
            with_debug=not quick,
        )
        rows += _shown(made)
        found["per_step"] = per_step
        for shape, cost in per_step.items():
            print(
                f"{'':16}one step in {shape}: " + ", ".join(f"{k} {v:.2f}" for k, v in cost.items())
            )
    if chosen.only in {None, "large"}:
        made, reached = large.measure(harness, BUILD / "bench" / "large", 1 if quick else 5)
        rows += _shown(made)
        found["goals"] = [one.as_json() for one in reached]
        for line in large.told(reached):
            print(f"{'':16}{line}")
    if chosen.only == "failover" or (chosen.only is None and not quick):
        made, seen = failover.measure(programs, BUILD / "bench" / "failover")
        rows += _shown(made)
        found["failover"] = seen
        for line in failover.told(seen):
            print(f"{'':16}{line}")
    found["ratios"] = [row.as_json() for row in rows]
    return found


def _shown(rows: list[Row]) -> list[Row]:
    for row in rows:
        spread = f"{row.minimum:.2f} .. {row.maximum:.2f}, n={row.pairs}"
        print(f"{row.part:<15} {row.median:8.2f} x  ({spread})  {row.what} / {row.against}")
        print(f"{'':27}  {_time(row.what_s)} / {_time(row.against_s)}", flush=True)
    return rows


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _write(found: dict[str, Any]) -> None:
    place = BUILD / "bench.json"
    place.write_text(json.dumps(found, indent=1) + "\n")
    print(f"took {found['took_s']} s; all of it in {place}")


if __name__ == "__main__":
    main()
