"""Readiness for people, and for a test report."""

from collections.abc import Iterator
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from drctl.actions.check import Standing
from drctl.kernel.duration import format_duration
from drctl.kernel.text import sanitize
from drctl.ready.model import Judged, Readiness, Scenario

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {"ready": "bold green", "at risk": "bold yellow", "not ready": "bold red"}


def show_readiness(seen: Readiness, console: "Console", *, verbose: bool = False) -> None:
    """Prints each scenario: the verdict, what speaks against it, what was not looked at."""
    from rich.text import Text

    down = f", assuming {', '.join(seen.assume_down)} down" if seen.assume_down else ""
    head = f"Readiness of {seen.environment} at {seen.at}{down} ({format_duration(seen.took_s)})"
    console.print(Text(sanitize(head), style="bold"))
    for one in seen.scenarios:
        console.print()
        line = Text(sanitize(f"{one.scenario}: "), style="bold")
        line.append(one.result.upper(), style=_STYLES[one.result])
        line.append(sanitize(f"{_how_much(one)}  {one.title} ({one.runbook})"), style="")
        console.print(line)
        for text, style in _lines(one, verbose=verbose):
            console.print(Text(sanitize(text), style=style))
    console.print()
    if seen.not_asked:
        left = f"not asked unless named with --scenario: {', '.join(seen.not_asked)}"
        console.print(Text(sanitize(left), style="dim"))
    console.print(Text(seen.caveat, style="dim"))


def _lines(one: Scenario, *, verbose: bool) -> Iterator[tuple[str, str]]:
    for judged in one.troubles:
        style = "red" if judged.standing is Standing.NOT_READY else "yellow"
        yield f"  {judged.standing}: {judged.check}  {judged.subject}", style
        yield f"      why   {judged.why}", ""
        if judged.steps:
            yield f"      steps {', '.join(judged.steps)}", ""
        if judged.do:
            yield f"      do    {judged.do}", ""
    for judged in one.of(Standing.UNPROVEN):
        yield f"  unproven: {judged.check}  {judged.subject}: {judged.why}", "yellow"
    good = one.of(Standing.HOLDS)
    if verbose:
        for judged in good:
            yield f"  holds: {judged.check}  {judged.subject}: {judged.why}", "green"
    else:
        yield f"  {len(good)} prerequisites hold", "green"
    yield from _not_looked_at(one)
    if one.unchecked_changes:
        names = ", ".join(one.unchecked_changes)
        yield f"  changes something, and there is nothing to look at beforehand: {names}", "yellow"
    if reads := [step for step in one.unchecked if step not in one.unchecked_changes]:
        yield f"  nothing to look at beforehand for: {', '.join(reads)}", "dim"


def _how_much(one: Scenario) -> str:
    return f", {one.looked_at} of {one.steps} steps looked at" if one.steps else ""


def _not_looked_at(one: Scenario) -> Iterator[tuple[str, str]]:
    """Each by its name, under the reason that it shares with others."""
    reasons: dict[str, dict[str, list[str]]] = {}
    for skipped in one.skipped:
        checks = reasons.setdefault(skipped.why, {}).setdefault(skipped.subject, [])
        checks.append(skipped.check)
    for why, subjects in reasons.items():
        yield f"  not looked at: {why}", "dim"
        for subject, checks in subjects.items():
            yield f"      {', '.join(checks)}  {subject}", "dim"


def changes(before: Readiness | None, now: Readiness) -> list[str]:
    """What is otherwise than at the last look, a line each; at the first, the verdicts."""
    lines = []
    earlier = {one.scenario: one for one in before.scenarios} if before else {}
    for one in now.scenarios:
        was = earlier.get(one.scenario)
        if was is None or was.result != one.result:
            so_far = f" (was {was.result})" if was else ""
            lines.append(f"{one.scenario}: {one.result}{so_far}{_how_much(one)}")
        old, new = _troubles(was), _troubles(one)
        lines += [f"{one.scenario}: + {_line(new[key])}" for key in new if key not in old]
        lines += [f"{one.scenario}: - {_line(old[key])}" for key in old if key not in new]
    return [sanitize(f"{now.at} {line}") for line in lines]


def _troubles(one: Scenario | None) -> dict[tuple[str, str, str], Judged]:
    # Not by the reason: a lag that grows by a second is no news.
    found = one.troubles if one else ()
    return {(each.check, each.subject, each.standing): each for each in found}


def _line(one: Judged) -> str:
    return f"{one.standing}: {one.check} {one.subject}: {one.why}"


def junit(seen: Readiness) -> str:
    """A JUnit report: a suite for each scenario, a case for each prerequisite."""
    root = ET.Element("testsuites", name=f"drctl ready {seen.environment}")
    for one in seen.scenarios:
        failed = one.of(Standing.NOT_READY, Standing.AT_RISK)
        unread = one.of(Standing.CANNOT_TELL)
        said = (*one.skipped, *one.of(Standing.UNPROVEN))
        suite = ET.SubElement(
            root, "testsuite", name=one.scenario, timestamp=seen.at,
            tests=str(len(one.judged) + len(one.skipped)), failures=str(len(failed)),
            errors=str(len(unread)), skipped=str(len(said)), time=str(seen.took_s),
        )  # fmt: skip
        for judged in one.judged:
            _case(suite, one, judged)
        for skipped in one.skipped:
            case = ET.SubElement(
                suite, "testcase", classname=f"{one.scenario}.{skipped.check}",
                name=sanitize(skipped.subject),
            )  # fmt: skip
            ET.SubElement(case, "skipped", message=sanitize(skipped.why))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ET.Element, one: Scenario, judged: Judged) -> None:
    case = ET.SubElement(
        suite, "testcase", classname=f"{one.scenario}.{judged.check}",
        name=sanitize(judged.subject),
    )  # fmt: skip
    words = {
        Standing.NOT_READY: "failure", Standing.AT_RISK: "failure",
        Standing.CANNOT_TELL: "error", Standing.UNPROVEN: "skipped",
    }  # fmt: skip
    word = words.get(judged.standing)
    if word is not None:
        message = f"{judged.standing}: {judged.why}"
        told = ET.SubElement(case, word, message=sanitize(message))
        if word != "skipped":
            told.text = sanitize(f"breaks {', '.join(judged.steps) or 'nothing'}; do: {judged.do}")
