"""What an approver reads before they sign."""

from collections.abc import Mapping
from typing import Any

from drctl.kernel.text import sanitize


def question_lines(asked: Mapping[str, Any]) -> list[str]:
    """A gate's question in lines, all of them inert: it may have come through anybody's hands."""
    found = [
        f"{_said(asked, 'runbook')}, environment {_said(asked, 'environment')}",
        f"run {_said(asked, 'run')}, gate {_said(asked, 'gate')}: {_said(asked, 'title')}",
        f"asked for by {_listed(asked, 'asked_by') or 'nobody who is enrolled'}",
        "",
        *(f"  {line}" for line in _list(asked, "show")),
        f"data loss if you say go: {_said(asked, 'loss')}",
        "",
        f"behind this gate {_said(asked, 'things_changed')} things are changed:",
        *(f"  {line}" for line in _list(asked, "changes")),
        f"no way back after: {_listed(asked, 'no_way_back') or 'nothing'}",
        "",
        f"needs {_said(asked, 'needed')}; said go so far: {_listed(asked, 'given') or 'nobody'}",
        f"plan {_said(asked, 'digest')}",
        f"made {_said(asked, 'made')}, seal {_said(asked, 'seal')}",
    ]
    return [sanitize(line, limit=500) for line in found]


def _said(asked: Mapping[str, Any], name: str) -> str:
    return str(asked.get(name, "(not said)"))


def _list(asked: Mapping[str, Any], name: str) -> list[str]:
    value = asked.get(name)
    return [str(item) for item in value] if isinstance(value, list) else []


def _listed(asked: Mapping[str, Any], name: str) -> str:
    return ", ".join(_list(asked, name))
