"""A runbook as a drawing needs it: its steps in waves, without an environment. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from drctl.actions.contract import Effect
from drctl.plan.budget import Budget
from drctl.plan.graph import longest_chain, waves
from drctl.plan.inline import Room, joined
from drctl.plan.model import PlannedCall, PlannedStep
from drctl.runbook.models import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """What a drawing of a runbook shows."""

    name: str
    title: str
    steps: tuple[PlannedStep, ...]
    """Without those of ``finally``; of each only what needs no environment."""
    final: tuple[PlannedStep, ...]
    waves: tuple[tuple[str, ...], ...]
    edges: tuple[tuple[str, str], ...]
    """Who waits for whom, without what follows from the rest."""
    approvers: dict[str, str]
    """Who decides, by step."""
    critical_path: tuple[str, ...]
    forecast_s: float
    """Of the run: the critical path by its estimates."""
    budget: Budget

    @property
    def is_final_after(self) -> int | None:
        """Number of the first wave, from zero, in which something has no way back."""
        by_id = {step.id: step for step in self.steps}
        for number, names in enumerate(self.waves):
            if any(by_id[name].effect.is_irreversible for name in names):
                return number
        return None


def sketch(room: Room) -> Sketch:
    """Draws up a runbook with all that it includes."""
    walked = list(room.walk())
    steps = tuple(_step(inner, step) for inner, step, is_final in walked if not is_final)
    final = tuple(_step(inner, step) for inner, step, is_final in walked if is_final)
    left = {step.id: step.estimate_s for step in steps}
    length_s, chain = longest_chain(steps, left, room.stops())
    return Sketch(
        name=room.runbook.metadata.name,
        title=room.runbook.metadata.title,
        steps=steps,
        final=final,
        waves=waves(steps),
        edges=tuple(_edges(steps)),
        approvers=dict(_approvers(room)),
        critical_path=chain,
        forecast_s=length_s,
        budget=_budget(room),
    )


def _budget(room: Room) -> Budget:
    objectives = room.runbook.objectives
    detection = objectives.clock.detection
    return Budget(
        rto_s=objectives.rto.total_seconds(),
        detection_s=None if detection is None else detection.total_seconds(),
        in_budget=objectives.clock.starts_at == "incident",
    )


def _step(room: Room, step: Step) -> PlannedStep:
    action = room.registry.get(step.uses) if step.uses else None
    return PlannedStep(
        id=joined(room.scope, step.id),
        scope=room.scope,
        title=step.label,
        call=PlannedCall(uses=step.uses) if step.uses else None,
        gate=step.gate,
        effect=action.effect if action else Effect.READ,
        needs=room.needs(step, is_final=False),
        estimate_s=step.estimate.total_seconds() if step.estimate else 0.0,
        timeout_s=0.0,
    )


def _approvers(room: Room) -> Iterator[tuple[str, str]]:
    for inner, step, _is_final in room.walk():
        if step.gate is not None:
            gate = inner.runbook.gates[step.gate]
            who = " or ".join(gate.approvers) or "anybody"
            yield joined(inner.scope, step.id), f"{gate.quorum} of {who}"


def _edges(steps: tuple[PlannedStep, ...]) -> Iterator[tuple[str, str]]:
    """Without an edge that says only what a longer way says too: half of them, in practice."""
    by_id = {step.id: step for step in steps}
    above: dict[str, set[str]] = {}
    for names in waves(steps):
        for name in names:
            needs = by_id[name].needs
            above[name] = set(needs).union(*(above[need] for need in needs))
    for step in steps:
        farther = set().union(*(above[need] for need in step.needs)) if step.needs else set()
        for need in step.needs:
            if need not in farther:
                yield need, step.id
