"""
What the independent client saw, beside what drctl says.

The left side of a verdict comes from the client's own record and from the database that the
service now runs on; nothing of drctl takes part in it. The right side is read from a run's events.
What could not be measured is ``None``, never zero.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

_SHOWN_IDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """A write that the client was told is done."""

    id: str
    sent_at: datetime
    acked_at: datetime
    acked_boot_s: float
    database: str | None
    served_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All the client wrote down."""

    boot_id: str | None
    acknowledged: tuple[Acknowledged, ...]
    """In the order in which they were acknowledged."""
    failed: int
    last_failed_boot_s: float | None

    @property
    def serving_database(self) -> str | None:
        """The database behind the last acknowledged write: the one the service now runs on."""
        return self.acknowledged[-1].database if self.acknowledged else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """When drctl had proven that the old side takes no writes."""

    at: datetime
    boot_s: float | None
    boot_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What drctl says of one run."""

    run_id: str | None = None
    rta_s: float | None = None
    loss_bound_s: float | None = None
    safe_until: datetime | None = None
    fence: Fence | None = None
    moves: bool = True
    """False when its plan promotes nothing: what it fences is not what clients write to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What the client saw. A gap that had not ended when the record did has no length."""

    outage_s: float | None = None
    outage_started_at: str | None = None
    outage_ended_at: str | None = None
    acknowledged: int = 0
    failed: int = 0
    lost_acknowledged: int | None = None
    lost_ids: list[str] = field(default_factory=list)
    lost_first_acked_at: str | None = None
    lost_last_acked_at: str | None = None
    wrong_side_writes: int | None = None


def read_record(text: str) -> Record:
    """Reads the client's log; a last line that was cut off is left out."""
    boot_id, failed, last_failed = None, 0, None
    acknowledged = []
    for line in text.splitlines(keepends=True):
        if not line.endswith("\n"):
            break
        entry = json.loads(line)
        match entry["kind"]:
            case "started":
                boot_id = entry["boot_id"]
            case "failed":
                failed += 1
                last_failed = max(last_failed or 0.0, entry["failed_boot_s"])
            case "acknowledged":
                acknowledged.append(
                    Acknowledged(
                        id=entry["id"],
                        sent_at=datetime.fromisoformat(entry["sent_at"]),
                        acked_at=datetime.fromisoformat(entry["acked_at"]),
                        acked_boot_s=entry["acked_boot_s"],
                        database=entry["database"],
                        served_by=entry["served_by"],
                    )
                )
    acknowledged.sort(key=lambda write: write.acked_boot_s)
    return Record(
        boot_id=boot_id,
        acknowledged=tuple(acknowledged),
        failed=failed,
        last_failed_boot_s=last_failed,
    )


def read_run(text: str, run_id: str | None = None, *, moves: bool = True) -> Run:
    """Reads a run's events as plain JSON; what they do not say is ``None``."""
    finished: Mapping[str, Any] = {}
    fencing: set[str] = set()
    fence: Fence | None = None
    for line in text.splitlines(keepends=True):
        if not line.endswith("\n"):
            break
        event = json.loads(line)
        match event["type"]:
            case "run_finished":
                finished = event
            case "effect_intended" if event["effect"] == "fence":
                fencing.add(event["step"])
            case "step_finished" if event["step"] in fencing and event["outcome"] == "succeeded":
                at = event["at"]
                fence = Fence(
                    at=datetime.fromisoformat(at["wall"]),
                    boot_s=at.get("boot_s"),
                    boot_id=at.get("boot_id"),
                )
    safe_until = finished.get("safe_until")
    return Run(
        run_id=run_id,
        rta_s=finished.get("rta_s"),
        loss_bound_s=finished.get("loss_bound_s"),
        safe_until=datetime.fromisoformat(safe_until) if safe_until else None,
        fence=fence,
        moves=moves,
    )


