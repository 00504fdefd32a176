"""Findings for people: errors first, each with its place, what makes it so, and what to do."""

from collections.abc import Iterator, Sequence

from drctl.kernel.text import sanitize
from drctl.plan.findings import Finding, Waived


def finding_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """Each finding in up to four lines."""
    for finding in findings:
        yield sanitize(f"{finding.severity} {finding.id}: {finding.what}")
        for word, text in (("at", finding.at), ("why", finding.why), ("do", finding.fix)):
            if text:
                yield sanitize(f"  {word:<4} {text}")


def short_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """One line for each, for somebody who has no time."""
    for finding in findings:
        yield sanitize(f"{finding.severity} {finding.id}: {finding.what}")


def waived_lines(waived: Sequence[Waived]) -> Iterator[str]:
    """Each waived finding in two lines: what, and why it stands until when."""
    for one in waived:
        yield sanitize(f"waived {one.finding.id} until {one.until}: {one.finding.what}")
        yield sanitize(f"  because {one.reason}")


def counted(findings: Sequence[Finding], waived: Sequence[Waived]) -> str:
    """How many there are, as ``1 error, 2 warnings, 1 waived``; empty when there are none."""
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = len(findings) - errors
    words = [
        *([f"{errors} error{'s' if errors > 1 else ''}"] if errors else []),
        *([f"{warnings} warning{'s' if warnings > 1 else ''}"] if warnings else []),
        *([f"{len(waived)} waived"] if waived else []),
    ]
    return ", ".join(words)
