"""What `drctl lab verdict` says of a run, from the files that the lab has."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sim_night import live, stage_of
from sim_story import Said, Story

from drctl.lab.history.estate import promises
from drctl.lab.verdict import Acknowledged, Record

CAME = live(
    Story(seed=0, made=None, said=(Said(at_s=20.0, word="approve", step="go", by="alice"),))
)
LINES = [json.loads(line) for line in CAME.journal.splitlines()]


def _at(kind: str, step: str) -> float:
    return next(
        line["at"]["boot_s"] for line in LINES if line["type"] == kind and line.get("step") == step
    )


def _entry(where: str, operation: str, target: str, boot_s: float) -> dict[str, Any]:
    return {"where": where, "operation": operation, "target": target, "boot_s": boot_s,
            "boot_id": LINES[0]["at"]["boot_id"], "wall": "", "request": "0"}  # fmt: skip


PROMOTED = _entry(
    "aws us-west-2", "rds.PromoteReadReplica", "dr", _at("effect_intended", "promote")
)
PATCHED = _entry(
    "kubernetes us-west-2", "patch secrets", "x/y", _at("effect_intended", "repoint_app")
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "events.jsonl").write_bytes(CAME.journal + b'{"torn')
    (tmp_path / "plan.json").write_text(stage_of(None).plan.model_dump_json())
    return tmp_path


def _record(*acked_s: float) -> Record:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    writes = tuple(
        Acknowledged(id=f"w{number}", sent_at=now, acked_at=now, acked_boot_s=at_s,
                     database="old", served_by=None)
        for number, at_s in enumerate(acked_s)
    )  # fmt: skip
    boot = LINES[0]["at"]["boot_id"]
    return Record(boot_id=boot, acknowledged=writes, failed=0, last_failed_boot_s=None)


def test_a_run_of_the_lab_that_kept_its_promises(folder):
    """Leases and sightings are nobody's effect, and others' work before and after is not ours."""
    ledger = [
        _entry("aws us-east-1", "rds.CreateDBInstance", "prod", -5.0),
        _entry("aws us-west-2", "s3.PUT", "/healing-guard-witness/healing-guard-prod.json", 0.0),
        _entry("aws us-west-2", "s3.PUT", "/healing-guard-leases/lab.json", 0.0),
        PROMOTED,
        PATCHED,
        _entry("kubernetes us-west-2", "delete pods", "x/z", 1e6),
    ]
    assert promises(folder, _record(1.0), frozenset({"w0"}), ledger) == {"checked": 16, "broken": 0}


@pytest.mark.parametrize(
    ("where", "at_s"), [("aws us-west-2", 0.0), ("kubernetes us-west-2", 0.0), ("dns", 100.0)]
)
def test_an_effect_before_anything_was_meant_is_named(folder, where, at_s):
    """The first intent of that side comes later, or never."""
    early = PATCHED | {"where": where, "boot_s": at_s, "operation": "op"}
    told = promises(folder, _record(), None, [early])
    assert told["broken"] == 1
    assert str(told["broken 1"]).startswith("I6: op took effect")


def test_a_write_that_the_old_side_took_after_the_fence_is_named(folder):
    """What the independent client was told counts."""
    fence_s = _at("step_finished", "fence_old_primary")
    told = promises(folder, _record(1.0, fence_s + 1.0), frozenset({"w0", "w1"}), [PROMOTED])
    assert told["broken"] == 1
    assert str(told["broken 1"]).startswith("I1: the old primary acknowledged w1")
