"""
The table of promises in ``drctl explain safety``, from what the suites found.

``python tests/safety/table.py`` writes it; ``--check`` fails when a promise has no suite, when a
suite found a violation, or when the checked-in table names a suite that does not exist.
"""

import json
import re
import sys
from pathlib import Path

from results import BUILD

HERE = Path(__file__).parent
TOPIC = HERE.parent.parent / "src" / "drctl" / "topics" / "safety.md"
PLACE = re.compile(r"(<!-- results -->\n).*?(<!-- end -->)", re.DOTALL)

PROMISES = {
    "I1": "no promotion beside a primary that might take writes",
    "I2": "no promotion when the loss is above the RPO or unknown",
    "I3": "only the right candidate is promoted",
    "I4": "one writable primary afterwards, or the run is unsafe",
    "I6": "intent on disk before any effect",
    "I7": "killed anywhere, resumed, the same end",
    "I8": "a lost reply is unknown, never repeated blindly",
    "I9": "one run per set of targets",
    "I10": "a suspended holder sends nothing after its lease",
    "I11": "nothing waits for ever; an interrupt leaves it resumable",
    "I12": "undo before the point of no return, only forward after",
    "I13": "an unforeseen error stops, and nothing follows it",
    "I14": "no second failover within the cool-down",
    "I15": "the approved plan is the plan that runs",
    "I16": "nothing acts on a stale view",
    "I17": "approvals are not replayed, self-given or counted twice",
    "I18": "approval works with chat and identity provider down",
    "I19": "blast radius is bounded; empty selects nothing",
    "I20": "planning changes nothing",
    "I21": "right account, region, cluster, database",
    "I22": "clock steps break no length, deadline or order",
    "I23": "RTA and RPA come from evidence, or are not measured",
    "I28": "state files are safe",
}
"""I5 (point in time) has no row before an action restores anything."""


def found() -> dict[tuple[str, str], tuple[int, int, bool]]:
    """Promise and suite to cases, violations, and whether all of it was the whole."""
    sums: dict[tuple[str, str], tuple[int, int, bool]] = {}
    for path in sorted(BUILD.glob("*.json")):
        suite = path.stem.split("-")[0]
        for key, one in json.loads(path.read_text()).items():
            place = (key.split(" ")[0], suite)
            cases, ill, is_full = sums.get(place, (0, 0, True))
            sums[place] = (cases + one["cases"], ill + one["violations"], is_full and one["full"])
    return sums


def table(sums: dict[tuple[str, str], tuple[int, int, bool]]) -> str:
    """The rows, by promise and suite."""
    lines = ["| promise | suite | cases | violations |", "|---|---|---:|---:|"]
    for promise, words in PROMISES.items():
        for (one, suite), (cases, ill, is_full) in sorted(sums.items()):
            if one == promise:
                size = f"{cases:,}" + ("" if is_full else " (slice)")
                lines.append(f"| {promise}: {words} | {suite} | {size} | {ill} |")
    return "\n".join(lines) + "\n"


def complaints(text: str) -> list[str]:
    """What is wrong with a table that is checked in."""
    rows = re.findall(
        r"^\| (I\d+): .*? \| (\S+) \| ([\d,]+)(?: \(slice\))? \| (\d+) \|$", text, re.MULTILINE
    )
    said = [f"{promise} has no row" for promise in PROMISES if promise not in {r[0] for r in rows}]
    said += [f"{r[0]}: no suite is called {r[1]}" for r in rows if not (HERE / r[1]).is_dir()]
    return said + [f"{r[0]} in {r[1]}: {r[3]} violations" for r in rows if r[3] != "0"]


def main(words: list[str]) -> int:
    """Writes the table, or checks the one that is there."""
    if "--check" not in words:
        made, count = PLACE.subn(lambda m: m[1] + table(found()) + m[2], TOPIC.read_text())
        assert count == 1, f"{TOPIC} has no place for the results"
        TOPIC.write_text(made)
    said = complaints(TOPIC.read_text())
    for line in said:
        print(f"{TOPIC.name}: {line}")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
