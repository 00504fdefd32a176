"""The history of a run against the lab's estate, and what the checker says of it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from drctl.lab.estate.environment import LEASE_BUCKET, RETURN_WITNESS_BUCKET, WITNESS_BUCKET
from drctl.lab.history import CHECKS, History, check
from drctl.lab.verdict import Record, left_by, read_run_folder

_NOT_EFFECTS = (f"/{WITNESS_BUCKET}/", f"/{RETURN_WITNESS_BUCKET}/", f"/{LEASE_BUCKET}/")
"""A witness writes its sightings all the time, and a lease is what permission is made of."""


def promises(
    folder: Path,
    record: Record,
    present: frozenset[str] | None,
    ledger: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """
    Holds a run against all promises: ``checked``, ``broken`` and, for each, a line.

    Args:
        folder: The run's.
        record: What the independent client wrote down.
        present: Ids in the database that the service now runs on; ``None``: not known.
        ledger: Lines of all stand-ins.
    """
    text = (folder / "events.jsonl").read_text(encoding="utf-8")
    journal = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    history = History(
        journal=journal,
        plan=plan,
        ledger=_during(journal, ledger),
        acknowledged=_writes(record, present),
        old_primary=left_by(record, read_run_folder(folder)) or "",
    )
    broken = check(history)
    return {
        "checked": len(CHECKS),
        "broken": len(broken),
        **{f"broken {number}": str(one) for number, one in enumerate(broken, start=1)},
    }


def _during(
    journal: Sequence[Mapping[str, Any]], ledger: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """What was applied while the run lasted: before and after it, others were at work."""
    if not journal:
        return []
    first, last = journal[0]["at"], journal[-1]["at"]
    return [
        entry
        for entry in ledger
        if entry["boot_id"] in {first["boot_id"], last["boot_id"]}
        and first["boot_s"] <= entry["boot_s"] <= last["boot_s"]
        and not entry["target"].startswith(_NOT_EFFECTS)
    ]


def _writes(record: Record, present: frozenset[str] | None) -> list[dict[str, Any]]:
    return [
        {
            "id": write.id,
            "node": write.database,
            "acked_boot_s": write.acked_boot_s,
            "boot_id": record.boot_id,
            "survived": present is None or write.id in present,
        }
        for write in record.acknowledged
        if write.database is not None
    ]
