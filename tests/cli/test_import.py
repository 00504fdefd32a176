"""``drctl runbook import``: where the draft goes, what is never overwritten, how it is told."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from drctl.cli.main import app
from drctl.importing.rules import RULES

HERE = Path(__file__).parent.parent / "honesty" / "importing"
PLAN = HERE / "written-plan.md"
SCRIPT = HERE / "scripts" / "regional-failover.sh"


@pytest.fixture
def drctl(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*words, code=0):
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert code == result.exit_code, result.output
        assert "Traceback" not in result.output
        return result

    return run


def test_a_draft_on_stdout_validates(drctl, tmp_path):
    shown = drctl("runbook", "import", SCRIPT)
    assert "26 lines: 18 mapped, 1 left as shell steps for review, 7 dropped" in shown.stderr
    assert "regional-failover.sh:13:1  error DR6552 (E52)" in shown.stderr
    (tmp_path / "draft.yaml").write_text(shown.stdout)
    # It is valid; that traffic moves to what nobody has asked is the script's own mistake.
    told = drctl("validate", "draft.yaml", code=8).stdout
    assert "draft.yaml: valid" in told
    assert "DR6101" in told


def test_out_is_never_written_over(drctl, tmp_path):
    (tmp_path / "x.yaml").write_text("mine")
    refused = drctl("runbook", "import", SCRIPT, "--out", "x.yaml", code=3)
    assert "DR1098" in refused.stderr
    assert (tmp_path / "x.yaml").read_text() == "mine"
    drctl("runbook", "import", SCRIPT, "--out", "y.yaml")
    assert "y.yaml: valid" in drctl("validate", "y.yaml", code=8).stdout


def test_a_document_gives_a_folder_of_drafts(drctl, tmp_path):
    drctl("runbook", "import", PLAN, "--out", "drafts")
    names = sorted(path.name for path in (tmp_path / "drafts").iterdir())
    assert names == [
        "application-recovery.yaml", "database-recovery.yaml", "loadbalancer-recovery.yaml",
        "point-in-time-recovery.yaml", "post-recovery-validation.yaml", "regional-failover.yaml",
        "update-status-page.yaml",
    ]  # fmt: skip
    told = drctl("validate", *(f"drafts/{name}" for name in names), code=8).stdout
    assert all(f"drafts/{name}: valid" in told for name in names)
    again = drctl("runbook", "import", PLAN, "--out", "drafts", code=3)
    assert "exists" in again.stderr


def test_json_has_every_line(drctl):
    document = json.loads(drctl("runbook", "import", PLAN, "-o", "json").stdout)
    script = next(one for one in document["scripts"] if one["name"] == "regional-failover.sh")
    coverage = script["coverage"]
    assert coverage == {"lines": 26, "mapped": 18, "review": 1, "dropped": 7}
    assert len(script["lines"]) == 26
    assert {"id", "source", "line", "column", "what", "why", "fix"} <= set(script["findings"][0])
    assert script["draft"].startswith("# A DRAFT")


def test_only_and_findings_only(drctl):
    shown = drctl("runbook", "import", PLAN, "--only", "regional-failover.sh", "--findings-only")
    assert "apiVersion" not in shown.output
    assert "database-recovery" not in shown.output
    assert "DR6555" in shown.stdout
    refused = drctl("runbook", "import", PLAN, "--only", "regional-failovr.sh", code=3)
    assert 'did you mean "regional-failover.sh"' in refused.stderr


def test_objectives_are_the_operators_or_the_documents_or_to_be_reviewed(drctl):
    given = drctl("runbook", "import", SCRIPT, "--rto", "20m", "--rpo", "1m").stdout
    assert "rto: 20m    # given at the import" in given
    assert "REVIEW: the script says none" in drctl("runbook", "import", SCRIPT).stdout
    table = drctl("runbook", "import", PLAN, "--only", "regional-failover.sh").stdout
    assert "rpo: 5m    # from the document's table" in table
    drctl("runbook", "import", SCRIPT, "--rto", "20m", code=2)


def test_markdown_without_shell_says_so(drctl, tmp_path):
    (tmp_path / "x.md").write_text("# Nothing\n\n```yaml\na: 1\n```\n")
    assert "DR1097" in drctl("runbook", "import", "x.md", code=3).stderr


def test_without_the_extra_it_says_what_to_install(drctl, monkeypatch):
    monkeypatch.setitem(sys.modules, "tree_sitter_bash", None)
    refused = drctl("runbook", "import", SCRIPT, code=3)
    assert "DR1096" in refused.stderr and "drctl[import]" in refused.stderr


@pytest.mark.parametrize("code", RULES)
def test_every_rule_is_explained(drctl, code):
    shown = drctl("explain", code.lower()).stdout
    assert RULES[code].title in shown and RULES[code].reason in shown


def test_nothing_of_it_is_loaded_by_other_commands():
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", "import sys, drctl.cli.authoring; print(*sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = set(done.stdout.split())
    assert not {"tree_sitter", "markdown_it", "drctl.importing"} & loaded
