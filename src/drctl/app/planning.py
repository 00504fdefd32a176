"""Use case: from names to a plan."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from drctl import __version__
from drctl.actions.planes import NOTHING, Down
from drctl.app.compose import Parts
from drctl.app.judging import with_findings
from drctl.app.past import past_of
from drctl.app.runbooks import Loaded, find_runbook, load
from drctl.app.validity import AGAIN, require_current, require_same_sources
from drctl.config.environment import Environment, find_environment, load_environment
from drctl.kernel.errors import InvalidError, Problem, RefusedError
from drctl.plan.assumed import read_down
from drctl.plan.drift import drift
from drctl.plan.forecast_make import priced
from drctl.plan.make import Planner
from drctl.plan.model import Plan
from drctl.runbook import resolve_inputs


async def plan_runbook(
    parts: Parts,
    runbook: str,
    environment: str,
    given: Mapping[str, str],
    *,
    offline: bool = False,
    assume_down: Sequence[str] = (),
) -> Plan:
    """
    Plans a runbook by name or path for an environment by name or path.

    Args:
        assume_down: Places that are not asked, and as if they did not answer; such a plan says what
            fails then (`Plan.fate`), and can be neither saved nor run.

    Raises:
        InvalidError: Runbook, environment or inputs are wrong; all problems of the first that is.
    """
    env = load_environment(find_environment(environment))
    loaded = load(find_runbook(runbook), parts.registry, env.targets)
    return await plan_loaded(parts, loaded, env, given, offline=offline, assume_down=assume_down)


async def plan_loaded(
    parts: Parts,
    loaded: Loaded,
    environment: Environment,
    given: Mapping[str, str],
    *,
    offline: bool = False,
    assume_down: Sequence[str] = (),
) -> Plan:
    """Plans a runbook that was checked against this environment."""
    inputs = resolve_inputs(loaded.runbook, given)
    planner = planner_of(parts)
    draft = planner.draft(
        loaded.runbook,
        loaded.sha256,
        environment,
        inputs,
        file=str(loaded.path),
        included=loaded.source.included,
    )
    files = loaded.files
    own = str(loaded.path.resolve())
    sources = {own: files[own], str(environment.file.resolve()): environment.sha256, **files}
    draft, past = draft.model_copy(update={"sources": sources}), past_of(parts, draft)
    draft = priced(draft, past) if past.rows else draft
    if assume_down:
        planner = planner_of(parts, read_down(assume_down, (draft,), parts.registry, environment))
        plan = planner.foretell(draft if offline else await planner.look(draft))
    else:
        plan = draft if offline else await planner.look(draft)
    return with_findings(parts, loaded, environment, plan)


def planner_of(parts: Parts, down: Down = NOTHING) -> Planner:
    """Plans with these parts, while that does not answer."""
    return Planner(registry=parts.registry, clock=parts.clock, secrets=parts.secrets, down=down)


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
