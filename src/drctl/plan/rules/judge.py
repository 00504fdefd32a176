"""Judges a plan by every rule, and weighs the runbook's waivers."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from drctl.kernel.text import sanitize
from drctl.plan.findings import Finding, Waived
from drctl.plan.model import Plan
from drctl.plan.rules.case import Case
from drctl.plan.rules.catalogue import all_rules
from drctl.plan.rules.rule import Needs, Rule
from drctl.plan.rules.waivers import about_waivers, meeting


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the rules say."""

    findings: tuple[Finding, ...]
    """Those that count, errors first."""
    waived: tuple[Waived, ...]


def judge(case: Case, today: date) -> Verdict:
    """Applies every rule that what is known allows."""
    findings: list[Finding] = []
    waived: list[Waived] = []
    used: set[int] = set()
    judged = [rule for rule in all_rules().values() if rule.needs <= _known(case)]
    for rule in judged:
        for finding in _applied(rule, case):
            met = list(meeting(case, finding))
            used.update(index for index, _waiver in met)
            holding = [waiver for _index, waiver in met if waiver.until >= today]
            if holding:
                first = holding[0]
                until = first.until.isoformat()
                waived.append(Waived(finding=finding, reason=first.reason, until=until))
            elif met:
                ended = max(waiver.until for _index, waiver in met)
                findings.append(_is_back(finding, ended))
            else:
                findings.append(finding)
    findings += about_waivers(case, judged, used, today)
    return Verdict(
        findings=tuple(sorted(findings, key=_order)),
        waived=tuple(sorted(waived, key=lambda one: _order(one.finding))),
    )


def judged(case: Case, today: date) -> Plan:
    """The case's plan with what the rules say about it, not sealed again."""
    verdict = judge(case, today)
    return case.plan.model_copy(update={"findings": verdict.findings, "waived": verdict.waived})


def _known(case: Case) -> Needs:
    if case.environment is None:
        return Needs.RUNBOOK
    return Needs.ENVIRONMENT if case.plan.is_offline else Needs.LOOK


def _applied(rule: Rule, case: Case) -> Iterator[Finding]:
    try:
        found = [rule.finding(case, one) for one in rule.judge(case)]
    except Exception as error:  # noqa: BLE001 (a bug in a rule must not keep a plan from being made)
        what = sanitize(f"the rule could not judge: {type(error).__name__}: {error}", limit=200)
        at = case.at("")
        found = [
            Finding(id=rule.id, severity="warning", where="", at=at, what=what, fix="report it")
        ]
    yield from found


def _is_back(finding: Finding, ended: date) -> Finding:
    what = f"{finding.what}; its waiver ended on {ended.isoformat()}"
    return finding.model_copy(update={"what": what})


def _order(finding: Finding) -> tuple[bool, str, int, int, str]:
    """Errors first, then as the files have them."""
    file, line, column = (
        (*finding.at.rsplit(":", 2), "0", "0")[:3] if finding.at else ("", "0", "0")
    )
    place = (int(line), int(column)) if line.isdigit() and column.isdigit() else (0, 0)
    return (finding.severity != "error", file, *place, finding.id)
