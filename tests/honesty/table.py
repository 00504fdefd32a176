"""
The table of ``make plan-honesty``: what each part of "the honest plan" found.

Each part leaves ``build/honesty/<part>.json``: a row, or a list of them, of ``line`` (the promise),
``wanted``, ``found`` and ``ok``. Fails when a row is not ok, or an expected part left nothing.
"""

import json
import sys
import textwrap
from pathlib import Path

BUILD = Path(__file__).parent.parent.parent / "build" / "honesty"
PARTS = {
    "ready": "each of 20 prepared defects is named by drctl ready, and nothing else",
    "fate": "drctl plan --assume-down: each call that fails is named, and no other",
    "zero": "mutating calls that reach any side in every plan/ready of every shipped runbook",
    "import": "the plan's five scripts, imported: findings by rule id",
    "shipped": "findings of the shipped runbooks that no dated waiver names",
    "forecast_even": "the finish lies within the stated interval at the stated rate",
    "forecast_skewed": "the same, durations skewed",
    "forecast_slow_nights": "the same, slow steps coming together",
}
"""The parts that must have been run, and what they are about."""
WIDTH = 44


def rows() -> list[dict]:
    """Every row, of the expected parts first; one that left nothing is a row too."""
    found = []
    for part in [*PARTS, *sorted({path.stem for path in BUILD.glob("*.json")} - set(PARTS))]:
        path = BUILD / f"{part}.json"
        if not path.exists():
            found.append({"line": PARTS[part], "wanted": "", "found": "not run", "ok": False})
            continue
        told = json.loads(path.read_text())
        found += told if isinstance(told, list) else [told]
    return found


def shown(found: list[dict]) -> str:
    """The table as text, each cell wrapped."""
    lines = []
    for row in found:
        cells = [
            textwrap.wrap(str(row[name]), WIDTH) or [""] for name in ("line", "wanted", "found")
        ]
        cells.append(["ok" if row["ok"] else "NOT OK"])
        for number in range(max(map(len, cells))):
            texts = [cell[number] if number < len(cell) else "" for cell in cells]
            lines.append("  ".join(text.ljust(WIDTH) for text in texts).rstrip())
        lines.append("")
    head = "  ".join(name.ljust(WIDTH) for name in ("line", "wanted", "found", "verdict")).rstrip()
    return "\n".join([head, "-" * len(head), *lines])


def main() -> int:
    """Prints it; 1 when a line is not ok."""
    found = rows()
    print(shown(found))
    return 0 if all(row["ok"] for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
