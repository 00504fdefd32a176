"""
What a rule is.

A rule judges data: the plan, the environment, the runbook. It asks nobody, and it speaks only where
the data shows it; what it cannot see it leaves alone, because a false alarm teaches people not to
read. No rule stops a run: they are for the pull request, not for the night.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from drctl.plan.findings import Finding, Severity
from drctl.plan.model import PlannedStep
from drctl.plan.rules.case import Case


class Needs(IntEnum):
    """What must be known before a rule can judge, least first."""

    RUNBOOK = 0
    ENVIRONMENT = 1
    LOOK = 2
    """The world was looked at: not with ``--offline``, not in ``validate``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a rule has found at one place."""

    what: str
    step: PlannedStep | None = None
    store: str = ""
    place: str = ""
    """Of the runbook, as ``metadata.category``; the step's own when there is one."""
    at: str = ""
    """file:line:column, when it is neither."""
    why: str = ""
    fix: str = ""
    """Where it can be said better than for the whole rule."""


Judge: TypeAlias = Callable[[Case], Iterable[Found]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing that a plan should be, or not be."""

    id: str
    title: str
    severity: Severity
    reason: str
    bad: str
    """An example that it speaks about."""
    good: str
    fix: str
    judge: Judge
    needs: Needs = Needs.RUNBOOK
    varies: bool = False
    """True when another environment may change the verdict, as by its own RTO: then a waiver that
    meets nothing here may still be needed elsewhere."""

    def finding(self, case: Case, found: Found) -> Finding:
        """A finding of this rule."""
        where = found.step.id if found.step else found.store
        at = found.at or (found.step.at if found.step else case.at(found.place))
        return Finding(
            id=self.id,
            severity=self.severity,
            where=where,
            at=at,
            what=found.what,
            why=found.why,
            fix=found.fix or self.fix,
        )
