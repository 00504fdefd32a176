"""Use case: from names to a plan."""

from collections.abc import Mapping, Sequence

from drctl.actions.planes import NOTHING, Down
from drctl.app.compose import Parts
from drctl.app.judging import with_findings
from drctl.app.past import past_of
from drctl.app.runbooks import Loaded, find_runbook, load
from drctl.config.environment import Environment, find_environment, load_environment
from drctl.plan.assumed import read_down
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
