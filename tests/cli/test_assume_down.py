"""``drctl plan --assume-down``: what it prints, how it exits, and that it is no plan to run."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from drctl.cli.main import app

ROOT = Path(__file__).parent.parent.parent
WORDS = [
    "plan", str(ROOT / "runbooks" / "region-failover.yaml"),
    "-e", str(ROOT / "tests" / "scenarios" / "environment.yaml"),
    "-i", "incident=inc-20261122-001", "--offline",
]  # fmt: skip


@pytest.fixture
def drctl(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def run(*words, code=0):
        done = CliRunner().invoke(app, [*WORDS, *map(str, words)])
        assert code == done.exit_code, done.output
        return done.output

    return run


def test_a_run_that_comes_through_exits_0_and_says_what_it_goes_on_without(drctl):
    said = drctl("--assume-down", "us-east-1")
    assert "Assumed: us-east-1 is dead; nothing there was asked" in said
    assert "a run would come through" in said
    assert "undo   fence_old_primary aws.rds.unfence db.primary" in said
    assert "needs control-plane:us-east-1" in said
    assert "each vantage point must refuse definitely" in said


def test_a_run_that_does_not_exits_5_in_text_and_in_json(drctl):
    said = drctl("--assume-down", "us-east-1=silent", code=5)
    assert "silent, and may be alive" in said
    assert "would PAUSE: at fence_old_primary" in said
    fate = json.loads(drctl("--assume-down", "us-west-2", "-o", "json", code=5))["fate"]
    assert fate["ending"] == "refused"
    assert {"part", "step", "uses", "target", "planes", "why", "alternative", "reached"} <= set(
        fate["fails"][0]
    )


def test_it_is_repeatable_and_never_saved(drctl, tmp_path):
    fate = json.loads(
        drctl("--assume-down", "us-east-1", "--assume-down", "us-west-2", "-o", "json", code=5)
    )["fate"]
    assert fate["lost"] == {"us-east-1": "dead", "us-west-2": "dead"}
    drctl("--assume-down", "us-east-1", "--out", tmp_path / "plan.json", code=2)
    assert not (tmp_path / "plan.json").exists()


def test_a_region_that_is_misspelt_is_an_error_and_not_good_news(drctl):
    assert 'did you mean "us-east-1"' in drctl("--assume-down", "us-esat-1", code=3)


def test_github_and_junit_say_what_the_exit_code_says(drctl, tmp_path, monkeypatch):
    page, xml = tmp_path / "page.md", tmp_path / "j.xml"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    said = drctl("--assume-down", "us-west-2", "-o", "github", "--junit", xml, code=5)
    assert "::error" in said
    head = page.read_text()
    assert head.startswith("## ❌ a run now would be REFUSED: with us-west-2 dead")
    assert "call would fail" in head or "calls would fail" in head
    assert "✅" not in head.splitlines()[0]
    assert 'name="a run comes through without us-west-2"' in xml.read_text()
    assert '<failure type="refused"' in xml.read_text()
    page.unlink()
    drctl("--assume-down", "us-east-1", "-o", "github")
    assert page.read_text().startswith("## ✅ fits the RTO")


def test_an_offline_plan_has_looked_at_no_step_and_junit_does_not_call_it_passed(drctl, tmp_path):
    xml = tmp_path / "j.xml"
    drctl("--junit", xml)
    assert '<skipped message="planned offline' in xml.read_text().split('name="step promote"')[1]


@pytest.mark.parametrize("more", [("--assume-down", "us-west-2"), ("-o", "github"),
                                  ("--junit", "x.xml"), ("--sarif", "x.sarif")])  # fmt: skip
def test_what_if_takes_nothing_along_that_it_would_drop(drctl, more):
    assert "give it alone" in drctl("--what-if", "needs", *more, code=2)
