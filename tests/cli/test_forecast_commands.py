"""``drctl plan --what-if``: beside the plan, never in its place."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from drctl.cli.main import app

ROOT = Path(__file__).parent.parent.parent
PLAN = (
    "plan", str(ROOT / "runbooks" / "region-failover.yaml"), "--offline",
    "-e", str(ROOT / "tests" / "scenarios" / "environment.yaml"),
    "-i", "incident=inc-20260101-001",
)  # fmt: skip


@pytest.fixture
def drctl(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words, code=0):
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert code == result.exit_code, result.output
        return result

    return run


def test_the_timeline_fits_eighty_columns_and_says_what_is_not_known(drctl):
    shown = drctl(*PLAN).stdout
    lines = shown[shown.index("  timeline") :].splitlines()
    assert max(map(len, lines)) <= 80
    assert "p90 is not known, no rate is stated" in shown
    assert "detection   3m as declared, inside the budget" in shown
    assert "forecast 12m26s of RTO 15m: fits, 2m34s to spare" in shown


def test_another_length_is_shown_beside_the_planned_and_ends_with_8_when_it_misses(drctl):
    shown = drctl(*PLAN, "--what-if", "promote=9m", "--what-if", "needs", code=8).stdout
    assert "promote takes 9m, not 4m" in shown
    assert "fits, 2m34s to spare" in shown
    assert "MISSES by 2m26s" in shown
    assert "promote faster: 2m26s less than its 9m (27%)" in shown
    assert "no run takes so long" not in shown, "within both its attempts"
    longer = drctl(*PLAN, "--what-if", "promote=5m").stdout
    assert longer.count("fits") == 2
    assert "no run takes so long" not in longer
    never = drctl(*PLAN, "--what-if", "promote=20m", code=8).stdout
    assert "no run takes so long: it is given 18m" in never
    room = drctl(*PLAN, "--what-if", "needs").stdout
    assert "2m34s more than its 10s; it is given 30s at all" in room


def test_what_might_be_is_neither_saved_nor_run(drctl, tmp_path):
    out = tmp_path / "plan.json"
    refused = drctl(*PLAN, "--what-if", "promote=5m", "--out", out, code=2)
    assert "is not saved" in refused.output
    assert not out.exists()
    told = drctl(*PLAN, "--what-if", "promote=5m", "-o", "json").stdout
    found = json.loads(told)
    assert found["changed"]["p50_s"] == found["planned"]["p50_s"] + 60
    out.write_text(told)
    assert "DR3203" in drctl("run", out, code=3).output


@pytest.mark.parametrize("wrong", ["promote", "=5m", "promote=5"])
def test_what_cannot_be_read_is_said(drctl, wrong):
    assert "--what-if" in drctl(*PLAN, "--what-if", wrong, code=2).output


def test_a_step_that_is_not_there_is_said(drctl):
    assert 'did you mean "promote"' in drctl(*PLAN, "--what-if", "promot=9m", code=3).output