def judge(record: Record, present: frozenset[str] | None, run: Run | None) -> dict[str, Any]:
    """
    Compares what the client saw with what drctl says. Pure.

    Args:
        record: The client's own.
        present: Ids in the database that the service now runs on; ``None``: it could not be asked.
        run: ``None``: no run to compare with.
    """
    lost = (
        None
        if present is None
        else [write for write in record.acknowledged if write.id not in present]
    )
    client = Client(
        **_outage(record),
        acknowledged=len(record.acknowledged),
        failed=record.failed,
        lost_acknowledged=None if lost is None else len(lost),
        lost_ids=[write.id for write in (lost or [])[:_SHOWN_IDS]],
        lost_first_acked_at=_text(lost[0].acked_at) if lost else None,
        lost_last_acked_at=_text(lost[-1].acked_at) if lost else None,
        wrong_side_writes=_wrong_side_writes(record, run),
    )
    run = run or Run()
    return {
        "client": asdict(client),
        "drctl": {
            "run_id": run.run_id,
            "rta_s": run.rta_s,
            "loss_bound_s": run.loss_bound_s,
            "safe_until": _text(run.safe_until) if run.safe_until else None,
        },
        "agree": {
            "rta_within_s": _difference(run.rta_s, client.outage_s),
            "loss_within_bound": _is_within(lost, run),
        },
    }


def _outage(record: Record) -> dict[str, Any]:
    writes = record.acknowledged
    if not writes:
        return {}
    gaps = [
        (after.acked_boot_s - before.acked_boot_s, before, after)
        for before, after in pairwise(writes)
    ]
    longest = max(gaps, key=lambda gap: gap[0], default=None)
    open_s = (record.last_failed_boot_s or 0.0) - writes[-1].acked_boot_s
    if open_s > 0 and (longest is None or open_s > longest[0]):
        return {"outage_started_at": _text(writes[-1].acked_at)}
    if longest is None:
        return {}
    length_s, before, after = longest
    return {
        "outage_s": round(length_s, 3),
        "outage_started_at": _text(before.acked_at),
        "outage_ended_at": _text(after.acked_at),
    }


def left_by(record: Record, run: Run | None) -> str | None:
    """
    The database that a run moved clients away from, or was to: the first that they wrote to.
    ``None`` when they began after its fence, or when it moves nobody.
    """
    writes = record.acknowledged
    old, new = (writes[0].database, writes[-1].database) if writes else (None, None)
    fence = run.fence if run else None
    if old != new or fence is None:
        return old if old != new else None
    moves = run is not None and run.moves
    return old if old and moves and not _is_after(record, writes[0], fence) else None


def _wrong_side_writes(record: Record, run: Run | None) -> int | None:
    """Counts what the old database took once the new one had begun, or the old one was fenced."""
    old, fence = left_by(record, run), run.fence if run else None
    if old is None:
        return None
    others = [write for write in record.acknowledged if write.database not in {old, None}]
    return sum(
        1
        for write in record.acknowledged
        if write.database == old
        and (
            bool(others and write.acked_boot_s > others[0].acked_boot_s)
            or (fence is not None and _is_after(record, write, fence))
        )
    )


def _is_after(record: Record, write: Acknowledged, fence: Fence) -> bool:
    if fence.boot_s is not None and fence.boot_id == record.boot_id:
        return write.acked_boot_s > fence.boot_s
    return write.acked_at > fence.at


def _is_within(lost: Sequence[Acknowledged] | None, run: Run) -> bool | None:
    """A lost write was committed after the safe instant, and before the bound's end."""
    if lost is None or run.loss_bound_s is None or (lost and run.safe_until is None):
        return None
    if not lost or run.safe_until is None:
        return True
    end = run.safe_until + timedelta(seconds=run.loss_bound_s)
    # It was committed somewhere between sent_at and acked_at.
    return all(write.acked_at > run.safe_until and write.sent_at <= end for write in lost)


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else round(abs(one - other), 3)


def _text(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


async def ids_present(
    host: str, resolver: tuple[str, int], *, user: str, password: str, database: str
) -> frozenset[str] | None:
    """Asks the database at *host* which ids it has; ``None`` when it cannot be asked."""
    import asyncpg

    from drctl.lab.lookup import look_up
    from drctl.lab.sql_errors import SQL_ERRORS

    try:
        async with asyncio.timeout(10):
            address = (await look_up(host, resolver, timeout_s=2)).addresses[0]
            connection = await asyncpg.connect(
                host=address, database=database, user=user, password=password, ssl=False, timeout=3
            )
            try:
                rows = await connection.fetch("SELECT id FROM pipelines")
            finally:
                connection.terminate()
    except SQL_ERRORS:
        return None
    return frozenset(row["id"] for row in rows)


def read_run_folder(folder: Path) -> Run:
    """Reads ``events.jsonl`` and ``plan.json`` of a run folder."""
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    moves = any(step.get("effect") in {"promote", "traffic"} for step in plan["steps"])
    events = (folder / "events.jsonl").read_text(encoding="utf-8")
    return read_run(events, run_id=folder.name, moves=moves)
