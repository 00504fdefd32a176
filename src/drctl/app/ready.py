"""Use case: whether the recoveries of an environment would find what they need, right now."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drctl.actions.planes import Down
from drctl.app.compose import Parts
from drctl.app.own_ground import own_ground
from drctl.app.planning import planner_of
from drctl.app.runbooks import for_scenario
from drctl.config.environment import Environment, find_environment, load_environment
from drctl.kernel.errors import InvalidError, Problem
from drctl.kernel.text import did_you_mean, sanitize
from drctl.plan.assumed import read_down
from drctl.plan.draft import calls
from drctl.plan.model import Plan
from drctl.ready import assume, derive, judge, rehearse
from drctl.ready.ask import Asker
from drctl.ready.model import Readiness, Scenario, worst
from drctl.runbook import resolve_inputs

AFTERWARDS = frozenset({"region-return", "region-reprotect", "database-return", "validation"})
"""What comes after a recovery: while all is well it has nothing to work on, and is never ready. It
is looked at when it is asked for by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for."""

    environment: str
    scenarios: Sequence[str] = ()
    """Empty: every one that the environment names a runbook for, but for `AFTERWARDS`."""
    down: Sequence[str] = ()
    """Places that are assumed down: what cannot do without them is not ready; what lies there and
    is not needed any more is not looked at."""
    inputs: Mapping[str, str] | None = None


async def look_whether_ready(parts: Parts, wanted: Wanted) -> Readiness:
    """
    Looks at everything that the runbooks of these scenarios need. Changes nothing.

    Raises:
        InvalidError: The environment is wrong or has no such scenario, no runbook of it fits, or it
            has nothing in a place that is assumed down; no runbook has an input that was given. One
            runbook of several that does not fit is a scenario that is not ready.
    """
    began = parts.clock.now()
    environment = load_environment(find_environment(wanted.environment))
    names = tuple(wanted.scenarios) or tuple(sorted(set(environment.runbooks) - AFTERWARDS))
    if not names:
        raise InvalidError((_nothing(environment),))
    drafted = [_drafted(parts, environment, name, wanted.inputs or {}) for name in names]
    plans = [one for one in drafted if isinstance(one, Plan)]
    broken = [one for one in drafted if isinstance(one, Scenario)]
    if not broken:  # whoever cannot be read may have it
        _check_inputs(wanted.inputs or {}, plans)
    down = read_down(wanted.down, plans, parts.registry, environment)
    found = await _look_at_all(parts, plans, down)
    order = {name: place for place, name in enumerate(names)}
    scenarios = sorted((*broken, *found), key=lambda one: order[one.scenario])
    return Readiness(
        environment=environment.name,
        at=began.wall.isoformat(timespec="seconds"),
        took_s=round(parts.clock.now().boot_s - began.boot_s, 3),
        assume_down=tuple(sorted(wanted.down)),
        result=worst(tuple(one.result for one in scenarios)),
        scenarios=tuple(scenarios),
        not_asked=() if wanted.scenarios else tuple(sorted(AFTERWARDS & set(environment.runbooks))),
    )


async def _look_at_all(parts: Parts, plans: Sequence[Plan], down: Down) -> list[Scenario]:
    asker = Asker(
        registry=parts.registry,
        clock=parts.clock,
        secrets=parts.secrets,
        down=frozenset(down.lost),
    )
    # Before anything is asked: imports that race in threads deadlock, and are paid by a deadline.
    uses = {call.uses for plan in plans for step in plan.steps for call in calls(step)}
    await parts.registry.ready(uses | {check.name for check in parts.registry.checks})
    return await asyncio.gather(*(_look(parts, plan, down, asker) for plan in plans))


async def _look(parts: Parts, plan: Plan, assumed: Down, asker: Asker) -> Scenario:
    down = frozenset(assumed.lost)
    told = planner_of(parts, assumed).foretell(plan).fate if down else None
    world = assume.assumed(told)
    asked = derive.questions(plan, parts.registry)
    askable, moot = assume.split(asked, world)
    pins, unnamed = assume.split_pins(plan, world)
    tried, untried = assume.split_trials(rehearse.trials(plan, parts.registry), world)
    seen, rehearsed, own = await asyncio.gather(
        asker.ask(plan, askable, pins),
        rehearse.rehearse(plan, asker, tried),
        own_ground(parts, plan, down),
    )
    looked_at = derive.looked_at(askable, seen) | {trial.step.id for trial in tried}
    known = {step for one in asked for step in one.asked.steps}
    return judge.verdict(
        plan,
        (*seen, *rehearsed, *own, *(judge.fates(plan, told) if told else ())),
        (*moot, *unnamed, *untried),
        asked=looked_at,
        moot=frozenset(known - {step for one in askable for step in one.asked.steps}),
    )


def _drafted(
    parts: Parts, environment: Environment, scenario: str, given: Mapping[str, str]
) -> Plan | Scenario:
    """
    The scenario's plan, not looked at; inputs that only an incident has stay open. A runbook that
    the environment names and that does not fit is the verdict already.
    """
    try:
        loaded, _why = for_scenario(scenario, environment, parts.registry)
    except InvalidError as error:
        named = environment.runbooks.get(scenario)
        if named is None:
            raise
        return judge.unfit(scenario, named, error.problems)
    runbook = loaded.runbook
    known = {name: value for name, value in given.items() if name in runbook.inputs}
    open_ = {
        name for name, spec in runbook.inputs.items() if spec.default is None and name not in known
    }
    inputs = resolve_inputs(runbook, known, later=open_)
    draft = planner_of(parts).draft(
        runbook, loaded.sha256, environment, inputs,
        file=str(loaded.path), included=loaded.source.included,
    )  # fmt: skip
    return draft.model_copy(update={"scenario": scenario, "sources": dict(loaded.files)})


def _check_inputs(given: Mapping[str, str], plans: Sequence[Plan]) -> None:
    """
    An input need not be one of every runbook, but of some.

    Raises:
        InvalidError: No runbook has one of these names: its value would be dropped in silence.
    """
    known = {name.removeprefix("inputs.") for plan in plans for name in plan.types
             if name.startswith("inputs.")}  # fmt: skip
    at = f"inputs of {', '.join(plan.runbook for plan in plans)}"
    problems = []
    for name in given:
        if name not in known:
            shown, near = sanitize(name, limit=80), did_you_mean(name, sorted(known))
            what = f'there is no input "{shown}"{near}'
            problems.append(Problem(code="DR1080", what=what, at=at))
    if problems:
        raise InvalidError(tuple(problems))


def _nothing(environment: Environment) -> Problem:
    return Problem(
        code="DR1093",
        what=f"{environment.name} names no runbook for any scenario",
        do=f"name some in {environment.file} under runbooks:, or one with --scenario",
    )
