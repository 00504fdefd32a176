"""Use case: a plan that was saved, and may be run if nothing has changed since."""

from pathlib import Path

from drctl import __version__
from drctl.app.compose import Parts
from drctl.app.planning import planner_of
from drctl.app.validity import AGAIN, require_current, require_same_sources
from drctl.kernel.errors import InvalidError, Problem, RefusedError
from drctl.plan.drift import drift
from drctl.plan.model import Plan


def read_plan(path: Path) -> Plan:
    """
    Reads a saved plan.

    Raises:
        InvalidError: It is no plan, or not the one that was saved.
    """
    try:
        data = path.read_bytes()
        plan = Plan.model_validate_json(data)
    except (OSError, ValueError) as error:
        why = str(error).splitlines()[0]
        problem = Problem(code="DR3203", what=f"{path} is not a saved plan", why=why)
        raise InvalidError((problem,)) from error
    if plan.drctl != __version__:
        what = f"{path} was made by drctl {plan.drctl}, and this is {__version__}"
        problem = Problem(code="DR3203", what=what, do="plan again")
        raise InvalidError((problem,))
    if plan.fate is not None:
        problem = Problem(
            code="DR3222",
            what=f"{path} was planned with --assume-down: it has not looked at the world as it is",
            do="plan again without --assume-down",
        )
        raise InvalidError((problem,))
    # To the byte: a change that means the same to a reader of JSON is a change all the same.
    if not plan.is_whole or plan.as_saved() != data:
        raise InvalidError(
            (
                Problem(
                    code="DR3204",
                    what=f"{path} was changed after it was saved: its digest does not match",
                    do=AGAIN,
                ),
            )
        )
    return plan


async def still_holds(parts: Parts, saved: Plan) -> Plan:
    """
    Refuses a saved plan that is old, denied, or made from other files; then looks again and
    compares with what it saw.

    Returns:
        The saved plan with the fresh measurement of the loss bound; everything else as approved.

    Raises:
        RefusedError: The world, or what the plan was made from, has changed since; each difference
            is a problem of its own.
    """
    require_current(parts, saved)
    require_same_sources(parts, saved)
    fresh = await planner_of(parts).look(saved)
    differences = drift(saved, fresh)
    if differences:
        raise RefusedError(
            tuple(
                Problem(
                    code="DR3201",
                    what="the world is not the one this plan was made for",
                    why=difference,
                    now="nothing was changed",
                    do=AGAIN,
                )
                for difference in differences
            )
        )
    return saved.with_loss(fresh.loss)
