"""Use case: whether a plan may still be run: its age, its answers, and what it was made from."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from drctl.app.compose import Parts
from drctl.app.history import look_back
from drctl.app.runbooks import load
from drctl.config.environment import load_environment
from drctl.kernel.duration import format_duration
from drctl.kernel.errors import DrctlError, Problem, RefusedError
from drctl.kernel.text import sanitize
from drctl.plan.make import Planner
from drctl.plan.model import Plan

AGAIN = "plan again: drctl plan RUNBOOK -e ENV --out plan.json"
_AHEAD = timedelta(minutes=1)
"""How far the clock of the machine that made a plan may be ahead of this one."""
_MOST = 20
"""Differences shown."""
_PRICED = {"forecast", "forecast_s", "critical_path"}
"""They follow from the estimates, which are compared, and from what was recorded since."""
_LOOKED_AT = {
    "digest", "seal", "loss", "loss_digest", "created_at", "sources", "is_offline", "findings",
    "waived", *_PRICED,
}  # fmt: skip
_LOOKED_AT_IN_STEPS = {"prediction", "planes"}


def require_current(parts: Parts, plan: Plan) -> None:
    """
    Refuses a plan that is too old, comes from the future, or to which somebody has said no.

    Raises:
        RefusedError: Every reason at once.
    """
    history = look_back(parts)
    now = parts.clock.now().wall
    latest = now if history.latest_wall is None else max(now, history.latest_wall)
    age = latest - datetime.fromisoformat(plan.created_at)
    problems = []
    if age > timedelta(seconds=plan.expires_after_s):
        problems.append(
            Problem(
                code="DR3205",
                what=f"this plan was made {format_duration(age.total_seconds())} ago, and may be"
                f" run for {format_duration(plan.expires_after_s)}",
                why=None
                if latest == now
                else f"by {latest.isoformat()}, the latest time on record",
                now="nothing was changed",
                do=AGAIN,
            )
        )
    if datetime.fromisoformat(plan.created_at) - now > _AHEAD:
        what = f"this plan was made at {plan.created_at}, and here it is {now.isoformat()}"
        why = "a clock that was set back would make every plan young again"
        problems.append(
            Problem(code="DR3205", what=what, why=why, now="nothing was changed", do=AGAIN)
        )
    if plan.seal in history.denied:
        what = "somebody has said no to this very plan"
        problems.append(
            Problem(code="DR3304", what=what, now="nothing was changed", do="drctl runs list")
        )
    if problems:
        raise RefusedError(tuple(problems))


def require_same_sources(parts: Parts, plan: Plan) -> None:
    """
    Refuses a saved plan when a file that it was made from, or the code of an action, is another
    one by now, and shows what would be planned otherwise. Files that are not on this machine say
    nothing: a plan holds all that it needs.

    Raises:
        RefusedError: One problem for each difference.
    """
    changed = [path for path, sha256 in plan.sources.items() if _sha256(path) not in {None, sha256}]
    code = [name for name, sha256 in plan.code.items() if parts.registry.code(name) != sha256]
    if not changed and not code:
        return
    differences = [f"the code of {name} is another one" for name in code]
    differences += [f"{path} is another text" for path in changed]
    if changed:
        differences += _differences(parts, plan)
    left = len(differences) - _MOST
    shown = [*differences[:_MOST], *([f"and {left} more"] if left > 0 else [])]
    raise RefusedError(
        tuple(
            Problem(
                code="DR3208",
                what="what this plan was made from was changed since",
                why=sanitize(difference, limit=300),
                now="nothing was changed",
                do=AGAIN,
            )
            for difference in shown
        )
    )


def _differences(parts: Parts, plan: Plan) -> list[str]:
    """What a plan of the same inputs would say otherwise now; looks at nothing outside."""
    runbook, environment = (Path(path) for path in tuple(plan.sources)[:2])
    try:
        env = load_environment(environment)
        loaded = load(runbook, parts.registry, env.targets)
    except DrctlError as error:
        return [f"it does not hold any more: {error}"]
    planner = Planner(registry=parts.registry, clock=parts.clock, secrets=parts.secrets)
    fresh = planner.draft(
        loaded.runbook, loaded.sha256, env, plan.inputs, included=loaded.source.included
    )
    return list(_different(_comparable(plan), _comparable(fresh)))


def _comparable(plan: Plan) -> dict[str, Any]:
    raw = plan.model_dump(mode="json", exclude=_LOOKED_AT)
    for step in raw["steps"]:
        for name in (*_LOOKED_AT_IN_STEPS, "at"):
            del step[name]
    for pin in raw["pins"]:
        del pin["found"]
    raw["steps"] = {step["id"]: step for step in raw["steps"]}
    return raw


def _different(before: Any, now: Any, path: str = "") -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in sorted(before.keys() | now.keys(), key=str):
            yield from _different(before.get(key), now.get(key), f"{path}.{key}".lstrip("."))
    elif before != now:
        yield f"{path} was {before!r}, is {now!r}"


def _sha256(path: str) -> str | None:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return None
