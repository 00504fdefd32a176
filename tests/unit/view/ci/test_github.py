"""Workflow commands: what the runner would make of them is what was meant, whatever the text."""

import re

import pytest
from nasty import NASTY

from drctl.kernel.errors import Position, Problem
from drctl.plan.findings import Finding
from drctl.view.ci.github import annotations, log_line
from drctl.view.ci.remark import Remark, of_findings, of_problems, place, seen_from_root


def as_the_runner(line):
    """
    actions/runner, ActionCommand.TryParseV2 and TryParse, in a few lines: the command, its
    properties unescaped, its message unescaped; None when the line is none.
    """
    text = line.strip()
    if text.startswith("::"):
        end = text.find("::", 2)
        if end < 0:
            return None
        command, _, rest = text[2:end].partition(" ")
        properties = {}
        for one in rest.split(","):
            name, equals, value = one.partition("=")
            if equals:
                properties[name.strip()] = unescaped(value, ":", ",")
        return command, properties, unescaped(text[end + 2 :])
    if "##[" in line and "]" in line:
        return "older", {}, line
    return None


def unescaped(text, *more):
    table = {"\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"}
    for character in ("\r", "\n", *more):
        text = text.replace(table[character], character)
    return text.replace("%25", "%")


@pytest.mark.parametrize("nasty", NASTY, ids=range(len(NASTY)))
def test_no_text_is_a_command_of_its_own(nasty):
    remark = Remark(
        rule=nasty, level="error", what=nasty, why=nasty, fix=nasty, step=nasty,
        file=nasty, line=3, column=7,
    )  # fmt: skip
    [line] = annotations([remark])
    assert not re.search(r"[\r\n\x00-\x1f\x85\u2028\u2029]", line)
    command, properties, message = as_the_runner(line)
    assert command == "error"
    assert set(properties) <= {"file", "line", "col", "title"}
    assert "title" in properties
    if nasty:
        assert (properties["line"], properties["col"]) == ("3", "7")
    assert "##[" not in line
    assert message.count("\nwhy: ") >= bool(nasty)
    assert as_the_runner(log_line(nasty)) is None
    assert "\n" not in log_line(nasty)


def test_a_message_keeps_its_lines_and_a_place_its_colons():
    problem = Problem(code="DR1013", what="100% wrong", at=Position("a,b:c.yaml", 2, 5), do="x\ny")
    [line] = annotations(of_problems([problem]))
    wanted = "::error file=a%2Cb%3Ac.yaml,line=2,col=5,title=DR1013::100%25 wrong%0Ado: x%0Ay"
    assert wanted == line


def test_a_finding_is_where_it_says():
    found = Finding(
        id="DR6101", severity="warning", where="promote", at="r.yaml:7:3", what="no fence", fix="f"
    )
    [line] = annotations(of_findings([found]))
    assert line == "::warning file=r.yaml,line=7,col=3,title=DR6101::promote: no fence%0Ado: f"


@pytest.mark.parametrize(
    ("at", "wanted"),
    [
        ("a.yaml:1:2", ("a.yaml", 1, 2)),
        ("a:b.yaml:10:20", ("a:b.yaml", 10, 20)),
        ("a.yaml:0:0", ("a.yaml", 1, 1)),
        ("a.yaml", ("a.yaml", 1, 1)),
        ("journal.jsonl", ("", 1, 1)),
        ("a.yaml:1", ("", 1, 1)),
        ("", ("", 1, 1)),
        ("x:99999999999999999999:1", ("", 1, 1)),
    ],
)
def test_a_place_is_read_from_its_end(at, wanted):
    assert wanted == place(at)


def test_a_path_is_as_the_repository_sees_it(tmp_path, monkeypatch):
    inner = tmp_path / "repo" / "sub"
    inner.mkdir(parents=True)
    monkeypatch.delenv("CI_PROJECT_DIR", raising=False)
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / "repo"))
    monkeypatch.chdir(inner)
    assert seen_from_root("r.yaml") == "sub/r.yaml"
    assert seen_from_root(str(tmp_path / "repo" / "r.yaml")) == "r.yaml"
    assert seen_from_root(str(tmp_path / "other.yaml")) == str(tmp_path / "other.yaml")
    assert seen_from_root("<text>") == "<text>"
    monkeypatch.delenv("GITHUB_WORKSPACE")
    assert seen_from_root("r.yaml") == "r.yaml"
