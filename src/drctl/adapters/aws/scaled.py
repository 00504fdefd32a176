"""What scaling is, whatever is scaled: the number before, the wait, and what is owed afterwards."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol, TypeVar

from pydantic import Field

from drctl.actions.contract import Cleared, Context, Debt, Outputs, Params
from drctl.actions.errors import (
    ActionError,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Throttled,
    Unavailable,
)
from drctl.actions.targets import Target

FIRST_PAUSE_S, LAST_PAUSE_S = 0.3, 5.0
ONE_LOOK = timedelta(seconds=5)


class DesiredParams(Params):
    """How many."""

    desired: int = Field(ge=1, le=1000)
    """At least one: taking the last one away is not scaling."""


class Scaled(Outputs):
    """Before and after."""

    previous_desired: int | None
    """``None`` when it was only read back later that the scaling had happened."""
    desired: int
    running: int
    """As they were last seen."""


class Sized(Protocol):
    """Something of a number, as it was just described."""

    @property
    def desired(self) -> int:
        """How many it shall have."""

    @property
    def running(self) -> int:
        """How many of them serve."""

    @property
    def is_steady(self) -> bool:
        """True when it has as many as it shall, none on the way in or out."""


S = TypeVar("S", bound=Sized)


async def until_steady(
    ctx: Context,
    look: Callable[[timedelta], Awaitable[S]],
    *,
    desired: int,
    label: str,
    is_sent: bool,
) -> S:
    """
    Looks until as many run as were asked for.

    Args:
        look: Describes it; given how long a read may be repeated.
        is_sent: Whether a change was asked for, so that silence leaves its end unknown.

    Raises:
        Conflict: Something else set another number meanwhile.
        OutcomeUnknown: Sent, and not seen to end by the deadline.
        Unavailable: The same, when nothing was sent.
    """
    late = OutcomeUnknown if is_sent else Unavailable
    pause_s, last = FIRST_PAUSE_S, "it was not looked at"
    while not ctx.deadline.has_passed(ctx.clock):
        try:
            seen = await look(timedelta())
        except (Throttled, Unavailable) as error:
            last = str(error)
        except NotFound as error:
            raise Conflict(f"{label} is gone: {error}") from error
        except ActionError as error:
            raise late(f"it could not be looked at any more: {error}") from error
        else:
            if seen.desired != desired:
                raise Conflict(f"{label} was set to {seen.desired} by something else")
            if seen.is_steady:
                return seen
            last = f"{label}: {seen.running} of {desired} run"
            ctx.say(last)
        await ctx.clock.sleep(min(pause_s, ctx.deadline.left_s(ctx.clock)))
        pause_s = min(LAST_PAUSE_S, pause_s * 1.5)
    raise late(last)


def debts(target: Target, outputs: Scaled) -> tuple[Debt | Cleared, ...]:
    """More than before is owed; less than before pays it."""
    key, before = f"scaled:{target.identities[0]}", outputs.previous_desired
    if before is None or outputs.desired == before:
        return ()
    if outputs.desired < before:
        return (Cleared(key=key),)
    what = f"{target.label} has {outputs.desired} instead of {before}"
    remedy = "scale it back once the traffic is as usual, and give its template the number"
    return (Debt(key=key, what=what, remedy=remedy),)
