"""
The table of ``make runbooks``: what each shipped runbook did for an independent client, in the
lab, against the failure that it is for. Fails when a runbook has no row, or its last run did not
succeed.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
ROWS = ROOT / "build" / "runbooks"
COLUMNS = ("RUNBOOK", "RTA", "RPA AT MOST", "CLIENT'S OUTAGE", "LOST WRITES", "DEBTS LEFT")


def main() -> int:
    """Prints it; 1 when it is not whole."""
    names = sorted(path.stem for path in (ROOT / "runbooks").glob("*.yaml"))
    rows, missing = [COLUMNS], []
    for name in names:
        try:
            row = json.loads((ROWS / f"{name}.json").read_text())
        except FileNotFoundError:
            missing.append(name)
            continue
        if row["result"] != "succeeded":
            missing.append(f"{name} ({row['result']})")
        rows.append(
            (
                name,
                _seconds(row["rta_s"]),
                _seconds(row["loss_bound_s"]),
                _seconds(row["outage_s"]),
                _count(row["lost_acknowledged"]),
                ", ".join(row["debts"]) or "none",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(line.rstrip())
    for name in missing:
        print(f"no good row: {name}", file=sys.stderr)
    return 1 if missing else 0


def _seconds(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.1f}s"


def _count(value: int | None) -> str:
    return "not measured" if value is None else str(value)


if __name__ == "__main__":
    sys.exit(main())
