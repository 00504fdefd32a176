"""
`drctl ready` names what keeps a recovery from working, and nothing else; and the failover that
follows fails exactly where it said.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent.parent
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "tests" / "e2e")]

from defects import DEFECTS, OUTAGE, Defect  # noqa: E402
from e2e_lab import lab_of  # noqa: E402
from estate_hands import APP, EAST, Hands  # noqa: E402

NET = 240
pytestmark = pytest.mark.xdist_group(f"net-{NET}")
IS_FULL = os.environ.get("DRCTL_SAFETY") == "full"
CHOSEN = DEFECTS if IS_FULL else DEFECTS[::4]
"""Each takes ten seconds; `make plan-honesty` takes them all."""
ROWS = ROOT / "build" / "honesty" / "ready.json"
STILL_NEEDED = {
    "access key withdrawn",
    "permission to move traffic missing",
    "switch without a health check",
    "right to scale missing",
    "certificate expired",
}
"""Defects of what a failover needs also when the east is gone: assuming that hides none of them."""
TROUBLE = {"not ready", "at risk", "cannot tell"}
CODES = {"not ready": 5, "at risk": 8, "ready": 0}


@pytest.fixture
def hands(tmp_path):
    """A lab of its own for each: one leaves a dead region, the other no replica."""
    lab = lab_of(NET, tmp_path)
    lab.drctl("lab", "down")
    up = lab.drctl("lab", "up", timeout_s=240)
    assert up.returncode == 0, up.stdout + up.stderr
    try:
        yield Hands(lab, tmp_path)
    finally:
        lab.stop()
        lab.drctl("lab", "down")


@pytest.mark.lab
@pytest.mark.timeout(1500)
def test_each_defect_is_named_and_nothing_else_and_the_failover_fails_where_it_said(hands):
    """One lab: clean, then one defect after another, each taken back before the next."""
    code, clean = hands.ready(OUTAGE, "lab")
    assert _troubles(clean) == []
    assert (code, clean["result"]) == (0, "ready")
    assumed, under = hands.ready(OUTAGE, "lab", "--assume-down", EAST)
    assert _troubles(under) == []
    assert assumed == 0
    # Only what lies in the lost region is moot; rights and records that are kept there are not.
    assert all("goes on without" in one["why"] for one in under["skipped"])
    assert {f"{APP}-prod ({EAST})", EAST} == {one["subject"] for one in under["skipped"]}
    rows = []
    for defect in CHOSEN:
        rows.append(_tried(hands, defect))
        _written(rows, hands.asked_again)
    wrong = [row for row in rows if not row["ok"]]
    assert wrong == []
    assert len(rows) >= (20 if IS_FULL else 6)


@pytest.mark.lab
@pytest.mark.timeout(300)
def test_in_a_region_that_is_really_dead_what_nobody_could_look_at_is_a_risk_and_no_verdict(hands):
    """Rights and records are kept in the east; a failover needs them, and nobody can tell."""
    assert hands.lab.drctl("lab", "break", "region", EAST).returncode == 0
    told = hands.lab.drctl(
        "ready", "-e", "lab", "--scenario", OUTAGE, "--assume-down", EAST, "-o", "json",
        timeout_s=120,
    )  # fmt: skip
    [seen] = json.loads(told.stdout)["scenarios"]
    assert (told.returncode, seen["result"]) == (8, "at risk")
    troubles = _troubles(seen)
    assert {"aws.permissions", "aws.route53.switch"} == {one["check"] for one in troubles}
    assert all("not looked at: it asks control-plane" in one["why"] for one in troubles)


def _tried(hands: Hands, defect: Defect) -> dict:
    row = {"defect": defect.name, "finding": defect.finding, "ok": False}
    try:
        environment = defect.make(hands)
        code, seen = hands.ready(defect.scenario, environment)
        troubles = _troubles(seen)
        row["named"] = sorted({one["check"] for one in troubles})
        row["steps"] = sorted({step for one in troubles for step in one["steps"]})
        is_named = (
            row["named"] == [defect.finding]
            and seen["result"] == defect.standing
            and code == CODES[defect.standing]
            and defect.step in row["steps"]
        )
        if not is_named:
            row["seen"] = troubles
        if defect.name in STILL_NEEDED:
            row["assumed"] = _assumed(hands, defect, environment)
            is_named = is_named and row["assumed"] == [defect.finding]
        row["failover"], failed_there = _followed(hands, defect, environment)
        row["ok"] = is_named and failed_there
    except subprocess.TimeoutExpired as late:
        row["failover"] = f"did not end: {late}"
    finally:
        defect.mend(hands)
        hands.forget_leases()
    return row


def _assumed(hands: Hands, defect: Defect, environment: str) -> list[str]:
    """What is named when the east is assumed down; nothing where the verdict is not as bad."""
    code, seen = hands.ready(defect.scenario, environment, "--assume-down", EAST)
    named = sorted({one["check"] for one in _troubles(seen) if defect.step in one["steps"]})
    return named if (code, seen["result"]) == (CODES[defect.standing], defect.standing) else []


def _followed(hands: Hands, defect: Defect, environment: str) -> tuple[str, bool]:
    """What a recovery then does, and whether it fails where ready said."""
    if defect.untried:
        return f"not tried: {defect.untried}", True
    if defect.alone is None:
        code, said = hands.failover(environment)
        held = code == 5 and defect.refusal in said
        return f"refused before any change ({defect.refusal}…)" if held else said[-400:], held
    environment = str(hands.kept.pop("then", environment))
    document = defect.alone()
    name = document["steps"][0]["id"]
    code, said, finished = hands.run_alone(document, environment)
    found = finished.get(name, {})
    failed = code not in {0, 3} and found.get("outcome") in {"failed", "unknown"}
    why = found.get("why", said[-400:])
    return f"step {name} alone: {found.get('outcome')}: {why}"[:300], failed and name == defect.step


def _troubles(seen: dict) -> list[dict]:
    return [one for one in seen["judged"] if one["standing"] in TROUBLE]


def _written(rows: list[dict], asked_again: int) -> None:
    ROWS.parent.mkdir(parents=True, exist_ok=True)
    good = sum(row["ok"] for row in rows)
    tried = sum("not tried" not in row.get("failover", "") for row in rows)
    document = {
        "line": "drctl ready names each prepared defect and nothing else; the failover fails there",
        "wanted": f"{len(rows)} of {len(rows)}, at least 20",
        "found": f"{good} of {len(rows)}; {tried} followed by a failover or its step",
        "ok": good == len(rows) >= 20,
        "asked_again_because_silent": asked_again,
        "rows": rows,
    }
    ROWS.write_text(json.dumps(document, indent=1))
