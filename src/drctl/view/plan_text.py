"""A plan for people: what would happen, in waves, and whether it fits."""

from collections import Counter
from collections.abc import Mapping

from drctl.kernel.duration import format_duration
from drctl.kernel.text import sanitize
from drctl.plan.graph import waves
from drctl.plan.model import Plan, PlannedGate, PlannedStep
from drctl.plan.refusals import seen
from drctl.view.fate_text import ENDINGS, show_fate
from drctl.view.findings import counted, finding_lines, waived_lines
from drctl.view.forecast_text import show_forecast
from drctl.view.page import Line, Page

_STYLES = {"+": "green", "~": "yellow", "!": "bold red", ">": "bold cyan", "?": "magenta"}
LEGEND = "+ create  ~ change  ! no way back  > moves traffic  ? cannot tell  - skipped"


def show_plan(plan: Plan, console: Page) -> None:
    """Prints the whole plan; nothing is cut, long lines wrap."""
    console.print(Line(sanitize(f"Plan: {plan.title}"), style="bold"))
    where = f"  runbook {plan.runbook}, environment {plan.environment} ({plan.world})"
    console.print(Line(sanitize(where)))
    if plan.inputs:
        given = ", ".join(f"{name}={value}" for name, value in plan.inputs.items())
        console.print(Line(sanitize(f"  inputs  {given}")))
    _show_pins(plan, console)
    _show_lease(plan, console)
    critical = set(plan.critical_path)
    labels = {name: target.label for name, target in plan.targets.items()}
    groups = waves(plan.steps)
    number = 0
    for group in groups:
        work = [plan.by_id[name] for name in group if not plan.by_id[name].is_final]
        if not work:
            continue
        number += 1
        console.print(Line(f"\nwave {number}", style="bold"))
        for step in work:
            _show_step(plan, step, labels, console, is_critical=step.id in critical)
    final = [step for step in plan.steps if step.is_final]
    if final:
        console.print(Line("\nfinally", style="bold"))
        for step in final:
            _show_step(plan, step, labels, console, is_critical=False)
    console.print()
    console.print(Line(f"  {LEGEND}", style="dim"))
    console.print(Line(f"  * critical path: {' > '.join(plan.critical_path)}"))
    console.print(Line(f"  {_counts(plan)}"))
    _show_reach(plan, console)
    _show_findings(plan, console)
    _show_loss(plan, console)
    show_forecast(plan, console)
    if plan.is_offline:
        console.print(Line("  planned offline: nothing was looked at", style="magenta"))
    if plan.fate is not None:
        show_fate(plan.fate, console)
    _show_refusals(plan, console)


def _show_refusals(plan: Plan, console: Page) -> None:
    """The last words: what the green line above does not speak of."""
    for one in seen(plan):
        line = Line("  a run now ").append(ENDINGS[one.ending], style="bold red")
        console.print(line.append(sanitize(f": {one.what}")))
        if one.fix:
            console.print(Line(f"    do   {one.fix}", style="dim"))


def _show_findings(plan: Plan, console: Page) -> None:
    many = counted(plan.findings, plan.waived)
    if not many:
        return
    first = (*plan.findings, *(one.finding for one in plan.waived))[0].id
    console.print(Line(f"\n  rules: {many}   (drctl explain {first})", style="bold"))
    for finding in plan.findings:
        style = "bold red" if finding.severity == "error" else "yellow"
        for number, line in enumerate(finding_lines([finding])):
            console.print(Line(f"    {line}", style="dim" if number else style))
    for line in waived_lines(plan.waived):
        console.print(Line(f"    {line}", style="dim"))
    console.print()


def _show_pins(plan: Plan, console: Page) -> None:
    for pin in plan.pins:
        if pin.found == pin.expected:
            mark, style = f"= {pin.expected}", "green"
        elif pin.found is None:
            silent = "not looked at" if plan.is_offline else "DID NOT ANSWER"
            mark, style = f"must be {pin.expected}: {silent}", "magenta"
        else:
            mark, style = f"must be {pin.expected}, IS {pin.found}", "bold red"
        what = sanitize(f"  pin     {pin.name} of {pin.subject} ")
        console.print(Line(what).append(sanitize(mark), style=style))


