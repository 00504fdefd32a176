"""Which steps prove that the service works, and to whom."""

from drctl.actions.contract import Effect
from drctl.plan.model import PlannedStep
from drctl.plan.rules.case import Case

_FAILS_UNLESS = ("expect_status", "require", "failures", "slow")
"""Params with which a step that asks fails when the answer is not the wanted one."""


def decides(case: Case, step: PlannedStep) -> bool:
    """Whether it asks the service and fails, or goes on asking, until the answer is right."""
    action = case.action(step)
    if action is None or not action.asks_service or step.call is None:
        return False
    return step.until is not None or any(name in step.call.with_ for name in _FAILS_UNLESS)


def is_private_proof(case: Case, step: PlannedStep) -> bool:
    """Whether it proves it at the new side's own address, before customers are led there."""
    has_way = step.call is not None and "via" in step.call.with_
    return decides(case, step) and (case.family(step) != "traffic" or has_way)


def is_public_proof(case: Case, step: PlannedStep) -> bool:
    """Whether it proves it through the name that customers use."""
    return decides(case, step) and not is_private_proof(case, step)


def may_be_proof(step: PlannedStep) -> bool:
    """Whether it may prove anything: a program that only looks; nobody can tell from here."""
    if step.effect is not Effect.READ:
        return False
    return step.call is not None and step.call.uses.startswith("shell.")
