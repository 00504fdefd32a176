"""What a runbook waives, and what is wrong with its waivers: DR64xx, which nothing waives."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, timedelta

from drctl.kernel.text import did_you_mean
from drctl.plan.findings import Finding
from drctl.plan.inline import Room, joined
from drctl.plan.rules.case import Case
from drctl.plan.rules.catalogue import all_rules
from drctl.plan.rules.rule import Needs, Rule
from drctl.runbook import Waiver

LONGEST = timedelta(days=366)
"""What is known for longer than a year is no exception, and nobody looks at it again."""

TITLES = {
    "DR6401": "A waiver names a rule that there is not",
    "DR6402": "A waiver that meets nothing: what it was for is gone; remove it",
    "DR6403": "A waiver that ends more than a year from now: nobody will look at it again",
}
"""For ``drctl explain``."""


def waivers_of(case: Case) -> Iterator[tuple[str, Waiver]]:
    """Every waiver with the scope it is written in: of included runbooks, those of their own."""
    for room in Room(scope="", source=case.source, registry=case.registry).rooms():
        for waiver in room.runbook.waivers:
            yield room.scope, waiver


def meeting(case: Case, finding: Finding) -> Iterator[tuple[int, Waiver]]:
    """The waivers that are about a finding, ended or not, with their numbers."""
    for index, (scope, waiver) in enumerate(waivers_of(case)):
        if waiver.rule == finding.id and _is_about(scope, waiver, finding):
            yield index, waiver


def _is_about(scope: str, waiver: Waiver, finding: Finding) -> bool:
    if waiver.store is not None:
        return waiver.store == finding.where and not scope
    if waiver.step is not None:
        return joined(scope, waiver.step) == finding.where
    return not scope or finding.where.startswith(f"{scope}.")


def about_waivers(
    case: Case, judged: Sequence[Rule], used: AbstractSet[int], today: date
) -> Iterator[Finding]:
    """What is wrong with the waivers themselves; included runbooks are told when they are alone."""
    rules = all_rules()
    # Another environment may be what a waiver is for; the runbook alone is the same everywhere.
    settled = {
        rule.id
        for rule in judged
        if rule.needs is Needs.RUNBOOK and (case.environment is None or not rule.varies)
    }
    for index, (scope, waiver) in enumerate(waivers_of(case)):
        if scope:
            continue
        where = waiver.step or waiver.store or ""
        if waiver.rule not in rules:
            near = did_you_mean(waiver.rule, rules)
            what = f"it waives {waiver.rule}, and there is no such rule{near}"
            yield _said("DR6401", "error", waiver, where, what, "drctl explain rules")
        elif index not in used and waiver.rule in settled:
            what = f"it waives {waiver.rule}, which finds nothing there"
            yield _said("DR6402", "warning", waiver, where, what, "remove the waiver")
        if waiver.until > today + LONGEST:
            what = f"it waives {waiver.rule} until {waiver.until.isoformat()}, over a year from now"
            yield _said("DR6403", "warning", waiver, where, what, "choose an earlier day")


def _said(code: str, severity: str, waiver: Waiver, where: str, what: str, fix: str) -> Finding:
    at = str(waiver.position) if waiver.position.file else ""
    return Finding.model_validate(
        {"id": code, "severity": severity, "where": where, "at": at, "what": what, "fix": fix}
    )
