"""
What a safety suite found, kept where the table of promises is made from.

A suite calls `record` once for each promise it tried; ``build/safety/<suite>.json`` then holds the
largest run of it so far in this checkout (a slice never overwrites the whole).
"""

import fcntl
import json
import os
from pathlib import Path

BUILD = Path(__file__).parent.parent.parent / "build" / "safety"


def is_full() -> bool:
    """True when the whole suite is asked for (``make crash`` and its like), not CI's slice."""
    return os.environ.get("DRCTL_SAFETY") == "full"


def record(
    suite: str, promise: str, *, cases: int, violations: int, note: str = "", part: str = ""
) -> None:
    """
    Keeps how many cases of a promise were tried, and how many broke it.

    Args:
        suite: Its folder, and after a hyphen whatever the suite likes.
        promise: ``I1`` to ``I38``.
        part: What is counted; a second count of one part takes the first one's place, and those of
            different parts are added. Default: the test that counts.
    """
    if os.environ.get("DRCTL_GUARD_OFF"):
        return  # a known-bad build: that it breaks the promise is what it is for
    test = os.environ.get("PYTEST_CURRENT_TEST", "main").split(" ")[0].split("[")[0]
    key = f"{promise} {part or test.rpartition('::')[2]}"
    BUILD.mkdir(parents=True, exist_ok=True)
    path = BUILD / f"{suite}.json"
    with (BUILD / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two workers may count at once
        known = json.loads(path.read_text()) if path.exists() else {}
        before = known.get(key)
        if before and before["full"] and not violations and not is_full():
            return
        known[key] = {"cases": cases, "violations": violations, "full": is_full(), "note": note}
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
        partial.replace(path)
