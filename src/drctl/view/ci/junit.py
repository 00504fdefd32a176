"""JUnit's XML, which GitLab, Jenkins and most others show: one case for each thing that held."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from drctl.kernel.duration import format_duration
from drctl.kernel.text import sanitize
from drctl.plan.model import Plan, PlannedStep
from drctl.view.ci.remark import MISSED, Remark

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One check."""

    name: str
    failures: tuple[Remark, ...] = ()
    skipped: str = ""
    said: tuple[Remark, ...] = ()
    """Warnings: shown, and no failure."""
    file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """The checks of one runbook."""

    name: str
    cases: tuple[Case, ...] = field(default=())


def validation_suites(
    files: Sequence[str], remarks: Sequence[Remark], *, looked: bool = True
) -> list[Suite]:
    """
    A suite for each file: one case for its text, one for each rule that has something to say. Not
    *looked*: an error ended the command, and a file of which it says nothing has not passed.
    """
    names = dict.fromkeys([*files, *(one.file for one in remarks)])
    suites = []
    for file in names:
        own = [one for one in remarks if one.file == file]
        text = [one for one in own if not one.rule.startswith("DR6")]
        case = _case("the text is valid", text, file)
        cases = [case if own or looked else replace(case, skipped="not looked at")]
        suites.append(Suite(name=file or "drctl", cases=(*cases, *_by_rule(own, file))))
    return suites


def _by_rule(remarks: Sequence[Remark], file: str) -> list[Case]:
    rules: dict[str, list[Remark]] = {}
    for one in remarks:
        if one.rule.startswith("DR6"):
            rules.setdefault(one.rule, []).append(one)
    return [_case(f"rule {rule}", found, file) for rule, found in rules.items()]


def plan_suite(plan: Plan, remarks: Sequence[Remark], file: str) -> Suite:
    """One case for each step, identity and objective."""
    by_step: dict[str, list[Remark]] = {}
    for one in remarks:
        by_step.setdefault(one.step if one.step in plan.by_id else "", []).append(one)
    whole = [one for one in by_step.get("", ()) if one.rule != MISSED]
    missed = tuple(one for one in remarks if one.rule == MISSED)
    cases = [Case(name="the forecast fits the RTO", failures=missed, file=file), _loss(plan, file)]
    cases += [_pin(plan, number, file) for number in range(len(plan.pins))]
    cases += _fate(plan, file)
    cases += _by_rule(whole, file)
    cases += [_step(step, by_step.get(step.id, ()), file) for step in plan.steps]
    return Suite(name=f"{plan.runbook} for {plan.environment}", cases=tuple(cases))


def _step(step: PlannedStep, found: Sequence[Remark], file: str) -> Case:
    """A step of which nothing could be told has not passed."""
    case = _case(f"step {step.id}", found, file)
    if step.prediction.symbol == "?":
        return replace(case, skipped=step.prediction.why or "cannot tell")
    return case


def _fate(plan: Plan, file: str) -> list[Case]:
    """What is assumed down, if anything is, and whether a run comes through without."""
    if plan.fate is None:
        return []
    name = f"a run comes through without {', '.join(plan.fate.lost)}"
    if plan.fate.ending == "succeeds":
        return [Case(name=name, file=file)]
    ill = Remark(rule=plan.fate.ending, level="error", what=plan.fate.why, file=file)
    return [Case(name=name, failures=(ill,), file=file)]


def _case(name: str, found: Sequence[Remark], file: str) -> Case:
    return Case(
        name=name,
        failures=tuple(one for one in found if one.level == "error"),
        said=tuple(one for one in found if one.level == "warning"),
        file=file,
    )


def _loss(plan: Plan, file: str) -> Case:
    name = "the loss bound is within the RPO"
    if plan.loss is None:
        return Case(name=name, skipped="not looked at", file=file)
    bound_s, rpo_s = plan.loss.bound_s, plan.objectives.rpo_s
    if bound_s is not None and bound_s <= rpo_s:
        return Case(name=name, file=file)
    bound = "unknown" if bound_s is None else format_duration(bound_s)
    what = f"a failover now loses at most: {bound}; RPO {format_duration(rpo_s)}"
    ill = Remark(rule="RPO", level="error", what=what, why=plan.loss.source, file=file)
    return Case(name=name, failures=(ill,), file=file)


def _pin(plan: Plan, number: int, file: str) -> Case:
    pin = plan.pins[number]
    name = f"identity {pin.name} of {pin.subject}"
    if pin.found is None:
        silent = "not looked at" if plan.is_offline else "did not answer"
        return Case(name=name, skipped=silent, file=file)
    if pin.found == pin.expected:
        return Case(name=name, file=file)
    what = f"it must be {pin.expected}, and is {pin.found}"
    ill = Remark(rule="DR5201", level="error", what=what, file=file)
    return Case(name=name, failures=(ill,), file=file)


def as_junit(suites: Sequence[Suite]) -> bytes:
    """The document. Characters that XML has no place for are written as their escapes."""
    from xml.etree.ElementTree import Element, SubElement, indent, tostring

    root = Element("testsuites", _counts(suites, name="drctl"))
    for suite in suites:
        node = SubElement(root, "testsuite", _counts([suite], name=suite.name))
        for case in suite.cases:
            _write(node, suite, case)
    indent(root)
    data: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return data + b"\n"


def _write(suite_node: "Element", suite: Suite, case: Case) -> None:
    from xml.etree.ElementTree import SubElement

    about = {"classname": _inert(suite.name), "name": _inert(case.name), "time": "0"}
    if case.file:
        about["file"] = _inert(case.file)
    node = SubElement(suite_node, "testcase", about)
    if case.failures:
        first = case.failures[0]
        shown = {"type": _inert(first.rule), "message": _inert(first.what)}
        SubElement(node, "failure", shown).text = "\n\n".join(map(_told, case.failures))
    elif case.skipped:
        SubElement(node, "skipped", {"message": _inert(case.skipped)})
    if case.said:
        SubElement(node, "system-out").text = "\n\n".join(map(_told, case.said))


def _counts(suites: Sequence[Suite], *, name: str) -> dict[str, str]:
    cases = [case for suite in suites for case in suite.cases]
    return {
        "name": _inert(name),
        "tests": str(len(cases)),
        "failures": str(sum(1 for case in cases if case.failures)),
        "errors": "0",
        "skipped": str(sum(1 for case in cases if case.skipped and not case.failures)),
        "time": "0",
    }


def _told(remark: Remark) -> str:
    where = f"{remark.file}:{remark.line}:{remark.column}: " if remark.file else ""
    return f"{_inert(where)}{remark.level} {_inert(remark.rule)}: {remark.text}"


def _inert(text: str) -> str:
    return sanitize(text, limit=500)
