"""
Why a run of a plan would not come through, as far as the plan has looked.

A forecast says how long a run takes; that it fits says nothing of a run that is turned away. What
was not looked at (offline, no answer) is no reason here: silence is for `drctl ready`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from drctl.kernel.duration import format_duration
from drctl.plan.model import Plan

Ending: TypeAlias = Literal["refused", "pauses", "stops", "depends"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One reason."""

    code: str
    """As a run would say it: ``drctl explain DR5201``."""
    ending: Ending
    """What the run does then."""
    what: str
    fix: str = ""


def refusals(plan: Plan) -> tuple[Refusal, ...]:
    """Everything that is known to be in the way; empty when nothing is. Pure."""
    return (*seen(plan), *_fate(plan))


def seen(plan: Plan) -> tuple[Refusal, ...]:
    """The part of it that was looked at, and is not assumed. Pure."""
    return (*_identities(plan), *_loss(plan))


def _identities(plan: Plan) -> Iterator[Refusal]:
    for pin in plan.pins:
        if pin.found is not None and pin.found != pin.expected:
            what = f"{pin.name} of {pin.subject} must be {pin.expected}, and is {pin.found}"
            fix = "name the right account, cluster or database in the environment, or correct it"
            yield Refusal(code="DR5201", ending="refused", what=what, fix=fix)


def _loss(plan: Plan) -> Iterator[Refusal]:
    if plan.loss is None or any(
        one.effect.changes_something for one in plan.before(plan.loss.step)
    ):
        return  # nobody looked, or the run itself changes what it then measures
    if plan.fate is not None and plan.fate.touches(plan.loss.step):
        return  # what is assumed down was not asked, and the fate says what comes of that
    bound_s, rpo_s = plan.loss.bound_s, plan.objectives.rpo_s
    if bound_s is not None and bound_s <= rpo_s:
        return
    size = "cannot be bounded" if bound_s is None else f"is at most {format_duration(bound_s)}"
    what = f"the loss of writes {size}, RPO {format_duration(rpo_s)} ({plan.loss.source})"
    fix = "mend the replication; on the night a person may accept the loss: --accept-data-loss"
    yield Refusal(code="DR2003", ending="pauses", what=what, fix=fix)


def _fate(plan: Plan) -> Iterator[Refusal]:
    if plan.fate is not None and plan.fate.ending != "succeeds":
        down = ", ".join(f"{place} {how}" for place, how in plan.fate.lost.items())
        what = f"with {down}: {plan.fate.why}"
        yield Refusal(code="DR2003", ending=plan.fate.ending, what=what)
