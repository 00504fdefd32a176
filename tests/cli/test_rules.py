"""What the rules say, on the command line: for the pull request, never against the night."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from drctl.cli.main import app
from drctl.plan.rules.catalogue import HELD_ALREADY, all_rules
from drctl.view.rules_page import about

ROOT = Path(__file__).parent.parent.parent
MODEL = ROOT / "tests" / "scenarios" / "environment.yaml"
GIVEN = ("-i", "incident=inc-20260101-001", "--offline")


@pytest.fixture
def drctl(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments, code=0):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert code == result.exit_code, (arguments, result.output)
        return result

    return run


@pytest.fixture
def spoilt(tmp_path):
    """Writes a shipped runbook with something replaced."""

    def write(old, new, name="region-failover"):
        text = (ROOT / "runbooks" / f"{name}.yaml").read_text()
        assert old in text
        file = tmp_path / "spoilt.yaml"
        file.write_text(text.replace(old, new))
        return file

    return write


def test_explain_lists_the_rules_and_shows_each(drctl):
    listed = drctl("explain", "rules").stdout
    assert drctl("explain", "dr6101").stdout == about("DR6101")
    for rule in all_rules().values():
        assert f"**{rule.id}** {rule.title}" in listed
        shown = about(rule.id)
        assert shown.startswith(f"# {rule.id}: {rule.title}\n")
        assert rule.bad in shown
        assert rule.good in shown
        assert rule.fix in shown
    assert all(code in listed for code in HELD_ALREADY)
    assert "Nothing waives it" in drctl("explain", "DR6402").stdout
    said = drctl("explain", "DR6316", code=2).output
    assert "DR9404" in said
    assert "did you mean" in said


def test_validate_and_plan_exit_8_on_an_error_and_say_where_and_what_to_do(drctl, spoilt):
    file = spoilt("expires_after: 3m ", "expires_after: 12m ")
    said = drctl("validate", file, code=8).stdout
    assert f"{file}: valid" in said
    assert "error DR6302: gate go may be open for 12m" in said
    assert f"at   {file}:" in said
    assert "do   let it expire earlier" in said
    said = drctl("plan", file, "-e", MODEL, *GIVEN, code=8).stdout
    assert "rules: 1 error, 3 waived   (drctl explain DR6302)" in said
    assert "error DR6302" in said


def test_findings_and_waivers_are_in_the_document(drctl, spoilt):
    file = spoilt("expires_after: 3m ", "expires_after: 12m ")
    document = json.loads(drctl("validate", file, "-e", MODEL, "-o", "json", code=8).stdout)
    assert document["valid"] is True
    (finding,) = document["findings"]
    assert finding.keys() == {"id", "severity", "where", "at", "what", "why", "fix"}
    assert (finding["id"], finding["where"]) == ("DR6302", "go")
    assert {one["finding"]["where"] for one in document["waived"]} == {"cache", "files", "password"}
    plan = json.loads(drctl("plan", file, "-e", MODEL, *GIVEN, "-o", "json", code=8).stdout)
    assert plan["findings"] == document["findings"]
    assert plan["waived"] == document["waived"]


def test_a_warning_holds_nothing_up(drctl, spoilt):
    file = spoilt("category: 3", "category: 1")
    assert "warning DR6304" in drctl("validate", file).stdout
    assert "warning DR6304" in drctl("plan", file, "-e", MODEL, *GIVEN).stdout


def test_a_waiver_that_has_ended_says_so(drctl, spoilt):
    file = spoilt("until: 2027-10-31", "until: 2026-01-31", "isolate-and-rotate")
    assert "its waiver ended on 2026-01-31" in drctl("validate", file, code=8).stdout


def test_a_runbooks_page_has_its_waivers(drctl):
    shown = drctl("runbook", "show", ROOT / "runbooks" / "lb-rebuild.yaml").stdout
    assert "## What is known and stands" in shown
    assert "| `DR6203` | `move_name` | the lost load balancer's" in shown
    assert "| 2027-10-31 |" in shown


def test_no_run_is_stopped_by_a_finding(estate):
    runbook = estate.runbook()
    runbook.write_text(
        runbook.read_text()
        .replace("estimate: 1s", "estimate: 20s", 1)
        .replace("rto: 5m", "rto: 10s")
    )
    said = estate.drctl("run", str(runbook), "-e", str(MODEL))
    assert "error DR6301: the critical path takes 21s, and the RTO is 10s" in said
    assert ["on", "on"] == estate.values("first", "second")
