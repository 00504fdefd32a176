"""Ten planted mistakes, one of each kind, are ten numbered problems in one run and no eleventh."""

import importlib
from pathlib import Path

import pytest

from drctl.actions.registry import Registry
from drctl.runbook import check_runbook

SCENARIO = Path(__file__).parents[2] / "scenarios" / "ten_mistakes"
ADAPTERS = ("aws", "dns", "http", "human", "kubernetes", "postgres", "slack", "statuspage")


def test_each_mistake_is_told_once_at_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SCENARIO)
    registry = Registry(importlib.import_module(f"drctl.adapters.{n}").ADAPTER for n in ADAPTERS)
    runbook, problems = check_runbook(Path("runbook.yaml"), registry=registry)
    lines = [f"{n}. {p.at} {p.code} {p.what}" for n, p in enumerate(problems, 1)]
    assert runbook is None
    assert (SCENARIO / "expected.txt").read_text().splitlines() == lines
    assert len(lines) == 10
