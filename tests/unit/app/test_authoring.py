"""A draft of a runbook: valid, marked where a team must decide, and never over another file."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from drctl.actions.registry import Registry, installed
from drctl.app.authoring import new_runbook, shipped
from drctl.app.runbooks import load
from drctl.cli.main import app
from drctl.kernel.errors import InvalidError
from drctl.runbook.todo import todos


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("like", "scenario"), shipped().items(), ids=list(shipped()))
def test_a_draft_of_every_scenario_is_valid_and_marked(here, like, scenario):
    made = new_runbook(installed(), "our-own", scenario, like)
    text = made.path.read_text()
    runbook = load(made.path, installed()).runbook
    assert (runbook.metadata.name, runbook.metadata.scenario) == ("our-own", scenario)
    assert made.marks == len(list(todos(text))) >= 4
    assert {"owner:", "rto:", "targets:", "steps:"} <= {
        text.splitlines()[line - 1].split()[0] for line, _column, _words in todos(text)
    }
    assert like in text.splitlines()[0]


def test_it_never_writes_over_anything(here):
    new_runbook(installed(), "our-own", "region-outage", None)
    path = here / "runbooks" / "our-own.yaml"
    path.write_text("mine")
    with pytest.raises(InvalidError, match="DR1099"):
        new_runbook(installed(), "our-own", "region-outage", None)
    assert path.read_text() == "mine"
    (here / "runbooks" / "link.yaml").symlink_to(here / "elsewhere")
    with pytest.raises(InvalidError, match="DR1099"):
        new_runbook(installed(), "link", "region-outage", None)
    assert not (here / "elsewhere").exists()


@pytest.mark.parametrize("name", ["../evil", "/x", "A", "a b", "", "a.yaml", "-a", "a" * 99])
def test_a_name_is_a_name(here, name):
    with pytest.raises(InvalidError, match="DR1100"):
        new_runbook(installed(), name, "region-outage", None)
    assert not (here / "runbooks").exists()


def test_several_shipped_ones_are_named_and_none_is_guessed(here):
    with pytest.raises(InvalidError, match="3 shipped runbooks") as caught:
        new_runbook(installed(), "ours", "database-outage", None)
    assert "database-failover-rds" in caught.value.problems[0].do
    with pytest.raises(InvalidError, match="is no shipped runbook for database-outage"):
        new_runbook(installed(), "ours", "database-outage", "region-failover")
    with pytest.raises(InvalidError, match='did you mean "region-outage"'):
        new_runbook(installed(), "ours", "region-outge", None)
    assert not (here / "runbooks").exists()


def test_a_draft_uses_only_what_is_installed(here):
    few = Registry([])
    with pytest.raises(InvalidError, match="DR1050"):
        new_runbook(few, "ours", "region-outage", None)
    assert not (here / "runbooks").exists(), "nothing is left behind"


def test_from_the_door(here):
    def drctl(*words, code=0):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == code, result.output
        return result.output

    said = drctl("runbook", "new", "orders-region", "--scenario", "region-outage")
    assert "runbooks/orders-region.yaml: a draft from region-failover, 8 things to decide" in said
    assert "runbooks: {region-outage: orders-region}" in said
    assert "verbs find it" not in drctl(
        "runbook", "new", "region-failover", "--scenario", "region-outage"
    )
    path = "runbooks/orders-region.yaml"
    assert "valid, 8 left to decide (TODO): line" in drctl("validate", path)
    assert drctl("validate", path, "-o", "github").count("::warning file=runbooks/orders-reg") == 8
    drctl("runbook", "new", "orders-region", "--scenario", "region-outage", code=3)
    assert drctl("runbook", "graph", path).startswith("Fail over")
    assert drctl("runbook", "graph", path, "-o", "svg").startswith("<svg ")
    assert drctl("runbook", "graph", path, "-o", "mermaid").startswith("flowchart TD\n")
    assert drctl("runbook", "graph", path, "-o", "dot").startswith('digraph "orders-region"')
    drctl("runbook", "graph", "nothing", code=3)


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("a: 1  # TODO: x", 1),
        ("# TODO x", 1),
        ("#TODO: x", 1),
        ('a: "x # TODO: y"', 0),
        ("a: 'x # TODO: y'", 0),
        ("a: x#TODO", 0),
        ("# is marked TODO: y", 0),
        ("# TODOS", 0),
    ],
)
def test_a_mark_is_a_comment_that_begins_with_it(line, count):
    assert len(list(todos(f"x: y\n{line}\n"))) == count
    if count:
        assert next(todos(line))[1] == line.index("#") + 1


def test_the_shipped_ones_have_no_marks():
    from drctl.config.places import shipped_runbooks

    for path in Path(shipped_runbooks()).glob("*.yaml"):
        assert list(todos(path.read_text())) == []
