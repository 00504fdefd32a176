"""Use case: what the rules say about a plan, or about a runbook alone."""

from drctl.app.compose import Parts
from drctl.app.runbooks import Loaded
from drctl.config.environment import Environment
from drctl.plan.make import Planner
from drctl.plan.model import Plan
from drctl.plan.rules.alone import nowhere
from drctl.plan.rules.case import Case
from drctl.plan.rules.judge import judged
from drctl.runbook.inputs import resolve_values


def with_findings(
    parts: Parts, loaded: Loaded, environment: Environment | None, plan: Plan
) -> Plan:
    """
    The plan with what the rules say about it, sealed; nothing is looked at again.

    Args:
        environment: The one that it was made for; ``None``: only rules that need none are asked.
    """
    return _judged(parts, loaded, environment, plan).sealed()


def _judged(parts: Parts, loaded: Loaded, environment: Environment | None, plan: Plan) -> Plan:
    case = Case(plan=plan, source=loaded.source, registry=parts.registry, environment=environment)
    return judged(case, parts.clock.now().wall.date())


def plan_to_judge(parts: Parts, loaded: Loaded, environment: Environment | None) -> Plan:
    """
    A plan of a runbook whose inputs nobody has given, with findings. It is for reading, not sealed,
    and cannot be run.

    Raises:
        InvalidError: What an included runbook is given does not fit it.
    """
    runbook = loaded.runbook
    later = {name for name, spec in runbook.inputs.items() if spec.default is None}
    planner = Planner(registry=parts.registry, clock=parts.clock, secrets=parts.secrets)
    draft = planner.draft(
        runbook,
        loaded.sha256,
        environment or nowhere(),
        resolve_values(runbook, {}, later=later),
        file=str(loaded.path),
        included=loaded.source.included,
        is_whole=False,
    )
    return _judged(parts, loaded, environment, draft)
