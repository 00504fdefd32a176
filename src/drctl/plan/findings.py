"""What a rule says about a plan, and what a runbook says to that."""

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

Severity: TypeAlias = Literal["error", "warning"]


class Finding(BaseModel):
    """One thing that is not wise, at its place."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    """Of the rule: ``drctl explain DR6101``."""
    severity: Severity
    where: str = ""
    """The step, as the plan calls it, or the store of the environment; empty: the whole plan."""
    at: str = ""
    """file:line:column; empty: it is written nowhere."""
    what: str
    why: str = ""
    """What of this plan makes it so; the rule's own reason is in ``drctl explain``."""
    fix: str = ""


class Waived(BaseModel):
    """A finding that the runbook waives, for a reason and not for ever."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    finding: Finding
    reason: str
    until: str
    """The last day on which it counts, as 2027-03-31."""


def gates_merge(findings: tuple[Finding, ...]) -> bool:
    """Whether a pull request with this plan should wait: an error that nobody waived."""
    return any(finding.severity == "error" for finding in findings)
