"""Where a run stands, on one screen: for whoever comes to it in the middle."""

from collections.abc import Sequence
from dataclasses import dataclass

from drctl.engine.state import State
from drctl.kernel.clock import Instant, length_between
from drctl.kernel.duration import format_duration
from drctl.kernel.text import sanitize
from drctl.plan.model import Plan
from drctl.view.lines import decisions
from drctl.view.pace import pace

_ORDER = ("failed", "unknown", "running", "waiting", "undone", "skipped", "succeeded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What there is to show."""

    run: str
    standing: str
    plan: Plan
    state: State
    now: Instant
    do: Sequence[str]
    """Commands that make sense now, the best one first."""

    @property
    def elapsed_s(self) -> float:
        """
        Length of the incident; it stands once service is restored or the run has no process.
        """
        if self.state.restored_s is not None:
            return self.state.restored_s
        is_live = self.standing == "running"
        moment = self.now if is_live or self.state.latest is None else self.state.latest
        return self.state.elapsed(moment).seconds


def status_lines(here: Standing) -> list[str]:
    """The screen, line by line, made inert."""
    state, plan = here.state, here.plan
    start = state.start
    by = f", started by {start.operator} on {start.host}" if start else ""
    shown = format_duration(here.elapsed_s)
    rto = format_duration(plan.objectives.rto_s)
    lines = [
        f"run {here.run}: {here.standing}",
        f"  {plan.title} ({plan.runbook}, {plan.environment}){by}",
        f"  {shown} of {rto}; {_pace(here)}",
        *(f"  {line}" for line in decisions(state)),
    ]
    if state.finished is not None and here.standing != "running":
        lines.append(f"  {state.finished.why}")
    for status in _ORDER:
        names = [step.id for step in plan.steps if _status(step.id, state) == status]
        if not names:
            continue
        if status in {"succeeded", "skipped", "waiting", "undone"}:
            lines.append(f"  {status:<10} {', '.join(names)}")
        else:
            lines += [f"  {status:<10} {_about(name, here)}" for name in names]
    lines += [f"  {'do' if first else 'or':<10} {text}" for first, text in _numbered(here.do)]
    return [sanitize(line) for line in lines]


def _numbered(texts: Sequence[str]) -> list[tuple[bool, str]]:
    return [(number == 0, text) for number, text in enumerate(texts)]


def _status(name: str, state: State) -> str:
    step = state.steps[name]
    if step.undo is not None and step.undo.status in {"running", "failed", "unknown"}:
        return step.undo.status
    return step.status


def _pace(here: Standing) -> str:
    if here.standing == "running" or here.state.restored_s is not None:
        return pace(here.plan, here.state, here.now)
    return "not running"


def _about(name: str, here: Standing) -> str:
    step = here.state.steps[name]
    if step.undo is not None:
        return f"{name} (undo): {step.undo.why or 'under way'}"
    if name in here.state.gates and step.status == "running":
        gate = here.state.gates[name]
        left_s = gate.expires_s - length_between(gate.opened, here.now).seconds
        said = f", {len(gate.approved_by)} of {gate.quorum} said go" if gate.quorum > 1 else ""
        return f"GATE {name}: {format_duration(max(0.0, left_s))} left to answer{said}"
    if step.status == "running":
        since = length_between(step.started, here.now).seconds if step.started else 0.0
        return f"{name}: {format_duration(since)}"
    return f"{name} ({step.error}): {step.why}"


def status_document(here: Standing) -> dict[str, object]:
    """The same for programs."""
    state = here.state
    return {
        "version": 1,
        "run": here.run,
        "standing": here.standing,
        "runbook": here.plan.runbook,
        "environment": here.plan.environment,
        "elapsed_s": round(here.elapsed_s, 3),
        "rto_s": here.plan.objectives.rto_s,
        "rta_s": state.restored_s,
        "pace": _pace(here),
        "paused_by": _said(state.held),
        "cancelled_by": _said(state.cancelled),
        "forced_by": [_said(said) for said in state.forced],
        "open_gates": sorted(state.gates.keys() & state.running),
        "steps": {name: _status(name, state) for name in state.steps},
        "why": state.finished.why if state.finished else None,
        "do": list(here.do),
    }


def _said(said: object) -> dict[str, str] | None:
    from drctl.engine.state import Said

    if not isinstance(said, Said):
        return None
    return {"by": said.by, "reason": said.reason, "step": said.step}