def _show_lease(plan: Plan, console: Page) -> None:
    lease = plan.lease
    if not lease.identities:
        return
    where = lease.label or "this machine only: nobody elsewhere is kept from starting the same"
    line = Line(sanitize(f"  lease   {where}; cool-down {format_duration(lease.cool_down_s)}"))
    if lease.shares_fate_with:
        places = ", ".join(lease.shares_fate_with)
        line.append(sanitize(f"  IT IS IN WHAT THIS RUN LEAVES: {places}"), style="bold red")
    console.print(line)


def _show_step(
    plan: Plan, step: PlannedStep, labels: Mapping[str, str], console: Page, *, is_critical: bool
) -> None:
    symbol = step.prediction.symbol
    timed = plan.timed.get(step.id)
    length_s = timed.p50_s if timed else step.estimate_s
    line = Line(
        "  ",
        "",
        (f"{symbol} ", _STYLES.get(symbol, "")),
        ("* " if is_critical else "  ", "bold"),
        (step.id, "bold"),
        (f"  {step.call.uses}" if step.call is not None else "", "dim"),
        (f"  ~{format_duration(length_s)}" if length_s else "", ""),
    )
    console.print(line)
    for detail in _details(plan, step, labels):
        console.print(Line(f"        {sanitize(detail)}", "dim"))


def _details(plan: Plan, step: PlannedStep, labels: Mapping[str, str]) -> list[str]:
    prediction, found = step.prediction, []
    if step.call is not None and step.call.target:
        found.append(f"{step.call.target} = {labels[step.call.target]}")
    if step.gate is not None:
        gate = plan.gates[step.gate]
        people = f"{gate.quorum} of {', '.join(gate.approvers) or 'anyone'}"
        found.append(
            f"gate: {gate.title}; {people}; expires after {format_duration(gate.expires_s)}"
        )
        found.append(_verified(plan, gate))
    if prediction.before or prediction.after:
        found.append(f"{prediction.before} -> {prediction.after}")
    if prediction.why:
        found.append(prediction.why)
    if step.no_way_back and prediction.symbol == "!":
        found.append(f"no way back: {step.no_way_back}")
    if step.when:
        found.append(f"only when {step.when}")
    if any(plane.startswith("control-plane:us-east-1") for plane in step.planes):
        found.append(
            "needs the us-east-1 control plane: a fallback, not a plan for losing us-east-1"
        )
    return found


_COUNTED = {
    "+": "create",
    "~": "change",
    "!": "have no way back",
    ">": "move traffic",
    "?": "cannot tell",
    "-": "are skipped",
}


def _counts(plan: Plan) -> str:
    """How many steps do what; who waits for a person or only looks is no change."""
    there: Counter[str] = Counter(step.prediction.symbol for step in plan.steps)
    said = [f"{there[symbol]} {words}" for symbol, words in _COUNTED.items() if there[symbol]]
    looking = f"{there[' ']} only look, ask a person, or find nothing to do" if there[" "] else ""
    return f"{len(plan.steps)} steps: {', '.join([*said, looking] if looking else said)}"


def _show_reach(plan: Plan, console: Page) -> None:
    changed = plan.changed_targets
    console.print(
        Line(
            f"  changes {len(changed)} of at most {plan.max_targets} things",
            style="bold red" if len(changed) > plan.max_targets else "",
        )
    )
    console.print(Line(f"  digest {plan.digest}", style="dim"))
    console.print(Line(sanitize(f"  seal   {plan.seal}, made {plan.created_at}"), style="dim"))


def _verified(plan: Plan, gate: PlannedGate) -> str:
    """How far the gate can tell who answers."""
    if not plan.people:
        return "not verified: no people are enrolled"
    asked = [name for name, person in plan.people.items() if person.may_answer(name, gate)]
    own = "may" if gate.self_approval else "may not"
    return f"signed, by {', '.join(asked) or 'NOBODY'}; who starts the run {own} answer"


def _show_loss(plan: Plan, console: Page) -> None:
    if plan.loss is None:
        return
    rpo = format_duration(plan.objectives.rpo_s)
    if plan.loss.bound_s is None:
        text, style = f"unknown ({plan.loss.source})", "bold red"
    else:
        within = plan.loss.bound_s <= plan.objectives.rpo_s
        style = "green" if within else "bold red"
        text = f"at most {format_duration(plan.loss.bound_s)} of writes ({plan.loss.source})"
    console.print(
        Line("  data loss if we go now: ")
        .append(sanitize(text), style=style)
        .append(f", RPO {rpo}")
    )
