"""What all reports are made of: one thing to say about one place in a file."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from drctl.kernel.errors import Position, Problem
from drctl.kernel.text import sanitize
from drctl.plan.findings import Finding
from drctl.plan.model import Plan
from drctl.plan.refusals import refusals
from drctl.runbook.todo import todos

Level: TypeAlias = Literal["error", "warning"]
_LONGEST = 1500
"""Characters of one line of a text: what and why and what to do are all seen."""
_PLACE = re.compile(r"(?P<file>.+):(?P<line>\d{1,9}):(?P<column>\d{1,9})", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """A problem or a finding, as reports see it."""

    rule: str
    level: Level
    what: str
    why: str = ""
    fix: str = ""
    step: str = ""
    """Id of a step; empty: the whole."""
    file: str = ""
    """As seen from the repository's root where it is in there; empty: nowhere."""
    line: int = 1
    column: int = 1

    @property
    def text(self) -> str:
        """All of it in lines, inert, for readers that have one field."""
        what = f"{self.step}: {self.what}" if self.step else self.what
        said = [what, *(f"{word}: {text}" for word, text in self._more if text)]
        return "\n".join(sanitize(line, limit=_LONGEST, keep_lines=True) for line in said)

    @property
    def _more(self) -> tuple[tuple[str, str], ...]:
        return (("why", self.why), ("do", self.fix))


def of_problems(problems: Iterable[object]) -> list[Remark]:
    """What validation found; each of these stops a run."""
    found = []
    for one in problems:
        if not isinstance(one, Problem):
            continue
        file, line, column = place(one.at)
        why = " ".join(text for text in (one.why, one.now) if text)
        found.append(
            Remark(
                rule=one.code,
                level="error",
                what=one.what,
                why=why,
                fix=one.do or "",
                file=file,
                line=line,
                column=column,
            )
        )
    return found


def left_to_decide(file: Path) -> list[Remark]:
    """The marks of what a team has still to decide in a runbook; none of them stops anything."""
    at = seen_from_root(str(file))
    return [
        Remark(rule="TODO", level="warning", what=words, file=at, line=line, column=column)
        for line, column, words in todos(file.read_text(encoding="utf-8", errors="replace"))
    ]


def of_findings(findings: Sequence[Finding], file: str = "") -> list[Remark]:
    """What the rules found; *file* is where a finding is that says no place."""
    found = []
    for one in findings:
        own, line, column = place(one.at)
        found.append(
            Remark(
                rule=one.id,
                level=one.severity,
                what=one.what,
                why=one.why,
                fix=one.fix,
                step=one.where,
                file=own or seen_from_root(file),
                line=line,
                column=column,
            )
        )
    return found


def of_plan(plan: Plan, file: str = "") -> list[Remark]:
    """
    What is not well with a plan: why a run would not come through, the rules' findings, and an RTO
    that it misses, of which a plan that no rule has judged says nothing itself.
    """
    from drctl.kernel.duration import format_duration

    at = seen_from_root(file)
    found = [
        Remark(rule=one.code, level="error", what=f"a run now: {one.what}", fix=one.fix, file=at)
        for one in refusals(plan)
    ]
    found += of_findings(plan.findings, file)
    judged = (*plan.findings, *(one.finding for one in plan.waived))
    if plan.spare_s < 0 and not any(one.id == MISSED for one in judged):
        over = format_duration(-plan.spare_s)
        what = f"the forecast of {plan.runbook} for {plan.environment} misses the RTO by {over}"
        why = (
            f"forecast {format_duration(plan.objectives.rto_s - plan.spare_s)} with detection,"
            f" RTO {format_duration(plan.objectives.rto_s)};"
            f" critical path: {' > '.join(plan.critical_path)}"
        )
        fix = "shorten a step of the critical path, or let it run beside the others"
        found.append(Remark(rule=MISSED, level="error", what=what, why=why, fix=fix, file=at))
    return found


MISSED = "DR6301"
"""The rule of the objective, which `drctl plan` exits 8 for."""


def place(at: Position | str | None) -> tuple[str, int, int]:
    """
    File, line and column of a place or of ``file:line:column``, the first of each where a runbook's
    file is named alone; no file where it says none.
    """
    if isinstance(at, Position):
        return seen_from_root(at.file), at.line, at.column
    match = _PLACE.fullmatch(at or "")
    if match is None and at and at.endswith((".yaml", ".yml")):
        return seen_from_root(at), 1, 1
    if match is None:
        return "", 1, 1
    line, column = max(1, int(match["line"])), max(1, int(match["column"]))
    return seen_from_root(match["file"]), line, column


def seen_from_root(file: str) -> str:
    """
    A path as the repository's root sees it: where CI says what that is, else from here. One outside
    stays absolute; a text that is no path (``<text>``) stays what it is.
    """
    if not file or file.startswith("<") or "\0" in file:
        return file
    root = Path(os.environ.get("GITHUB_WORKSPACE") or os.environ.get("CI_PROJECT_DIR") or ".")
    path = Path(os.path.realpath(file))  # a loop of links has a path too
    for base in (Path(os.path.realpath(root)), Path.cwd()):
        if path.is_relative_to(base):
            return path.relative_to(base).as_posix()
    return path.as_posix()
