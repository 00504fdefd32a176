"""What ``drctl explain TOPIC`` shows."""

import re
import subprocess
import sys
from pathlib import Path

import typer

import drctl
from drctl.actions.registry import installed
from drctl.app.runbooks import all_runbooks
from drctl.cli.main import app
from drctl.runbook.include import INCLUDE


def test_the_safety_topic_is_shown_with_what_is_not_promised():
    shown = subprocess.run(
        [sys.executable, "-m", "drctl", "explain", "safety"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "## What is not promised" in shown
    assert "Zero loss with asynchronous replication" in shown


PAGE = Path(drctl.__file__).parent / "topics" / "coverage.md"
PLAN = (
    "Single container failure", "Temporary network", "Degradation of one service",
    "Database connectivity loss", "Redis cache failure", "Application server crash",
    "Load balancer failure", "Complete data center outage", "Multi-zone failure",
    "Catastrophic database corruption", "Security breach",
)  # fmt: skip
"""Every scenario of the plan, categories 1 to 3."""


def test_the_coverage_names_only_what_there_is_and_every_runbook():
    shown = subprocess.run(
        [sys.executable, "-m", "drctl", "explain", "COVERAGE"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    named = set(re.findall(r"`([a-z0-9_.-]+)`", shown)) - {"code"}
    runbooks = set(all_runbooks())
    known = runbooks | set(installed().names) | {INCLUDE}
    assert named - known == set()
    assert runbooks - named == set()
    for scenario in PLAN:
        assert scenario in shown


def test_the_coverage_s_commands_exist():
    words = re.findall(r"`drctl ([a-z ]+?)(?: NAME)?`", PAGE.read_text())
    for line in words:
        command = typer.main.get_command(app)
        for word in line.split():
            command = command.commands[word]
