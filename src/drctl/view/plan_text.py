"""A plan for people: what would happen, in waves, and whether it fits."""

from typing import TYPE_CHECKING

from drctl.kernel.duration import format_duration
from drctl.kernel.text import sanitize
from drctl.plan.graph import waves
from drctl.plan.model import Plan, PlannedGate, PlannedStep

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_STYLES = {"+": "green", "~": "yellow", "!": "bold red", ">": "bold cyan", "?": "magenta"}
LEGEND = "+ create  ~ change  ! no way back  > moves traffic  ? cannot tell  - skipped"


def show_plan(plan: Plan, console: "Console") -> None:
    """Prints the whole plan; nothing is cut, long lines wrap."""
    from rich.text import Text

    console.print(Text(sanitize(f"Plan: {plan.title}"), style="bold"))
    where = f"  runbook {plan.runbook}, environment {plan.environment} ({plan.world})"
    console.print(Text(sanitize(where)))
    if plan.inputs:
        given = ", ".join(f"{name}={value}" for name, value in plan.inputs.items())
        console.print(Text(sanitize(f"  inputs  {given}")))
    _show_pins(plan, console)
    _show_lease(plan, console)
    critical = set(plan.critical_path)
    groups = waves(plan.steps)
    number = 0
    for group in groups:
        work = [plan.by_id[name] for name in group if not plan.by_id[name].is_final]
        if not work:
            continue
        number += 1
        console.print(Text(f"\nwave {number}", style="bold"))
        for step in work:
            _show_step(plan, step, console, is_critical=step.id in critical)
    final = [step for step in plan.steps if step.is_final]
    if final:
        console.print(Text("\nfinally", style="bold"))
        for step in final:
            _show_step(plan, step, console, is_critical=False)
    console.print()
    console.print(Text(f"  {LEGEND}", style="dim"))
    console.print(Text(f"  * critical path: {' > '.join(plan.critical_path)}"))
    _show_reach(plan, console)
    _show_loss(plan, console)
    _show_forecast(plan, console)


def _show_pins(plan: Plan, console: "Console") -> None:
    from rich.text import Text

    for pin in plan.pins:
        if pin.found == pin.expected:
            mark, style = f"= {pin.expected}", "green"
        elif pin.found is None:
            silent = "not looked at" if plan.is_offline else "DID NOT ANSWER"
            mark, style = f"must be {pin.expected}: {silent}", "magenta"
        else:
            mark, style = f"must be {pin.expected}, IS {pin.found}", "bold red"
        what = sanitize(f"  pin     {pin.name} of {pin.subject} ")
        console.print(Text(what).append(sanitize(mark), style=style))


def _show_lease(plan: Plan, console: "Console") -> None:
    from rich.text import Text

    lease = plan.lease
    if not lease.identities:
        return
    where = lease.label or "this machine only: nobody elsewhere is kept from starting the same"
    line = Text(sanitize(f"  lease   {where}; cool-down {format_duration(lease.cool_down_s)}"))
    if lease.shares_fate_with:
        places = ", ".join(lease.shares_fate_with)
        line.append(sanitize(f"  IT IS IN WHAT THIS RUN LEAVES: {places}"), style="bold red")
    console.print(line)


def _show_step(plan: Plan, step: PlannedStep, console: "Console", *, is_critical: bool) -> None:
    from rich.text import Text

    prediction = step.prediction
    line = Text("  ")
    line.append(f"{prediction.symbol} ", style=_STYLES.get(prediction.symbol, ""))
    line.append("* " if is_critical else "  ", style="bold")
    line.append(step.id, style="bold")
    if step.call is not None:
        line.append(f"  {step.call.uses}", style="dim")
    if step.estimate_s:
        line.append(f"  ~{format_duration(step.estimate_s)}")
    console.print(line)
    for detail in _details(plan, step):
        console.print(detail)


def _details(plan: Plan, step: PlannedStep) -> "list[Text]":
    from rich.text import Text

    prediction, found = step.prediction, []
    if step.call is not None and step.call.target:
        found.append(f"{step.call.target} = {plan.targets[step.call.target].label}")
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
    if step.when:
        found.append(f"only when {step.when}")
    if any(plane.startswith("control-plane:us-east-1") for plane in step.planes):
        found.append(
            "needs the us-east-1 control plane: a fallback, not a plan for losing us-east-1"
        )
    return [Text(f"        {sanitize(line)}", style="dim") for line in found]


def _show_reach(plan: Plan, console: "Console") -> None:
    from rich.text import Text

    changed = plan.changed_targets
    console.print(
        Text(
            f"  changes {len(changed)} of at most {plan.max_targets} things",
            style="bold red" if len(changed) > plan.max_targets else "",
        )
    )
    console.print(Text(f"  digest {plan.digest}", style="dim"))
    console.print(Text(sanitize(f"  seal   {plan.seal}, made {plan.created_at}"), style="dim"))


def _verified(plan: Plan, gate: PlannedGate) -> str:
    """How far the gate can tell who answers."""
    if not plan.people:
        return "not verified: no people are enrolled"
    asked = [name for name, person in plan.people.items() if person.may_answer(name, gate)]
    own = "may" if gate.self_approval else "may not"
    return f"signed, by {', '.join(asked) or 'NOBODY'}; who starts the run {own} answer"


def _show_loss(plan: Plan, console: "Console") -> None:
    from rich.text import Text

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
        Text("  data loss if we go now: ")
        .append(sanitize(text), style=style)
        .append(f", RPO {rpo}")
    )


def _show_forecast(plan: Plan, console: "Console") -> None:
    from rich.text import Text

    spare = plan.objectives.rto_s - plan.forecast_s
    verdict = (
        Text(f"fits, {format_duration(spare)} to spare", style="bold green")
        if spare >= 0
        else Text(f"MISSES by {format_duration(-spare)}", style="bold red")
    )
    forecast = format_duration(plan.forecast_s)
    rto = format_duration(plan.objectives.rto_s)
    console.print(Text(f"  forecast {forecast} of RTO {rto}: ").append_text(verdict))
    if plan.is_offline:
        console.print(Text("  planned offline: nothing was looked at", style="magenta"))
