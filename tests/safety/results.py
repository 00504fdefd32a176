"""
What a safety suite found, kept where the table of promises is made from.

A suite calls `record` once for each promise it tried; ``build/safety/<suite>.json`` then holds the
largest run of it so far in this checkout (a slice never overwrites the whole).
"""

import json
import os
from pathlib import Path

BUILD = Path(__file__).parent.parent.parent / "build" / "safety"


def is_full() -> bool:
    """True when the whole suite is asked for (``make crash`` and its like), not CI's slice."""
    return os.environ.get("DRCTL_SAFETY") == "full"


def record(suite: str, promise: str, *, cases: int, violations: int, note: str = "") -> None:
    """
    Keeps how many cases of a promise were tried, and how many broke it.

    Args:
        promise: ``I1`` to ``I38``.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    path = BUILD / f"{suite}.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    before = known.get(promise)
    if before and before["cases"] > cases and not violations and not is_full():
        return
    known[promise] = {"cases": cases, "violations": violations, "full": is_full(), "note": note}
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    partial.replace(path)
