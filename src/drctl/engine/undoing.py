"""
What would be undone, in which order, and what must not be: pure, for the person and the engine.

Invariant: never past the point of no return. A promotion or a destruction that happened, or may
    have, ends the range: its own undo does not exist, and undoing what came before it (a fence,
    above all) would undo what makes it safe. What is not known is looked at before anything is
    undone, a promotion too: only a look that proves that it did not happen opens the way. While one
    thing stays unknown nothing is undone, and the run may still go forward.

Order: the reverse of the order in which steps ended, by their place in the record, never by time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from drctl.engine import commands as c
from drctl.engine.state import State, StepState
from drctl.plan.model import Plan, PlannedStep

_LATEST = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Undoing:
    """What an undo would do now."""

    steps: tuple[str, ...]
    """To be undone, in this order."""
    looks: tuple[str, ...]
    """What must be looked at first: nobody knows whether it happened."""
    stays: tuple[str, ...]
    """Changed something, or may have, and cannot be undone."""
    done: tuple[str, ...]
    """Undone already."""
    refusal: str | None
    """Why nothing may be undone."""


def undoing(plan: Plan, state: State, to: str) -> Undoing:
    """What would be undone, down to and including *to*; empty: down to the start."""
    found = sorted(
        (step for step in plan.steps if _is_there(step, state.steps[step.id])),
        key=lambda step: _place(state.steps[step.id]),
        reverse=True,
    )
    if to:
        first = _place(state.steps[to]) if to in state.steps else _LATEST + 1
        found = [step for step in found if _place(state.steps[step.id]) >= first]
    left = [step for step in found if state.steps[step.id].status != "undone"]
    with_undo = tuple(step.id for step in left if step.undo is not None)
    looked = [step for step in left if step.undo is not None or step.effect.is_irreversible]
    return Undoing(
        steps=with_undo,
        looks=tuple(step.id for step in looked if _is_unclear(state.steps[step.id])),
        stays=tuple(step.id for step in left if step.undo is None),
        done=tuple(step.id for step in found if state.steps[step.id].status == "undone"),
        refusal=_refusal(left, state, to),
    )


def _is_there(planned: PlannedStep, step: StepState) -> bool:
    """True when it changed something, or may have."""
    if not planned.effect.changes_something:
        return False
    # A failure with a request behind it: half of it may be there, which only a look can tell.
    has_way = planned.undo is not None or planned.effect.is_irreversible
    can_look = step.status == "failed" and has_way
    in_doubt = step.has_intent and (step.status == "running" or can_look)
    return step.may_have_happened or in_doubt or step.status == "undone"


def _is_unclear(step: StepState) -> bool:
    return step.status not in {"succeeded", "undone"} and not step.remains


def _place(step: StepState) -> int:
    return step.seq or _LATEST  # under way when the process died: the latest of all


def _refusal(left: list[PlannedStep], state: State, to: str) -> str | None:
    for step in left:
        if step.effect.is_irreversible and not _is_unclear(state.steps[step.id]):
            later = next((one.id for one in reversed(_after(step, left)) if one.undo), None)
            only = f"; what came after it: undo --to {later}" if later else ""
            return f"step {step.id} happened, and has no way back: from here only forward{only}"
    if to and to not in {step.id for step in left} and state.steps[to].status != "undone":
        return f"step {to} has changed nothing"
    return None


def _after(step: PlannedStep, left: list[PlannedStep]) -> list[PlannedStep]:
    """What ended after a step, latest first."""
    return left[: left.index(step)]


def undo_commands(plan: Plan, state: State) -> Iterator[c.Command]:
    """What to do next in a run that is being undone, when nothing is under way."""
    wish = state.undo
    if wish is None:
        return
    if state.interrupted:
        yield c.Finish(result="interrupted", why="interrupted; what was under way has finished")
        return
    now = undoing(plan, state, wish.to)
    if now.refusal is not None:
        yield c.Finish(result="failed", why=f"nothing further is undone: {now.refusal}")
        return
    ended = next(filter(None, (_ended(name, state) for name in now.steps)), None)
    if ended is not None:
        yield ended
        return
    if now.looks:
        why = f"whether {now.looks[0]} happened is not known: {state.steps[now.looks[0]].why}"
        yield c.Finish(result="unknown", why=f"nothing further is undone: {why}")
        return
    if now.steps:
        undo = state.steps[now.steps[0]].undo
        yield c.Undo(step=now.steps[0], attempt=undo.attempt + 1 if undo else 1)
        return
    stays = f"; stays as it is, having no undo: {', '.join(now.stays)}" if now.stays else ""
    yield c.Finish(result="undone", why=f"undone: {', '.join(now.done) or 'nothing'}{stays}")


def _ended(name: str, state: State) -> c.Finish | None:
    """The end of a run of which an undo came out ill; it never hides why the run was undone."""
    undo, wish = state.steps[name].undo, state.undo
    if undo is None or wish is None or undo.status not in {"failed", "unknown"}:
        return None
    before = f"; the run was undone because of: {wish.reason}; it had ended with: {wish.failed_of}"
    if undo.status == "unknown":
        return c.Finish(
            result="unknown",
            why=f"whether {name} is undone is not known ({undo.error}): {undo.why}{before}",
        )
    return c.Finish(
        result="failed", why=f"undo of {name} failed ({undo.error}): {undo.why}{before}"
    )
