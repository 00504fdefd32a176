"""What `validate`, `plan` and `plan diff` give to a pull request, from the door."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from drctl.cli.main import app

ROOT = Path(__file__).parent.parent.parent
MODEL = ROOT / "tests" / "scenarios" / "environment.yaml"
RUNBOOK = ROOT / "runbooks" / "region-failover.yaml"
MISTAKES = ROOT / "tests" / "scenarios" / "ten_mistakes" / "runbook.yaml"
INCIDENT = ("-i", "incident=inc-20260101-001")


@pytest.fixture
def drctl(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("DRCTL_LAB_NET", "244")
    for name in ("DRCTL_DEBUG", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE", "CI_PROJECT_DIR"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments, code=0):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert code == result.exit_code, (arguments, result.output)
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture
def broken(tmp_path):
    """A runbook with a mistake, in the folder that commands run in."""
    text = RUNBOOK.read_text().replace("uses: aws.rds.fence", "uses: aws.rds.fense")
    (tmp_path / "broken.yaml").write_text(text)
    return next(n for n, line in enumerate(text.splitlines(), 1) if "fense" in line)


def test_validate_annotates_the_line_of_each_problem(drctl, broken, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "page.md"))
    shown = drctl("validate", "broken.yaml", RUNBOOK, "-o", "github", code=3)
    lines = shown.stdout.splitlines()
    assert any(line.startswith(f"::error file=broken.yaml,line={broken},col=") for line in lines)
    assert "did you mean" in shown.stdout
    assert shown.stderr == "", "its runner obeys lines on stderr as well"
    page = (tmp_path / "page.md").read_text()
    assert page.startswith("## ❌")
    assert f"`broken.yaml:{broken}`" in page


def test_validate_writes_both_files_whatever_it_prints(drctl, broken, tmp_path):
    for output, code in (("text", 3), ("json", 3), ("github", 3)):
        drctl("validate", "broken.yaml", "-o", output, "--junit", "j.xml", "--sarif", "s.json",
              code=code)  # fmt: skip
        suite = ET.parse(tmp_path / "j.xml").getroot()  # noqa: S314 (we wrote it)
        assert int(suite.get("failures")) == 1
        [run] = json.loads((tmp_path / "s.json").read_text())["runs"]
        assert (
            run["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"] == broken
        )
        assert "no action" in run["results"][0]["message"]["text"]
    drctl("validate", RUNBOOK, "--junit", "j.xml", "--sarif", "s.json")
    assert int(ET.parse(tmp_path / "j.xml").getroot().get("failures")) == 0  # noqa: S314
    assert json.loads((tmp_path / "s.json").read_text())["runs"][0]["results"] == []


def test_every_one_of_ten_mistakes_is_annotated(drctl):
    asked = json.loads(drctl("validate", MISTAKES, "-o", "json", code=3).stdout)
    shown = drctl("validate", MISTAKES, "-o", "github", code=3).stdout.splitlines()
    assert len([line for line in shown if line.startswith("::error ")]) == len(asked["problems"])
    assert len(asked["problems"]) >= 10


def test_plan_gives_a_page_and_says_when_it_misses(drctl, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "page.md"))
    shown = drctl("plan", RUNBOOK, "-e", MODEL, *INCIDENT, "--offline", "-o", "github")
    assert not any(line.startswith("::error") for line in shown.stdout.splitlines())
    assert "fits the RTO" in (tmp_path / "page.md").read_text()
    slow = RUNBOOK.read_text().replace("estimate: 4m", "estimate: 40m")
    assert slow != RUNBOOK.read_text()
    (tmp_path / "slow.yaml").write_text(slow.replace("timeout: 6m", "timeout: 60m"))
    shown = drctl("plan", "slow.yaml", "-e", MODEL, *INCIDENT, "--offline", "-o", "github",
                  "--junit", "j.xml", code=8)  # fmt: skip
    assert "::error file=slow.yaml,line=14,col=3,title=DR6301" in shown.stdout
    page = (tmp_path / "page.md").read_text()
    assert page.count("## ") == 2, "a page is added to, not written over"
    assert "misses the RTO" in page
    cases = ET.parse(tmp_path / "j.xml").getroot().iter("testcase")  # noqa: S314 (we wrote it)
    failed = [case.get("name") for case in cases if case.find("failure") is not None]
    assert failed == ["the forecast fits the RTO", "step promote"], "it may wait for too long, too"


def test_a_plan_that_cannot_be_made_is_an_annotation_too(drctl, broken):
    shown = drctl("plan", "broken.yaml", "-e", MODEL, "--offline", "-o", "github", code=3)
    assert f"::error file=broken.yaml,line={broken}," in shown.stdout
    assert shown.stderr == ""
    shown = drctl("plan", RUNBOOK, "-e", "no\n::error::such", "--offline", "-o", "github", code=3)
    assert "\n::error::such" not in shown.output
    assert shown.stdout.startswith("::error title=DR5001::")


def saved(drctl, runbook, name):
    drctl("plan", runbook, "-e", MODEL, *INCIDENT, "--offline", "--out", name)
    return name


def test_two_plans_are_compared_from_files(drctl, tmp_path, monkeypatch):
    a = saved(drctl, RUNBOOK, "a.json")
    text = RUNBOOK.read_text().replace("timeout: 6m", "timeout: 7m")
    (tmp_path / "region-failover.yaml").write_text(text)
    b = saved(drctl, "region-failover.yaml", "b.json")
    assert "timeout  6m -> 7m" in drctl("plan", "diff", a, b).stdout
    assert "nothing that a run would do differs" in drctl("plan", "diff", a, a).stdout
    drctl("plan", "diff", a, a, "--exit-code")
    drctl("plan", "diff", a, b, "--exit-code", code=8)
    found = json.loads(drctl("plan", "diff", a, b, "-o", "json").stdout)
    assert (found["same"], found["steps"][0]["name"]) == (False, "promote")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "page.md"))
    shown = drctl("plan", "diff", a, b, "-o", "github").stdout
    assert "timeout: 6m → 7m" in shown
    assert shown.strip() == (tmp_path / "page.md").read_text().strip()
    drctl("plan", "diff", a, "nothing.json", code=3)


def test_the_plan_command_is_as_it_was(drctl):
    drctl("plan", code=2)
    assert "diff" in drctl("plan", "--help").stdout
    assert "--offline" in drctl("plan", "-h").stdout
    words = ("--offline", *INCIDENT, "-o", "json")
    made = [
        json.loads(drctl("plan", *line).stdout)["digest"]
        for line in (("-e", MODEL, *words, RUNBOOK), (RUNBOOK, *words, "-e", MODEL))
    ]
    assert made[0] == made[1], "options may stand before the runbook and behind it"
    assert "plan [OPTIONS]" in drctl("plan", "--help").stdout
    near = drctl("plan", "region-failovr", "-e", MODEL, code=3).output
    assert 'did you mean "region-failover"' in near


@pytest.mark.parametrize(
    ("words", "incomplete", "wanted"),
    [
        (("plan",), "", {"diff", "region-failover"}),
        (("plan",), "--j", {"--junit"}),
        (("plan", "region-failover"), "--s", {"--sarif"}),
        (("plan", "diff"), "--e", {"--exit-code"}),
        (("plan", "region-failover", "-o"), "g", {"github"}),
        (("validate", "x.yaml", "-o"), "g", {"github"}),
        (("runbook", "graph"), "region-f", {"region-failover", "region-failback"}),
        (("runbook", "graph", "x", "-o"), "", {"text", "svg", "mermaid", "dot"}),
        (("runbook", "new", "x", "--scenario"), "region-o", {"region-outage"}),
        (("runbook", "show"), "region-f", {"region-failover"}),
        (("plan", "x", "-e"), "pr", {"prod"}),
        (("validate", "x.yaml", "-e"), "pr", {"prod"}),
        (("env", "show"), "pr", {"prod"}),
        (("run",), "region-f", {"region-failover"}),
        (("run", "x", "-e"), "pr", {"prod"}),
        (("action", "show"), "shell.", {"shell.look", "shell.destroy"}),
        (("explain",), "DR61", {"DR6101"}),
        (("explain",), "saf", {"safety"}),
        (("ready", "--scenario"), "region-o", {"region-outage"}),
    ],
)
@pytest.mark.usefixtures("drctl")
def test_the_shell_offers_what_is_new(tmp_path, words, incomplete, wanted):
    """As bash asks for it."""
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "prod.yaml").touch()
    line = ["drctl", *words, incomplete]
    asked = {"COMP_WORDS": " ".join(line), "COMP_CWORD": str(len(line) - 1)}
    env = {"_DRCTL_COMPLETE": "complete_bash", **asked}
    offered = CliRunner().invoke(app, [], env=env, prog_name="drctl").stdout.split()
    assert wanted <= set(offered)


def test_sarif_says_what_a_rule_wants_and_not_how_to_ask(drctl, tmp_path):
    """Code scanning has no terminal."""
    slow = (ROOT / "runbooks" / "region-failover.yaml").read_text().replace("rto: 15m", "rto: 1m")
    (tmp_path / "slow.yaml").write_text(slow)
    environment = ROOT / "tests" / "scenarios" / "environment.yaml"
    drctl("validate", "slow.yaml", "-e", environment, "--sarif", "x.sarif", code=8)
    driver = json.loads((tmp_path / "x.sarif").read_text())["runs"][0]["tool"]["driver"]
    [rule] = [one for one in driver["rules"] if one["id"] == "DR6301"]
    assert "drctl explain" not in rule["shortDescription"]["text"]
    assert "To mend it: " in rule["fullDescription"]["text"]


def test_a_page_of_a_runbook_shows_foreign_words_and_obeys_none(drctl, tmp_path):
    text = (ROOT / "runbooks" / "region-failover.yaml").read_text()
    assert text.count("title: Make the standby the primary") == 1
    nasty = '"<img src=x onerror=alert(1)>\\n```\\u202e | x"'
    text = text.replace("title: Make the standby the primary", f"title: {nasty}")
    (tmp_path / "nasty.yaml").write_text(text)
    page = drctl("runbook", "show", "nasty.yaml").output
    assert "\\<img src=x" in page
    assert "\u202e" not in page
    assert not [line for line in page.splitlines() if line.startswith("```")]
    assert ":None" not in page + drctl("action", "list").output


@pytest.mark.parametrize(
    "line",
    [
        ("validate", "mine.yaml", "--junit", "mine.yaml"),
        ("validate", "mine.yaml", "--sarif", "other.YML"),
        ("plan", "mine.yaml", "-e", MODEL, "--offline", *INCIDENT, "--out", "mine.yaml"),
        ("ready", "-e", MODEL, "--textfile", "mine.yaml"),
        ("validate", "odd.txt", "--junit", "./odd.txt"),
        ("validate", "odd.txt", "--sarif", "link"),
        ("plan", "odd.txt", "-e", MODEL, "--offline", *INCIDENT, "--out", "odd.txt"),
        ("validate", "mine.yaml", "--junit", "one", "--sarif", "./one"),
        ("plan", "mine.yaml", "-e", MODEL, "--offline", *INCIDENT, "--out", "a", "--junit", "a"),
    ],
)
def test_no_report_is_written_over_what_is_read_or_over_another(drctl, tmp_path, line):
    for name in ("mine.yaml", "other.YML", "odd.txt"):
        (tmp_path / name).write_text(RUNBOOK.read_text())
    (tmp_path / "link").symlink_to("odd.txt")
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir() if one.is_file()}
    drctl(*line, code=2)
    assert before == {one.name: one.read_bytes() for one in tmp_path.iterdir() if one.is_file()}


def test_a_file_that_is_not_there_has_not_passed(drctl, tmp_path):
    drctl("validate", "nowhere.yaml", RUNBOOK, "--junit", "j.xml", code=3)
    suites = ET.parse(tmp_path / "j.xml").getroot().findall("testsuite")  # noqa: S314
    assert [suite.get("failures") for suite in suites] == ["1", "0"]
    [problem] = json.loads(drctl("validate", "nowhere.yaml", "-o", "json", code=3).stdout)[
        "problems"
    ]
    assert (problem["file"], problem["why"]) == ("nowhere.yaml", "No such file or directory")


def test_what_an_error_ended_before_its_turn_has_not_passed(drctl, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "page.md"))
    drctl("validate", RUNBOOK, "-e", "nowhere", "-o", "github", "--junit", "j.xml", code=3)
    root = ET.parse(tmp_path / "j.xml").getroot()  # noqa: S314
    assert (root.get("tests"), root.get("skipped"), root.get("failures")) == ("2", "1", "1")
    page = (tmp_path / "page.md").read_text()
    assert "Nothing to say" not in page
    assert "Not looked at" in page


def test_a_line_of_jsonl_is_a_document(drctl, tmp_path):
    model = ("plan", RUNBOOK, "-e", MODEL, "--offline", *INCIDENT)
    drctl(*model, "--out", "plan.json")
    for line in (
        ("validate", RUNBOOK),
        model,
        ("plan", "diff", "plan.json", "plan.json"),
    ):
        [only] = drctl(*line, "-o", "jsonl").stdout.splitlines()
        assert json.loads(only)


def test_an_error_of_a_plan_is_not_called_one_of_validate(drctl):
    shown = drctl("plan", "nowhere", "-e", MODEL, "-o", "github", code=3).stdout
    assert "drctl plan: " in shown
    assert "drctl validate" not in shown
