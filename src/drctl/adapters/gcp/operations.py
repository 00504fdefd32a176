"""
Cloud SQL's operations: every change is one, and is over only when it is ``DONE`` without an error.

An operation that ended with an error may have changed something on the way, so its error is
`OutcomeUnknown`; the action's ``settled`` then looks at the instance itself.
"""

from datetime import timedelta
from typing import Any

from drctl.actions.contract import Context
from drctl.actions.errors import ActionError, OutcomeUnknown, Throttled, Unavailable
from drctl.adapters.gcp.client import Gcp, part
from drctl.adapters.gcp.sql_api import DONE, FIRST_POLL_S, LAST_POLL_S


async def finish(
    ctx: Context, gcp: Gcp, answer: dict[str, Any], instance: str, kinds: tuple[str, ...]
) -> None:
    """
    Polls the operation in *answer* until it is done.

    Args:
        kinds: Its ``operationType``; an answer about anything else is not about our change.

    Raises:
        OutcomeUnknown: It ended with an error, cannot be read any more, or is not done by the
            deadline.
    """
    if not _is_ours(answer, instance, kinds):
        raise OutcomeUnknown(f"Cloud SQL answered about {_words(answer)}, not about {instance}")
    name, pause_s = str(answer["name"]), FIRST_POLL_S
    while answer.get("status") != DONE:
        ctx.say(f"{instance}: {answer.get('operationType')} {answer.get('status')}")
        if ctx.deadline.has_passed(ctx.clock):
            raise OutcomeUnknown(f"{instance}: {_words(answer)} is {answer.get('status')}")
        await ctx.clock.sleep(min(pause_s, ctx.deadline.left_s(ctx.clock)))
        pause_s = min(LAST_POLL_S, pause_s * 1.5)
        answer = await _look(gcp, name, answer, instance, kinds)
    if errors := answer.get("error", {}).get("errors"):
        said = "; ".join(f"{one.get('code')}: {one.get('message')}" for one in errors)
        raise OutcomeUnknown(f"{instance}: {_words(answer)} ended with {said}")


async def listed(gcp: Gcp, instance: str) -> list[dict[str, Any]]:
    """
    The latest operations on an instance.

    Raises:
        ActionError: They could not be read.
    """
    answer = await gcp.read(
        "sqladmin",
        f"v1/projects/{part(gcp.project)}/operations",
        {"instance": instance, "maxResults": "20"},
    )
    found: list[dict[str, Any]] = answer.get("items", [])
    if any(one.get("targetId") != instance for one in found):
        raise Unavailable(f"Cloud SQL was asked about operations of {instance}, and told of others")
    return found


async def is_under_way(gcp: Gcp, instance: str, kinds: tuple[str, ...]) -> bool:
    """
    Whether an operation of these kinds is queued or runs.

    Raises:
        ActionError: It could not be read.
    """
    found = await listed(gcp, instance)
    return any(one.get("operationType") in kinds and one.get("status") != DONE for one in found)


async def _look(
    gcp: Gcp, name: str, last: dict[str, Any], instance: str, kinds: tuple[str, ...]
) -> dict[str, Any]:
    path = f"v1/projects/{part(gcp.project)}/operations/{part(name)}"
    try:
        seen = await gcp.read("sqladmin", path, patience=timedelta())
    except (Throttled, Unavailable):
        return last  # looked at again; the deadline ends it
    except ActionError as error:
        raise OutcomeUnknown(f"{_words(last)} was accepted, then: {error}") from error
    # About another operation: not seen.
    return seen if seen.get("name") == name and _is_ours(seen, instance, kinds) else last


def _is_ours(raw: dict[str, Any], instance: str, kinds: tuple[str, ...]) -> bool:
    named = isinstance(raw.get("name"), str) and raw.get("targetId") == instance
    return named and raw.get("operationType") in kinds


def _words(raw: dict[str, Any]) -> str:
    return f"operation {raw.get('name')} ({raw.get('operationType')} of {raw.get('targetId')})"
